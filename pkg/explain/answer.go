package explain

import (
	"fmt"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
)

// answer asks the view for one pair, and tells why it answers so.
func (x *explainer) answer(from, to reach.Endpoint, w want) pair {
	p := pair{from: from, to: to, want: w, c: Case{ServicePort: w.service}}
	if !w.all {
		port, why := w.on(to)
		if why != "" {
			p.verdict, p.c.Verdict, p.c.Reason = Blocked, Blocked, why
			return p
		}
		p.port, p.c.Port, p.c.PortName = port, port.String(), w.name
	}
	if from.Pod != nil && from.Class == to.Class && from.Pod == to.Pod {
		p.verdict, p.c.Verdict, p.c.Reason = Allowed, Allowed, "A pod always reaches itself."
		return p
	}
	families := families(x.view, from, to)
	if len(families) == 0 {
		p.verdict, p.c.Verdict, p.c.Reason = Blocked, Blocked, "They have no address family in common: one has only IPv4 addresses and the other only IPv6 ones."
		if from.Family != 0 || to.Family != 0 {
			p.c.Reason = "They have no address family in common with the address that is asked about: name the pods in place of their addresses to ask about every family."
		}
		return p
	}
	if w.all {
		x.summarise(&p, families)
		return p
	}
	// The answer for the family in which most is allowed, as the view takes it.
	best, family := reach.Answer{}, families[0]
	for i, f := range families {
		if a := x.view.Connection(in(from, f), in(to, f), p.port); i == 0 || a.Allowed > best.Allowed {
			best, family = a, f
		}
	}
	p.verdict = verdictOfTruth(best.Allowed)
	p.c.Verdict = p.verdict
	asked := netset.PortsOf(p.port)
	p.c.Egress = x.side(in(from, family), model.Egress, in(to, family), asked, best.Egress.Allowed, false)
	p.c.Ingress = x.side(in(to, family), model.Ingress, in(from, family), asked, best.Ingress.Allowed, false)
	return p
}

func in(e reach.Endpoint, f netset.Family) reach.Endpoint {
	e.Family = f
	return e
}

func verdictOfTruth(t reach.Truth) Verdict {
	switch t {
	case reach.Yes:
		return Allowed
	case reach.Unknown:
		return Unknown
	}
	return Blocked
}

// families are those that both ends may have addresses of, and that they are asked for.
func families(v *reach.View, from, to reach.Endpoint) []netset.Family {
	var out []netset.Family
	for _, f := range []netset.Family{netset.IPv4, netset.IPv6} {
		asked := (from.Family == 0 || from.Family == f) && (to.Family == 0 || to.Family == f)
		if asked && v.MayHave(in(from, f), f) && v.MayHave(in(to, f), f) {
			out = append(out, f)
		}
	}
	return out
}

// summarise answers for all ports at once: allowed if any port is.
func (x *explainer) summarise(p *pair, families []netset.Family) {
	var allowed, possible netset.Ports
	var best netset.Ports
	family := families[0]
	for _, f := range families {
		out, in := x.ports(in(p.from, f), model.Egress, in(p.to, f)), x.ports(in(p.to, f), model.Ingress, in(p.from, f))
		every := out.Every.Intersect(in.Every)
		allowed, possible = allowed.Union(every), possible.Union(out.Possible.Intersect(in.Possible))
		if every.Size() > best.Size() {
			best, family = every, f
		}
	}
	unknown := possible.Minus(allowed)
	switch {
	case !allowed.IsEmpty():
		p.verdict = Allowed
		p.c.Ports = allowed.String()
	case !unknown.IsEmpty():
		p.verdict = Unknown
	default:
		p.verdict = Blocked
	}
	if !unknown.IsEmpty() {
		p.c.UnknownPorts = unknown.String()
	}
	p.c.Verdict = p.verdict
	from, to := in(p.from, family), in(p.to, family)
	truth := func(subject reach.Endpoint, d model.Direction, peer reach.Endpoint) reach.Truth {
		switch ports := x.ports(subject, d, peer); {
		case !ports.Every.IsEmpty():
			return reach.Yes
		case !ports.Possible.IsEmpty():
			return reach.Unknown
		}
		return reach.No
	}
	p.c.Egress = x.side(from, model.Egress, to, netset.AllPorts(), truth(from, model.Egress, to), true)
	p.c.Ingress = x.side(to, model.Ingress, from, netset.AllPorts(), truth(to, model.Ingress, from), true)
}

// ports are what the subject's own policies allow to or from the peer.
func (x *explainer) ports(subject reach.Endpoint, d model.Direction, peer reach.Endpoint) reach.Ports {
	if subject.Outside() {
		return reach.Ports{Every: netset.AllPorts(), Some: netset.AllPorts(), Possible: netset.AllPorts()}
	}
	return x.view.Allowed(subject.Class, d, peer)
}

// side tells what the policies of one end say to the connection; truth is what they do together.
func (x *explainer) side(subject reach.Endpoint, d model.Direction, peer reach.Endpoint, asked netset.Ports, truth reach.Truth, all bool) *Side {
	s := &Side{Verdict: verdictOfTruth(truth)}
	if subject.Outside() {
		s.Reason = "an address outside of the cluster has no NetworkPolicies"
		return s
	}
	if subject.Class.HostNetwork {
		s.Reason = "NetworkPolicies do not apply to the host's network with most CNIs"
		return s
	}
	field := d.Field()
	for _, p := range x.view.World().NamespaceOrImplied(subject.Class.Namespace).Policies {
		if !p.Isolates(d) && len(p.Rules[d]) > 0 && p.PodSelector.Matches(subject.Class.Labels) {
			s.Ignored = append(s.Ignored, fmt.Sprintf("the %s rules of %s/%s have no effect: its policyTypes leave out %s", field, p.Namespace, p.Name, d))
		}
	}
	isolating := x.view.Isolating(subject.Class, d)
	if len(isolating) == 0 {
		s.Reason = fmt.Sprintf("no policy isolates it for %s, so everything is allowed", field)
		return s
	}
	allowing := 0
	for _, p := range isolating {
		told := x.policy(p, subject, d, peer, asked, all)
		if told.Verdict == Allowed {
			allowing++
		}
		s.Policies = append(s.Policies, told)
	}
	switch {
	case s.Verdict == Allowed && allowing == 0:
		s.Reason = "rules that each hold some of the addresses allow it together"
	case s.Verdict == Allowed:
		s.Reason = fmt.Sprintf("%s isolate it for %s, and %s", count(len(isolating), "policy", "policies"), field, allow(allowing))
		if len(isolating) == 1 {
			s.Reason = fmt.Sprintf("1 policy isolates it for %s, and allows this", field)
		}
	case s.Verdict == Unknown:
		s.Reason = fmt.Sprintf("whether a rule allows this depends on what is not known; %s it for %s", isolate(len(isolating)), field)
	case len(isolating) == 1:
		s.Reason = fmt.Sprintf("1 policy isolates it for %s, and does not allow this", field)
	default:
		s.Reason = fmt.Sprintf("%d policies isolate it for %s, and none allows this", len(isolating), field)
	}
	return s
}

func isolate(n int) string {
	if n == 1 {
		return "1 policy isolates"
	}
	return fmt.Sprintf("%d policies isolate", n)
}

func allow(n int) string {
	if n == 1 {
		return "1 of them allows this"
	}
	return fmt.Sprintf("%d of them allow this", n)
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
