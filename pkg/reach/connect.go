package reach

import (
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// Ports are the ports allowed between two endpoints, as far as is known: Every ⊆ Some ⊆ Possible.
type Ports struct {
	Every    netset.Ports // allowed for every pod of the peer
	Some     netset.Ports // allowed for some pod of the peer
	Possible netset.Ports // not known to be forbidden for every pod of the peer
}

func allPorts() Ports {
	return Ports{Every: netset.AllPorts(), Some: netset.AllPorts(), Possible: netset.AllPorts()}
}

func (p Ports) union(m Match, ports netset.Ports) Ports {
	if m.Every {
		p.Every = p.Every.Union(ports)
	}
	if m.Some {
		p.Some = p.Some.Union(ports)
	}
	if m.Possible {
		p.Possible = p.Possible.Union(ports)
	}
	return p
}

func (p Ports) intersect(q Ports) Ports {
	return Ports{Every: p.Every.Intersect(q.Every), Some: p.Some.Intersect(q.Some), Possible: p.Possible.Intersect(q.Possible)}
}

// Allowed is the ports that the policies of the class allow to (Egress) or from (Ingress) the peer. It is one side only; see
// Between.
func (v *View) Allowed(c *model.PodClass, d model.Direction, peer Endpoint) Ports {
	policies := v.Isolating(c, d)
	if len(policies) == 0 {
		return allPorts()
	}
	var out Ports
	for _, p := range policies {
		out = out.join(v.PolicyAllowed(p, c, d, peer))
	}
	if !peer.Outside() && peer.Pod == nil && len(peer.Class.Pods) > 1 && !out.Every.Equal(out.Some) {
		// Rules that each match some of the pods by address may match every pod together.
		every := out.Some
		for i := range peer.Class.Pods {
			one := Endpoint{Class: peer.Class, Pod: &peer.Class.Pods[i], Family: peer.Family}
			every = every.Intersect(v.Allowed(c, d, one).Every)
		}
		out.Every = every
	}
	return out
}

func (p Ports) join(q Ports) Ports {
	return Ports{Every: p.Every.Union(q.Every), Some: p.Some.Union(q.Some), Possible: p.Possible.Union(q.Possible)}
}

// PolicyAllowed is what the policy alone adds to Allowed.
func (v *View) PolicyAllowed(p *model.Policy, c *model.PodClass, d model.Direction, peer Endpoint) Ports {
	var out Ports
	if !p.Isolates(d) {
		return out
	}
	for i := range p.Rules[d] {
		r := &p.Rules[d][i]
		if m := v.MatchRule(p.Namespace, r, peer); m.Possible {
			out = out.union(m, PortsTowards(r, c, d, peer))
		}
	}
	return out
}

// possibleTowards is Allowed's Possible.
func (v *View) possibleTowards(c *model.PodClass, d model.Direction, peer Endpoint) netset.Ports {
	policies := v.Isolating(c, d)
	if len(policies) == 0 {
		return netset.AllPorts()
	}
	var out netset.Ports
	for _, p := range policies {
		for i := range p.Rules[d] {
			r := &p.Rules[d][i]
			if ports := PortsTowards(r, c, d, peer); !out.ContainsAll(ports) && v.MatchRule(p.Namespace, r, peer).Possible {
				out = out.Union(ports)
			}
		}
	}
	return out
}

// mayAllowAny says whether Allowed's Possible has any of the ports.
func (v *View) mayAllowAny(ports netset.Ports, c *model.PodClass, d model.Direction, peer Endpoint) bool {
	policies := v.Isolating(c, d)
	for _, p := range policies {
		for i := range p.Rules[d] {
			r := &p.Rules[d][i]
			if PortsTowards(r, c, d, peer).Overlaps(ports) && v.MatchRule(p.Namespace, r, peer).Possible {
				return true
			}
		}
	}
	return len(policies) == 0 && !ports.IsEmpty()
}

// beyond is the ports that are not in Allowed's Some.
func (v *View) beyond(ports netset.Ports, c *model.PodClass, d model.Direction, peer Endpoint) netset.Ports {
	policies := v.Isolating(c, d)
	if len(policies) == 0 {
		return netset.Ports{}
	}
	for _, p := range policies {
		for i := range p.Rules[d] {
			if ports.IsEmpty() {
				return ports
			}
			r := &p.Rules[d][i]
			if theirs := PortsTowards(r, c, d, peer); theirs.Overlaps(ports) && v.MatchRule(p.Namespace, r, peer).Some {
				ports = ports.Minus(theirs)
			}
		}
	}
	return ports
}

// PortsTowards is the ports of a rule of direction d, of a policy that selects c. Names are resolved on the pods that are
// connected to. An address outside has none, and nor has a node's: pods on the host's network are outside of NetworkPolicy
// as peers, too.
func PortsTowards(r *model.Rule, c *model.PodClass, d model.Direction, peer Endpoint) netset.Ports {
	if d == model.Egress {
		if peer.Outside() || peer.Class.HostNetwork {
			return r.Numeric
		}
		return PortsOn(r, peer.Class)
	}
	return PortsOn(r, c)
}

// Between is the ports on which the pods of from may connect to those of to: both sides must allow it, in an address family
// that both have. Every asks for one family that serves all pairs of pods.
func (v *View) Between(from, to *model.PodClass) Ports {
	var out Ports
	for _, family := range families {
		a, b := Endpoint{Class: from, Family: family}, Endpoint{Class: to, Family: family}
		x, y := v.have(a, family), v.have(b, family)
		ports := v.Allowed(from, model.Egress, b).intersect(v.Allowed(to, model.Ingress, a))
		if !x.Every || !y.Every {
			ports.Every = netset.Ports{}
		}
		if !x.Some || !y.Some {
			ports.Some = netset.Ports{}
		}
		if x.Possible && y.Possible {
			out = out.join(ports)
		}
	}
	return out
}

var families = [2]netset.Family{netset.IPv4, netset.IPv6}

// Truth is an answer that may be unknown.
type Truth uint8

// The answers.
const (
	No Truth = iota
	Unknown
	Yes
)

func (t Truth) String() string { return [...]string{"no", "unknown", "yes"}[t] }

// Side is what one end of a connection has to say to it.
type Side struct {
	// Isolating are the policies that isolate the end; none if everything is allowed.
	Isolating []*model.Policy
	Allowed   Truth
	// By are the rules that allow the connection.
	By []Grant
}

// Grant is one rule of a policy, and the first of its peers that lets the connection through, both counted from 0 as in spec.
type Grant struct {
	Policy *model.Policy
	Rule   int
	// Peer is -1 where the rule is for every peer, or where only several ipBlocks together hold all addresses of the pods.
	Peer int
}

// Answer is whether one connection is allowed, and why.
type Answer struct {
	Allowed         Truth
	Egress, Ingress Side
}

// Connection is whether from may connect to the port of to, in an address family that both have.
func (v *View) Connection(from, to Endpoint, port netset.Port) Answer {
	if from.Pod != nil && from.Class == to.Class && from.Pod == to.Pod {
		// "Pod cannot block access to itself"
		return Answer{Allowed: Yes, Egress: Side{Allowed: Yes}, Ingress: Side{Allowed: Yes}}
	}
	best, found := Answer{}, false
	for _, family := range families {
		if !from.may(family) || !to.may(family) || !v.have(from, family).Possible || !v.have(to, family).Possible {
			continue
		}
		source, target := from, to
		source.Family, target.Family = family, family
		a := Answer{Egress: v.side(source, model.Egress, target, port), Ingress: v.side(target, model.Ingress, source, port)}
		a.Allowed = min(a.Egress.Allowed, a.Ingress.Allowed)
		if !found || a.Allowed > best.Allowed {
			best, found = a, true
		}
	}
	return best
}

func (v *View) side(subject Endpoint, d model.Direction, peer Endpoint, port netset.Port) Side {
	if subject.Outside() {
		return Side{Allowed: Yes}
	}
	s := Side{Isolating: v.Isolating(subject.Class, d)}
	if len(s.Isolating) == 0 {
		s.Allowed = Yes
		return s
	}
	for _, p := range s.Isolating {
		for i := range p.Rules[d] {
			r := &p.Rules[d][i]
			m := v.MatchRule(p.Namespace, r, peer)
			if !m.Possible || !PortsTowards(r, subject.Class, d, peer).Contains(port) {
				continue
			}
			if m.Every {
				s.Allowed = Yes
				s.By = append(s.By, Grant{p, i, v.grantingPeer(p.Namespace, r, peer)})
			} else {
				s.Allowed = max(s.Allowed, Unknown)
			}
		}
	}
	return s
}

// grantingPeer is the first peer of the rule that matches all of the endpoint; -1 if none does by itself.
func (v *View) grantingPeer(namespace string, r *model.Rule, e Endpoint) int {
	return slices.IndexFunc(r.Peers, func(p model.Peer) bool {
		if e.Outside() {
			return p.IPBlock != nil && p.IPBlock.Addrs.Contains(e.Addr)
		}
		return v.MatchPeer(namespace, &p, e).Every
	})
}
