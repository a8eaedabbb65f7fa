package mutate_test

import (
	"encoding/json"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/mutate"
)

var keys = []string{"team", "networking/namespace", "a~b/c", "env"}

func anyLabels() *rapid.Generator[map[string]string] {
	return rapid.Custom(func(t *rapid.T) map[string]string {
		if rapid.Bool().Draw(t, "no labels") {
			return nil
		}
		return rapid.MapOf(rapid.SampledFrom(keys), rapid.SampledFrom([]string{"", "shop", "x"})).Draw(t, "labels")
	})
}

func anyConfig() *rapid.Generator[mutate.Config] {
	return rapid.Custom(func(t *rapid.T) mutate.Config {
		return mutate.Config{
			PolicyTypes:         rapid.Bool().Draw(t, "policyTypes"),
			NamespaceNameLabel:  rapid.SampledFrom([]string{"", "networking/namespace", "a~b/c"}).Draw(t, "name label"),
			NamespaceLabels:     anyLabels().Draw(t, "namespaceLabels"),
			CopyNamespaceLabels: rapid.SliceOf(rapid.SampledFrom(keys)).Draw(t, "copyNamespaceLabels"),
			DNSEgress:           rapid.Bool().Draw(t, "dnsEgress"),
		}
	})
}

func patched(t *rapid.T, object any, r mutate.Result, into any) {
	document, err := json.Marshal(object)
	require.NoError(t, err)
	ops, err := json.Marshal(r.Patch)
	require.NoError(t, err)
	patch, err := jsonpatch.DecodePatch(ops)
	require.NoError(t, err)
	out, err := patch.Apply(document)
	require.NoError(t, err, "%s on %s", ops, document)
	require.NoError(t, json.Unmarshal(out, into))
}

func TestMutatingAPatchedPolicyYieldsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := anyConfig().Draw(t, "config")
		np := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", Labels: anyLabels().Draw(t, "labels")}}
		ports := rapid.SliceOfN(rapid.Int32Range(50, 55), 0, 3).Draw(t, "egress ports")
		if rapid.Bool().Draw(t, "egress present") {
			np.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{}
		}
		for _, number := range ports {
			port := intstr.FromInt32(number)
			np.Spec.Egress = append(np.Spec.Egress, networkingv1.NetworkPolicyEgressRule{Ports: []networkingv1.NetworkPolicyPort{{Port: &port}}})
		}
		np.Spec.PolicyTypes = rapid.SampledFrom([][]networkingv1.PolicyType{nil, {"Ingress"}, {"Egress"}, {"Ingress", "Egress"}}).Draw(t, "types")
		written := rapid.SampledFrom([]model.Written{model.WrittenNothing, model.WrittenEmpty, model.WrittenRules})
		authored := model.Authored{
			Known:       rapid.Bool().Draw(t, "known"),
			PolicyTypes: rapid.Bool().Draw(t, "wrote types"),
			Rules:       [2]model.Written{written.Draw(t, "wrote ingress"), written.Draw(t, "wrote egress")},
		}
		in := mutate.PolicyInput{
			Object: np, Authored: func() model.Authored { return authored },
			NamespaceLabels: anyLabels().Draw(t, "namespace"), Blocked: blocked(dnsPatch),
		}
		first, err := mutate.Policy(cfg, in)
		require.NoError(t, err)
		require.Len(t, first.Warnings, len(first.Mutations))

		again := &networkingv1.NetworkPolicy{}
		patched(t, np, first, again)
		if !cfg.PolicyTypes || authored.PolicyTypes && len(np.Spec.PolicyTypes) > 0 {
			require.Equal(t, np.Spec.PolicyTypes, again.Spec.PolicyTypes, "what the author wrote stays")
		}
		in.Object = again
		second, err := mutate.Policy(cfg, in)
		require.NoError(t, err)
		require.Empty(t, second.Patch)
		require.Empty(t, second.Mutations)
	})
}

func TestMutatingAPatchedNamespaceYieldsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := anyConfig().Draw(t, "config")
		ns := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: anyLabels().Draw(t, "labels")}}
		first := mutate.Namespace(cfg, "shop", &ns.ObjectMeta)
		again := &metav1.PartialObjectMetadata{}
		patched(t, ns, first, again)
		if cfg.NamespaceNameLabel != "" {
			require.Equal(t, "shop", again.Labels[cfg.NamespaceNameLabel])
		}
		require.Empty(t, mutate.Namespace(cfg, "shop", &again.ObjectMeta).Patch)
	})
}
