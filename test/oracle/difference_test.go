package oracle_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/test/oracle"
	"github.com/portcullis-dev/portcullis/test/oracle/gen"
)

// owned gives most pods an owner, so that workloads have several pods, which need not be alike; and each pod one IPv4 address,
// so that no two pods of a pair connect by another family than others.
func owned(c *oracle.Cluster, random *rand.Rand) {
	readdress(c, random)
	for i := range c.Pods {
		p := &c.Pods[i]
		p.Status.PodIPs = p.Status.PodIPs[:1]
		name := p.Name
		if n := random.IntN(3); n < 2 {
			name = fmt.Sprintf("set%d", n)
			controller := true
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: name, Controller: &controller}}
		}
		labels := map[string]string{"owner": name} // that no policy asks for
		for k, v := range p.Labels {
			labels[k] = v
		}
		p.Labels = labels
	}
}

func connectivity(t *rapid.T, c *oracle.Cluster) *reach.Connectivity {
	out, err := reach.Connect(t.Context(), snapshot(c, factsOf(c), atOnce))
	require.NoError(t, err)
	return out
}

// differences counts what was compared.
type differences struct {
	shifts map[[2]reach.Certainty]int
	same   int
}

// claimed is what a comparison says of the certainty before and after; false if it says nothing.
func claimed(x *reach.Comparison, contains func(c *reach.Connectivity) reach.Certainty) (before, after reach.Certainty, said bool) {
	found := 0
	if is := contains(x.Opened); is != reach.Never {
		before, after = reach.Never, is
		found++
	}
	if was := contains(x.Closed); was != reach.Never {
		before, after = was, reach.Never
		found++
	}
	for _, s := range x.Shifts {
		if contains(s.Connectivity) != reach.Never {
			before, after = s.Before, s.After
			found++
		}
	}
	if found > 1 {
		return 0, 0, false
	}
	return before, after, found == 1
}

// certaintyOf is that of a port in a flow.
func certaintyOf(f reach.Flow, port netset.Port) reach.Certainty {
	switch {
	case f.Every.Contains(port):
		return reach.Every
	case f.Ports.Contains(port):
		return reach.Some
	case f.Maybe.Contains(port):
		return reach.Perhaps
	}
	return reach.Never
}

// check holds one claim against the truth: how many of the pairs of pods connect.
func check(t *rapid.T, claim reach.Certainty, connected, pairs int, exact bool, what fmt.Stringer) {
	switch claim {
	case reach.Never:
		require.Zero(t, connected, "%s: surely blocked", what)
	case reach.Some:
		require.Positive(t, connected, "%s: surely allowed between some pods", what)
		if exact {
			require.Less(t, connected, pairs, "%s: surely not between all pods", what)
		}
	case reach.Every:
		require.Equal(t, pairs, connected, "%s: surely allowed between all pods", what)
	case reach.Perhaps:
		require.False(t, exact, "%s: all is known, and nothing is only perhaps allowed", what)
	}
}

// TestADifferenceIsToldWhateverItsCertainty compares what diff tells of every two workloads, every workload and address, and
// every port, with the brute-force evaluator on every two pods, before and after a policy is changed. Where addresses of pods are
// kept from the comparison, what it says must hold for those that they have.
func TestADifferenceIsToldWhateverItsCertainty(t *testing.T) {
	const clusters = 1500
	setChecks(t, clusters)
	total := differences{shifts: map[[2]reach.Certainty]int{}}
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		c := gen.Cluster(t)
		if len(c.Policies) == 0 {
			return
		}
		owned(c, random)
		after := *c
		after.Policies = slices.Clone(c.Policies)
		i := rapid.IntRange(0, len(c.Policies)-1).Draw(t, "policy")
		after.Policies[i] = *c.Policies[i].DeepCopy()
		narrowed(t, c, &after.Policies[i])
		if rapid.Bool().Draw(t, "reverse") {
			*c, after = after, *c
		}
		exact := rapid.Bool().Draw(t, "all addresses are known")
		seenBefore, seenAfter := c, &after
		if !exact {
			seenBefore = unaddressed(c, random)
			hidden := *seenBefore
			hidden.Policies = after.Policies
			seenAfter = &hidden
		}
		x := &compared{exact: exact, truth: [2]*oracle.Cluster{c, &after}, states: [2]*reach.Connectivity{connectivity(t, seenBefore), connectivity(t, seenAfter)}, count: &total}
		x.comparison = reach.Compare(x.states[0], x.states[1])
		x.pods = podsByWorkload(c)
		x.inside(t)
		x.outside(t)
	})
	t.Logf("%d the same, %v", total.same, total.shifts)
	assert.Positive(t, total.same)
	for _, one := range []reach.Certainty{reach.Some, reach.Every} {
		assert.Positive(t, total.shifts[[2]reach.Certainty{reach.Never, one}])
		assert.Positive(t, total.shifts[[2]reach.Certainty{one, reach.Never}])
	}
	perhaps := 0
	for shift, n := range total.shifts {
		if slices.Contains(shift[:], reach.Perhaps) {
			perhaps += n
		}
	}
	assert.Positive(t, perhaps)
	assert.Positive(t, total.shifts[[2]reach.Certainty{reach.Some, reach.Every}])
	assert.Positive(t, total.shifts[[2]reach.Certainty{reach.Every, reach.Some}])
}

// ends are what is asked about, for failures.
type ends [3]fmt.Stringer

func (e ends) String() string { return fmt.Sprintf("%s, %s, %s", e[0], e[1], e[2]) }

// compared is one comparison, and the truth.
type compared struct {
	exact      bool
	truth      [2]*oracle.Cluster
	states     [2]*reach.Connectivity
	comparison *reach.Comparison
	pods       map[string][]*corev1.Pod
	count      *differences
}

func podsByWorkload(c *oracle.Cluster) map[string][]*corev1.Pod {
	out := map[string][]*corev1.Pod{}
	for i := range c.Pods {
		p := &c.Pods[i]
		name := p.Namespace + "/" + p.Labels["owner"]
		out[name] = append(out[name], p)
	}
	return out
}

// tell is what is said of one port, which must be what both states say themselves.
func (x *compared) tell(t *rapid.T, contains func(*reach.Connectivity) reach.Certainty, what fmt.Stringer) (before, after reach.Certainty) {
	was, is := contains(x.states[0]), contains(x.states[1])
	before, after, said := claimed(x.comparison, contains)
	require.Equal(t, was != is, said, "%s is %d, and was %d", what, is, was)
	if !said {
		x.count.same++
		return was, is
	}
	require.Equal(t, [2]reach.Certainty{was, is}, [2]reach.Certainty{before, after}, what)
	x.count.shifts[[2]reach.Certainty{before, after}]++
	return before, after
}

// samplePorts are one port of each kind: named by rules, beside those, and of a protocol that few rules name.
func samplePorts() []gen.Port {
	return []gen.Port{{Protocol: corev1.ProtocolTCP, Number: 80}, {Protocol: corev1.ProtocolUDP, Number: 53}, {Protocol: corev1.ProtocolTCP, Number: 81}, {Protocol: corev1.ProtocolSCTP, Number: 53}}
}

func (x *compared) inside(t *rapid.T) {
	for i, from := range x.states[0].Workloads {
		for j, to := range x.states[0].Workloads {
			if i == j {
				continue // a pod may always connect to itself, whatever its neighbours may
			}
			for _, p := range samplePorts() {
				what := ends{from, to, p}
				before, after := x.tell(t, func(c *reach.Connectivity) reach.Certainty { return certaintyOf(c.Between(i, j), portOf(p)) }, what)
				for k, claim := range []reach.Certainty{before, after} {
					connected, pairs := 0, 0
					for _, a := range x.pods[from.String()] {
						for _, b := range x.pods[to.String()] {
							if pairs++; connects(x.truth[k], a, b, p) {
								connected++
							}
						}
					}
					check(t, claim, connected, pairs, x.exact, what)
				}
			}
		}
	}
}

func (x *compared) outside(t *rapid.T) {
	_, others := gen.Endpoints(x.truth[0])
	for i, w := range x.states[0].Workloads {
		for _, d := range model.Directions {
			for _, other := range others {
				for _, p := range samplePorts() {
					what := ends{w, other.IP, p}
					before, after := x.tell(t, func(c *reach.Connectivity) reach.Certainty {
						for addrs, flow := range c.ExternalParts(i, d) {
							if certainty := certaintyOf(flow, portOf(p)); addrs.Contains(other.IP) && certainty != reach.Never {
								return certainty
							}
						}
						return reach.Never
					}, what)
					for k, claim := range []reach.Certainty{before, after} {
						connected := 0
						for _, pod := range x.pods[w.String()] {
							from, to := gen.EndpointsOf(pod)[0], other
							if d == model.Ingress {
								from, to = to, from
							}
							if oracle.Allowed(x.truth[k], from, to, p.Protocol, p.Number).Allowed {
								connected++
							}
						}
						check(t, claim, connected, len(x.pods[w.String()]), true, what)
					}
				}
			}
		}
	}
}
