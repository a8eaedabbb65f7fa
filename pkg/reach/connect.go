package reach

import (
	"net/netip"

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
			out = out.union(m, portsTowards(r, c, d, peer))
		}
	}
	return out
}

// portsTowards resolves the names among the rule's ports on the pods that are connected to. An address outside has no
// names, and nor has a node's: pods on the host's network are outside of NetworkPolicy as peers, too.
func portsTowards(r *model.Rule, c *model.PodClass, d model.Direction, peer Endpoint) netset.Ports {
	if d == model.Egress {
		if peer.Outside() || peer.Class.HostNetwork {
			return r.Numeric
		}
		return PortsOn(r, peer.Class)
	}
	return PortsOn(r, c)
}

// Between is the ports on which the pods of from may connect to those of to: both sides must allow it.
func (v *View) Between(from, to *model.PodClass) Ports {
	return v.Allowed(from, model.Egress, Endpoint{Class: to}).intersect(v.Allowed(to, model.Ingress, Endpoint{Class: from}))
}

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

// Grant is one rule of a policy, counted from 0 as in spec.
type Grant struct {
	Policy *model.Policy
	Rule   int
}

// Answer is whether one connection is allowed, and why.
type Answer struct {
	Allowed         Truth
	Egress, Ingress Side
}

// Connection is whether from may connect to the port of to. Between pods whose addresses are known, the connection may use
// either address family that both have.
func (v *View) Connection(from, to Endpoint, port netset.Port) Answer {
	if from.Pod != nil && from.Class == to.Class && from.Pod == to.Pod {
		// "Pod cannot block access to itself"
		return Answer{Allowed: Yes, Egress: Side{Allowed: Yes}, Ingress: Side{Allowed: Yes}}
	}
	best := Answer{}
	for i, pair := range byFamily(from, to) {
		a := Answer{Egress: v.side(pair[0], model.Egress, pair[1], port), Ingress: v.side(pair[1], model.Ingress, pair[0], port)}
		a.Allowed = min(a.Egress.Allowed, a.Ingress.Allowed)
		if i == 0 || a.Allowed > best.Allowed {
			best = a
		}
	}
	return best
}

// byFamily splits a connection between two addressed ends into one for each family that both have.
func byFamily(from, to Endpoint) [][2]Endpoint {
	if !from.addressed() || !to.addressed() {
		return [][2]Endpoint{{from, to}}
	}
	var out [][2]Endpoint
	for _, four := range []bool{true, false} {
		a, okA := from.only(four)
		b, okB := to.only(four)
		if okA && okB {
			out = append(out, [2]Endpoint{a, b})
		}
	}
	return out
}

func (e Endpoint) addressed() bool { return e.Outside() || e.Pod != nil && len(e.Pod.IPs) > 0 }

func (e Endpoint) only(four bool) (Endpoint, bool) {
	if e.Outside() {
		return e, e.Addr.Unmap().Is4() == four
	}
	var ips []netip.Addr
	for _, ip := range e.Pod.IPs {
		if ip.Is4() == four {
			ips = append(ips, ip)
		}
	}
	return Endpoint{Class: e.Class, Pod: &model.Pod{Name: e.Pod.Name, IPs: ips}}, len(ips) > 0
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
			if !m.Possible || !portsTowards(r, subject.Class, d, peer).Contains(port) {
				continue
			}
			if m.Every {
				s.Allowed = Yes
				s.By = append(s.By, Grant{p, i})
			} else {
				s.Allowed = max(s.Allowed, Unknown)
			}
		}
	}
	return s
}
