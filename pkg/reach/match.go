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
//     hostNetwork pods). Where those are not known either, a set that holds every private IPv4 range reaches the pod, one
//     that holds none of those, nor of the unique local IPv6 ones, does not, and anything between is unknown.

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
	// Family is the one address family that the pods are asked for; 0 for whichever they have.
	Family netset.Family
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
	case peer.PodSelector != nil && !peer.PodSelector.Matches(e.Class.Labels):
		return matchNone
	case peer.NamespaceSelector == nil:
		// "podSelector ... selects the pods matching podSelector in the policy's own namespace"
		if e.Class.Namespace != namespace {
			return matchNone
		}
	case !peer.NamespaceSelector.Matches(v.world.NamespaceOrImplied(e.Class.Namespace).Meta.Labels):
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
	}
	return v.matchPods(addrs, e)
}

func (v *View) matchPods(addrs netset.Addrs, e Endpoint) Match {
	switch {
	case e.Pod != nil:
		return v.matchPod(addrs, e, e.Pod)
	case len(e.Class.Pods) == 0:
		return v.matchUnaddressed(addrs, e)
	}
	m := Match{Every: true}
	for i := range e.Class.Pods {
		one := v.matchPod(addrs, e, &e.Class.Pods[i])
		m = Match{Every: m.Every && one.Every, Some: m.Some || one.Some, Possible: m.Possible || one.Possible}
	}
	return m
}

func (v *View) matchPod(addrs netset.Addrs, e Endpoint, pod *model.Pod) Match {
	if len(pod.IPs) == 0 {
		return v.matchUnaddressed(addrs, e)
	}
	for _, ip := range pod.IPs {
		if e.may(familyOf(ip)) && addrs.Contains(ip) {
			return matchAll
		}
	}
	return matchNone
}

// uniqueLocal are the private IPv6 addresses (RFC 4193).
var uniqueLocal = netset.AddrsOf(netip.MustParsePrefix("fc00::/7"))

func (v *View) matchUnaddressed(addrs netset.Addrs, e Endpoint) Match {
	known := v.world.Facts().PodCIDRs
	if e.Class.HostNetwork {
		known = v.world.Facts().Nodes
	}
	if !known.IsEmpty() {
		// A dual-stack pod has an address of each family, and is reached by either.
		return matchRange(addrs, known.IPv4(), e.may(netset.IPv4)).or(matchRange(addrs, known.IPv6(), e.may(netset.IPv6)))
	}
	m := matchRange(addrs, netset.PrivateRanges(), e.may(netset.IPv4))
	if e.may(netset.IPv6) && addrs.Overlaps(uniqueLocal) {
		m = m.or(matchUnknown) // there may be no IPv6 in the cluster
	}
	return m
}

// matchRange is whether addrs hold an address of which all that is known is that it is within the range.
func matchRange(addrs, within netset.Addrs, asked bool) Match {
	switch {
	case !asked, !addrs.Overlaps(within):
		return matchNone
	case addrs.ContainsAll(within):
		return matchAll
	}
	return matchUnknown
}

func (e Endpoint) may(f netset.Family) bool { return e.Family == 0 || e.Family == f }

func familyOf(addr netip.Addr) netset.Family {
	if addr.Unmap().Is4() {
		return netset.IPv4
	}
	return netset.IPv6
}

// have is how many of the endpoint's pods have an address of the family.
func (v *View) have(e Endpoint, f netset.Family) Match {
	if e.Outside() {
		if familyOf(e.Addr) == f {
			return matchAll
		}
		return matchNone
	}
	all := netset.AllIPv4()
	if f == netset.IPv6 {
		all = netset.AllIPv6()
	}
	return v.matchPods(all, e)
}

// MayHave says whether any pod of the endpoint may have an address of the family.
func (v *View) MayHave(e Endpoint, f netset.Family) bool { return v.have(e, f).Possible }
