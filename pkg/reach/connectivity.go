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

// Flow is what may flow between two workloads.
type Flow struct {
	// Ports are those on which some pod may connect to some pod.
	Ports netset.Ports
	// Maybe are further ports, on which nobody can tell: it depends on addresses of pods that are not known.
	Maybe netset.Ports
	// Partial is whether not every pod may connect to every pod on all of Ports.
	Partial bool
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
	external [2][]netset.Conns
}

// Connect computes who may connect to whom. The error is that of the context.
func Connect(ctx context.Context, world *model.Snapshot) (*Connectivity, error) {
	m := newMatrix(world)
	c := &Connectivity{Workloads: m.workloads}
	if err := m.fill(ctx); err != nil {
		return nil, err
	}
	c.rows, c.flows = m.connect()
	for _, d := range []model.Direction{model.Ingress, model.Egress} {
		c.external[d] = make([]netset.Conns, len(c.Workloads))
		for i, w := range c.Workloads {
			for _, class := range w.classes {
				c.external[d][i] = c.external[d][i].Union(m.view.External(m.classes[class], d))
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

// External is what the workload may connect to (Egress), or be connected from (Ingress), outside of the cluster.
func (c *Connectivity) External(workload int, d model.Direction) netset.Conns {
	return c.external[d][workload]
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
		for _, d := range []model.Direction{model.Ingress, model.Egress} {
			for i, w := range c.Workloads {
				for _, part := range c.external[d][i].Parts() {
					e := Edge{From: w, Addrs: part.Addrs, Flow: Flow{Ports: part.Ports}}
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
