package reach

import (
	"net/netip"
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// OneSided is a peer of a policy with which no selected pod can connect at all, because the peer's own policies do not allow
// what this one does.
type OneSided struct {
	Direction  model.Direction
	Rule, Peer int // counted from 0, as in spec
	// Own are the pods that the policy selects, and Others those of the peer; those that do not exist yet, where there are none.
	Own, Others []*model.PodClass
	// OwnPod and OtherPod are one pair of them, Ports what the rule allows between the two, and By the policies that isolate the
	// other.
	OwnPod, OtherPod *model.PodClass
	Ports            netset.Ports
	By               []*model.Policy
}

// Bounds of what OneSided looks at for one peer. A peer with more of them is not one-sided as far as is known.
const (
	mostOneSidedNamespaces = 64
	mostOneSidedPairs      = 256
)

// OneSided are the peers of the policy that are one-sided: only peers of selectors, and only where nothing connects any pair of
// the pods, on any port, as far as is known. What it depends on a port's number, or on an address, that is not known, is not
// one-sided; nor is a pod's connection with itself, which is never blocked.
func (v *View) OneSided(p *model.Policy) []OneSided {
	var out []OneSided
	for _, d := range model.Directions {
		if !p.Isolates(d) {
			continue
		}
		for i := range p.Rules[d] {
			if v.Stopped() {
				return nil
			}
			for j := range p.Rules[d][i].Peers {
				if o, is := v.oneSided(p, d, i, j); is {
					out = append(out, o)
				}
			}
		}
	}
	return out
}

func (v *View) oneSided(p *model.Policy, d model.Direction, i, j int) (o OneSided, is bool) {
	r := &p.Rules[d][i]
	if r.Peers[j].IPBlock != nil {
		return o, false
	}
	o = OneSided{Direction: d, Rule: i, Peer: j, Own: v.Select(p).Classes}
	pairs := 0
	blocked := v.eachPeer(p.Namespace, &r.Peers[j], func(other *model.PodClass) bool {
		o.Others = append(o.Others, other)
		for _, own := range o.Own {
			if !meet(own, other, netset.IPv4) && !meet(own, other, netset.IPv6) {
				continue
			}
			if pairs++; pairs > mostOneSidedPairs {
				return false
			}
			if v.mayConnect(own, d, other, r.Named) {
				return false
			}
			if ports := PortsTowards(r, own, d, Endpoint{Class: other}); o.OwnPod == nil && !ports.IsEmpty() {
				o.OwnPod, o.OtherPod, o.Ports, o.By = own, other, ports, v.Isolating(other, d.Opposite())
			}
		}
		return true
	})
	return o, blocked && o.OwnPod != nil
}

// meet says whether there are two different pods of the classes that have an address of the family.
func meet(own, other *model.PodClass, f netset.Family) bool {
	least := 1
	if own.Key() == other.Key() {
		least = 2 // "Pod cannot block access to itself"
	}
	return min(podsByFamily(own, f), podsByFamily(other, f)) >= least
}

// podsByFamily is how many pods of the class have, or may have, an address of the family.
func podsByFamily(c *model.PodClass, f netset.Family) int {
	switch {
	case c.Hypothetical:
		return 2
	case len(c.Pods) == 0: // a template that is scaled to zero may be scaled up
		return max(c.Replicas, 1)
	}
	n := 0
	for i := range c.Pods {
		ips := c.Pods[i].IPs
		if len(ips) == 0 || slices.ContainsFunc(ips, func(ip netip.Addr) bool { return familyOf(ip) == f }) {
			n++
		}
	}
	return n
}

// mayConnect says whether anything may connect pods of the two, in the direction as seen from own; named is whether the rule by
// which own allows it has names of ports.
func (v *View) mayConnect(own *model.PodClass, d model.Direction, other *model.PodClass, named bool) bool {
	if v.somethingConnects(own, d, other) {
		return true
	}
	back := d.Opposite()
	target := own
	if d == model.Egress {
		target = other
	}
	if !target.Hypothetical {
		return false
	}
	// Which number a name of a port will stand for is not known.
	for _, q := range v.Isolating(other, back) {
		for i := range q.Rules[back] {
			if r := &q.Rules[back][i]; (named || r.Named) && v.MatchRule(q.Namespace, r, Endpoint{Class: own}).Possible {
				return true
			}
		}
	}
	return named && !v.Isolated(other, back)
}

// somethingConnects says whether the two sides may have a port in common, as far as ports' numbers are known.
func (v *View) somethingConnects(own *model.PodClass, d model.Direction, other *model.PodClass) bool {
	key := classPair{classDirection{own, d}, other}
	connects, known := v.connects[key]
	if known {
		return connects
	}
	connects = slices.ContainsFunc(families[:], func(f netset.Family) bool { return meet(own, other, f) && v.commonPort(own, d, other, f) })
	if v.connects == nil {
		v.connects = map[classPair]bool{}
	}
	v.connects[key] = connects
	return connects
}

func (v *View) commonPort(own *model.PodClass, d model.Direction, other *model.PodClass, f netset.Family) bool {
	theirs := v.possibleTowards(other, d.Opposite(), Endpoint{Class: own, Family: f})
	return !theirs.IsEmpty() && v.mayAllowAny(theirs, own, d, Endpoint{Class: other, Family: f})
}

// eachPeer calls do for the pods that the peer of a policy in namespace selects, or, where those namespaces have no pods at all,
// for those that it demands, until do yields false. It yields whether it went through all.
func (v *View) eachPeer(namespace string, peer *model.Peer, do func(*model.PodClass) bool) bool {
	spaces := []*model.Namespace{v.world.NamespaceOrImplied(namespace)}
	if peer.NamespaceSelector != nil {
		spaces = nil
		for ns := range v.world.Select(peer.NamespaceSelector) {
			if spaces = append(spaces, ns); len(spaces) > mostOneSidedNamespaces {
				return false
			}
		}
	}
	for _, ns := range spaces {
		for _, c := range ns.Classes {
			if !c.HostNetwork && (peer.PodSelector == nil || peer.PodSelector.Matches(c.Labels)) && !do(c) {
				return false
			}
		}
	}
	if slices.ContainsFunc(spaces, func(ns *model.Namespace) bool { return len(ns.Classes) > 0 }) {
		return true
	}
	examples := []map[string]string{nil}
	if peer.PodSelector != nil {
		examples = peer.PodSelector.Examples()
	}
	for _, ns := range spaces {
		for _, labels := range examples {
			if !do(model.NewHypothetical(ns.Meta.Name, labels)) {
				return false
			}
		}
	}
	return true
}
