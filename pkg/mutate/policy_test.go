package mutate_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/mutate"
)

// applied is a policy as kubectl apply sends it: the manifest in the annotation, and spec as the API server made it.
func applied(t *testing.T, manifestSpec, spec string) *networkingv1.NetworkPolicy {
	t.Helper()
	np := &networkingv1.NetworkPolicy{}
	manifest := `{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"web","namespace":"shop"},"spec":` + manifestSpec + `}`
	np.Name, np.Namespace = "web", "shop"
	np.Annotations = map[string]string{model.LastApplied: manifest}
	require.NoError(t, json.Unmarshal([]byte(spec), &np.Spec))
	return np
}

func serverSide(t *testing.T, fields, spec string) *networkingv1.NetworkPolicy {
	t.Helper()
	np := &networkingv1.NetworkPolicy{}
	np.Name, np.Namespace = "web", "shop"
	np.ManagedFields = []metav1.ManagedFieldsEntry{{
		Manager: "kubectl", Operation: metav1.ManagedFieldsOperationApply, FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(fields),
	}}
	require.NoError(t, json.Unmarshal([]byte(spec), &np.Spec))
	return np
}

func input(np *networkingv1.NetworkPolicy) mutate.PolicyInput {
	return mutate.PolicyInput{Object: np, Authored: func() model.Authored { return model.AuthoredBy(np) }}
}

const (
	noTypesNoEgress = `{"podSelector":{},"policyTypes":["Ingress"]}`
	egressIgnored   = `{"podSelector":{},"egress":[{"ports":[{"protocol":"TCP","port":443}]}],"policyTypes":["Ingress"]}`
)

func TestPolicyTypes(t *testing.T) {
	on := mutate.Config{PolicyTypes: true}
	addEgress := []finding.PatchOp{{Op: "add", Path: "/spec/policyTypes/-", Value: networkingv1.PolicyTypeEgress}}
	addIngress := []finding.PatchOp{{Op: "add", Path: "/spec/policyTypes/-", Value: networkingv1.PolicyTypeIngress}}
	bare := func(spec string) *networkingv1.NetworkPolicy {
		np := &networkingv1.NetworkPolicy{}
		require.NoError(t, json.Unmarshal([]byte(spec), &np.Spec))
		return np
	}
	for name, c := range map[string]struct {
		object *networkingv1.NetworkPolicy
		want   []finding.PatchOp
	}{
		"if the manifest says egress: [] without policyTypes, then Egress is added": {
			applied(t, `{"podSelector":{},"egress":[]}`, noTypesNoEgress), addEgress},
		"if egress rules were added to a policy that was first applied without, then Egress is added": {
			applied(t, `{"podSelector":{},"egress":[{"ports":[{"port":443}]}]}`, egressIgnored), addEgress},
		"if server-side apply owns egress and not policyTypes, then Egress is added": {
			serverSide(t, `{"f:spec":{"f:egress":{},"f:podSelector":{}}}`, egressIgnored), addEgress},
		"if server-side apply owns an egress that is empty, then Egress is added": {
			serverSide(t, `{"f:spec":{"f:egress":{},"f:podSelector":{}}}`, noTypesNoEgress), addEgress},
		"if ingress was written and policyTypes lacks Ingress without the author's doing, then Ingress is added": {
			serverSide(t, `{"f:spec":{"f:ingress":{},"f:podSelector":{}}}`, `{"podSelector":{},"ingress":[{}],"policyTypes":["Egress"]}`), addIngress},
		"if the manifest says egress: null, then it is absent, and nothing is added": {
			applied(t, `{"podSelector":{},"egress":null}`, noTypesNoEgress), nil},
		"if the author wrote policyTypes, then they stay, though egress rules are ignored": {
			applied(t, `{"podSelector":{},"egress":[{"ports":[{"port":443}]}],"policyTypes":["Ingress"]}`, egressIgnored), nil},
		"if server-side apply owns policyTypes, then they stay": {
			serverSide(t, `{"f:spec":{"f:egress":{},"f:podSelector":{},"f:policyTypes":{}}}`, egressIgnored), nil},
		"if the manifest is an old one that says something else, then it proves nothing": {
			applied(t, `{"podSelector":{},"egress":[{"ports":[{"port":80}]}]}`, egressIgnored), nil},
		"if nothing tells what the author wrote, then nothing is added": {
			bare(egressIgnored), nil},
		"if both types are there, then nothing is added": {
			applied(t, `{"podSelector":{},"egress":[]}`, `{"podSelector":{},"policyTypes":["Ingress","Egress"]}`), nil},
		"if policyTypes is missing, then Ingress is filled in": {
			bare(`{"podSelector":{}}`), []finding.PatchOp{{Op: "add", Path: "/spec/policyTypes", Value: []networkingv1.PolicyType{"Ingress"}}}},
		"if policyTypes is missing beside an explicit empty egress, then both are filled in": {
			bare(`{"podSelector":{},"egress":[]}`), []finding.PatchOp{{Op: "add", Path: "/spec/policyTypes", Value: []networkingv1.PolicyType{"Ingress", "Egress"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := mutate.Policy(on, input(c.object))
			require.NoError(t, err)
			assert.Equal(t, c.want, got.Patch)
			if c.want == nil {
				assert.Empty(t, got.Warnings)
				assert.Empty(t, got.Mutations)
				return
			}
			assert.Equal(t, []string{mutate.PolicyTypes}, got.Mutations)
			require.Len(t, got.Warnings, 1)
			assert.LessOrEqual(t, len(got.Warnings[0]), 256)

			off, err := mutate.Policy(mutate.Config{}, input(c.object))
			require.NoError(t, err)
			assert.Empty(t, off.Patch, "switched off")
		})
	}
}

func TestIfAnotherControllerKeepsTheObjectOrItIsBeingDeletedThenNothingIsMutated(t *testing.T) {
	yes := true
	kept := func(o *metav1.ObjectMeta) {
		o.OwnerReferences = []metav1.OwnerReference{{Kind: "Deployment", Name: "operator", Controller: &yes}}
	}
	owned := func(o *metav1.ObjectMeta) {
		o.OwnerReferences = []metav1.OwnerReference{{Kind: "Deployment", Name: "operator"}}
	}
	deleted := func(o *metav1.ObjectMeta) { o.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} }
	cfg := mutate.Config{PolicyTypes: true, NamespaceNameLabel: "networking/namespace", CopyNamespaceLabels: []string{"team"}}
	for name, c := range map[string]struct {
		change func(*metav1.ObjectMeta)
		want   bool
	}{
		"an owner that is the controller":   {kept, false},
		"a deletionTimestamp":               {deleted, false},
		"an owner that is not a controller": {owned, true},
	} {
		t.Run(name, func(t *testing.T) {
			np := applied(t, `{"podSelector":{},"egress":[]}`, noTypesNoEgress)
			c.change(&np.ObjectMeta)
			in := input(np)
			in.NamespaceLabels = map[string]string{"team": "a"}
			got, err := mutate.Policy(cfg, in)
			require.NoError(t, err)
			assert.Equal(t, c.want, len(got.Patch) > 0)

			meta := metav1.ObjectMeta{Name: "shop"}
			c.change(&meta)
			assert.Equal(t, c.want, len(mutate.Namespace(cfg, "shop", &meta).Patch) > 0)
		})
	}
}

func TestCopyNamespaceLabels(t *testing.T) {
	np := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"team": "own"}}}
	in := input(np)
	in.NamespaceLabels = map[string]string{"team": "a", "acme.io/cost~center": "7", "other": "x"}
	got, err := mutate.Policy(mutate.Config{CopyNamespaceLabels: []string{"team", "acme.io/cost~center", "absent"}}, in)
	require.NoError(t, err)
	assert.Equal(t, []finding.PatchOp{{Op: "add", Path: "/metadata/labels/acme.io~1cost~0center", Value: "7"}}, got.Patch)
	assert.Equal(t, map[string]string{"team": "own"}, np.Labels, "the input is not changed")
}

func dnsPatch(np *networkingv1.NetworkPolicy) finding.PatchOp {
	rule := map[string]any{
		"ports": []any{map[string]any{"protocol": "UDP", "port": 53}, map[string]any{"protocol": "TCP", "port": 53}},
	}
	if len(np.Spec.Egress) == 0 {
		return finding.PatchOp{Op: "add", Path: "/spec/egress", Value: []any{rule}}
	}
	return finding.PatchOp{Op: "add", Path: "/spec/egress/-", Value: rule}
}

// blocked finds a policy without port 53, and proposes the patch.
func blocked(patch func(*networkingv1.NetworkPolicy) finding.PatchOp) func(*networkingv1.NetworkPolicy) []finding.Finding {
	return func(np *networkingv1.NetworkPolicy) []finding.Finding {
		for _, r := range np.Spec.Egress {
			for _, p := range r.Ports {
				if p.Port != nil && p.Port.IntVal == 53 {
					return nil
				}
			}
		}
		return []finding.Finding{{Rule: "dns-blocked", Patch: []finding.PatchOp{patch(np)}}}
	}
}

func always(op finding.PatchOp) func(*networkingv1.NetworkPolicy) finding.PatchOp {
	return func(*networkingv1.NetworkPolicy) finding.PatchOp { return op }
}

func TestDNSEgress(t *testing.T) {
	on := mutate.Config{PolicyTypes: true, DNSEgress: true}
	isolating := `{"podSelector":{},"egress":[{"ports":[{"port":443}]}],"policyTypes":["Egress"]}`
	t.Run("if the policy would be denied, then it gets the rule of the finding", func(t *testing.T) {
		in := input(applied(t, isolating, isolating))
		in.Blocked = blocked(dnsPatch)
		got, err := mutate.Policy(on, in)
		require.NoError(t, err)
		assert.Equal(t, []finding.PatchOp{dnsPatch(in.Object)}, got.Patch)
		assert.Equal(t, []string{mutate.DNSEgress}, got.Mutations)
	})
	t.Run("if the patch does not help, then it is left out", func(t *testing.T) {
		in := input(applied(t, isolating, isolating))
		in.Blocked = blocked(always(finding.PatchOp{Op: "add", Path: "/metadata/labels", Value: map[string]string{"a": "b"}}))
		got, err := mutate.Policy(on, in)
		require.NoError(t, err)
		assert.Empty(t, got.Patch)
	})
	t.Run("if the policy does not isolate for egress, then the question is not asked", func(t *testing.T) {
		got, err := mutate.Policy(on, input(applied(t, noTypesNoEgress, noTypesNoEgress)))
		require.NoError(t, err)
		assert.Empty(t, got.Patch)
	})
	t.Run("if Egress is only now added to policyTypes, then both mutations are in the patch", func(t *testing.T) {
		in := input(applied(t, `{"podSelector":{},"egress":[{"ports":[{"port":443}]}]}`, egressIgnored))
		in.Blocked = blocked(dnsPatch)
		got, err := mutate.Policy(on, in)
		require.NoError(t, err)
		assert.Equal(t, []string{mutate.PolicyTypes, mutate.DNSEgress}, got.Mutations)
	})
	t.Run("if the patch cannot be applied, then that is an error, and the other mutations stand", func(t *testing.T) {
		in := input(applied(t, `{"podSelector":{},"egress":[{"ports":[{"port":443}]}]}`, egressIgnored))
		in.Blocked = blocked(always(finding.PatchOp{Op: "remove", Path: "/spec/absent"}))
		got, err := mutate.Policy(on, in)
		require.Error(t, err)
		assert.Equal(t, []string{mutate.PolicyTypes}, got.Mutations)
	})
}
