package reach

import (
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// MostIntricate bounds how intricate the rules are that are judged: the ranges of addresses that they have together, counted
// for each range of ports in which different rules overlap. Thousands of ranges of addresses with their ports are far below it. A
// few thousand rules of which each overlaps all others, and none is like another, are far beyond: their exact union does not fit
// into memory. docs/security.md names the number.
const MostIntricate = 1 << 18

// Intricate says whether what the rules about addresses say together is too much to be computed exactly: those of the policies
// that isolate any pod which the changed policy selects, before and after the change.
func Intricate(before, after *View, c model.Change) bool {
	if c.Policy() == nil {
		return false
	}
	return slices.ContainsFunc(model.Directions[:], func(d model.Direction) bool { return intricate(before, after, c, d) })
}

func intricate(before, after *View, c model.Change, d model.Direction) bool {
	ports, addrs := 0, 0
	count := func(p *model.Policy) {
		if p != nil && p.Isolates(d) {
			morePorts, moreAddrs := p.Bulk(d)
			ports, addrs = ports+morePorts, addrs+moreAddrs
		}
	}
	for _, p := range after.world.NamespaceOrImplied(c.Policy().Namespace).Policies {
		count(p)
	}
	if before != after {
		count(c.OldPolicy)
	}
	if ports*addrs <= MostIntricate {
		return false
	}
	var classes []*model.PodClass
	for _, p := range []*model.Policy{c.OldPolicy, c.NewPolicy} {
		if p != nil {
			classes = append(classes, after.Select(p).Classes...)
		}
	}
	return slices.ContainsFunc(classes, func(class *model.PodClass) bool {
		policies := slices.Clone(after.Isolating(class, d))
		for _, p := range before.Isolating(class, d) {
			if !slices.Contains(policies, p) {
				policies = append(policies, p)
			}
		}
		var sets []netset.Conns
		for _, p := range policies {
			sets = appendExternal(sets, p, class, d)
		}
		return netset.Intricacy(MostIntricate, sets...) > MostIntricate
	})
}
