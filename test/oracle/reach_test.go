package oracle_test

import (
	"flag"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis-dev/portcullis/test/oracle"
	"github.com/portcullis-dev/portcullis/test/oracle/gen"
)

// go test ./test/oracle -run TestReachAgreesWithOracle -oracle.connections=1000000
var (
	connections = flag.Int("oracle.connections", 150_000, "how many connections TestReachAgreesWithOracle samples")
	random      = flag.Bool("oracle.random", false, "draw other clusters in each run; without it a run tells of the code alone")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if seed := flag.Lookup("rapid.seed"); !*random && seed.Value.String() == "0" {
		if err := seed.Value.Set("1"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

const samplesOfACluster = 100

// comparison compares pkg/reach with the oracle on drawn clusters, and counts what it has compared. From the first
// disagreement on it asks for all connections of a cluster, so that shrinking keeps hold of it.
type comparison struct {
	connections, allowed, oneSided, isolated, outside int
	failed                                            bool
}

func (x *comparison) run(t *rapid.T) {
	c := gen.Cluster(t)
	h := history(rapid.IntRange(0, int(histories)-1).Draw(t, "history"))
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	sampled := gen.Connections(c, random, samplesOfACluster)
	if x.failed {
		sampled = gen.AllConnections(c)
	}
	e := newEngine(c, h)
	if d := e.comparePods(c); d != "" {
		t.Fatalf("%s\nhistory: %d\n%s", d, h, gen.YAML(c))
	}
	for i, conn := range sampled {
		want := oracle.Allowed(c, conn.From, conn.To, conn.Protocol, conn.Number)
		x.count(conn, want)
		disagreement := e.compare(c, conn, want, x.failed || i%10 == 0)
		if disagreement != "" {
			x.failed = true
			t.Logf("%s\npkg/reach: %s\noracle: %+v\nhistory: %d\n%s", conn, disagreement, want, h, gen.YAML(c))
			t.Fatal("pkg/reach disagrees with the oracle") // one text for all, by which rapid knows the failure again
		}
	}
}

func (x *comparison) count(conn gen.Connection, a oracle.Answer) {
	x.connections++
	for counter, counts := range map[*int]bool{
		&x.allowed:  a.Allowed,
		&x.oneSided: a.EgressOK != a.IngressOK,
		&x.isolated: a.EgressIsolated && a.IngressIsolated,
		&x.outside:  conn.From.Pod == nil || conn.To.Pod == nil,
	} {
		if counts {
			*counter++
		}
	}
}

func TestReachAgreesWithOracle(t *testing.T) {
	clusters := (*connections + samplesOfACluster - 1) / samplesOfACluster
	setChecks(t, clusters)
	var x comparison
	rapid.Check(t, x.run)
	t.Logf("%d connections in %d clusters: %d allowed, %d allowed by one side only, %d isolated on both sides, %d with the outside",
		x.connections, clusters, x.allowed, x.oneSided, x.isolated, x.outside)
	assert.GreaterOrEqual(t, x.connections, *connections)
	assert.InDelta(t, 0.5, float64(x.allowed)/float64(x.connections), 0.2, "share of allowed connections")
	for name, n := range map[string]int{"allowed by one side only": x.oneSided, "isolated on both sides": x.isolated, "with the outside": x.outside} {
		assert.Greater(t, n, x.connections/10, "connections %s", name)
	}
}

// go test ./test/oracle -run '^$' -fuzz FuzzReachAgainstOracle -fuzztime 5m -fuzzminimizetime 1x
//
// Without the last flag nearly all the time goes into making inputs shorter, which rapid does better.
func FuzzReachAgainstOracle(f *testing.F) {
	// rapid reads its draws from the input; so long a one is enough for a cluster.
	const enough = 16 << 10
	for seed := range uint64(8) {
		random := rand.NewChaCha8([32]byte{byte(seed)})
		input := make([]byte, enough)
		_, _ = random.Read(input)
		f.Add(input)
	}
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) { (&comparison{}).run(t) }))
}

// setChecks sets how many clusters rapid draws in the test.
func setChecks(t *testing.T, n int) {
	t.Helper()
	checks := flag.Lookup("rapid.checks").Value
	before := checks.String()
	require.NoError(t, flag.Set("rapid.checks", strconv.Itoa(n)))
	t.Cleanup(func() { require.NoError(t, flag.Set("rapid.checks", before)) })
}
