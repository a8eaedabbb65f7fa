package reach

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// Workload is what people take for one end of a connection: the pods that a Deployment or the like has made, or is to make,
// or one pod that was made by hand.
type Workload struct {
	Namespace, Kind, Name string
	// Pods is how many there are, or how many the template asks for.
	Pods int
	// Isolated is, by direction, whether policies isolate every pod of the workload.
	Isolated [2]bool
	// HostNetwork is whether every pod of the workload is on its node's network, outside of NetworkPolicies on most CNIs.
	HostNetwork bool

	classes   []int
	ambiguous bool
}

// String is "shop/web", or "shop/web (StatefulSet)" where another workload of the namespace has that name.
func (w *Workload) String() string {
	if w.ambiguous {
		return w.Namespace + "/" + w.Name + " (" + w.Kind + ")"
	}
	return w.Namespace + "/" + w.Name
}

// Flow is what may flow between two workloads, or between one and addresses outside of the cluster.
type Flow struct {
	// Ports are those on which some pod may connect to some pod.
	Ports netset.Ports
	// Every are those of Ports on which every pod may connect to every pod.
	Every netset.Ports
	// Maybe are further ports, on which nobody can tell: it depends on addresses of pods that are not known.
	Maybe netset.Ports
}

// Partial is whether not every pod may connect to every pod on all of Ports.
func (f *Flow) Partial() bool { return !f.Every.Equal(f.Ports) }

// IsEmpty is whether nothing can flow.
func (f *Flow) IsEmpty() bool { return f.Ports.IsEmpty() && f.Maybe.IsEmpty() }

// Equal says whether both say the same.
func (f *Flow) Equal(g *Flow) bool {
	return f.Ports.Equal(g.Ports) && f.Every.Equal(g.Every) && f.Maybe.Equal(g.Maybe)
}

// join is what flows between workloads of which some pods have the one flow, and some the other.
func (f Flow) join(g Flow) Flow {
	ports := f.Ports.Union(g.Ports)
	return Flow{Ports: ports, Every: f.Every.Intersect(g.Every), Maybe: f.Maybe.Union(g.Maybe).Minus(ports)}
}

// Edge is all that one workload may connect to at another, or at addresses outside of the cluster, or the reverse.
type Edge struct {
	From, To *Workload    // one of them is nil for Addrs
	Addrs    netset.Addrs // outside of the cluster
	Flow
}

// Connectivity is all that policies allow in a snapshot: who may connect to whom.
type Connectivity struct {
	// Workloads are sorted by namespace, name and kind.
	Workloads []*Workload

	rows  [][]int32 // by index of from and to: an index into flows; rows that are equal are one
	flows []Flow    // the first is empty
	// external are, by direction, the connections of each workload with addresses outside of the cluster.
	external [2][]outside
}

// outside is what a workload may connect to outside of the cluster, or the reverse: some of its pods, and every one of them.
type outside struct{ some, every netset.Conns }

// parts are the connections of every pod, and then what only some have beside them.
func (o *outside) parts(yield func(netset.Addrs, Flow) bool) {
	for _, part := range o.every.Parts() {
		if !yield(part.Addrs, Flow{Ports: part.Ports, Every: part.Ports}) {
			return
		}
	}
	for _, part := range o.some.Minus(o.every).Parts() {
		if !yield(part.Addrs, Flow{Ports: part.Ports}) {
			return
		}
	}
}

// Connect computes who may connect to whom. The error is that of the context.
func Connect(ctx context.Context, world *model.Snapshot) (*Connectivity, error) {
	m := newMatrix(world)
	c := &Connectivity{Workloads: m.workloads}
	if err := m.fill(ctx); err != nil {
		return nil, err
	}
	c.rows, c.flows = m.connect()
	for _, d := range model.Directions {
		c.external[d] = make([]outside, len(c.Workloads))
		for i, w := range c.Workloads {
			o := &c.external[d][i]
			for k, class := range w.classes {
				conns := m.view.External(m.classes[class], d)
				if k == 0 {
					o.every = conns
				}
				o.some, o.every = o.some.Union(conns), o.every.Intersect(conns)
			}
		}
	}
	return c, ctx.Err()
}

// Between is the flow between two workloads, by their indexes in Workloads.
func (c *Connectivity) Between(from, to int) Flow { return c.flows[c.rows[from][to]] }

// FlowIndex is a number for the flow between two workloads, which is equal for equal flows, and 0 for none: see FlowAt.
func (c *Connectivity) FlowIndex(from, to int) int { return int(c.rows[from][to]) }

// FlowAt is the flow of that index.
func (c *Connectivity) FlowAt(index int) Flow { return c.flows[index] }

// External is what some pod of the workload may connect to (Egress), or be connected from (Ingress), outside of the cluster.
func (c *Connectivity) External(workload int, d model.Direction) netset.Conns {
	return c.external[d][workload].some
}

// ExternalParts are the same, as addresses and what flows to or from them: what every pod has, and then what only some have.
func (c *Connectivity) ExternalParts(workload int, d model.Direction) iter.Seq2[netset.Addrs, Flow] {
	return c.external[d][workload].parts
}

// Edges are all connections between workloads, then those with addresses outside of the cluster, sorted by source and
// destination. A workload of one pod has no edge to itself.
func (c *Connectivity) Edges() iter.Seq[Edge] {
	return func(yield func(Edge) bool) {
		for i, from := range c.Workloads {
			for j, at := range c.rows[i] {
				if at == 0 || i == j && from.Pods < 2 {
					continue
				}
				if !yield(Edge{From: from, To: c.Workloads[j], Flow: c.flows[at]}) {
					return
				}
			}
		}
		for e := range c.ExternalEdges() {
			if !yield(e) {
				return
			}
		}
	}
}

// ExternalEdges are the connections with addresses outside of the cluster: from them, then to them.
func (c *Connectivity) ExternalEdges() iter.Seq[Edge] {
	return func(yield func(Edge) bool) {
		for _, d := range model.Directions {
			for i, w := range c.Workloads {
				for addrs, flow := range c.ExternalParts(i, d) {
					e := Edge{From: w, Addrs: addrs, Flow: flow}
					if d == model.Ingress {
						e.From, e.To = nil, w
					}
					if !yield(e) {
						return
					}
				}
			}
		}
	}
}

// workloadsOf are the workloads of all pods of the snapshot, sorted, and the classes that they refer to.
func workloadsOf(world *model.Snapshot) ([]*Workload, []*model.PodClass) {
	type key struct{ namespace, owner string }
	found := map[key]*Workload{}
	var classes []*model.PodClass
	add := func(class *model.PodClass, at int, owner string, pods int) {
		k := key{class.Namespace, owner}
		w := found[k]
		if w == nil {
			kind, name, _ := strings.Cut(owner, "/")
			w = &Workload{Namespace: class.Namespace, Kind: kind, Name: name, HostNetwork: true}
			found[k] = w
		}
		w.Pods += pods
		if n := len(w.classes); n == 0 || w.classes[n-1] != at {
			w.classes = append(w.classes, at)
			w.HostNetwork = w.HostNetwork && class.HostNetwork
		}
	}
	for ns := range world.Namespaces() {
		for _, class := range ns.Classes {
			at := len(classes)
			classes = append(classes, class)
			for _, pod := range class.Pods {
				owner := pod.Owner
				if owner == "" {
					owner = "Pod/" + pod.Name
				}
				add(class, at, owner, 1)
			}
			switch {
			case len(class.Pods) > 0:
			case len(class.Equal) > 0:
				for _, t := range class.Equal {
					add(class, at, t.Workload, t.Replicas)
				}
			default:
				add(class, at, class.Template, class.Replicas)
			}
		}
	}
	out := slices.SortedFunc(maps.Values(found), func(a, b *Workload) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
	})
	for i := 1; i < len(out); i++ {
		if a, b := out[i-1], out[i]; a.Namespace == b.Namespace && a.Name == b.Name {
			a.ambiguous, b.ambiguous = true, true
		}
	}
	return out, classes
}
