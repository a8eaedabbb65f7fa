package explain

import (
	"math/big"
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
)

// opens is how much more a policy that has changed allows the pods that it selects, by their own policies: pairs of pods and
// addresses times ports.
func opens(before, after *reach.View, d model.Direction, p *model.Policy) float64 {
	total := 0.0
	for _, c := range after.Select(p).Classes {
		pods := float64(max(c.Count(), 1))
		for ns := range after.World().Namespaces() {
			for _, q := range ns.Classes {
				peer := reach.Endpoint{Class: q}
				more := after.Allowed(c, d, peer).Some.Minus(before.Allowed(c, d, peer).Some)
				total += pods * float64(max(q.Count(), 1)) * float64(more.Size())
			}
		}
		size, _ := new(big.Float).SetInt(after.External(c, d).Minus(before.External(c, d)).Size()).Float64()
		total += pods * size
	}
	return total
}

// opened are the connections that after allows and before does not; policies differ in the namespaces only.
func opened(before, after *reach.View, namespaces []string) []Opened {
	var out []Opened
	var all []*model.PodClass
	for ns := range after.World().Namespaces() {
		all = append(all, ns.Classes...)
	}
	changed := [2]map[*model.PodClass]bool{}
	for _, d := range model.Directions {
		changed[d] = map[*model.PodClass]bool{}
		for _, ns := range namespaces {
			for _, c := range after.World().NamespaceOrImplied(ns).Classes {
				if !slices.Equal(before.Isolating(c, d), after.Isolating(c, d)) {
					changed[d][c] = true
				}
			}
		}
	}
	for _, c := range all {
		if changed[model.Egress][c] {
			for _, to := range all {
				out = append(out, openedPods(before, after, c, to)...)
			}
		}
		if changed[model.Ingress][c] {
			for _, from := range all {
				if !changed[model.Egress][from] {
					out = append(out, openedPods(before, after, from, c)...)
				}
			}
		}
	}
	for _, c := range all {
		for _, d := range model.Directions {
			if changed[d][c] {
				out = append(out, openedOutside(c, d, after.External(c, d).Minus(before.External(c, d)))...)
			}
		}
	}
	return out
}

// openedPods are the connections between pods of two classes: of all of them, or, where it depends on their addresses, of each
// pod with each other one.
func openedPods(before, after *reach.View, from, to *model.PodClass) []Opened {
	froms, tos := []reach.Endpoint{{Class: from}}, []reach.Endpoint{{Class: to}}
	was, is := between(before, froms[0], tos[0]), between(after, froms[0], tos[0])
	pods, peers := podsOf(froms[0]), podsOf(tos[0])
	// What is allowed over a family that only some of the pods have is not allowed for every pod.
	same := sameFamilies(pods) && sameFamilies(peers)
	if is.Some.IsEmpty() || same && is.Some.Minus(was.Every).IsEmpty() {
		return nil
	}
	alike := was.Every.Equal(was.Some) && is.Every.Equal(is.Some) && same && from != to
	if !alike && len(pods)*len(peers) <= mostPairs {
		froms, tos = pods, peers
	}
	var out []Opened
	for _, a := range froms {
		for _, b := range tos {
			if a.Pod != nil && from == to && a.Pod == b.Pod {
				continue // a pod always reaches itself
			}
			if ports := between(after, a, b).Some.Minus(between(before, a, b).Some); !ports.IsEmpty() {
				out = append(out, Opened{From: namesOf(a), To: namesOf(b), Ports: ports.String(), PortSet: ports})
			}
		}
	}
	return out
}

// between is the ports on which every pod, or some pod, of from is known to reach those of to, over a family that both may have.
func between(v *reach.View, from, to reach.Endpoint) (out reach.Ports) {
	for _, f := range families(v, from, to) {
		a, b := in(from, f), in(to, f)
		egress, ingress := v.Allowed(a.Class, model.Egress, b), v.Allowed(b.Class, model.Ingress, a)
		out.Every = out.Every.Union(egress.Every.Intersect(ingress.Every))
		out.Some = out.Some.Union(egress.Some.Intersect(ingress.Some))
	}
	return out
}

// openedOutside are the connections of a class with addresses.
func openedOutside(c *model.PodClass, d model.Direction, conns netset.Conns) []Opened {
	var out []Opened
	for _, part := range conns.Parts() {
		var addrs []string
		for _, prefix := range part.Addrs.Prefixes() {
			addrs = append(addrs, prefix.String())
		}
		o := Opened{Ports: part.Ports.String(), PortSet: part.Ports, Conns: netset.ConnsOf(part.Addrs, part.Ports)}
		pods := namesOf(reach.Endpoint{Class: c})
		if d == model.Egress {
			o.From, o.To = pods, addrs
		} else {
			o.From, o.To = addrs, pods
		}
		out = append(out, o)
	}
	return out
}
