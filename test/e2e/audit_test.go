package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/report"
)

// fetch reads a path of the guard's metrics port.
func fetch(ctx context.Context, t *testing.T, path string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+shared.guard.Addresses.Metrics+path, http.NoBody)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

// audited is what the background audit says of a policy, by rule.
func audited(ctx context.Context, t *testing.T, policy finding.Subject) map[string]string {
	code, body := fetch(ctx, t, "/report")
	if code != http.StatusOK {
		return nil
	}
	var r report.Report
	require.NoError(t, json.Unmarshal([]byte(body), &r), body)
	return rulesFor(r, policy)
}

func TestTheAuditSeesThatAServiceIsNoLoadBalancerAnyMore(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	policy := finding.Subject{Kind: finding.KindNetworkPolicy, Namespace: s.namespace, Name: "web"}
	s.admitted(webPods, []string{"apply", "-f", "-"})
	s.admitted(webService, []string{"apply", "-f", "-"})
	s.admitted(webOpen, []string{"apply", "-f", "-"})
	eventually(t, "the audit has judged the policy", func(ctx context.Context) bool { return audited(ctx, t, policy)["cluster-cidr"] != "" })
	assert.NotContains(t, audited(t.Context(), t, policy), "internet-ingress")

	s.admitted("", []string{"patch", "service", "web", "--type=merge", "-p", `{"spec":{"type":"ClusterIP","allocateLoadBalancerNodePorts":null,"ports":[{"port":443,"targetPort":8443,"nodePort":null}]}}`})
	eventually(t, "the policy has become a violation", func(ctx context.Context) bool { return audited(ctx, t, policy)["internet-ingress"] == "deny" })
	eventually(t, "the violation is counted", func(ctx context.Context) bool {
		_, metrics := fetch(ctx, t, "/metrics")
		return containsLine(metrics, `portcullis_violations{level="baseline",namespace="`+s.namespace+`",rule="internet-ingress"} 1`)
	})

	once := s.portcullis("", "audit", "-n", "$NS", "-o", "json")
	assert.Equal(t, 1, once.code, once.err)
	assert.Equal(t, "deny", rulesFor(readReport(t, once), policy)["internet-ingress"], "one pass from the command line finds the same")
	page := s.portcullis("", "audit", "-n", "$NS", "-o", "html")
	assert.Equal(t, 1, page.code, page.err)
	assert.Contains(t, page.out, "<title>Portcullis audit of the cluster</title>")
	assert.Contains(t, page.out, `<article class="finding"`)
	assert.Contains(t, page.out, s.fill(`{"name":"$NS"}`), "the namespace is in the graph, too")

	s.admitted("", []string{"delete", "networkpolicy", "web"})
	eventually(t, "what is gone is not counted any more", func(ctx context.Context) bool {
		_, metrics := fetch(ctx, t, "/metrics")
		return !containsLine(metrics, `portcullis_violations{level="baseline",namespace="`+s.namespace+`",rule="internet-ingress"} 1`)
	})
}

func containsLine(text, line string) bool {
	for l := range strings.Lines(text) {
		if strings.TrimSpace(l) == line {
			return true
		}
	}
	return false
}

func TestWhatIfSaysWhichNamespacesCouldEnforceALevel(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.admitted(`{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: deny, namespace: $NS}, spec: {podSelector: {}, policyTypes: [Ingress]}}`,
		[]string{"apply", "-f", "-"})
	r := s.portcullis("", "audit", "-n", "$NS", "--what-if", "restricted")
	assert.Zero(t, r.code, r.err)
	assert.Contains(t, r.out, s.fill("kubectl label namespace $NS portcullis.dev/enforce=restricted --overwrite"))
	s.admitted("", []string{"label", "namespace", "$NS", "portcullis.dev/enforce=restricted"})
	again := s.portcullis("", "audit", "-n", "$NS", "--what-if", "restricted")
	assert.Contains(t, again.out, "1 namespace; 1 already enforces restricted.")
	assert.NotContains(t, again.out, "kubectl label")
}

// TestWhatIsFoundOfTheClusterIsToldOfTheCluster runs alone, as the DaemonSet is for the whole cluster.
func TestWhatIsFoundOfTheClusterIsToldOfTheCluster(t *testing.T) {
	s := newScene(t)
	s.admitted(policy("deny", "web", "  policyTypes: [Ingress]"), apply)
	const agent = `apiVersion: apps/v1
kind: DaemonSet
metadata: {name: kube-flannel-ds, namespace: kube-system}
spec:
  selector: {matchLabels: {app: flannel}}
  template:
    metadata: {labels: {app: flannel}}
    spec: {hostNetwork: true, containers: [{name: agent, image: registry.invalid/agent}]}`
	system := s.as(s.user)
	system.namespace = "kube-system"
	system.admitted(agent, apply)
	t.Cleanup(func() { system.admitted(agent, []string{"delete", "-f", "-"}) })
	for format, want := range map[string]string{
		"text": "the cluster\n", "github": "title=cni-not-enforcing in the cluster::", "junit": `name="the cluster"`, "html": "<b>the cluster</b>", "json": `"kind": "Cluster"`,
	} {
		out := s.portcullis("", "audit", "-o", format).out
		assert.Contains(t, out, "cni-not-enforcing", format)
		assert.Contains(t, out, want, format)
		assert.NotContains(t, out, "Cluster cluster", format)
	}
}
