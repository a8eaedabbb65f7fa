package reach

import (
	"cmp"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// Comparison is what one state of a cluster allows and another surely does not. What may be the same, depending on addresses
// that are not known, is left out, and so is between how many pods of two workloads something flows.
type Comparison struct {
	// Opened is what only the new state allows, and Closed what only the old one does. Their Workloads are those of both.
	Opened, Closed *Connectivity
	// Added and Removed are the workloads that only one of the states has.
	Added, Removed []*Workload
}

// Compare compares two states. Workloads are the same if namespace, name and kind are.
func Compare(before, after *Connectivity) *Comparison {
	out := &Comparison{}
	all, old, now := out.align(before, after)
	opened, closed := newDifference(all), newDifference(all)
	for i := range all {
		opens, closes := make([]int32, len(all)), make([]int32, len(all))
		for j := range all {
			was, is := before.between(old[i], old[j]), after.between(now[i], now[j])
			opens[j] = opened.minus(is.Ports, was)
			closes[j] = closed.minus(was.Ports, is)
		}
		opened.add(opens)
		closed.add(closes)
		for _, d := range model.Directions {
			was, is := before.outside(old[i], d), after.outside(now[i], d)
			opened.out.external[d] = append(opened.out.external[d], is.Minus(was))
			closed.out.external[d] = append(closed.out.external[d], was.Minus(is))
		}
	}
	out.Opened, out.Closed = opened.out, closed.out
	return out
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

// between is what flows from one workload to another; nothing if either is not there.
func (c *Connectivity) between(from, to int) Flow {
	if from < 0 || to < 0 {
		return Flow{}
	}
	return c.flows[c.rows[from][to]]
}

func (c *Connectivity) outside(workload int, d model.Direction) netset.Conns {
	if workload < 0 {
		return netset.Conns{}
	}
	return c.external[d][workload]
}

// difference gathers one side of a comparison.
type difference struct {
	out   *Connectivity
	rows  rowSet
	known map[string]int32 // by the text of the ports
	last  struct {
		a, b netset.Ports
		at   int32
	}
}

func newDifference(all []*Workload) *difference {
	return &difference{out: &Connectivity{Workloads: all, flows: []Flow{{}}}, rows: rowSet{}, known: map[string]int32{}}
}

// minus is the index of the flow of what is in a, and surely not in b.
func (x *difference) minus(a netset.Ports, b Flow) int32 {
	if a.IsEmpty() || a.Equal(b.Ports) {
		return 0
	}
	other := b.Ports.Union(b.Maybe)
	if x.last.at > 0 && a.Equal(x.last.a) && other.Equal(x.last.b) {
		return x.last.at
	}
	ports := a.Minus(other)
	if ports.IsEmpty() {
		return 0
	}
	text := ports.String()
	at, there := x.known[text]
	if !there {
		at = int32(len(x.out.flows))
		x.known[text] = at
		x.out.flows = append(x.out.flows, Flow{Ports: ports})
	}
	x.last.a, x.last.b, x.last.at = a, other, at
	return at
}

func (x *difference) add(row []int32) { x.out.rows = append(x.out.rows, x.rows.add(row)) }

// IsEmpty says whether there is no connection at all.
func (c *Connectivity) IsEmpty() bool {
	for range c.Edges() {
		return false
	}
	return true
}
