package oracle_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/test/oracle"
	"github.com/portcullis-dev/portcullis/test/oracle/gen"
)

// Where pkg/reach does not know the pods' addresses, it may say that it does not know. But its yes and its no must hold
// whatever the addresses turn out to be: any of the pod CIDRs, or where those are unknown, any private ones.
func TestReachWithoutAddressesIsNeverWrong(t *testing.T) {
	const clusters = 1500
	setChecks(t, clusters)
	var answers [3]int
	failed := false
	rapid.Check(t, func(t *rapid.T) {
		truth := gen.Cluster(t)
		facts := model.Facts{CNI: "calico"}
		if truth.Cilium {
			facts.CNI = model.CNICilium
		}
		if rapid.Bool().Draw(t, "pod CIDRs are known") {
			facts.PodCIDRs = netset.AddrsOf(netip.MustParsePrefix("10.0.0.0/29"), netip.MustParsePrefix("fd00::/125"))
		}
		if rapid.Bool().Draw(t, "nodes are known") {
			facts.Nodes = netset.AddrsOf(netip.MustParsePrefix("172.16.0.0/30"), netip.MustParsePrefix("fd01::/126"))
		}
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		readdress(truth, random)
		known := unaddressed(truth, random)
		e := engineOf(snapshot(known, facts, atOnce))

		sampled := gen.Connections(truth, random, samplesOfACluster)
		if failed {
			sampled = gen.AllConnections(truth)
		}
		for _, conn := range sampled {
			if conn.From.Pod != nil && samePod(conn.From.Pod, conn.To.Pod) {
				continue
			}
			got := e.view.Connection(e.whole(conn.From), e.whole(conn.To), portOf(conn.Port)).Allowed
			answers[got]++
			want := overAnyFamily(truth, conn)
			if got == reach.Yes && !want || got == reach.No && want {
				failed = true
				t.Logf("%s\npkg/reach: %s, without the addresses\noracle: %v\n%s", conn, got, want, gen.YAML(truth))
				t.Fatal("pkg/reach is wrong about pods of unknown addresses")
			}
		}
	})
	t.Logf("no %d, unknown %d, yes %d", answers[reach.No], answers[reach.Unknown], answers[reach.Yes])
	all := answers[reach.No] + answers[reach.Unknown] + answers[reach.Yes]
	assert.Less(t, answers[reach.Unknown]*4, all, "connections of which pkg/reach knows nothing")
	for truth, n := range answers {
		assert.Greater(t, n*200, all, "answers of %s", reach.Truth(truth))
	}
}

// readdress gives each pod two new addresses, and each hostNetwork pod those of a node.
func readdress(c *oracle.Cluster, random *rand.Rand) {
	for i, number := range random.Perm(7)[:len(c.Pods)] {
		ips := []string{fmt.Sprintf("10.0.0.%d", number+1), fmt.Sprintf("fd00::%d", number+1)}
		if c.Pods[i].Spec.HostNetwork {
			ips = []string{fmt.Sprintf("172.16.0.%d", number%2+1), fmt.Sprintf("fd01::%d", number%2+1)}
		}
		c.Pods[i].Status.PodIPs = []corev1.PodIP{{IP: ips[0]}, {IP: ips[1]}}
	}
}

// unaddressed is the cluster without the addresses of some of its pods.
func unaddressed(c *oracle.Cluster, random *rand.Rand) *oracle.Cluster {
	out := *c
	out.Pods = nil
	for i := range c.Pods {
		pod := *c.Pods[i].DeepCopy()
		if random.IntN(3) > 0 {
			pod.Status.PodIPs = nil
		}
		out.Pods = append(out.Pods, pod)
	}
	return &out
}

// whole is the end with all addresses that are known of it.
func (e *engine) whole(of oracle.Endpoint) reach.Endpoint {
	if of.Pod == nil {
		return reach.Endpoint{Addr: of.IP}
	}
	return e.pod(of.Pod)
}

func overAnyFamily(c *oracle.Cluster, conn gen.Connection) bool {
	if conn.From.Pod != nil && conn.To.Pod != nil {
		return connects(c, conn.From.Pod, conn.To.Pod, conn.Port)
	}
	return oracle.Allowed(c, conn.From, conn.To, conn.Protocol, conn.Number).Allowed
}
