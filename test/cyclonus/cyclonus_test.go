package cyclonus_test

import (
	"flag"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/test/cyclonus"
	"github.com/portcullis-dev/portcullis/test/oracle"
	"github.com/portcullis-dev/portcullis/test/oracle/gen"
)

// go test . -cyclonus.random -cyclonus.connections=100000
var (
	connections = flag.Int("cyclonus.connections", 20_000, "how many connections are compared")
	random      = flag.Bool("cyclonus.random", false, "draw other clusters in each run; without it a run tells of the code alone")
)

const samplesOfACluster = 50

// reached is pkg/reach, asked about pods at one address.
type reached struct {
	view *reach.View
	pods map[string]*model.PodClass
}

func newReached(c *oracle.Cluster) *reached {
	store := model.NewStore()
	for i := range c.Namespaces {
		store.SetNamespace(model.NewNamespaceMeta(&c.Namespaces[i]))
	}
	for i := range c.Pods {
		store.SetPod(&c.Pods[i])
	}
	for i := range c.Policies {
		store.SetPolicy(model.CompilePolicy(&c.Policies[i], model.Authored{}))
	}
	facts := model.Facts{CNI: "calico"}
	if c.Cilium {
		facts.CNI = model.CNICilium
	}
	r := &reached{view: reach.NewView(store.Snapshot(facts)), pods: map[string]*model.PodClass{}}
	for ns := range r.view.World().Namespaces() {
		for _, class := range ns.Classes {
			for i := range class.Pods {
				r.pods[class.Namespace+"/"+class.Pods[i].Name] = class
			}
		}
	}
	return r
}

func (r *reached) end(e oracle.Endpoint) reach.Endpoint {
	if e.Pod == nil {
		return reach.Endpoint{Addr: e.IP}
	}
	return reach.Endpoint{Class: r.pods[e.Pod.Namespace+"/"+e.Pod.Name], Pod: &model.Pod{Name: e.Pod.Name, IPs: []netip.Addr{e.IP}}}
}

func (r *reached) ask(x gen.Connection) cyclonus.Answer {
	protocol, _ := netset.ParseProtocol(string(x.Protocol))
	a := r.view.Connection(r.end(x.From), r.end(x.To), netset.Port{Protocol: protocol, Number: uint16(x.Number)})
	return cyclonus.Answer{Egress: a.Egress.Allowed == reach.Yes, Ingress: a.Ingress.Allowed == reach.Yes}
}

// itself is whether a pod, at any of its addresses, reaches itself.
func (r *reached) itself(x gen.Connection) reach.Truth {
	protocol, _ := netset.ParseProtocol(string(x.Protocol))
	end := r.end(x.From)
	return r.view.Connection(end, end, netset.Port{Protocol: protocol, Number: uint16(x.Number)}).Allowed
}

func TestReachAgreesWithCyclonusButForTheDifferencesKnown(t *testing.T) {
	clusters := (*connections + samplesOfACluster - 1) / samplesOfACluster
	require.NoError(t, flag.Set("rapid.checks", strconv.Itoa(clusters)))
	if !*random && flag.Lookup("rapid.seed").Value.String() == "0" {
		require.NoError(t, flag.Set("rapid.seed", "1"))
	}
	compared, agreed, toItself := 0, 0, 0
	explained := map[string]int{}
	failed := false
	rapid.Check(t, func(t *rapid.T) {
		c := gen.Cluster(t)
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		sampled := gen.Connections(c, random, samplesOfACluster)
		if failed {
			sampled = gen.AllConnections(c)
		}
		r := newReached(c)
		for _, x := range sampled {
			compared++
			if x.From.Pod != nil && x.From.Pod == x.To.Pod {
				// Cyclonus does not know that "a pod cannot block access to itself".
				toItself++
				if got := r.itself(x); got != reach.Yes {
					t.Fatalf("%s: a pod does not reach itself: %s", x, got)
				}
				continue
			}
			got := r.ask(x)
			if got == cyclonus.Ask(c, x) {
				agreed++
				continue
			}
			name, ok := cyclonus.Explain(c, x, got)
			if !ok {
				failed = true
				t.Logf("%s\npkg/reach: %+v\nCyclonus: %+v\n%s", x, got, cyclonus.Ask(c, x), gen.YAML(c))
				t.Fatal("pkg/reach and Cyclonus differ, for no known reason")
			}
			explained[name]++
		}
	})
	t.Logf("%d connections: %d agreed, %d of a pod to itself, differences explained: %v", compared, agreed, toItself, explained)
	assert.GreaterOrEqual(t, compared, *connections)
	assert.Greater(t, agreed*10, compared*7, "connections on which both agree at once")
	for _, d := range cyclonus.Differences() {
		assert.NotZero(t, explained[d.Name], "%s makes no difference any more: take it out of the list", d.Name)
	}
}
