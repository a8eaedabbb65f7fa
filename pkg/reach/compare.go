package reach

import (
	"cmp"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// Certainty is between how many of their pods two workloads may connect on a port.
type Certainty uint8

// The certainties, in their order.
const (
	// Never: surely not.
	Never Certainty = iota
	// Perhaps: it depends on addresses of pods that are not known.
	Perhaps
	// Some: surely between some pods, and not surely between all.
	Some
	// Every: surely between all pods.
	Every
)

// of is the part of the flow that has this certainty.
func (c Certainty) of(f *Flow) netset.Ports {
	switch c {
	case Perhaps:
		return f.Maybe
	case Some:
		return f.Ports.Minus(f.Every)
	case Every:
		return f.Every
	}
	return netset.AllPorts().Minus(f.Ports.Union(f.Maybe))
}

// beyond is the same for addresses outside of the cluster; of Some and Every.
func (c Certainty) beyond(o *outside) netset.Conns {
	if c == Every {
		return o.every
	}
	return o.some.Minus(o.every)
}

// Comparison is all in which two states of a cluster differ in what they allow. No connection is in two of its parts.
type Comparison struct {
	// Opened is what the new state surely allows and the old one surely does not, and Closed the reverse. Their Workloads are
	// those of both states. What is partial was or is so in the state that allows it.
	Opened, Closed *Connectivity
	// Shifts are the other ways in which something may become more or less certain: first more, then less.
	Shifts []Shift
	// Added and Removed are the workloads that only one of the states has.
	Added, Removed []*Workload
}

// Shift is what was allowed with one certainty, and now is with another. All of it is in Ports and Every of its flows.
type Shift struct {
	Before, After Certainty
	*Connectivity
}

// shifts are the changes that are neither Opened nor Closed.
func shifts() []Shift {
	return []Shift{
		{Before: Never, After: Perhaps}, {Before: Perhaps, After: Some}, {Before: Perhaps, After: Every}, {Before: Some, After: Every},
		{Before: Every, After: Some}, {Before: Every, After: Perhaps}, {Before: Some, After: Perhaps}, {Before: Perhaps, After: Never},
	}
}

// Compare compares two states. Workloads are the same if namespace, name and kind are.
func Compare(before, after *Connectivity) *Comparison {
	out := &Comparison{Shifts: shifts()}
	all, old, now := out.align(before, after)
	var parts []*part
	add := func(of func(was, is *Flow) Flow, beyond func(was, is *outside) outside) *Connectivity {
		p := &part{out: &Connectivity{Workloads: all, flows: []Flow{{}}}, of: of, beyond: beyond, known: map[string]int32{}, rows: rowSet{}, row: make([]int32, len(all))}
		parts = append(parts, p)
		return p.out
	}
	out.Opened = add(func(was, is *Flow) Flow { return is.less(was) }, func(was, is *outside) outside { return is.less(was) })
	out.Closed = add(func(was, is *Flow) Flow { return was.less(is) }, func(was, is *outside) outside { return was.less(is) })
	for i := range out.Shifts {
		s := &out.Shifts[i]
		s.Connectivity = add(s.of, s.beyond)
	}
	flows := changes{before: before, after: after, parts: parts, known: map[[2]int32][]int32{}}
	for i := range all {
		for j := range all {
			for k, flow := range flows.of(before.index(old[i], old[j]), after.index(now[i], now[j])) {
				parts[k].row[j] = flow
			}
		}
		for _, p := range parts {
			row := p.rows.add(p.row)
			p.out.rows, p.row = append(p.out.rows, row), p.rows.spare(p.row, row)
			for _, d := range model.Directions {
				p.out.external[d] = append(p.out.external[d], p.beyond(before.outside(old[i], d), after.outside(now[i], d)))
			}
		}
	}
	return out
}

// of is the part of a change between workloads that is this shift.
func (s *Shift) of(was, is *Flow) Flow {
	ports := s.Before.of(was).Intersect(s.After.of(is))
	return Flow{Ports: ports, Every: ports}
}

// beyond is the same for addresses outside of the cluster.
func (s *Shift) beyond(was, is *outside) outside {
	if s.Before == Perhaps || s.After == Perhaps {
		return outside{} // what addresses may connect is always known
	}
	conns := s.Before.beyond(was).Intersect(s.After.beyond(is))
	return outside{conns, conns}
}

// less is what surely flows, less what perhaps does in another state.
func (f *Flow) less(other *Flow) Flow {
	possible := other.Ports.Union(other.Maybe)
	return Flow{Ports: f.Ports.Minus(possible), Every: f.Every.Minus(possible)}
}

func (o *outside) less(other *outside) outside {
	return outside{o.some.Minus(other.some), o.every.Minus(other.some)}
}

// align lists the workloads of both states, sorted, and where each is in either; -1 where it is not.
func (x *Comparison) align(before, after *Connectivity) (all []*Workload, old, now []int) {
	compare := func(a, b *Workload) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
	}
	for i, j := 0, 0; i < len(before.Workloads) || j < len(after.Workloads); {
		order := 0
		switch {
		case i == len(before.Workloads):
			order = 1
		case j == len(after.Workloads):
			order = -1
		default:
			order = compare(before.Workloads[i], after.Workloads[j])
		}
		switch {
		case order < 0:
			x.Removed = append(x.Removed, before.Workloads[i])
			all, old, now = append(all, before.Workloads[i]), append(old, i), append(now, -1)
			i++
		case order > 0:
			x.Added = append(x.Added, after.Workloads[j])
			all, old, now = append(all, after.Workloads[j]), append(old, -1), append(now, j)
			j++
		default:
			both := *after.Workloads[j]
			both.Pods = max(both.Pods, before.Workloads[i].Pods)
			both.ambiguous = both.ambiguous || before.Workloads[i].ambiguous
			all, old, now = append(all, &both), append(old, i), append(now, j)
			i++
			j++
		}
	}
	return all, old, now
}

// index is that of what flows from one workload to another; 0 if either is not there.
func (c *Connectivity) index(from, to int) int32 {
	if from < 0 || to < 0 {
		return 0
	}
	return c.rows[from][to]
}

func (c *Connectivity) outside(workload int, d model.Direction) *outside {
	if workload < 0 {
		return &outside{}
	}
	return &c.external[d][workload]
}

// part gathers one part of a comparison.
type part struct {
	out    *Connectivity
	of     func(was, is *Flow) Flow
	beyond func(was, is *outside) outside
	known  map[string]int32
	rows   rowSet
	row    []int32
}

// flow is the index of what of a change is in the part.
func (p *part) flow(was, is *Flow) int32 {
	f := p.of(was, is)
	if f.IsEmpty() {
		return 0
	}
	key := f.Ports.String() + "|" + f.Every.String()
	at, there := p.known[key]
	if !there {
		at = int32(len(p.out.flows))
		p.known[key] = at
		p.out.flows = append(p.out.flows, f)
	}
	return at
}

// changes are, for two flows of which one comes after the other, the indexes of what is in each part.
type changes struct {
	before, after *Connectivity
	parts         []*part
	known         map[[2]int32][]int32
}

func (c *changes) of(was, is int32) []int32 {
	key := [2]int32{was, is}
	out, there := c.known[key]
	if !there {
		out = make([]int32, len(c.parts))
		for k, p := range c.parts {
			out[k] = p.flow(&c.before.flows[was], &c.after.flows[is])
		}
		c.known[key] = out
	}
	return out
}

// IsEmpty says whether there is no connection at all.
func (c *Connectivity) IsEmpty() bool {
	for range c.Edges() {
		return false
	}
	return true
}
