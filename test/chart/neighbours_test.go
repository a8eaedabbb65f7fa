package chart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"
)

const (
	defaultDeny = "NetworkPolicy/default-deny"
	quota       = "ResourceQuota/portcullis-priority"
)

// renderedIn is the chart, installed in the namespace.
func renderedIn(t *testing.T, namespace string, values ...string) string {
	t.Helper()
	args := append([]string{"template", "portcullis", path("deploy", "chart"), "--namespace", namespace}, values...)
	out, err := run(t, "", path("bin", "control-plane", "helm"), args...)
	require.NoError(t, err, out)
	return out
}

func TestWhereOthersLiveItsPoliciesAreForItsOwnPodsAlone(t *testing.T) {
	for name, c := range map[string]struct {
		namespace string
		values    []string
		deny      bool
	}{
		"if the namespace is its own, then there is a default deny":           {"portcullis-system", nil, true},
		"if it is installed in default, then there is none":                   {"default", nil, false},
		"if it is installed in kube-system, then there is none":               {"kube-system", nil, false},
		"if it is installed in kube-system and wants one, then there is none": {"kube-system", []string{"--set", "networkPolicy.defaultDeny=true"}, false},
		"if it is told that others are there, then there is none":             {"platform", []string{"--set", "networkPolicy.defaultDeny=false"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			out := renderedIn(t, c.namespace, c.values...)
			all := objects(t, out)
			if c.deny {
				assert.Contains(t, all, defaultDeny)
			} else {
				assert.NotContains(t, all, defaultDeny)
			}
			var own networkingv1.NetworkPolicy
			read(t, all, "NetworkPolicy/portcullis", &own)
			assert.Equal(t, "portcullis", own.Spec.PodSelector.MatchLabels["app.kubernetes.io/name"])
			assert.Len(t, own.Spec.PolicyTypes, 2, "Portcullis's own pods are isolated in any case")

			// What else a shared namespace lacks is for those who share it; kube-system would be exempt by its name.
			settings := filepath.Join(t.TempDir(), "guard.yaml")
			require.NoError(t, os.WriteFile(settings, []byte("rules: {namespace-not-isolated: off}"), 0o600))
			manifests := strings.ReplaceAll(out, "namespace: kube-system", "namespace: shared")
			checked, err := run(t, manifests, shared.binary, "check", "--config", settings, "--level", "restricted", "--fail-on", "warn", "-")
			assert.NoError(t, err, checked)
		})
	}
}

func TestItsQuotaIsNotForTheClustersOwnPods(t *testing.T) {
	assert.Contains(t, objects(t, renderedIn(t, "portcullis-system")), quota)
	assert.NotContains(t, objects(t, renderedIn(t, "kube-system")), quota)
}

func TestWhoMayAskIsThoseThatAreNamed(t *testing.T) {
	peers := func(values string) []networkingv1.NetworkPolicyPeer {
		var own networkingv1.NetworkPolicy
		read(t, objects(t, rendered(t, values)), "NetworkPolicy/portcullis", &own)
		require.Equal(t, "webhook", own.Spec.Ingress[0].Ports[0].Port.StrVal)
		return own.Spec.Ingress[0].From
	}
	assert.Empty(t, peers(""), "where the API server is, is often not known")
	assert.Equal(t, []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "10.0.0.0/24"}}}, peers("networkPolicy: {webhookFrom: [{ipBlock: {cidr: 10.0.0.0/24}}]}"))
}
