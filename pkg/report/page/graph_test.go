package page

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/report"
	"github.com/portcullis-dev/portcullis/pkg/source/manifest"
	"github.com/portcullis-dev/portcullis/test/oracle/gen"
)

// pair is one connection of an edge, taken apart. An end is a workload, or a text for a range.
type pair struct{ from, to, flow string }

// apart takes the edges apart: a namespace is all of its workloads, and every workload all there are, but none is its own peer
// by that.
func apart(v *graphView, g *Graph) map[pair]int {
	members := func(end int) []int {
		if end < len(v.Nodes) {
			return []int{end}
		}
		var out []int
		for i, n := range v.Nodes {
			every := len(v.Nodes) + len(v.Groups) + len(v.Ranges)
			if end-len(v.Nodes) == n.Group || end == every || end == every+1 && n.OpenOut {
				out = append(out, i)
			}
		}
		return out
	}
	isRange := func(end int) bool {
		return end >= len(v.Nodes)+len(v.Groups) && end < len(v.Nodes)+len(v.Groups)+len(v.Ranges)
	}
	full := func(end int) string { return v.Ranges[end-len(v.Nodes)-len(v.Groups)].Full }
	out := map[pair]int{}
	for _, e := range v.Edges {
		flow := v.Flows[e[2]]
		text := flow.Ports + "|" + flow.Note
		switch {
		case isRange(e[0]):
			for _, j := range members(e[1]) {
				out[pair{full(e[0]), g.Workloads[j].String(), text}]++
			}
		case isRange(e[1]):
			for _, i := range members(e[0]) {
				out[pair{g.Workloads[i].String(), full(e[1]), text}]++
			}
		default:
			for _, i := range members(e[0]) {
				for _, j := range members(e[1]) {
					if i != j || e[0] == e[1] && e[0] == i {
						out[pair{g.Workloads[i].String(), g.Workloads[j].String(), text}]++
					}
				}
			}
		}
	}
	return out
}

func TestTheGraphSaysExactlyWhatTheEdgesSay(t *testing.T) {
	whole, open := 0, 0
	rapid.Check(t, func(r *rapid.T) {
		input, err := manifest.Load(t.Context(), []string{manifest.Stdin}, strings.NewReader(gen.YAML(gen.Cluster(r))))
		require.NoError(r, err)
		world := input.Store.Snapshot(model.Facts{CNI: "calico"})
		connectivity, err := reach.Connect(t.Context(), world)
		require.NoError(r, err)
		g := &Graph{Connectivity: connectivity, World: world}
		v, err := newGraphView(g, nil)
		require.NoError(r, err)
		got := apart(v, g)
		for _, e := range v.Edges {
			if e[0] >= len(v.Nodes) && e[0] < len(v.Nodes)+len(v.Groups) || e[1] >= len(v.Nodes) && e[1] < len(v.Nodes)+len(v.Groups) {
				whole++
			}
		}
		m := newMerger(&graphView{}, connectivity)
		for e := range connectivity.Edges() {
			flow := m.flow(&e.Flow)
			p := pair{from: e.Addrs.String(), to: e.Addrs.String(), flow: m.view.Flows[flow].Ports + "|" + m.view.Flows[flow].Note}
			if e.From != nil {
				p.from = e.From.String()
			}
			if e.To != nil {
				p.to = e.To.String()
			}
			unisolated := (e.From == nil || !e.From.Isolated[model.Egress]) && (e.To == nil || !e.To.Isolated[model.Ingress])
			anything := e.Ports.Equal(netset.AllPorts()) && !e.Partial() && (e.From != nil && e.To != nil || e.Addrs.Equal(netset.AllAddrs()))
			n := got[p]
			delete(got, p)
			if n == 0 && unisolated && anything {
				open++
				continue
			}
			require.Equal(r, 1, n, "%v is one edge", p)
		}
		require.Empty(r, got, "edges of what is not allowed")
	})
	assert.Positive(t, whole, "the test is worth something")
	assert.Positive(t, open, "the test is worth something")
}

func TestAnAuditPageOpensWithItsFindingsAndHasTheGraphBehindThem(t *testing.T) {
	input, err := manifest.Load(t.Context(), []string{manifest.Stdin}, strings.NewReader("apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop}\nspec: {containers: [{name: c, image: i}]}\n"))
	require.NoError(t, err)
	world := input.Store.Snapshot(model.Facts{})
	connectivity, err := reach.Connect(t.Context(), world)
	require.NoError(t, err)
	for first, want := range map[bool]string{
		false: `<button type="button" data-view="findings" aria-current="page">Findings</button><button type="button" data-view="reach">Connections</button>`,
		true:  `<button type="button" data-view="reach" aria-current="page">Connections</button><button type="button" data-view="findings">Findings</button>`,
	} {
		var out strings.Builder
		p := Page{Title: "audit of the cluster", Made: "2026-07-01T12:00:00Z", Report: &report.Report{}, Graph: &Graph{Connectivity: connectivity, World: world, First: first}}
		require.NoError(t, p.Write(&out))
		assert.Contains(t, out.String(), want)
		assert.Contains(t, out.String(), `<span class="made">2026-07-01T12:00:00Z</span>`)
		assert.Contains(t, out.String(), `<script type="application/json" id="graph-data">{"nodes":[{"group":0,"kind":"Pod","name":"web"`)
	}
}
