package reach

import (
	"net/netip"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// Whether an ipBlock reaches a pod depends on the CNI and on the pod's address. The NetworkPolicy documentation: "Cluster
// ingress and egress mechanisms often require rewriting the source or destination IP of packets. In cases where this
// happens, it is not defined whether this happens before or after NetworkPolicy processing". What is assumed here:
//   - Cilium does not match pods or nodes by CIDR; every other CNI, and an unknown one, matches by address;
//   - a pod whose address is known is matched by it. Where it is not known, the pod CIDRs decide (the Nodes' addresses for
//     hostNetwork pods). Where those are not known either, a set that holds every private range reaches the pod, one that
//     holds none does not, and anything between is unknown.

// Match is how much of a set of pods a peer matches.
type Match struct {
	// Every pod is known to match.
	Every bool
	// Some pod is known to match.
	Some bool
	// Possible is whether any pod may match, as far as is known. If it is false, none does.
	Possible bool
}

var (
	matchAll     = Match{Every: true, Some: true, Possible: true}
	matchNone    = Match{}
	matchUnknown = Match{Possible: true}
)

func (m Match) or(o Match) Match {
	return Match{Every: m.Every || o.Every, Some: m.Some || o.Some, Possible: m.Possible || o.Possible}
}

// Endpoint is one end of a connection: the pods of a class, one pod of it, or an address outside of the cluster.
type Endpoint struct {
	Class *model.PodClass
	Pod   *model.Pod // nil for the whole class
	Addr  netip.Addr // if Class is nil
}

// Outside says whether the endpoint is an address outside of the cluster.
func (e Endpoint) Outside() bool { return e.Class == nil }

// MatchRule is how much of the endpoint the rule of a policy in namespace matches as a peer.
func (v *View) MatchRule(namespace string, r *model.Rule, e Endpoint) Match {
	if r.AllPeers() {
		return matchAll
	}
	if e.Outside() {
		if r.External.Contains(e.Addr) {
			return matchAll
		}
		return matchNone
	}
	m := matchNone
	for i := range r.Peers {
		if r.Peers[i].IPBlock == nil {
			m = m.or(v.MatchPeer(namespace, &r.Peers[i], e))
		}
		if m.Every {
			return m
		}
	}
	if !r.External.IsEmpty() {
		m = m.or(v.MatchAddrs(r.External, e))
	}
	return m
}

// MatchPeer is how much of the endpoint one peer of a policy in namespace matches.
func (v *View) MatchPeer(namespace string, peer *model.Peer, e Endpoint) Match {
	switch {
	case peer.IPBlock != nil:
		return v.MatchAddrs(peer.IPBlock.Addrs, e)
	case e.Outside(), e.Class.HostNetwork:
		return matchNone
	case peer.NamespaceSelector == nil:
		// "podSelector ... selects the pods matching podSelector in the policy's own namespace"
		if e.Class.Namespace != namespace {
			return matchNone
		}
	case !peer.NamespaceSelector.Matches(v.world.NamespaceOrImplied(e.Class.Namespace).Meta.Labels):
		return matchNone
	}
	if peer.PodSelector != nil && !peer.PodSelector.Matches(e.Class.Labels) {
		return matchNone
	}
	return matchAll
}

// MatchAddrs is how much of the endpoint a set of addresses, as of ipBlocks, matches.
func (v *View) MatchAddrs(addrs netset.Addrs, e Endpoint) Match {
	switch {
	case e.Outside():
		if addrs.Contains(e.Addr) {
			return matchAll
		}
		return matchNone
	case v.world.Facts().CNI == model.CNICilium, addrs.IsEmpty():
		return matchNone
	case e.Pod != nil:
		return v.matchPod(addrs, e.Class, e.Pod)
	case len(e.Class.Pods) == 0:
		return v.matchUnaddressed(addrs, e.Class.HostNetwork)
	}
	m := Match{Every: true}
	for i := range e.Class.Pods {
		one := v.matchPod(addrs, e.Class, &e.Class.Pods[i])
		m = Match{Every: m.Every && one.Every, Some: m.Some || one.Some, Possible: m.Possible || one.Possible}
	}
	return m
}

func (v *View) matchPod(addrs netset.Addrs, c *model.PodClass, pod *model.Pod) Match {
	if len(pod.IPs) == 0 {
		return v.matchUnaddressed(addrs, c.HostNetwork)
	}
	for _, ip := range pod.IPs {
		if addrs.Contains(ip) {
			return matchAll
		}
	}
	return matchNone
}

func (v *View) matchUnaddressed(addrs netset.Addrs, hostNetwork bool) Match {
	known := v.world.Facts().PodCIDRs
	if hostNetwork {
		known = v.world.Facts().Nodes
	}
	if known.IsEmpty() {
		known = netset.PrivateRanges()
	}
	switch {
	case !addrs.Overlaps(known):
		return matchNone
	case addrs.ContainsAll(known), coversFamily(addrs, known):
		return matchAll
	}
	return matchUnknown
}

// coversFamily: a dual-stack pod has an address of each family, and is reached by either.
func coversFamily(addrs, known netset.Addrs) bool {
	four, six := known.IPv4(), known.IPv6()
	return !four.IsEmpty() && addrs.ContainsAll(four) || !six.IsEmpty() && addrs.ContainsAll(six)
}
