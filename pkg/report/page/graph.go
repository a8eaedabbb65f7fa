package page

import (
	"cmp"
	"encoding/json"
	"html/template"
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
)

// Graph is who may connect to whom, as the page draws it.
type Graph struct {
	*reach.Connectivity
	// World is what it was computed from.
	World *model.Snapshot
	// First is whether the page opens with the graph, and not with the findings.
	First bool
}

// graphView is the page's part about connections. An end of an edge is a number: first all workloads, then all namespaces,
// then all ranges, then every workload there is, and last every workload that is open out.
type graphView struct {
	Nodes    []graphNode    `json:"nodes"`
	Groups   []graphGroup   `json:"groups"`
	Ranges   []graphRange   `json:"ranges"`
	Flows    []graphFlow    `json:"flows"`
	Edges    [][3]int       `json:"edges"` // from, to, flow
	Findings []graphFinding `json:"findings"`

	First   bool        `json:"-"`
	Data    template.JS `json:"-"`
	Rows    []graphRow  `json:"-"`
	OpenIn  []graphEnd  `json:"-"`
	OpenOut []graphEnd  `json:"-"`
}

type graphNode struct {
	Group   int    `json:"group"`
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Pods    int    `json:"pods"`
	OpenIn  bool   `json:"openIn,omitempty"`  // not isolated for ingress
	OpenOut bool   `json:"openOut,omitempty"` // not isolated for egress
	Host    bool   `json:"host,omitempty"`    // on the network of its node
}

type graphGroup struct {
	Name string `json:"name"`
}

type graphRange struct {
	Name  string `json:"name"`
	Short string `json:"short"`
	Full  string `json:"full"`
}

type graphFlow struct {
	Ports string `json:"ports"`
	Note  string `json:"note,omitempty"`
	Maybe bool   `json:"maybe,omitempty"` // nobody can tell
}

// graphFinding says which workloads a finding is about: those that the policy selects, or all of the namespace.
type graphFinding struct {
	ID    string `json:"id"`
	Nodes []int  `json:"nodes,omitempty"`
	Group int    `json:"group"` // -1 for none
}

// graphRow is an edge for the list.
type graphRow struct {
	From, To, Ports, Note string
	FromEnd, ToEnd        int
}

type graphEnd struct {
	Name string
	End  int
}

// mostPrefixes is how many prefixes a short text of a range has.
const mostPrefixes = 2

// newGraphView makes the view. What a pair of workloads may do because no policy isolates the one for egress nor the other for
// ingress is no edge: the nodes say that they are open.
func newGraphView(g *Graph, findings []namespaceGroup) (*graphView, error) {
	v := &graphView{First: g.First, Nodes: []graphNode{}, Groups: []graphGroup{}, Ranges: []graphRange{}, Flows: []graphFlow{}, Edges: [][3]int{}}
	groups := map[string]int{}
	for _, w := range g.Workloads {
		if _, there := groups[w.Namespace]; !there {
			groups[w.Namespace] = len(v.Groups)
			v.Groups = append(v.Groups, graphGroup{Name: w.Namespace})
		}
		v.Nodes = append(v.Nodes, graphNode{
			Group: groups[w.Namespace], Kind: w.Kind, Name: w.Name, Pods: w.Pods,
			OpenIn: !w.Isolated[model.Ingress], OpenOut: !w.Isolated[model.Egress], Host: w.HostNetwork,
		})
	}
	m := newMerger(v, g.Connectivity)
	m.inside()
	m.outside()
	slices.SortFunc(v.Edges, func(a, b [3]int) int {
		return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]), cmp.Compare(a[2], b[2]))
	})
	for _, e := range v.Edges {
		v.Rows = append(v.Rows, graphRow{v.name(e[0]), v.name(e[1]), v.Flows[e[2]].Ports, v.Flows[e[2]].Note, e[0], e[1]})
	}
	for i, n := range v.Nodes {
		if n.OpenIn {
			v.OpenIn = append(v.OpenIn, graphEnd{v.name(i), i})
		}
		if n.OpenOut {
			v.OpenOut = append(v.OpenOut, graphEnd{v.name(i), i})
		}
	}
	v.Findings = aboutWorkloads(g, findings, groups)
	text, err := json.Marshal(v) // which escapes <, > and &
	v.Data = template.JS(text)
	return v, err
}

// name is an end of an edge, for people.
func (v *graphView) name(end int) string {
	if end < len(v.Nodes) {
		return v.Groups[v.Nodes[end].Group].Name + "/" + v.Nodes[end].Name
	}
	if end -= len(v.Nodes); end < len(v.Groups) {
		return v.Groups[end].Name + "/*"
	}
	if end -= len(v.Groups); end < len(v.Ranges) {
		return v.Ranges[end].Short
	}
	if end == len(v.Ranges) {
		return "*/*"
	}
	return "*/* open out"
}

func rangeOf(a netset.Addrs) graphRange {
	r := graphRange{Name: a.Short(1), Short: a.Short(mostPrefixes), Full: a.String()}
	if a.ContainsAll(netset.PublicInternet().IPv4()) || a.ContainsAll(netset.PublicInternet().IPv6()) {
		r.Name = "The internet"
	}
	return r
}

// aboutWorkloads finds the workloads that findings are about.
func aboutWorkloads(g *Graph, findings []namespaceGroup, groups map[string]int) []graphFinding {
	at := map[string]int{}
	for i, w := range g.Workloads {
		at[w.Namespace+"\n"+w.Kind+"/"+w.Name] = i
	}
	view := reach.NewView(g.World)
	selected := map[finding.Subject][]int{}
	of := func(s finding.Subject) []int {
		nodes, known := selected[s]
		if known || s.Kind != finding.KindNetworkPolicy {
			return nodes
		}
		for _, p := range g.World.NamespaceOrImplied(s.Namespace).Policies {
			if p.Name != s.Name {
				continue
			}
			for _, class := range view.Select(p).Classes {
				for _, owner := range owners(class) {
					if i, there := at[class.Namespace+"\n"+owner]; there {
						nodes = append(nodes, i)
					}
				}
			}
		}
		slices.Sort(nodes)
		selected[s] = slices.Compact(nodes)
		return selected[s]
	}
	out := []graphFinding{}
	for _, ns := range findings {
		group, there := groups[ns.Name]
		if !there {
			group = -1
		}
		for _, r := range ns.Rules {
			for i := range r.Findings {
				out = append(out, graphFinding{ID: r.Findings[i].ID, Group: group, Nodes: of(r.Findings[i].Subject)})
			}
		}
	}
	return out
}

// owners are the workloads of a class, as "Deployment/web".
func owners(c *model.PodClass) []string {
	var out []string
	for _, pod := range c.Pods {
		out = append(out, cmp.Or(pod.Owner, "Pod/"+pod.Name))
	}
	for _, t := range c.Equal {
		out = append(out, t.Workload)
	}
	if len(out) == 0 && c.Template != "" {
		out = append(out, c.Template)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
