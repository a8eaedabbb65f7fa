package reach

import (
	"fmt"
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// Opened is a connection of a pod that old or now selects which is allowed after, or not known to be forbidden, and was
// forbidden before; empty if there is none. Unlike Deltas it looks at every pod that there is, at the pods that policies
// without pods stand for, and at every address. before and after are the views of the cluster with old and with now;
// other policies may differ between them as well.
func Opened(before, after *View, old, now *model.Policy) string {
	if narrows(old, now) {
		return ""
	}
	classes := classesOf(before)
	for _, a := range classesUnder(before, after, old, now) {
		for _, d := range model.Directions {
			if outside := after.External(a, d).Minus(before.External(a, d)); !outside.IsEmpty() {
				part := outside.Parts()[0]
				return fmt.Sprintf("%s → %s %s", endName(a, d == model.Egress, part.Addrs), endName(a, d == model.Ingress, part.Addrs), part.Ports.Short())
			}
		}
		for _, b := range classes {
			for _, ends := range [2][2]*model.PodClass{{a, b}, {b, a}} {
				if more := openedBetween(before, after, ends[0], ends[1]); !more.IsEmpty() {
					return fmt.Sprintf("%s → %s %s", ends[0].Name(), ends[1].Name(), more.Short())
				}
			}
		}
	}
	return ""
}

// openedBetween are ports on which some pod of from may connect to some pod of to after, and might not before. Where rules
// match only some of the pods, by their addresses, each pair of pods is looked at.
func openedBetween(before, after *View, from, to *model.PodClass) netset.Ports {
	was, is := before.Between(from, to), after.Between(from, to)
	more := is.Possible.Minus(was.Possible)
	if !more.IsEmpty() || was.Every.ContainsAll(is.Possible) {
		return more
	}
	for _, a := range endsOf(from) {
		for _, b := range endsOf(to) {
			if more := after.possible(a, b).Minus(before.possible(a, b)); !more.IsEmpty() && (from != to || a.Pod != b.Pod) {
				return more
			}
		}
	}
	return netset.Ports{}
}

// endsOf are the pods of a class, or the class itself while it has none.
func endsOf(c *model.PodClass) []Endpoint {
	if len(c.Pods) == 0 {
		return []Endpoint{{Class: c}}
	}
	out := make([]Endpoint, len(c.Pods))
	for i := range c.Pods {
		out[i] = Endpoint{Class: c, Pod: &c.Pods[i]}
	}
	return out
}

// possible is Between's Possible, for single pods.
func (v *View) possible(from, to Endpoint) netset.Ports {
	var out netset.Ports
	for _, from.Family = range families {
		to.Family = from.Family
		if v.have(from, from.Family).Possible && v.have(to, to.Family).Possible {
			both := v.Allowed(from.Class, model.Egress, to).Possible.Intersect(v.Allowed(to.Class, model.Ingress, from).Possible)
			out = out.Union(both)
		}
	}
	return out
}

func endName(c *model.PodClass, isClass bool, addrs netset.Addrs) string {
	if isClass {
		return c.Name()
	}
	return addrs.Short(2)
}

func classesUnder(before, after *View, old, now *model.Policy) []*model.PodClass {
	out := slices.Clone(before.Select(old).Classes)
	for _, c := range after.Select(now).Classes {
		if !slices.ContainsFunc(out, func(o *model.PodClass) bool { return o.Namespace == c.Namespace && o.Key() == c.Key() }) {
			out = append(out, c)
		}
	}
	return out
}

// classesOf are all pods that there are, and those that policies without pods stand for.
func classesOf(v *View) []*model.PodClass {
	var out []*model.PodClass
	for ns := range v.World().Namespaces() {
		out = append(out, ns.Classes...)
		for _, p := range ns.Policies {
			if s := v.Select(p); s.Pods() == 0 {
				out = append(out, s.Classes...)
			}
		}
	}
	return out
}

// narrows is whether it can be seen from the two versions alone that now allows nothing that old does not: the same pods, at
// least the same isolation, and each rule within one rule of old.
func narrows(old, now *model.Policy) bool {
	if old.Namespace != now.Namespace || !old.PodSelector.Equal(&now.PodSelector) {
		return false
	}
	for _, d := range model.Directions {
		if !now.Types[d] {
			if old.Types[d] {
				return false
			}
			continue
		}
		for i := range now.Rules[d] {
			r := &now.Rules[d][i]
			if !old.Types[d] || !slices.ContainsFunc(old.Rules[d], func(o model.Rule) bool { return ruleWithin(r, &o) }) {
				return false
			}
		}
	}
	return true
}

func ruleWithin(r, o *model.Rule) bool {
	for i := range r.Ports {
		p := &r.Ports[i]
		within := func(q model.PortSpec) bool {
			return p.Protocol == q.Protocol && p.Name == q.Name && q.Numbers.ContainsAll(p.Numbers)
		}
		if !o.AllPorts() && !slices.ContainsFunc(o.Ports, within) {
			return false
		}
	}
	for i := range r.Peers {
		p := &r.Peers[i]
		if !o.AllPeers() && !slices.ContainsFunc(o.Peers, func(q model.Peer) bool { return peerWithin(p, &q) }) {
			return false
		}
	}
	return (o.AllPorts() || !r.AllPorts()) && (o.AllPeers() || !r.AllPeers())
}

func peerWithin(p, o *model.Peer) bool {
	if p.IPBlock != nil || o.IPBlock != nil {
		return p.IPBlock != nil && o.IPBlock != nil && o.IPBlock.Addrs.ContainsAll(p.IPBlock.Addrs)
	}
	return sameSelector(p.NamespaceSelector, o.NamespaceSelector) && (o.PodSelector == nil && o.NamespaceSelector != nil || sameSelector(p.PodSelector, o.PodSelector))
}

func sameSelector(a, b *model.Selector) bool {
	return a == b || a != nil && b != nil && a.Equal(b)
}
