package controlplane_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portcullis-dev/portcullis/test/controlplane"
)

// shared is the control plane of all tests that neither restart nor stop it.
var shared *controlplane.ControlPlane

func TestMain(m *testing.M) {
	if os.Getenv(victimRole) != "" {
		playVictim()
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	cp, err := controlplane.Start(context.Background(), controlplane.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer cp.Stop()
	shared = cp
	return m.Run()
}

// victimRole makes this test binary a program that starts a control plane,
// prints the process ids as JSON, and waits to be killed.
const victimRole = "CONTROLPLANE_TEST_VICTIM"

func playVictim() {
	cp, err := controlplane.Start(context.Background(), controlplane.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(cp.PIDs())
	<-time.After(time.Hour)
}

// within is a context for what has to happen soon.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// namespace makes a namespace of its own for a test.
func namespace(t *testing.T, cp *controlplane.ControlPlane, prefix string) string {
	t.Helper()
	ns, err := cp.CreateNamespace(within(t), prefix, nil)
	require.NoError(t, err)
	return ns.Name
}

// run runs a command with the given input and returns its trimmed output.
func run(t *testing.T, cmd *exec.Cmd, input string) string {
	t.Helper()
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s: %s", cmd, out)
	return strings.TrimSpace(string(out))
}

func TestWhatKubectlAppliesCanBeReadBack(t *testing.T) {
	t.Parallel()
	ns := namespace(t, shared, "read-back-")
	out := run(t, shared.Kubectl(within(t), "apply", "-n", ns, "-f", "-"), `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress: [{ports: [{port: 8443}]}]
`)
	assert.Equal(t, "networkpolicy.networking.k8s.io/web created", out)
	port := run(t, shared.Kubectl(within(t), "get", "-n", ns, "networkpolicy", "web", "-o", "jsonpath={.spec.ingress[0].ports[0]}"), "")
	assert.JSONEq(t, `{"port":8443,"protocol":"TCP"}`, port)
}

func TestIfPolicyTypesIsNotWrittenThenTheAPIServerWritesIngressAndLosesAnEmptyEgress(t *testing.T) {
	t.Parallel()
	ns := namespace(t, shared, "defaulting-")
	run(t, shared.Kubectl(within(t), "apply", "-n", ns, "-f", "-"), `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: no-egress}
spec: {podSelector: {}, egress: []}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: some-egress}
spec: {podSelector: {}, egress: [{}]}
`)
	policies := shared.Client.NetworkingV1().NetworkPolicies(ns)
	none, err := policies.Get(within(t), "no-egress", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}, none.Spec.PolicyTypes)
	assert.Nil(t, none.Spec.Egress)
	some, err := policies.Get(within(t), "some-egress", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}, some.Spec.PolicyTypes)
}

func TestIfNoBindingGivesAUserARightThenTheRequestIsRefused(t *testing.T) {
	t.Parallel()
	ns := namespace(t, shared, "rights-")
	dev, err := shared.User("dev", "developers")
	require.NoError(t, err)

	out, err := dev.Kubectl(within(t), "get", "-n", ns, "networkpolicies").CombinedOutput()
	require.Error(t, err, "%s", out)
	assert.Contains(t, string(out), `User "dev" cannot list resource "networkpolicies" in API group "networking.k8s.io" in the namespace "`+ns+`"`)

	run(t, shared.Kubectl(within(t), "create", "rolebinding", "-n", ns, "readers", "--clusterrole=view", "--group=developers"), "")
	require.Eventually(t, func() bool {
		return dev.Kubectl(within(t), "get", "-n", ns, "networkpolicies").Run() == nil
	}, time.Minute, 100*time.Millisecond, "a binding of the group developers gives the right")
	assert.Error(t, dev.Kubectl(within(t), "delete", "-n", ns, "networkpolicy", "x").Run(), "the role is a reader's")
}

func TestADeploymentMakesPodsAndIsAvailableOnceTheyAreSetRunning(t *testing.T) {
	t.Parallel()
	ns := namespace(t, shared, "workloads-")
	run(t, shared.Kubectl(within(t), "create", "deployment", "-n", ns, "web", "--image=registry.invalid/web", "--replicas=2"), "")

	var pods []corev1.Pod
	require.Eventually(t, func() bool {
		list, err := shared.Client.CoreV1().Pods(ns).List(within(t), metav1.ListOptions{LabelSelector: "app=web"})
		if err == nil {
			pods = list.Items
		}
		return len(pods) == 2
	}, time.Minute, 50*time.Millisecond)
	for _, pod := range pods {
		assert.Equal(t, corev1.PodPending, pod.Status.Phase)
		running, err := shared.SetRunning(within(t), ns, pod.Name)
		require.NoError(t, err)
		assert.Equal(t, corev1.PodRunning, running.Status.Phase)
	}
	run(t, shared.Kubectl(within(t), "wait", "-n", ns, "deployment/web", "--for=condition=Available", "--timeout=60s"), "")
}

func TestARunningPodHasTheAddressesAskedForOrOneOfItsOwn(t *testing.T) {
	t.Parallel()
	ns := namespace(t, shared, "addresses-")
	pod := func(name string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}
	}
	dual, err := shared.CreateRunningPod(within(t), pod("dual"), "10.244.200.7", "fd00::7")
	require.NoError(t, err)
	assert.Equal(t, []corev1.PodIP{{IP: "10.244.200.7"}, {IP: "fd00::7"}}, dual.Status.PodIPs)

	first, err := shared.CreateRunningPod(within(t), pod("first"))
	require.NoError(t, err)
	second, err := shared.CreateRunningPod(within(t), pod("second"))
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(first.Status.PodIP, "10.244."), first.Status.PodIP)
	assert.NotEqual(t, first.Status.PodIP, second.Status.PodIP)
}

func TestIfANamespaceIsDeletedThenItGoesWithAllThatIsInIt(t *testing.T) {
	t.Parallel()
	ns := namespace(t, shared, "goes-")
	run(t, shared.Kubectl(within(t), "create", "deployment", "-n", ns, "web", "--image=registry.invalid/web"), "")
	_, err := shared.CreateRunningPod(within(t), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "alone"}})
	require.NoError(t, err)
	policy := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "deny"}}
	_, err = shared.Client.NetworkingV1().NetworkPolicies(ns).Create(within(t), policy, metav1.CreateOptions{})
	require.NoError(t, err)

	require.NoError(t, shared.DeleteNamespace(within(t), ns))
	_, err = shared.Client.CoreV1().Pods(ns).Get(within(t), "alone", metav1.GetOptions{})
	assert.True(t, apierrors.IsNotFound(err), "%v", err)
	_, err = shared.Client.NetworkingV1().NetworkPolicies(ns).Get(within(t), "deny", metav1.GetOptions{})
	assert.True(t, apierrors.IsNotFound(err), "%v", err)
}

func TestIfTheProgramsAreMissingThenOneLineSaysWhatToRun(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	_, err := controlplane.Start(t.Context(), controlplane.Options{BinDir: empty})
	assert.EqualError(t, err, "control plane: no etcd, kube-apiserver, kube-controller-manager, kubectl in "+empty+": run make control-plane")
}

func TestIfAComponentDoesNotComeUpThenTheErrorHasTheEndOfItsLog(t *testing.T) {
	t.Parallel()
	logs := filepath.Join(t.TempDir(), "logs")
	_, err := controlplane.Start(t.Context(), controlplane.Options{LogDir: logs, APIServerFlags: []string{"--no-such-flag"}})
	require.Error(t, err)
	assert.Contains(t, err.Error(), "kube-apiserver ended before it was ready: exit status 1")
	assert.Contains(t, err.Error(), "unknown flag: --no-such-flag")
	assert.FileExists(t, filepath.Join(logs, "etcd.log"))
}

func TestIfTheTimeIsOverThenTheErrorNamesTheComponentThatIsNotReady(t *testing.T) {
	t.Parallel()
	_, err := controlplane.Start(t.Context(), controlplane.Options{StartTimeout: time.Millisecond})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Contains(t, err.Error(), "etcd is not ready")
}
