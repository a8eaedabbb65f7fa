package netset

import (
	"cmp"
	"math/bits"
	"slices"
	"sort"
)

// num is an unsigned 128-bit number.
type num struct{ hi, lo uint64 }

var maxNum = num{^uint64(0), ^uint64(0)}

func (a num) less(b num) bool { return a.hi < b.hi || a.hi == b.hi && a.lo < b.lo }

func (a num) compare(b num) int {
	if c := cmp.Compare(a.hi, b.hi); c != 0 {
		return c
	}
	return cmp.Compare(a.lo, b.lo)
}

// next is a+1; the greatest number wraps to zero.
func (a num) next() num {
	lo, carry := bits.Add64(a.lo, 1, 0)
	return num{a.hi + carry, lo}
}

// prev is a-1; zero wraps to the greatest number.
func (a num) prev() num {
	lo, borrow := bits.Sub64(a.lo, 1, 0)
	return num{a.hi - borrow, lo}
}

func maxOf(a, b num) num {
	if a.less(b) {
		return b
	}
	return a
}

func minOf(a, b num) num {
	if b.less(a) {
		return b
	}
	return a
}

// span is the numbers from lo to hi, both included; lo <= hi.
type span struct{ lo, hi num }

// spans is a set of numbers in its one canonical form: ascending, disjoint, and never adjacent (what touches is merged).
// The empty set is nil. A set is never written to once it has been returned, so results may share their operands'
// memory.
type spans []span

// onStack is how many spans an operation gathers before it needs the heap for more than its result.
const onStack = 24

func (s spans) contains(n num) bool {
	lo, hi := 0, len(s)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if s[mid].hi.less(n) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo < len(s) && !n.less(s[lo].lo)
}

// same says whether both are the same memory, which implies that they are equal.
func (s spans) same(t spans) bool {
	return len(s) == len(t) && (len(s) == 0 || &s[0] == &t[0])
}

func (s spans) equal(t spans) bool {
	return s.same(t) || slices.Equal(s, t)
}

func (s spans) containsAll(t spans) bool {
	if len(t) == 0 || s.same(t) {
		return true
	}
	i := 0
	for _, want := range t {
		if len(s) > farApart*len(t) {
			i += s[i:].from(want.lo)
		}
		for i < len(s) && s[i].hi.less(want.lo) {
			i++
		}
		if i == len(s) || want.lo.less(s[i].lo) || s[i].hi.less(want.hi) {
			return false
		}
	}
	return true
}

// farApart is how many times larger than the other a set is that is searched rather than walked.
const farApart = 16

// from is the index of the first span that does not end before n, found by halving.
func (s spans) from(n num) int {
	return sort.Search(len(s), func(i int) bool { return !s[i].hi.less(n) })
}

func (s spans) overlaps(t spans) bool {
	if len(s) < len(t) {
		s, t = t, s
	}
	if len(s) > farApart*len(t) {
		for _, x := range t {
			if i := s.from(x.lo); i < len(s) && !x.hi.less(s[i].lo) {
				return true
			}
		}
		return false
	}
	for i, j := 0, 0; i < len(s) && j < len(t); {
		switch {
		case s[i].hi.less(t[j].lo):
			i++
		case t[j].hi.less(s[i].lo):
			j++
		default:
			return true
		}
	}
	return false
}

// push appends x to the canonical out, whose last span starts at or before x.
func push(out spans, x span) spans {
	if last := len(out) - 1; last >= 0 {
		l := &out[last]
		if l.hi == maxNum || !l.hi.next().less(x.lo) {
			l.hi = maxOf(l.hi, x.hi)
			return out
		}
	}
	return append(out, x)
}

func (s spans) union(t spans) spans {
	switch {
	case s.containsAll(t):
		return s
	case t.containsAll(s):
		return t
	}
	var buf [onStack]span
	out := spans(buf[:0])
	i, j := 0, 0
	for i < len(s) && j < len(t) {
		if s[i].lo.less(t[j].lo) {
			out = push(out, s[i])
			i++
		} else {
			out = push(out, t[j])
			j++
		}
	}
	for ; i < len(s); i++ {
		out = push(out, s[i])
	}
	for ; j < len(t); j++ {
		out = push(out, t[j])
	}
	return own(out)
}

func (s spans) intersect(t spans) spans {
	switch {
	case s.containsAll(t):
		return t
	case t.containsAll(s):
		return s
	}
	var buf [onStack]span
	out := spans(buf[:0])
	for i, j := 0, 0; i < len(s) && j < len(t); {
		lo, hi := maxOf(s[i].lo, t[j].lo), minOf(s[i].hi, t[j].hi)
		if !hi.less(lo) {
			out = append(out, span{lo, hi})
		}
		if s[i].hi.less(t[j].hi) {
			i++
		} else {
			j++
		}
	}
	return own(out)
}

func (s spans) minus(t spans) spans {
	switch {
	case !s.overlaps(t):
		return s
	case t.containsAll(s):
		return nil
	}
	var buf [onStack]span
	out := spans(buf[:0])
	j := 0
	for _, x := range s {
		for j < len(t) && t[j].hi.less(x.lo) {
			j++
		}
		rest := true
		for k := j; k < len(t) && !x.hi.less(t[k].lo); k++ {
			if x.lo.less(t[k].lo) {
				out = append(out, span{x.lo, t[k].lo.prev()})
			}
			if !t[k].hi.less(x.hi) {
				rest = false
				break
			}
			x.lo = t[k].hi.next()
		}
		if rest {
			out = append(out, x)
		}
	}
	return own(out)
}

// within is the part of s in x. It copies only where a span of s crosses an end of x.
func (s spans) within(x span) spans {
	first, end := 0, len(s)
	for first < end && s[first].hi.less(x.lo) {
		first++
	}
	for first < end && x.hi.less(s[end-1].lo) {
		end--
	}
	switch {
	case first == end:
		return nil
	case !s[first].lo.less(x.lo) && !x.hi.less(s[end-1].hi):
		return s[first:end:end]
	}
	part := slices.Clone(s[first:end])
	part[0].lo = maxOf(part[0].lo, x.lo)
	part[len(part)-1].hi = minOf(part[len(part)-1].hi, x.hi)
	return part
}

// own copies a result off the stack.
func own(out spans) spans {
	if len(out) == 0 {
		return nil
	}
	return slices.Clone(out)
}

// canonical sorts and merges raw, in place.
func canonical(raw []span) spans {
	if len(raw) == 0 {
		return nil
	}
	slices.SortFunc(raw, compareSpans)
	out := spans(raw[:1])
	for _, x := range raw[1:] {
		out = push(out, x)
	}
	return slices.Clip(out)
}

func compareSpans(a, b span) int { return a.lo.compare(b.lo) }
