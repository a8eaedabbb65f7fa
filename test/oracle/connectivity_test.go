package oracle_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/test/oracle/gen"
)

type pairOfWorkloads struct{ from, to *reach.Workload }

// TestConnectivityAgreesWithEveryPair compares what Connect computes at once with what the View says of each pair of pods.
func TestConnectivityAgreesWithEveryPair(t *testing.T) {
	compared := 0
	rapid.Check(t, func(t *rapid.T) {
		c := gen.Cluster(t)
		e := newEngine(c, history(rapid.IntRange(0, int(histories)-1).Draw(t, "history")))
		connectivity, err := reach.Connect(t.Context(), e.view.World())
		require.NoError(t, err)
		classes := classesOf(e.view.World())
		got := map[pairOfWorkloads]reach.Flow{}
		for edge := range connectivity.Edges() {
			if edge.From != nil && edge.To != nil {
				got[pairOfWorkloads{edge.From, edge.To}] = edge.Flow
			}
		}
		for i, from := range connectivity.Workloads {
			for j, to := range connectivity.Workloads {
				a, b := classes[from.String()], classes[to.String()]
				require.NotNil(t, a, from.String())
				want := e.view.Between(a, b)
				flow := connectivity.Between(i, j)
				require.True(t, flow.Ports.Equal(want.Some), "%s → %s: %s, want %s\n%s", from, to, flow.Ports, want.Some, gen.YAML(c))
				require.True(t, flow.Maybe.Equal(want.Possible.Minus(want.Some)), "%s → %s: maybe %s", from, to, flow.Maybe)
				require.Equal(t, !want.Every.Equal(want.Some), flow.Partial(), "%s → %s", from, to)
				edge, listed := got[pairOfWorkloads{from, to}]
				if i == j && from.Pods < 2 {
					require.False(t, listed, "a pod has no edge to itself")
					continue
				}
				require.Equal(t, !want.Possible.IsEmpty(), listed, "%s → %s", from, to)
				require.True(t, edge.Ports.Equal(flow.Ports), "%s → %s", from, to)
				compared++
			}
			for _, d := range model.Directions {
				require.True(t, connectivity.External(i, d).Equal(e.view.External(classes[from.String()], d)), "%s %s", from, d)
			}
		}
	})
	assert.Greater(t, compared, 100, "the test is worth something")
}

// classesOf are the classes of pods that were made by hand, by the name of the workload that each is.
func classesOf(s *model.Snapshot) map[string]*model.PodClass {
	out := map[string]*model.PodClass{}
	for ns := range s.Namespaces() {
		for _, class := range ns.Classes {
			for _, pod := range class.Pods {
				out[class.Namespace+"/"+pod.Name] = class
			}
		}
	}
	return out
}

// TestMergedLinesSayExactlyWhatTheEdgesSay takes the lines apart again.
func TestMergedLinesSayExactlyWhatTheEdgesSay(t *testing.T) {
	wholes := 0
	rapid.Check(t, func(t *rapid.T) {
		c := gen.Cluster(t)
		e := newEngine(c, history(rapid.IntRange(0, int(histories)-1).Draw(t, "history")))
		connectivity, err := reach.Connect(t.Context(), e.view.World())
		require.NoError(t, err)
		type line struct {
			from, to    *reach.Workload
			addrs, flow string
		}
		text := func(f reach.Flow) string { return f.Ports.String() + "|" + f.Maybe.String() + "|" + f.Every.String() }
		var want, got []line
		for edge := range connectivity.Edges() {
			want = append(want, line{edge.From, edge.To, edge.Addrs.String(), text(edge.Flow)})
		}
		members := func(g *reach.Group) []*reach.Workload {
			if g == nil {
				return []*reach.Workload{nil}
			}
			if g.Whole {
				wholes++
			}
			return g.Workloads
		}
		for m := range connectivity.Merged() {
			for _, from := range members(m.From) {
				for _, to := range members(m.To) {
					if from == to && from.Pods < 2 {
						continue
					}
					got = append(got, line{from, to, m.Addrs.String(), text(m.Flow)})
				}
			}
		}
		require.ElementsMatch(t, want, got, "%s", gen.YAML(c))
	})
	assert.Positive(t, wholes, "the test is worth something")
}
