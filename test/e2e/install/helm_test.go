package install

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// values has Portcullis listen at its pod's address alone, as all pods are processes of one machine here.
const values = `
listenAddress: $(POD_IP)
shutdownDelaySeconds: 3
`

func valuesFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "values.yaml")
	require.NoError(t, os.WriteFile(file, []byte(values+text), 0o600))
	return file
}

// makeNamespace makes the namespace of Portcullis, as docs/install.md has it.
func makeNamespace(t *testing.T) {
	t.Helper()
	kubectl(t, "create", "namespace", namespace)
	kubectl(t, "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		// What a failed test has left would fail the next ones.
		_, _ = tryKubectl(t, "delete", "validatingwebhookconfiguration,mutatingwebhookconfiguration", "portcullis", "--ignore-not-found")
		_, _ = tryKubectl(t, "delete", "namespace", namespace, "--ignore-not-found")
		_, _ = tryKubectl(t, "delete", "clusterrole,clusterrolebinding", "-l", "app.kubernetes.io/name=portcullis")
	})
}

// install does what docs/install.md says for a cluster that is in use.
func install(t *testing.T, l *load) {
	t.Helper()
	ends := shared.cluster.Client.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault)
	_, err := ends.Create(within(t), &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "kubernetes", Labels: map[string]string{discoveryv1.LabelServiceName: "kubernetes"}},
		AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"203.0.113.9"}}},
		Ports: []discoveryv1.EndpointPort{{Port: ptr.To[int32](16443)}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		_, _ = tryKubectl(t, "--namespace", "default", "delete", "endpointslice", "kubernetes", "--ignore-not-found")
	})
	helm(t, "install", "portcullis", chart(), "--values", valuesFile(t, ""), "--set", "webhooks.networkPolicies.failurePolicy=Ignore", "--wait")
	kubectl(t, "wait", "--for=jsonpath={.webhooks[0].clientConfig.caBundle}", "validatingwebhookconfiguration", "portcullis")
	l.flowed(t, "it is installed")
	l.asked(t)
	helm(t, "upgrade", "portcullis", chart(), "--reset-then-reuse-values", "--set", "webhooks.networkPolicies.failurePolicy=Fail", "--wait")
	l.flowed(t, "its failurePolicy becomes Fail")
	found, err := shared.cluster.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(within(t), "portcullis", metav1.GetOptions{})
	require.NoError(t, err)
	assert.EqualValues(t, "Fail", *found.Webhooks[0].FailurePolicy)
	assert.NotEmpty(t, found.Webhooks[0].ClientConfig.CABundle, "an upgrade leaves what the replicas write")
	own := kubectl(t, "--namespace", namespace, "get", "networkpolicy", "portcullis", "--output=jsonpath={.spec.egress[0]}")
	assert.Contains(t, own, `"cidr":"203.0.113.9/32"`, "it may connect to the API server of this cluster, wherever that is")
	assert.Contains(t, own, `"port":16443`)
}

func TestHelmInstallsUpgradesRestartsAndTakesAwayWithoutOneRefusedWrite(t *testing.T) {
	started := time.Now()
	routeAPIs(t)
	l := startLoad(t)
	makeNamespace(t)
	// What is older than Portcullis is what the audit tells of, by an Event.
	_, err := l.client.NetworkingV1().NetworkPolicies(l.namespace).Create(within(t), wrong("old"), metav1.CreateOptions{})
	require.NoError(t, err)

	install(t, l)

	helm(t, "upgrade", "portcullis", chart(), "--wait", "--values", valuesFile(t, `
replicas: 3
podAnnotations: {rolled: again}
config: {defaults: {warn: baseline}, mutations: {dnsEgress: true}, exemptions: {namespaces: [legacy]}}
`))
	l.flowed(t, "it is upgraded to new values")
	l.asked(t)
	found, err := shared.cluster.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(within(t), "portcullis", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Contains(t, found.Webhooks[0].NamespaceSelector.MatchExpressions[0].Values, "legacy")
	assert.NotEmpty(t, found.Webhooks[0].ClientConfig.CABundle, "an upgrade leaves what the replicas write")

	for range 2 {
		kubectl(t, "--namespace", namespace, "rollout", "restart", "deployment", "portcullis")
		kubectl(t, "--namespace", namespace, "rollout", "status", "deployment", "portcullis", "--timeout=2m")
		l.flowed(t, "it is restarted")
		l.asked(t)
	}
	eventually(t, "the audit tells of the old policy", func(ctx context.Context) bool {
		events, err := shared.cluster.Client.EventsV1().Events(l.namespace).List(ctx, metav1.ListOptions{})
		return err == nil && len(events.Items) > 0
	})
	t.Run("who may exempt", func(t *testing.T) { exemptionsAreForThoseWhoMay(t, l.namespace) })
	t.Run("who may read metrics", metricsAreForThoseWhoMay)
	t.Run("what it asks for", func(t *testing.T) { verbsAreUsed(t, started) })
	t.Run("what it may, as the docs have it", theDocsHaveItsRights)

	helm(t, "uninstall", "portcullis", "--wait")
	l.flowed(t, "it is uninstalled")
	l.unasked(t)
	l.flowed(t, "it is gone")
	l.stop()
	kubectl(t, "delete", "namespace", namespace)
	nothingIsLeft(t)
	t.Logf("%d writes, none refused", l.written.Load())
}

// nothingIsLeft looks through everything that the API server keeps.
func nothingIsLeft(t *testing.T) {
	t.Helper()
	eventually(t, "the namespace is gone", func(ctx context.Context) bool {
		_, err := shared.cluster.Client.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	resources := strings.Fields(kubectl(t, "api-resources", "--verbs=list", "--output=name"))
	require.Greater(t, len(resources), 50)
	resources = slices.DeleteFunc(resources, func(name string) bool { // Events are told of the past, and expire
		return name == "events" || name == "events.events.k8s.io"
	})
	out := kubectl(t, "get", strings.Join(resources, ","), "--all-namespaces", "--output=name", "--ignore-not-found")
	for line := range strings.Lines(out) {
		assert.NotContains(t, line, "portcullis", "it is left")
	}
}
