package netset

import (
	"cmp"
	"slices"
)

// Sets of few parts are compared part by part. Sets of many, as of policies with thousands of rules, are walked along their
// ports instead, so that the work grows with the parts and not with their square.

// manyPairs is from how many pairs of parts on the walk is taken.
const manyPairs = 256

func isMany(c, d Conns) bool { return len(c.parts)*len(d.parts) >= manyPairs }

// run is a span of ports with the addresses on them.
type run struct {
	span
	addrs Addrs
}

// runs are the parts of a set in the order of their ports, which do not overlap.
func runs(parts []Part) []run {
	var out []run
	for _, p := range parts {
		for _, x := range p.Ports.s {
			out = append(out, run{x, p.Addrs})
		}
	}
	slices.SortFunc(out, func(a, b run) int { return compareSpans(a.span, b.span) })
	return out
}

// along walks both sets at once, and visits each span of ports with the addresses that c and d have on it. It ends when
// visit says no.
func along(c, d []run, visit func(x span, a, b Addrs) bool) {
	for len(c) > 0 || len(d) > 0 {
		var x span
		var a, b Addrs
		switch {
		case len(d) == 0 || len(c) > 0 && c[0].hi.less(d[0].lo):
			x, a, c = c[0].span, c[0].addrs, c[1:]
		case len(c) == 0 || d[0].hi.less(c[0].lo):
			x, b, d = d[0].span, d[0].addrs, d[1:]
		case c[0].lo.less(d[0].lo):
			x, a = span{c[0].lo, d[0].lo.prev()}, c[0].addrs
			c = advance(c, d[0].lo)
		case d[0].lo.less(c[0].lo):
			x, b = span{d[0].lo, c[0].lo.prev()}, d[0].addrs
			d = advance(d, c[0].lo)
		default:
			x, a, b = span{c[0].lo, minOf(c[0].hi, d[0].hi)}, c[0].addrs, d[0].addrs
			c, d = advance(c, x.hi.next()), advance(d, x.hi.next())
		}
		if !visit(x, a, b) {
			return
		}
	}
}

// advance takes off the front what is before from.
func advance(rs []run, from num) []run {
	if rs[0].hi.less(from) {
		return rs[1:]
	}
	rs[0].lo = from
	return rs
}

// combineMany is combine.
func combineMany(c, d Conns, op func(Addrs, Addrs) Addrs) Conns {
	var g gatherer
	along(runs(c.parts), runs(d.parts), func(x span, a, b Addrs) bool {
		g.add(x, op(a, b))
		return true
	})
	return inOrder(g.parts)
}

// gatherer makes parts of spans that come in order.
type gatherer struct {
	parts  []Part
	byHash map[uint64][]int
}

func (g *gatherer) add(x span, addrs Addrs) {
	if addrs.IsEmpty() {
		return
	}
	hash := addrs.s.hash()
	for _, i := range g.byHash[hash] {
		if p := &g.parts[i]; p.Addrs.Equal(addrs) {
			p.Ports.s = push(p.Ports.s, x)
			return
		}
	}
	if g.byHash == nil {
		g.byHash = map[uint64][]int{}
	}
	g.byHash[hash] = append(g.byHash[hash], len(g.parts))
	g.parts = append(g.parts, Part{addrs, Ports{spans{x}}})
}

// hash is equal for equal sets.
func (s spans) hash() uint64 {
	h := uint64(14695981039346656037) // FNV-1a, by words
	for _, x := range s {
		for _, word := range [...]uint64{x.lo.hi, x.lo.lo, x.hi.hi, x.hi.lo} {
			h = (h ^ word) * 1099511628211
		}
	}
	return h
}

// unionMany is the union of parts whose ports may overlap.
func unionMany(parts []Part) Conns {
	type event struct {
		at    uint64
		part  int
		opens bool
	}
	var events []event
	for i, p := range parts {
		for _, x := range p.Ports.s {
			events = append(events, event{x.lo.lo, i, true}, event{x.hi.lo + 1, i, false})
		}
	}
	slices.SortFunc(events, func(a, b event) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return a.part - b.part
	})
	var g gatherer
	var active []int
	var from uint64
	var addrs []Addrs
	for _, e := range events {
		if from < e.at && len(active) > 0 {
			addrs = addrs[:0]
			for _, i := range active {
				addrs = append(addrs, parts[i].Addrs)
			}
			g.add(span{num{0, from}, num{0, e.at - 1}}, UnionAddrs(addrs...))
		}
		from = e.at
		if e.opens {
			active = append(active, e.part)
		} else {
			active = slices.DeleteFunc(active, func(i int) bool { return i == e.part })
		}
	}
	return inOrder(g.parts)
}

// Intricacy is how many ranges of addresses the union of the sets has at most, counted for each range of ports in which
// different ones of them overlap: what they cost to put together and to compare. It is counted no further than beyond limit.
func Intricacy(limit int, sets ...Conns) int {
	type event struct {
		at    uint64
		addrs int // ranges that begin, or, if negative, end
	}
	var events []event
	for _, c := range sets {
		for _, p := range c.parts {
			for _, x := range p.Ports.s {
				events = append(events, event{x.lo.lo, len(p.Addrs.s)}, event{x.hi.lo + 1, -len(p.Addrs.s)})
			}
		}
	}
	slices.SortFunc(events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	total, active, addrs := 0, 0, 0
	var from uint64
	for _, e := range events {
		if from < e.at && active > 1 {
			if total += addrs; total > limit {
				break
			}
		}
		from, addrs = e.at, addrs+e.addrs
		if e.addrs > 0 {
			active++
		} else {
			active--
		}
	}
	return total
}

// Len is how many ranges of addresses the set has.
func (a Addrs) Len() int { return len(a.s) }
