package oracle_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/test/oracle"
	"github.com/portcullis-dev/portcullis/test/oracle/gen"
)

// TestDNSAgreesWithOracle takes the pods app=db of the namespace a for the cluster's DNS, and asks of each pod whether its own
// policies let it out to any of them.
func TestDNSAgreesWithOracle(t *testing.T) {
	const clusters = 3000
	setChecks(t, clusters)
	var answers [3]int
	rapid.Check(t, func(t *rapid.T) {
		c := gen.Cluster(t)
		facts := model.Facts{CNI: "calico", DNS: []model.DNSServer{model.NewDNSServer("a", map[string]string{"app": "db"}, 53)}}
		if c.Cilium {
			facts.CNI = model.CNICilium
		}
		var servers []*corev1.Pod
		for i := range c.Pods {
			if c.Pods[i].Namespace == "a" && c.Pods[i].Labels["app"] == "db" {
				servers = append(servers, &c.Pods[i])
			}
		}
		if len(servers) == 0 {
			return // the DNS pods are hypothetical then, and have no answer of their own
		}
		e := engineOf(snapshot(c, facts, atOnce))
		for i := range c.Pods {
			pod := &c.Pods[i]
			class := e.pod(pod).Class
			if e.view.ServesDNS(class) {
				continue
			}
			got := e.view.DNS(class)
			for protocol, answer := range map[corev1.Protocol]reach.Truth{corev1.ProtocolUDP: got.UDP, corev1.ProtocolTCP: got.TCP} {
				want := asksAny(c, pod, servers, gen.Port{Protocol: protocol, Number: 53})
				answers[answer]++
				if answer != truth(want) {
					t.Logf("%s/%s → DNS over %s\npkg/reach: %s\noracle: %v\n%s", pod.Namespace, pod.Name, protocol, answer, want, gen.YAML(c))
					t.Fatal("pkg/reach disagrees with the oracle")
				}
			}
		}
	})
	t.Logf("no %d, yes %d", answers[reach.No], answers[reach.Yes])
	assert.Greater(t, answers[reach.No], clusters/4)
	assert.Greater(t, answers[reach.Yes], clusters/4)
}

func asksAny(c *oracle.Cluster, from *corev1.Pod, servers []*corev1.Pod, port gen.Port) bool {
	for _, server := range servers {
		if letsOut(c, from, server, port) {
			return true
		}
	}
	return false
}
