package admission_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/metrics"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/mutate"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// typesAfter are the policyTypes once the answer's patch is applied.
func typesAfter(t *testing.T, np *networkingv1.NetworkPolicy, got *admissionv1.AdmissionResponse) []networkingv1.PolicyType {
	t.Helper()
	if got.Patch == nil {
		return np.Spec.PolicyTypes
	}
	require.Equal(t, admissionv1.PatchTypeJSONPatch, *got.PatchType)
	document, err := json.Marshal(np)
	require.NoError(t, err)
	patch, err := jsonpatch.DecodePatch(got.Patch)
	require.NoError(t, err)
	out, err := patch.Apply(document)
	require.NoError(t, err)
	var after networkingv1.NetworkPolicy
	require.NoError(t, json.Unmarshal(out, &after))
	return after.Spec.PolicyTypes
}

func lastApplied(np *networkingv1.NetworkPolicy, spec string) *networkingv1.NetworkPolicy {
	np.Annotations[model.LastApplied] = fmt.Sprintf(`{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"web"},"spec":%s}`, spec) + "\n"
	return np
}

func managed(np *networkingv1.NetworkPolicy, operation metav1.ManagedFieldsOperationType, fields string) *networkingv1.NetworkPolicy {
	np.ManagedFields = append(np.ManagedFields, metav1.ManagedFieldsEntry{
		Manager: "kubectl", Operation: operation, FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(fields),
	})
	return np
}

func TestPolicyTypesAreRepairedFromWhatTheAuthorWrote(t *testing.T) {
	const blockAll = `{"podSelector":{},"egress":[]}`
	for name, c := range map[string]struct {
		object, old *networkingv1.NetworkPolicy
		want        []networkingv1.PolicyType
	}{
		"if the manifest blocks all egress without policyTypes, then Egress is added": {
			lastApplied(policy(), blockAll), nil, []networkingv1.PolicyType{"Ingress", "Egress"}},
		"if server-side apply owns an empty egress, then Egress is added": {
			managed(policy(), metav1.ManagedFieldsOperationApply, `{"f:spec":{"f:egress":{}}}`), nil, []networkingv1.PolicyType{"Ingress", "Egress"}},
		"if only an update owns fields, then that proves nothing": {
			managed(policy(), metav1.ManagedFieldsOperationUpdate, `{"f:spec":{"f:egress":{},"f:podSelector":{}}}`), nil, []networkingv1.PolicyType{"Ingress"}},
		"if the manifest has policyTypes, then they stay": {
			lastApplied(policy(), `{"podSelector":{},"egress":[],"policyTypes":["Ingress"]}`), nil, []networkingv1.PolicyType{"Ingress"}},
		"if the manifest has no egress, then nothing is added": {
			lastApplied(policy(), `{"podSelector":{}}`), nil, []networkingv1.PolicyType{"Ingress"}},
		"if the manifest drops policyTypes that it had, then its egress still counts": {
			lastApplied(policy(), blockAll), lastApplied(types(policy(), "Ingress", "Egress"), `{"podSelector":{},"egress":[],"policyTypes":["Ingress","Egress"]}`),
			[]networkingv1.PolicyType{"Ingress", "Egress"}},
		"if kubectl edit takes Egress away from what was applied before, then that is explicit": {
			lastApplied(policy(), blockAll), lastApplied(types(policy(), "Ingress", "Egress"), blockAll), []networkingv1.PolicyType{"Ingress"}},
		"if kubectl edit takes Egress away from what was applied server-side, then that is explicit": {
			managed(policy(), metav1.ManagedFieldsOperationApply, `{"f:spec":{"f:egress":{}}}`),
			managed(types(policy(), "Ingress", "Egress"), metav1.ManagedFieldsOperationApply, `{"f:spec":{"f:egress":{}}}`), []networkingv1.PolicyType{"Ingress"}},
		"if something else is updated, then what is missing is repaired": {
			lastApplied(policy("a", "b"), blockAll), lastApplied(policy(), blockAll), []networkingv1.PolicyType{"Ingress", "Egress"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.config.Mutations = mutate.Config{PolicyTypes: true}
			r := request(t, admissionv1.Create, c.object, nil)
			if c.old != nil {
				r = request(t, admissionv1.Update, c.object, c.old)
			}
			got := f.review("/mutate", r)
			require.True(t, got.Allowed)
			assert.Equal(t, c.want, typesAfter(t, c.object, got))
			if got.Patch == nil {
				assert.Empty(t, got.Warnings)
				assert.NotContains(t, got.AuditAnnotations, "mutated")
				return
			}
			assert.Len(t, got.Warnings, 1)
			assert.Equal(t, "policyTypes", got.AuditAnnotations["mutated"])
			assert.Equal(t, []string{"policyTypes"}, f.counts.mutations)
			assert.Equal(t, metrics.Review{Webhook: "mutate", Resource: "networkpolicies", Operation: string(r.Operation), Decision: metrics.Allowed}, f.counts.last())

			dry := true
			r.DryRun = &dry
			assert.Equal(t, got.Patch, f.review("/mutate", r).Patch)
			assert.Len(t, f.counts.mutations, 1, "a dry run is not counted")
		})
	}
}

func types(np *networkingv1.NetworkPolicy, types ...networkingv1.PolicyType) *networkingv1.NetworkPolicy {
	np.Spec.PolicyTypes = types
	return np
}

func TestNothingIsMutatedWhere(t *testing.T) {
	repairable := func(change func(*networkingv1.NetworkPolicy)) *networkingv1.NetworkPolicy {
		np := lastApplied(policy(), `{"podSelector":{},"egress":[]}`)
		change(np)
		return np
	}
	yes := true
	for name, r := range map[string]*admissionv1.AdmissionRequest{
		"the object is deleted": request(t, admissionv1.Delete, nil, repairable(func(*networkingv1.NetworkPolicy) {})),
		"the object is being deleted": request(t, admissionv1.Update, repairable(func(np *networkingv1.NetworkPolicy) {
			np.DeletionTimestamp = &metav1.Time{Time: time.Unix(1_700_000_000, 0)}
		}), policy()),
		"another controller keeps the object": request(t, admissionv1.Create, repairable(func(np *networkingv1.NetworkPolicy) {
			np.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Operator", Name: "o", Controller: &yes}}
		}), nil),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.config.Mutations = mutate.Config{PolicyTypes: true}
			got := f.review("/mutate", r)
			assert.True(t, got.Allowed)
			assert.Empty(t, got.Patch)
			assert.Empty(t, got.Warnings)
		})
	}
}

func TestLabelsOfNamespaces(t *testing.T) {
	f := newFixture(t)
	f.config.Mutations = mutate.Config{NamespaceNameLabel: "networking/namespace"}
	f.synced = false
	got := f.review("/mutate", request(t, admissionv1.Create, space("new", nil), nil))
	assert.JSONEq(t, `[{"op":"add","path":"/metadata/labels","value":{"networking/namespace":"new"}}]`, string(got.Patch), "no state is needed")
	got = f.review("/mutate", request(t, admissionv1.Update, space("shop", map[string]string{"networking/namespace": "kube-system"}), space("shop", nil)))
	assert.JSONEq(t, `[{"op":"add","path":"/metadata/labels/networking~1namespace","value":"shop"}]`, string(got.Patch))
	assert.Contains(t, got.Warnings[0], `from "kube-system" to "shop"`)
}

func TestCopiedLabelsNeedTheState(t *testing.T) {
	f := newFixture(t)
	f.namespace("shop", map[string]string{"team": ""})
	f.config.Mutations = mutate.Config{CopyNamespaceLabels: []string{"team"}}
	np := policy()
	np.Labels = nil
	got := f.review("/mutate", request(t, admissionv1.Create, np, nil))
	assert.JSONEq(t, `[{"op":"add","path":"/metadata/labels","value":{"team":""}}]`, string(got.Patch), "an empty value is a value")
	f.synced = false
	assert.Equal(t, http.StatusInternalServerError, f.post("/mutate", body(t, request(t, admissionv1.Create, np, nil))).Code)
}

func TestDNSEgressMendsWhatWouldBeDenied(t *testing.T) {
	mending := finding.PatchOp{Op: "add", Path: "/metadata/labels/dns-blocked", Value: "mended"}
	setUp := func(t *testing.T) *fixture {
		f := newFixture(t)
		f.config.Mutations = mutate.Config{DNSEgress: true}
		r := &rule.Rule{ID: "dns-blocked", Subjects: []string{finding.KindNetworkPolicy}, Run: func(p *rule.Pass) {
			if p.Change.Policy().Labels["dns-blocked"] == violation {
				p.Report(nil, finding.Witness{}, "DNS is out of reach").Fix("Allow DNS", mending)
			}
		}}
		f.config.Rules = []rule.Configured{{Rule: r, Level: finding.Baseline}}
		return f
	}
	blocked := func() *networkingv1.NetworkPolicy { return types(policy("dns-blocked", violation), "Egress") }
	t.Run("if it would be denied, then it gets the patch", func(t *testing.T) {
		got := setUp(t).review("/mutate", request(t, admissionv1.Create, blocked(), nil))
		assert.JSONEq(t, `[{"op":"add","path":"/metadata/labels/dns-blocked","value":"mended"}]`, string(got.Patch))
		assert.Equal(t, "dnsEgress", got.AuditAnnotations["mutated"])
	})
	t.Run("if the Namespace does not enforce the rule, then it stays", func(t *testing.T) {
		f := setUp(t)
		f.namespace("shop", map[string]string{model.LabelEnforce: "privileged"})
		assert.Empty(t, f.review("/mutate", request(t, admissionv1.Create, blocked(), nil)).Patch)
	})
	t.Run("if the author has it exempted, then it stays", func(t *testing.T) {
		np := blocked()
		np.Annotations[model.AnnotationExempt], np.Annotations[model.AnnotationExemptReason] = "dns-blocked", "no names here"
		assert.Empty(t, setUp(t).review("/mutate", request(t, admissionv1.Create, np, nil)).Patch)
	})
	t.Run("if it was so before, then the ratchet lets it through as it is", func(t *testing.T) {
		changed := blocked()
		changed.Labels["a"] = "b"
		assert.Empty(t, setUp(t).review("/mutate", request(t, admissionv1.Update, changed, blocked())).Patch)
	})
	t.Run("if the old object cannot be read, then that is an error", func(t *testing.T) {
		r := request(t, admissionv1.Update, blocked(), policy())
		r.OldObject.Raw = []byte(`{"spec":7}`)
		assert.Equal(t, http.StatusBadRequest, setUp(t).post("/mutate", body(t, r)).Code)
	})
}
