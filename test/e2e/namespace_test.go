package e2e

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestRemovingAFinalizerOfAViolatingPolicyIsNeverBlocked(t *testing.T) {
	t.Parallel()
	s := newScene(t, "portcullis.dev/enforce", "privileged")
	s.pod("api", 9090)
	s.admitted(policy("api", "api", openIngress), apply)
	s.admitted("", []string{"patch", "networkpolicy", "api", "--type=merge", `--patch={"metadata":{"finalizers":["example.org/keep"]}}`})
	s.relabelled("privileged", "baseline")
	s.admitted("", []string{"delete", "networkpolicy", "api", "--wait=false"})
	s.relabelled("baseline", "restricted")
	require.NotNil(t, s.stored("api").DeletionTimestamp)
	// As long as the finalizer keeps it, the policy is in force, and may not be opened further.
	s.refused("", []string{"patch", "networkpolicy", "api", "--type=merge", `--patch={"spec":{"ingress":[{}]}}`}, "internet-ingress")
	s.admitted("", []string{"patch", "networkpolicy", "api", "--type=merge", `--patch={"metadata":{"finalizers":null}}`})
	_, err := shared.cluster.Client.NetworkingV1().NetworkPolicies(s.namespace).Get(within(t), "api", metav1.GetOptions{})
	assert.True(t, apierrors.IsNotFound(err), "%v", err)
}

func TestTheTerminationOfANamespaceIsNeverBlocked(t *testing.T) {
	t.Parallel()
	// Deleting the policy by itself would be denied: it is the last that isolates the pod.
	s := newScene(t, "portcullis.dev/enforce", "restricted")
	s.pod("api", 9090)
	s.admitted(policy("api", "api", narrowIngress), apply)
	s.refused("", []string{"delete", "networkpolicy", "api"}, "unisolates-pods")
	s.admitted("", []string{"patch", "networkpolicy", "api", "--type=merge", `--patch={"metadata":{"finalizers":["example.org/keep"]}}`})
	s.admitted("", []string{"delete", "namespace", "$NS", "--wait=false"})
	eventually(t, "the namespace controller deletes the policy", func(context.Context) bool { return s.stored("api").DeletionTimestamp != nil })
	s.admitted("", []string{"patch", "networkpolicy", "api", "--type=merge", `--patch={"metadata":{"finalizers":null}}`})
	eventually(t, "the namespace is gone", func(ctx context.Context) bool {
		_, err := shared.cluster.Client.CoreV1().Namespaces().Get(ctx, s.namespace, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}

func TestWhatIsCountedForANamespaceIsForgottenWithIt(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.refused(policy("api", "api", openIngress), apply, "internet-ingress")
	series := `portcullis_denials_total{mode="*",namespace="` + s.namespace + `",rule="*"}`
	require.NotZero(t, metrics(t).Sum(series))
	require.NoError(t, shared.cluster.DeleteNamespace(within(t), s.namespace))
	eventually(t, "the series is gone", func(context.Context) bool { return metrics(t).Sum(series) == 0 })
}

func TestABadLevelOfANamespaceIsDenied(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for _, args := range [][]string{
		{"label", "namespace", "$NS", "portcullis.dev/enforce=strict"},
		{"patch", "namespace", "$NS", "--subresource=status", "--type=merge", `--patch={"metadata":{"labels":{"portcullis.dev/enforce":"strict"}}}`},
	} {
		got := s.kubectl("", args...)
		assert.Equal(t, 1, got.code, args)
		assert.Contains(t, got.err, `admission webhook "namespaces.portcullis.dev" denied the request`)
		assert.Contains(t, got.err, "invalid-setting")
	}
	namespaces := shared.cluster.Client.CoreV1().Namespaces()
	ns, err := namespaces.Get(within(t), s.namespace, metav1.GetOptions{})
	require.NoError(t, err)
	ns.Labels["portcullis.dev/enforce"] = "strict"
	_, err = namespaces.Finalize(within(t), ns, metav1.UpdateOptions{})
	assert.True(t, apierrors.IsForbidden(err), "%v", err)
	ns, err = namespaces.Get(within(t), s.namespace, metav1.GetOptions{})
	require.NoError(t, err)
	assert.NotEqual(t, "strict", ns.Labels["portcullis.dev/enforce"])
}

func TestAStatusOfANamespaceThatLeavesItsLabelsIsWritten(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	condition := `--patch={"status":{"conditions":[{"type":"Tried","status":"True"}]}}`
	s.admitted("", []string{"patch", "namespace", "$NS", "--subresource=status", "--type=merge", condition})
	s.admitted("", []string{"patch", "namespace", "$NS", "--subresource=status", "--type=merge", `--patch={"metadata":{"labels":{"portcullis.dev/enforce":"restricted"}}}`})
}
