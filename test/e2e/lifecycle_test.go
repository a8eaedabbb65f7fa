package e2e

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/portcullis-dev/portcullis/certs"
	"github.com/portcullis-dev/portcullis/test/guard"
)

// The tests in this file stop, restart and reconfigure what the others use: none of them runs in parallel. Each leaves the shared
// Portcullis as it was.

// again starts Portcullis again at the addresses that it had.
func again(t *testing.T, args ...string) {
	t.Helper()
	g, err := startGuard(within(t), shared.guard.Addresses, args...)
	require.NoError(t, err)
	shared.guard = g
}

func TestWhilePortcullisIsAwayPoliciesAreRefusedAndEverythingElseGoesOn(t *testing.T) {
	s := newScene(t)
	s.admitted(policy("before", "api", narrowIngress), apply)
	shared.guard.Kill()
	t.Cleanup(func() { again(t) })

	for what, command := range map[string][]string{
		"create": {"create", "--filename=-"}, "update": {"label", "networkpolicy", "before", "a=b"}, "delete": {"delete", "networkpolicy", "before"},
	} {
		got := s.kubectl(policy("meanwhile", "api", narrowIngress), command...)
		assert.Equal(t, 1, got.code, what)
		assert.Contains(t, got.err, `failed calling webhook "networkpolicies.portcullis.dev"`, what)
	}
	s.admitted("", []string{"create", "namespace", "$NS-meanwhile"})
	s.admitted("", []string{"label", "namespace", "$NS-meanwhile", "a=b"})
	s.pod("api", 9090)
	s.admitted("", []string{"delete", "pod", "api", "--now"})
	s.admitted("", []string{"delete", "namespace", "$NS-meanwhile"})
	s.stored("before")
}

func TestAGracefulEndRemovesTheRegistration(t *testing.T) {
	s := newScene(t)
	s.pod("api", 9090)
	shared.guard.Stop()
	t.Cleanup(func() { again(t) })
	require.NoError(t, shared.guard.Err(), "the exit code is 0")
	api := shared.cluster.Client.AdmissionregistrationV1()
	_, err := api.ValidatingWebhookConfigurations().Get(within(t), "portcullis", metav1.GetOptions{})
	assert.True(t, apierrors.IsNotFound(err), "%v", err)
	_, err = api.MutatingWebhookConfigurations().Get(within(t), "portcullis", metav1.GetOptions{})
	assert.True(t, apierrors.IsNotFound(err), "%v", err)
	eventually(t, "the API server asks nobody", func(context.Context) bool {
		return s.kubectl(policy("api", "api", openIngress), apply...).code == 0
	})
}

// violating is a policy that is denied in every namespace.
func violating(name string) *networkingv1.NetworkPolicy {
	port := intstr.FromInt32(9090)
	return &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "api"}},
			Ingress:     []networkingv1.NetworkPolicyIngressRule{{Ports: []networkingv1.NetworkPolicyPort{{Port: &port}}}},
		},
	}
}

// certificate writes a certificate for the loopback address into the folder, and yields it in PEM. With it, Portcullis has the same one
// after a restart, and the API server trusts it from the first moment.
func certificate(t *testing.T, dir string) []byte {
	t.Helper()
	source, err := certs.NewSelfSigned([]string{"127.0.0.1"}, time.Now())
	require.NoError(t, err)
	pair, err := source.GetCertificate(nil)
	require.NoError(t, err)
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	require.NoError(t, err)
	bundle, err := source.CABundle()
	require.NoError(t, err)
	for name, content := range map[string][]byte{
		"tls.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}),
		"tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), "ca.crt": bundle,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	return bundle
}

func TestANewCertificateInTheFilesIsServedAndRegistered(t *testing.T) {
	s := newScene(t)
	dir := t.TempDir()
	certificate(t, dir)
	shared.guard.Stop()
	again(t, "--cert-source=files", "--cert-dir="+dir)
	t.Cleanup(func() {
		shared.guard.Stop()
		again(t)
	})
	s.refused(policy("open", "api", openIngress), apply, "internet-ingress")

	renewed := certificate(t, dir)
	eventually(t, "the new one is registered", func(ctx context.Context) bool {
		found, err := shared.cluster.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, "portcullis", metav1.GetOptions{})
		require.NoError(t, err)
		return bytes.Equal(found.Webhooks[0].ClientConfig.CABundle, renewed)
	})
	eventually(t, "the new one is trusted", func(context.Context) bool {
		return s.kubectl(policy("narrow", "api", narrowIngress), apply...).code == 0
	})
}

func TestTheRegistrationFollowsTheConfiguration(t *testing.T) {
	t.Cleanup(func() { newScene(t).reconfigured("ratchet: true") })
	newScene(t).reconfigured("mutations: {policyTypes: false, namespaceNameLabel: false, namespaceLabels: {team: none}}\nexemptions: {namespaces: [elsewhere]}")
	api := shared.cluster.Client.AdmissionregistrationV1()
	eventually(t, "the mutating webhooks are those that are needed", func(ctx context.Context) bool {
		found, err := api.MutatingWebhookConfigurations().Get(ctx, "portcullis", metav1.GetOptions{})
		require.NoError(t, err)
		return len(found.Webhooks) == 1 && found.Webhooks[0].Name == "namespaces.portcullis.dev" &&
			strings.Contains(found.Webhooks[0].MatchConditions[2].Expression, "'team' in object.metadata.labels")
	})
	found, err := api.ValidatingWebhookConfigurations().Get(within(t), "portcullis", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, []string{"kube-system", "kube-public", "kube-node-lease", "elsewhere"}, found.Webhooks[0].NamespaceSelector.MatchExpressions[0].Values)
}

func TestThereIsNoTimeAfterAStartInWhichAViolatingPolicyIsAdmitted(t *testing.T) {
	// What is denied here is denied because of the namespace's label: a state without it would admit it.
	s := newScene(t, "portcullis.dev/enforce", "restricted")
	// Enough to read for the start to take a while.
	for i := range 200 {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "api-", Labels: map[string]string{"app": "api"}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "registry.invalid/main", Ports: []corev1.ContainerPort{{ContainerPort: int32(9000 + i)}}}}},
		}
		_, err := shared.cluster.Client.CoreV1().Pods(s.namespace).Create(within(t), pod, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	dir := t.TempDir()
	certificate(t, dir)
	args := []string{"--cert-source=files", "--cert-dir=" + dir}
	shared.guard.Stop()
	again(t, args...)
	t.Cleanup(func() {
		shared.guard.Stop()
		again(t)
	})

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var refused, away atomic.Int64
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for ctx.Err() == nil {
				np := violating("")
				np.GenerateName = "open-"
				np.Spec.Ingress[0].From = []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "8.8.8.0/24"}}}
				_, err := shared.cluster.Client.NetworkingV1().NetworkPolicies(s.namespace).Create(ctx, np, metav1.CreateOptions{})
				switch {
				case apierrors.IsForbidden(err):
					refused.Add(1)
				case err != nil:
					away.Add(1)
				}
			}
		})
	}
	for range 3 {
		eventually(t, "it is refused while Portcullis is there", more(&refused))
		shared.guard.Kill()
		eventually(t, "it is refused while Portcullis is away", more(&away))
		g, err := guard.Start(guard.Options{
			Binary: shared.binary, Log: logFile(), Addresses: shared.guard.Addresses,
			Args: append([]string{"--kubeconfig=" + shared.cluster.Admin.Kubeconfig, "--register", "--config=" + configFile()}, args...),
		})
		require.NoError(t, err)
		shared.guard = g
	}
	eventually(t, "it is refused while Portcullis is there again", more(&refused))
	cancel()
	writers.Wait()
	s.none()
	t.Logf("%d writes were refused by Portcullis, and %d because it was away", refused.Load(), away.Load())
}

// more waits for ten more.
func more(counter *atomic.Int64) func(context.Context) bool {
	before := counter.Load()
	return func(context.Context) bool { return counter.Load() >= before+10 }
}

func TestTheStateIsFollowedAfterTheAPIServerHasRestarted(t *testing.T) {
	s := newScene(t)
	s.pod("before", 9090)
	s.refused(policy("open", "before", openIngress), apply, "-> $NS/before:9090)")
	require.NoError(t, shared.cluster.RestartAPIServer(within(t)))
	require.NoError(t, shared.guard.AwaitAsked(within(t), shared.cluster.Admin.Config))
	s.pod("after", 9090)
	s.refused(policy("open", "after", openIngress), apply, "-> $NS/after:9090)")
	s.refused(policy("open", "before", openIngress), apply, "-> $NS/before:9090)")
	s.admitted("", []string{"delete", "pod", "before", "--now"})
	eventually(t, "the deletion is noticed", func(context.Context) bool {
		got := s.kubectl(policy("open", "before", openIngress), apply...)
		return got.code == 1 && !strings.Contains(got.err, s.namespace+"/before:9090")
	})
}

func TestADryRunOfTheClusterAdmitsTellsAndCounts(t *testing.T) {
	s := newScene(t)
	s.pod("api", 9090)
	s.refused(policy("api", "api", openIngress), apply, "internet-ingress")
	s.reconfigured("mode: audit")
	t.Cleanup(func() { s.reconfigured("ratchet: true") })
	series := func(mode string) string {
		return `portcullis_denials_total{mode="` + mode + `",namespace="` + s.namespace + `",rule="internet-ingress"}`
	}
	s.admitted(policy("api", "api", openIngress), apply, "Warning: portcullis: would be denied: internet-ingress at spec.ingress[0]")
	assert.Equal(t, 1.0, metrics(t).Sum(series("audit")))
	assert.Equal(t, 1.0, metrics(t).Sum(series("enforce")))
	s.audited(`"networkpolicies.portcullis.dev/mode":"audit"`, `"networkpolicies.portcullis.dev/would-deny":"internet-ingress"`)

	require.NoError(t, configure("mode: asleep"))
	eventually(t, "a bad configuration is counted", func(context.Context) bool {
		return metrics(t).Sum(`portcullis_config_reloads_total{result="failure"}`) > 0
	})
	s.admitted(policy("another", "api", openIngress), apply, "would be denied")
}

// reconfigured changes the configuration and waits until the new one is in force.
func (s *scene) reconfigured(text string) {
	s.t.Helper()
	const reloads = `portcullis_config_reloads_total{result="success"}`
	before := metrics(s.t).Sum(reloads)
	require.NoError(s.t, configure(text))
	eventually(s.t, "the configuration is read again", func(context.Context) bool { return metrics(s.t).Sum(reloads) > before })
}
