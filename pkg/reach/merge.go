package reach

import (
	"iter"
	"slices"
	"strings"

	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// Group is a set of workloads, for people: one, all of a namespace, all of a namespace but a few, or all there are.
type Group struct {
	// Workloads are sorted.
	Workloads []*Workload
	// Namespace is whose workloads they are; empty for all of the cluster.
	Namespace string
	// Except are those of the namespace that are not in the group, where the group is named by the namespace.
	Except []*Workload
	// Whole is whether the group is named by its namespace, or by the cluster.
	Whole bool

	first int // of Workloads, among all
}

// String is "shop/web", "shop/*", "shop/* except shop/db" or "*/*".
func (g *Group) String() string {
	switch {
	case !g.Whole:
		return g.Workloads[0].String()
	case g.Namespace == "":
		return "*/*"
	}
	text := g.Namespace + "/*"
	if len(g.Except) > 0 {
		names := make([]string, len(g.Except))
		for i, w := range g.Except {
			names[i] = w.String()
		}
		text += " except " + strings.Join(names, ", ")
	}
	return text
}

// Merged is one line of connections that have the same ports: from every workload of one group to every one of another, or
// to or from addresses outside.
type Merged struct {
	From, To *Group // one of them is nil for Addrs
	Addrs    netset.Addrs
	Flow
}

// mostExcept is how many workloads a group's name leaves out at most.
const mostExcept = 3

// Merged are the edges with workloads of equal connections put together. They say exactly what Edges says, but that a workload
// of one pod may be in both groups of a line. They can be many, and are made one source after another, each time anew.
func (c *Connectivity) Merged() iter.Seq[Merged] {
	g := newGrouper(c)
	kinds, members := g.rowKinds()
	sources := g.sources(members)
	return func(yield func(Merged) bool) {
		targets := make([][]int, len(c.flows)) // by index of the flow
		var found []target
		for _, from := range sources {
			self := -1
			if !from.Whole && from.Workloads[0].Pods < 2 {
				self = from.first
			}
			var flows []int32
			for j, at := range kinds[from.kind] {
				if at == 0 || j == self {
					continue
				}
				if len(targets[at]) == 0 {
					flows = append(flows, at)
				}
				targets[at] = append(targets[at], j)
			}
			found = found[:0]
			for _, at := range flows {
				for _, to := range g.group(targets[at], self) {
					found = append(found, target{to, at})
				}
				targets[at] = targets[at][:0]
			}
			slices.SortFunc(found, func(a, b target) int { return a.first - b.first })
			for _, to := range found {
				if !yield(Merged{From: from.Group, To: to.Group, Flow: c.flows[to.flow]}) {
					return
				}
			}
		}
		for _, line := range g.external() {
			if !yield(line) {
				return
			}
		}
	}
}

// external puts workloads together that have the same connections with addresses outside.
func (g *grouper) external() []Merged {
	c := g.Connectivity
	type key struct {
		from, partial bool
		addrs, ports  string
	}
	members := map[key][]int{}
	edges := map[key]Edge{}
	var order []key
	at := map[*Workload]int{}
	for i, w := range c.Workloads {
		at[w] = i
	}
	for e := range c.ExternalEdges() {
		k := key{e.From == nil, e.Partial(), e.Addrs.String(), e.Ports.String()}
		if _, there := edges[k]; !there {
			edges[k] = e
			order = append(order, k)
		}
		w := e.From
		if w == nil {
			w = e.To
		}
		members[k] = append(members[k], at[w])
	}
	var out []Merged
	for _, k := range order {
		for _, group := range g.group(members[k], -1) {
			m := Merged{From: group, Addrs: edges[k].Addrs, Flow: edges[k].Flow}
			if k.from {
				m.From, m.To = nil, group
			}
			out = append(out, m)
		}
	}
	return out
}

// grouper makes groups. Those of one workload are made once.
type grouper struct {
	*Connectivity
	single []*Group
	// spaces are, by workload, where the workloads of its namespace begin, and where they end.
	spaces [][2]int
}

func newGrouper(c *Connectivity) *grouper {
	g := &grouper{Connectivity: c, single: make([]*Group, len(c.Workloads)), spaces: make([][2]int, len(c.Workloads))}
	for i, w := range c.Workloads {
		g.single[i] = &Group{Workloads: c.Workloads[i : i+1 : i+1], Namespace: w.Namespace, first: i}
	}
	for first := 0; first < len(c.Workloads); {
		last := first
		for last < len(c.Workloads) && c.Workloads[last].Namespace == c.Workloads[first].Namespace {
			last++
		}
		for i := first; i < last; i++ {
			g.spaces[i] = [2]int{first, last}
		}
		first = last
	}
	return g
}

type source struct {
	*Group
	kind int
}

type target struct {
	*Group
	flow int32
}

// sources groups the sources, sorted by their first workload.
func (g *grouper) sources(members [][]int) []source {
	var out []source
	for kind, of := range members {
		for _, group := range g.group(of, -1) {
			out = append(out, source{group, kind})
		}
	}
	slices.SortFunc(out, func(a, b source) int { return a.first - b.first })
	return out
}

// group names a sorted set of workloads by as few names as there are. The workload aside, if not negative, is neither among them nor
// missing.
func (g *grouper) group(members []int, aside int) []*Group {
	c := g.Connectivity
	pick := func(at []int) []*Workload {
		out := make([]*Workload, len(at))
		for i, j := range at {
			out[i] = c.Workloads[j]
		}
		return out
	}
	all := len(c.Workloads)
	if aside >= 0 {
		all--
	}
	if len(members) == all && all > 1 && c.Workloads[0].Namespace != c.Workloads[len(c.Workloads)-1].Namespace {
		return []*Group{{Workloads: pick(members), Whole: true, first: members[0]}}
	}
	var out []*Group
	for len(members) > 0 {
		namespace := c.Workloads[members[0]].Namespace
		n := slices.IndexFunc(members, func(j int) bool { return c.Workloads[j].Namespace != namespace })
		if n < 0 {
			n = len(members)
		}
		here := members[:n]
		members = members[n:]
		first, last := g.spaces[here[0]][0], g.spaces[here[0]][1]
		except := make([]*Workload, 0, mostExcept+1)
		for j := first; j < last && len(except) <= mostExcept; j++ {
			if _, in := slices.BinarySearch(here, j); !in && j != aside {
				except = append(except, c.Workloads[j])
			}
		}
		if len(here) > 1 && (len(except) == 0 || len(except) <= mostExcept && len(here) > 2*len(except)) {
			out = append(out, &Group{Workloads: pick(here), Namespace: namespace, Except: except, Whole: true, first: here[0]})
			continue
		}
		for _, j := range here {
			out = append(out, g.single[j])
		}
	}
	return out
}

// rowKinds are the different rows, and which workloads have them, by kind. What a workload of one pod may connect to at
// itself is nothing to anybody, and is taken to be as with its neighbours.
func (g *grouper) rowKinds() (kinds [][]int32, members [][]int) {
	known := map[*int32]int{} // by the row's first cell, as equal rows are one
	unique := rowSet{}
	var spare []int32
	for i, w := range g.Workloads {
		row := g.rows[i]
		if at := g.neighbours(i); w.Pods < 2 && at >= 0 && at != row[i] {
			if spare == nil {
				spare = make([]int32, len(row))
			}
			copy(spare, row)
			spare[i] = at
			row = unique.add(spare)
			spare = unique.spare(spare, row)
		} else {
			row = unique.add(row)
		}
		kind, there := known[&row[0]]
		if !there {
			kind = len(kinds)
			known[&row[0]] = kind
			kinds, members = append(kinds, row), append(members, nil)
		}
		members[kind] = append(members[kind], i)
	}
	return kinds, members
}

// neighbours is the flow from a workload to the others of its namespace, if that is the same for most of them; else -1.
func (g *grouper) neighbours(i int) int32 {
	counts := map[int32]int{}
	total, best := 0, int32(-1)
	for j := g.spaces[i][0]; j < g.spaces[i][1]; j++ {
		if j == i {
			continue
		}
		total++
		at := g.rows[i][j]
		if counts[at]++; best < 0 || counts[at] > counts[best] {
			best = at
		}
	}
	if total == 0 || 2*counts[best] <= total {
		return -1
	}
	return best
}
