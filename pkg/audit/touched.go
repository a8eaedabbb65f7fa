package audit

import (
	"maps"
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/model"
)

// A policy speaks of the pods of other namespaces, too: those that its peers select. If a namespace comes, goes or changes its
// labels, its policies or the kinds of its pods, then the namespaces whose policies select it, or have selected it, are judged
// again. That one more or less of a kind of pod is there changes nothing for them.

// change is a namespace that has changed for others, with its labels before and after; nil where there were none.
type change struct {
	before, after map[string]string
}

// changes are those from one snapshot to the next.
func changes(before, after *model.Snapshot) []change {
	var out []change
	for ns := range after.Namespaces() {
		old := before.Namespace(ns.Meta.Name)
		switch {
		case old == nil:
			out = append(out, change{after: ns.Meta.Labels})
		case old != ns && !sameForOthers(old, ns):
			out = append(out, change{old.Meta.Labels, ns.Meta.Labels})
		}
	}
	for ns := range before.Namespaces() {
		if after.Namespace(ns.Meta.Name) == nil {
			out = append(out, change{before: ns.Meta.Labels})
		}
	}
	return out
}

func sameForOthers(a, b *model.Namespace) bool {
	return maps.Equal(a.Meta.Labels, b.Meta.Labels) && slices.Equal(a.Policies, b.Policies) &&
		maps.Equal(kinds(a), kinds(b))
}

// kinds are the classes of the namespace's pods.
func kinds(ns *model.Namespace) map[string]bool {
	out := make(map[string]bool, len(ns.Classes))
	for _, c := range ns.Classes {
		out[c.Key()] = true
	}
	return out
}

// concerned says whether a policy of the namespace selects, or has selected, one that has changed.
func concerned(ns *model.Namespace, elsewhere []change) bool {
	if len(elsewhere) == 0 {
		return false
	}
	for _, p := range ns.Policies {
		for _, rules := range p.Rules {
			for i := range rules {
				for j := range rules[i].Peers {
					if selector := rules[i].Peers[j].NamespaceSelector; selector != nil && slices.ContainsFunc(elsewhere, func(c change) bool {
						return c.before != nil && selector.Matches(c.before) || c.after != nil && selector.Matches(c.after)
					}) {
						return true
					}
				}
			}
		}
	}
	return false
}
