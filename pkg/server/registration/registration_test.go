package registration_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	admissioncel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/utils/ptr"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/mutate"
	"github.com/portcullis-dev/portcullis/pkg/server/registration"
)

func options(m mutate.Config) registration.Options {
	return registration.Options{
		Client: func(path string) admissionregistrationv1.WebhookClientConfig {
			return admissionregistrationv1.WebhookClientConfig{URL: ptr.To("https://127.0.0.1:9443" + path), CABundle: []byte("bundle")}
		},
		ExemptNamespaces: []string{"kube-system", "kube-public"},
		Mutations:        m,
	}
}

var usual = mutate.Config{PolicyTypes: true, NamespaceNameLabel: "networking/namespace"}

func TestPoliciesAreNotWrittenWithoutTheirWebhookAndNamespacesAre(t *testing.T) {
	validating := registration.Validating(options(usual))
	require.Len(t, validating.Webhooks, 2)
	policies, namespaces := validating.Webhooks[0], validating.Webhooks[1]
	assert.Equal(t, "networkpolicies.portcullis.dev", policies.Name)
	assert.Equal(t, admissionregistrationv1.Fail, *policies.FailurePolicy)
	assert.EqualValues(t, 5, *policies.TimeoutSeconds)
	assert.Equal(t, "namespaces.portcullis.dev", namespaces.Name)
	assert.Equal(t, []string{"namespaces", "namespaces/status", "namespaces/finalize"}, namespaces.Rules[0].Resources, "labels can be written by each")
	assert.Equal(t, admissionregistrationv1.Ignore, *namespaces.FailurePolicy)
	assert.EqualValues(t, 2, *namespaces.TimeoutSeconds)
	for _, w := range validating.Webhooks {
		assert.Equal(t, "https://127.0.0.1:9443/validate", *w.ClientConfig.URL)
		assert.Equal(t, []admissionregistrationv1.OperationType{"CREATE", "UPDATE", "DELETE"}, w.Rules[0].Operations)
		assert.Equal(t, admissionregistrationv1.SideEffectClassNone, *w.SideEffects)
		assert.Equal(t, admissionregistrationv1.Equivalent, *w.MatchPolicy)
	}
	assert.Equal(t, []metav1.LabelSelectorRequirement{{
		Key: "kubernetes.io/metadata.name", Operator: "NotIn", Values: []string{"kube-system", "kube-public"},
	}}, policies.NamespaceSelector.MatchExpressions)
	assert.Empty(t, namespaces.NamespaceSelector.MatchExpressions)
}

func TestIfNoNamespaceIsExemptThenTheSelectorSelectsAll(t *testing.T) {
	o := options(usual)
	o.ExemptNamespaces = nil
	assert.Equal(t, &metav1.LabelSelector{}, registration.Validating(o).Webhooks[0].NamespaceSelector)
}

func TestOnlyMutationsThatAreOnHaveAWebhook(t *testing.T) {
	names := func(m mutate.Config) []string {
		out := []string{}
		for _, w := range registration.Mutating(options(m)).Webhooks {
			assert.Equal(t, "https://127.0.0.1:9443/mutate", *w.ClientConfig.URL)
			assert.Equal(t, []admissionregistrationv1.OperationType{"CREATE", "UPDATE"}, w.Rules[0].Operations)
			out = append(out, w.Name)
		}
		return out
	}
	const policies, namespaces = "networkpolicies.portcullis.dev", "namespaces.portcullis.dev"
	assert.Equal(t, []string{policies, namespaces}, names(usual))
	assert.Equal(t, []string{policies}, names(mutate.Config{PolicyTypes: true}))
	assert.Equal(t, []string{policies}, names(mutate.Config{CopyNamespaceLabels: []string{"team"}}))
	assert.Equal(t, []string{policies}, names(mutate.Config{DNSEgress: true}))
	assert.Equal(t, []string{namespaces}, names(mutate.Config{NamespaceLabels: map[string]string{"team": "none"}}))
	assert.Empty(t, names(mutate.Config{}))
}

// asks tells whether an API server would ask the mutating webhook about the object: with its own CEL, and its own conversion
// of the object.
func asks(t *testing.T, m mutate.Config, object runtime.Object) bool {
	t.Helper()
	resource, name := networkingv1.SchemeGroupVersion.WithResource("networkpolicies"), registration.NetworkPolicies
	kind := networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy")
	if _, is := object.(*corev1.Namespace); is {
		resource, name, kind = corev1.SchemeGroupVersion.WithResource("namespaces"), registration.Namespaces, corev1.SchemeGroupVersion.WithKind("Namespace")
	}
	attributes := &admission.VersionedAttributes{
		Attributes:      admission.NewAttributesRecord(object, nil, kind, "shop", "web", resource, "", admission.Create, nil, false, nil),
		VersionedKind:   kind,
		VersionedObject: admission.NewLazyObject(object),
	}
	for _, hook := range registration.Mutating(options(m)).Webhooks {
		if hook.Name != name {
			continue
		}
		compiler := admissioncel.NewConditionCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
		matcher := webhook.NewMutatingWebhookAccessor(hook.Name, registration.Name, &hook).GetCompiledMatcher(compiler)
		result := matcher.Match(t.Context(), attributes, nil, nil)
		require.NoError(t, result.Error)
		return result.Matches
	}
	return false
}

func applied(manifestSpec string, spec networkingv1.NetworkPolicySpec) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{Spec: spec, ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", Annotations: map[string]string{
		model.LastApplied: `{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"web","namespace":"shop"},"spec":` + manifestSpec + "}\n",
	}}}
}

func serverSide(fields string, spec networkingv1.NetworkPolicySpec) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{Spec: spec, ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", ManagedFields: []metav1.ManagedFieldsEntry{
		{Manager: "kubectl", Operation: metav1.ManagedFieldsOperationUpdate, FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:policyTypes":{}}}`)},
		{Manager: "flux", Operation: metav1.ManagedFieldsOperationApply, FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(fields)},
	}}}
}

func types(t ...networkingv1.PolicyType) networkingv1.NetworkPolicySpec {
	return networkingv1.NetworkPolicySpec{PolicyTypes: t}
}

func withEgress(t ...networkingv1.PolicyType) networkingv1.NetworkPolicySpec {
	spec := types(t...)
	spec.Egress = []networkingv1.NetworkPolicyEgressRule{{}}
	return spec
}

func TestTheAPIServerAsksOnlyAboutWhatAMutationCouldConcern(t *testing.T) {
	copies := mutate.Config{CopyNamespaceLabels: []string{"example.org/team", "env"}}
	labelled := func(labels map[string]string) *networkingv1.NetworkPolicy {
		return &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "web", Labels: labels}, Spec: types("Ingress")}
	}
	space := func(labels map[string]string) *corev1.Namespace {
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: labels}}
	}
	further := mutate.Config{NamespaceNameLabel: "networking/namespace", NamespaceLabels: map[string]string{"team": "none"}}
	kept := func(o *networkingv1.NetworkPolicy) *networkingv1.NetworkPolicy {
		o.OwnerReferences = []metav1.OwnerReference{{Name: "of no interest"}, {Name: "operator", Controller: ptr.To(true)}}
		return o
	}
	deleted := space(nil)
	deleted.DeletionTimestamp = ptr.To(metav1.NewTime(time.Unix(0, 0)))
	for name, c := range map[string]struct {
		mutations mutate.Config
		object    runtime.Object
		want      bool
	}{
		"if both types are there, then not":                           {usual, applied(`{"egress":[{}]}`, withEgress("Ingress", "Egress")), false},
		"if nothing tells what the author wrote, then not":            {usual, &networkingv1.NetworkPolicy{Spec: withEgress("Ingress")}, false},
		"if the manifest has no section of the other type, then not":  {usual, applied(`{"ingress":[{}]}`, types("Ingress")), false},
		"if the manifest has policyTypes, then not":                   {usual, applied(`{"egress":[{}],"policyTypes":["Ingress"]}`, withEgress("Ingress")), false},
		"if the manifest has egress without policyTypes, then":        {usual, applied(`{"egress":[{}]}`, withEgress("Ingress")), true},
		"if the manifest has an empty egress, then":                   {usual, applied(`{"egress":[]}`, types("Ingress")), true},
		"if the manifest has ingress and the type is Egress, then":    {usual, applied(`{"ingress":[{}]}`, withEgress("Egress")), true},
		"if server-side apply owns egress, then":                      {usual, serverSide(`{"f:spec":{"f:egress":{},"f:podSelector":{}}}`, withEgress("Ingress")), true},
		"if server-side apply owns no egress, then not":               {usual, serverSide(`{"f:spec":{"f:ingress":{}}}`, types("Ingress")), false},
		"if server-side apply owns no spec, then not":                 {usual, serverSide(`{"f:metadata":{"f:labels":{"f:egress":{}}}}`, types("Ingress")), false},
		"if policyTypes are missing, then":                            {usual, &networkingv1.NetworkPolicy{}, true},
		"if a controller keeps the policy, then not":                  {usual, kept(applied(`{"egress":[{}]}`, withEgress("Ingress"))), false},
		"if a label to copy is missing, then":                         {copies, labelled(map[string]string{"env": "dev"}), true},
		"if there are no labels at all, then":                         {copies, labelled(nil), true},
		"if all labels to copy are there, then not":                   {copies, labelled(map[string]string{"env": "dev", "example.org/team": "a"}), false},
		"if DNS is to be added and the policy isolates egress, then":  {mutate.Config{DNSEgress: true}, &networkingv1.NetworkPolicy{Spec: types("Ingress", "Egress")}, true},
		"if DNS is to be added and egress is not isolated, then not":  {mutate.Config{DNSEgress: true}, &networkingv1.NetworkPolicy{Spec: types("Ingress")}, false},
		"if a Namespace has no labels, then":                          {usual, space(nil), true},
		"if a Namespace lacks the label, then":                        {usual, space(map[string]string{"a": "b"}), true},
		"if the label has another value, then":                        {usual, space(map[string]string{"networking/namespace": "other"}), true},
		"if the label is right, then not":                             {usual, space(map[string]string{"networking/namespace": "shop"}), false},
		"if the name is yet to be made, then not":                     {usual, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "shop-"}}, false},
		"if a further label of Namespaces is missing, then":           {further, space(map[string]string{"networking/namespace": "shop"}), true},
		"if a Namespace has all labels, whatever they say, then not":  {further, space(map[string]string{"networking/namespace": "shop", "team": "a"}), false},
		"if a Namespace without the label is being deleted, then not": {usual, deleted, false},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, asks(t, c.mutations, c.object))
		})
	}
}

// TestNoRepairIsMissed goes through all combinations of what the conditions look at.
func TestNoRepairIsMissed(t *testing.T) {
	manifests := []string{"", `{}`, `{"egress":[]}`, `{"egress":[{}]}`, `{"ingress":[{}]}`, `{"ingress":[{}],"egress":[{}]}`, `{"ingress":[{}],"policyTypes":["Egress"]}`,
		`{"egress":[{}],"policyTypes":["Ingress"]}`, `{"egress":[{}],"policyTypes":[]}`, `{"podSelector":{"matchLabels":{"policyTypes":"egress"}},"egress":[{}]}`}
	specs := []networkingv1.NetworkPolicySpec{types(), types("Ingress"), types("Egress"), types("Ingress", "Egress"), withEgress(), withEgress("Ingress"), withEgress("Egress"), withEgress("Ingress", "Egress")}
	for _, spec := range specs[:4] {
		spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{}}
		specs = append(specs, spec)
	}
	var objects []*networkingv1.NetworkPolicy
	for _, spec := range specs {
		for _, manifest := range manifests {
			if manifest == "" {
				objects = append(objects, &networkingv1.NetworkPolicy{Spec: spec})
				continue
			}
			objects = append(objects, applied(manifest, spec))
			for _, field := range []string{"egress", "ingress"} {
				both := serverSide(fmt.Sprintf(`{"f:spec":{"f:%s":{}}}`, field), spec)
				objects = append(objects, both)
			}
		}
	}
	repaired := 0
	for _, object := range objects {
		result, err := mutate.Policy(usual, mutate.PolicyInput{Object: object, Authored: func() model.Authored { return model.AuthoredBy(object) }})
		require.NoError(t, err)
		if len(result.Patch) == 0 {
			continue
		}
		repaired++
		text, err := json.Marshal(object)
		require.NoError(t, err)
		assert.True(t, asks(t, usual, object), "%s", text)
	}
	assert.Greater(t, repaired, 20, "the test is worth something")
}
