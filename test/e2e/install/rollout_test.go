package install

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	clientnetworking "k8s.io/client-go/kubernetes/typed/networking/v1"
	"k8s.io/client-go/rest"
)

// heard keeps the warnings that the API server has given.
type heard struct {
	mu    sync.Mutex
	texts []string
}

// HandleWarningHeader implements rest.WarningHandler.
func (h *heard) HandleWarningHeader(_ int, _ string, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.texts = append(h.texts, text)
}

func (h *heard) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.texts
	h.texts = nil
	return out
}

// TestTheWayFromADryRunToEnforcement does what docs/rollout.md says, in a namespace with a policy that is older than Portcullis.
func TestTheWayFromADryRunToEnforcement(t *testing.T) {
	warnings := &heard{}
	listening := rest.CopyConfig(shared.cluster.Admin.Config)
	listening.WarningHandler = warnings
	client, err := kubernetes.NewForConfig(listening)
	require.NoError(t, err)
	ns, err := shared.cluster.CreateNamespace(within(t), "brown-", nil)
	require.NoError(t, err)
	api := client.NetworkingV1().NetworkPolicies(ns.Name)
	_, err = api.Create(within(t), wrong("old"), metav1.CreateOptions{})
	require.NoError(t, err)
	makeNamespace(t)
	upgrade := func(args ...string) {
		helm(t, append([]string{"upgrade", "portcullis", chart(), "--reset-then-reuse-values", "--wait"}, args...)...)
	}

	// 1. Dry run.
	helm(t, "install", "portcullis", chart(), "--values", valuesFile(t, ""), "--wait", "--set", "config.mode=audit", "--set", "webhooks.networkPolicies.failurePolicy=Ignore")
	eventually(t, "a dry run tells, and denies nothing", func(context.Context) bool {
		require.NoError(t, create(t, api, "dry"))
		for _, text := range warnings.take() {
			if strings.HasPrefix(text, "portcullis: would be denied") {
				return true
			}
		}
		return false
	})

	// 3. Warn.
	kubectl(t, "label", "namespace", "--all", "portcullis.dev/enforce=privileged")
	upgrade("--set", "config.mode=enforce", "--set", "config.ratchet=true")
	require.NoError(t, create(t, api, "warned"))
	warnings.take()
	eventually(t, "relabelling tells what stands in the way", func(context.Context) bool {
		out := kubectl(t, "label", "--dry-run=server", "--overwrite", "namespace", ns.Name, "portcullis.dev/enforce=baseline")
		return strings.Contains(out, "existing NetworkPolicy "+ns.Name+"/old violates level")
	})

	// 4. Ratchet.
	kubectl(t, "label", "--overwrite", "namespace", ns.Name, "portcullis.dev/enforce=baseline")
	eventually(t, "what is new is denied", func(context.Context) bool { return apierrors.IsForbidden(create(t, api, "new")) })
	eventually(t, "what is old may be updated", func(context.Context) bool { return touch(t, api) == nil })
	strict, err := shared.cluster.CreateNamespace(within(t), "strict-", map[string]string{"portcullis.dev/enforce": "restricted"})
	require.NoError(t, err)
	kubectl(t, "label", "namespace", "--selector", "portcullis.dev/enforce=baseline", "portcullis.dev/enforce-")
	for name, want := range map[string]string{ns.Name: "", strict.Name: "restricted", "default": "privileged"} {
		assert.Equal(t, want, kubectl(t, "get", "namespace", name, `--output=jsonpath={.metadata.labels.portcullis\.dev/enforce}`), name)
	}
	eventually(t, "the default is baseline", func(context.Context) bool { return apierrors.IsForbidden(create(t, api, "new")) })

	// 5. Enforce.
	upgrade("--set", "webhooks.networkPolicies.failurePolicy=Fail")
	upgrade("--set", "config.ratchet=false")
	eventually(t, "what is old has to be mended", func(context.Context) bool { return apierrors.IsForbidden(touch(t, api)) })

	helm(t, "uninstall", "portcullis", "--wait")
	kubectl(t, "delete", "namespace", namespace)
	nothingIsLeft(t)
	kubectl(t, "label", "namespace", "--all", "portcullis.dev/enforce-") // for the tests that follow
}

// create makes a wrong policy, and takes it away again if it is admitted.
func create(t *testing.T, api clientnetworking.NetworkPolicyInterface, name string) error {
	t.Helper()
	_, err := api.Create(within(t), wrong(name), metav1.CreateOptions{})
	if err == nil {
		require.NoError(t, api.Delete(within(t), name, metav1.DeleteOptions{}))
	}
	return err
}

// touch changes the old policy, so that it is judged anew, without widening it.
func touch(t *testing.T, api clientnetworking.NetworkPolicyInterface) error {
	t.Helper()
	old, err := api.Get(within(t), "old", metav1.GetOptions{})
	require.NoError(t, err)
	old.Labels = map[string]string{"after": old.ResourceVersion} // never the same twice: what changes nothing is not asked about
	_, err = api.Update(within(t), old, metav1.UpdateOptions{})
	return err
}
