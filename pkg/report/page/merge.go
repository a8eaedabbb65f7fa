package page

import (
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
)

// merger makes the edges of a graphView, and puts those of equal flow together: to or from all workloads of a namespace, or all
// there are. What they say together is exactly what every two workloads and every workload and address may do, less what open ones
// do among themselves and with any address, and less what a workload of one pod may do with itself.
type merger struct {
	view    *graphView
	of      *reach.Connectivity
	members [][]int // workloads by namespace
	flows   map[graphFlow]int
}

// everyWorkload and everyOpen stand for the ends of these names until the number of ranges is known.
const (
	everyWorkload = -1
	everyOpen     = -2 // every workload that is not isolated for egress; only as a source
)

// toward is what edges of different sources share.
type toward struct{ to, flow int }

func newMerger(v *graphView, c *reach.Connectivity) *merger {
	m := &merger{view: v, of: c, members: make([][]int, len(v.Groups)), flows: map[graphFlow]int{}}
	for i, n := range v.Nodes {
		m.members[n.Group] = append(m.members[n.Group], i)
	}
	return m
}

// inside adds the edges between workloads.
func (m *merger) inside() {
	sources := map[toward][]int{}
	var order []toward
	shown := map[int]int{} // by index of the flow
	for i := range m.view.Nodes {
		for _, t := range m.targets(i) {
			at, there := shown[t.flow]
			if !there {
				flow := m.of.FlowAt(t.flow)
				at = m.flow(&flow)
				shown[t.flow] = at
			}
			t.flow = at
			if _, there := sources[t]; !there {
				order = append(order, t)
			}
			sources[t] = append(sources[t], i)
		}
	}
	for _, t := range order {
		for _, from := range m.withOpen(sources[t], t.to) {
			m.view.Edges = append(m.view.Edges, [3]int{from, t.to, t.flow})
		}
	}
}

// targets are what a workload may connect to: every workload, or namespaces to all of whose workloads it may alike, and
// workloads.
func (m *merger) targets(i int) []toward {
	var out []toward
	whole, closed := true, false
	for g, members := range m.members {
		flow, alike, others, closedHere := -1, true, 0, false
		for _, j := range members {
			if i == j {
				continue
			}
			at := m.of.FlowIndex(i, j)
			if others++; others == 1 {
				flow = at
			}
			alike = alike && at == flow
			closedHere = closedHere || at != 0 && !m.open(i, j, at)
		}
		closed = closed || closedHere
		whole = whole && alike && (others == 0 || flow != 0)
		if alike && others > 1 {
			if flow != 0 && closedHere {
				out = append(out, toward{len(m.view.Nodes) + g, flow})
			}
		} else {
			for _, j := range members {
				if at := m.of.FlowIndex(i, j); i != j && at != 0 && !m.open(i, j, at) {
					out = append(out, toward{j, at})
				}
			}
		}
		if at := m.of.FlowIndex(i, i); m.view.Nodes[i].Group == g && m.view.Nodes[i].Pods > 1 && at != 0 && !m.open(i, i, at) {
			out = append(out, toward{i, at})
		}
	}
	return m.everywhere(i, out, whole && closed)
}

// everywhere puts the targets of a workload that may connect to all others alike into one.
func (m *merger) everywhere(i int, targets []toward, whole bool) []toward {
	if !whole || len(m.members) < 2 || len(m.view.Nodes) < 3 {
		return targets
	}
	flow := 0
	for j := range m.view.Nodes {
		if at := m.of.FlowIndex(i, j); i != j {
			if flow != 0 && at != flow {
				return targets
			}
			flow = at
		}
	}
	out := []toward{{everyWorkload, flow}}
	for _, t := range targets {
		if t.to == i {
			out = append(out, t)
		}
	}
	return out
}

// open is whether a flow is nothing but that of two workloads without isolation.
func (m *merger) open(from, to, flow int) bool {
	if !m.view.Nodes[from].OpenOut || !m.view.Nodes[to].OpenIn {
		return false
	}
	f := m.of.FlowAt(flow)
	return !f.Partial() && f.Ports.Equal(netset.AllPorts())
}

// withOpen is merge, or every open workload and the others where that is shorter.
func (m *merger) withOpen(sources []int, to int) []int {
	merged := m.merge(sources, to)
	open := 0
	in := make(map[int]bool, len(sources))
	for _, i := range sources {
		in[i] = true
	}
	short := []int{everyOpen}
	for i := range m.view.Nodes {
		switch n := &m.view.Nodes[i]; {
		case i == to:
			if in[i] {
				short = append(short, i)
			}
		case n.OpenOut && !in[i]:
			return merged
		case n.OpenOut:
			open++
		case in[i]:
			short = append(short, i)
		}
	}
	if open < 3 || len(short) >= len(merged) {
		return merged
	}
	return short
}

// merge is the sources, or their namespaces where all of a namespace are among them, or every workload. The workload that the
// edges lead to need not be among them.
func (m *merger) merge(sources []int, to int) []int {
	var out []int
	add := func(from int) { out = append(out, from) }
	v := m.view
	in := make(map[int]bool, len(sources))
	for _, i := range sources {
		in[i] = true
	}
	if to >= 0 && to < len(v.Nodes) && in[to] { // an edge to itself stays one
		add(to)
		delete(in, to)
	}
	all := len(v.Nodes)
	if to >= 0 && to < len(v.Nodes) {
		all--
	}
	if len(m.members) > 1 && len(in) == all && all > 1 {
		add(everyWorkload)
		return out
	}
	for g, members := range m.members {
		n, missing := 0, 0
		for _, i := range members {
			switch {
			case in[i]:
				n++
			case i != to:
				missing++
			}
		}
		if n > 1 && missing == 0 {
			add(len(v.Nodes) + g)
			continue
		}
		for _, i := range members {
			if in[i] {
				add(i)
			}
		}
	}
	return out
}

// outside adds the ranges, and the connections with them, and gives every workload its number.
func (m *merger) outside() {
	type key struct {
		direction    model.Direction
		addrs, ports string
		partial      bool
	}
	members := map[key][]int{}
	edges := map[key]reach.Edge{}
	ranges := map[string]int{}
	var order []key
	for _, d := range model.Directions {
		for i := range m.view.Nodes {
			open := [2]bool{m.view.Nodes[i].OpenIn, m.view.Nodes[i].OpenOut}[d]
			for addrs, flow := range m.of.ExternalParts(i, d) {
				if open && addrs.Equal(netset.AllAddrs()) && flow.Every.Equal(netset.AllPorts()) {
					continue
				}
				k := key{d, addrs.String(), flow.Ports.String(), flow.Partial()}
				if _, there := edges[k]; !there {
					edges[k] = reach.Edge{Addrs: addrs, Flow: flow}
					order = append(order, k)
				}
				if _, there := ranges[k.addrs]; !there {
					ranges[k.addrs] = len(m.view.Ranges)
					m.view.Ranges = append(m.view.Ranges, rangeOf(addrs))
				}
				members[k] = append(members[k], i)
			}
		}
	}
	first := len(m.view.Nodes) + len(m.view.Groups)
	for _, k := range order {
		e := edges[k]
		at, flow := first+ranges[k.addrs], m.flow(&e.Flow)
		for _, end := range m.merge(members[k], at) {
			edge := [3]int{end, at, flow}
			if k.direction == model.Ingress {
				edge = [3]int{at, end, flow}
			}
			m.view.Edges = append(m.view.Edges, edge)
		}
	}
	for i := range m.view.Edges {
		for side := range 2 {
			if end := m.view.Edges[i][side]; end < 0 {
				m.view.Edges[i][side] = first + len(m.view.Ranges) - 1 - end
			}
		}
	}
}

// flow is the number of a flow, for people.
func (m *merger) flow(f *reach.Flow) int {
	g := graphFlow{Ports: f.Ports.String()}
	switch {
	case f.Ports.IsEmpty():
		g = graphFlow{Ports: f.Maybe.String(), Note: "perhaps: it depends on addresses of pods that are not known", Maybe: true}
	case !f.Maybe.IsEmpty():
		g.Note = "and perhaps " + f.Maybe.String() + ": it depends on addresses of pods that are not known"
	case f.Partial():
		g.Note = "not between all pods"
	}
	at, there := m.flows[g]
	if !there {
		at = len(m.view.Flows)
		m.flows[g] = at
		m.view.Flows = append(m.view.Flows, g)
	}
	return at
}
