package registration_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	admissioncel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/cel/environment"

	"github.com/portcullis-dev/portcullis/pkg/server/registration"
)

const (
	controller = "system:serviceaccount:kube-system:namespace-controller"
	awkward    = "system:o'hara"
)

// judges tells whether an API server would have the write judged, with its own CEL. old is nil for a CREATE, and object for a DELETE.
func judges(t *testing.T, who string, object, old runtime.Object) bool {
	t.Helper()
	o := options(usual)
	o.ExemptUsers = []string{"alice", controller, awkward}
	hook := registration.Validating(o).Webhooks[0]
	resource, kind := networkingv1.SchemeGroupVersion.WithResource("networkpolicies"), networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy")
	for _, o := range []runtime.Object{object, old} {
		if _, is := o.(*corev1.Namespace); is {
			hook = registration.Validating(options(usual)).Webhooks[1]
			resource, kind = corev1.SchemeGroupVersion.WithResource("namespaces"), corev1.SchemeGroupVersion.WithKind("Namespace")
		}
	}
	operation := admission.Update
	attributes := &admission.VersionedAttributes{VersionedKind: kind}
	switch {
	case object == nil:
		operation = admission.Delete
		attributes.VersionedOldObject = admission.NewLazyObject(old)
	case old == nil:
		operation = admission.Create
		attributes.VersionedObject = admission.NewLazyObject(object)
	default:
		attributes.VersionedObject, attributes.VersionedOldObject = admission.NewLazyObject(object), admission.NewLazyObject(old)
	}
	attributes.Attributes = admission.NewAttributesRecord(object, old, kind, "shop", "web", resource, "", operation, nil, false, &user.DefaultInfo{Name: who})
	compiler := admissioncel.NewConditionCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	result := webhook.NewValidatingWebhookAccessor(hook.Name, registration.Name, &hook).GetCompiledMatcher(compiler).Match(t.Context(), attributes, nil, nil)
	require.NoError(t, result.Error)
	return result.Matches
}

func TestTheAPIServerDoesNotAskAboutWhatIsNotJudged(t *testing.T) {
	with := func(change func(*networkingv1.NetworkPolicy)) *networkingv1.NetworkPolicy {
		np := &networkingv1.NetworkPolicy{
			ObjectMeta: metav1.ObjectMeta{Name: "web", Labels: map[string]string{"app": "web"}, Annotations: map[string]string{"portcullis.dev/exempt": "all-ports"}},
			Spec:       withEgress("Egress"),
		}
		change(np)
		return np
	}
	same := with(func(*networkingv1.NetworkPolicy) {})
	plain := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "web"}}
	space := func(labels map[string]string) *corev1.Namespace {
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: labels}}
	}
	for name, c := range map[string]struct {
		who         string
		object, old runtime.Object
		want        bool
	}{
		"if a policy is created, then it asks":            {"bob", same, nil, true},
		"if a policy is deleted, then it asks":            {"bob", nil, same, true},
		"if nothing is changed, then it does not":         {"bob", same, same, false},
		"if there is nothing to change, then it does not": {"bob", plain, plain, false},
		"if fields alone change owners, then it does not": {"bob", with(func(np *networkingv1.NetworkPolicy) {
			np.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "flux"}}
		}), same, false},
		"if finalizers alone change, then it does not":               {"bob", with(func(np *networkingv1.NetworkPolicy) { np.Finalizers = []string{"example.org/wait"} }), same, false},
		"if the spec changes, then it asks":                          {"bob", with(func(np *networkingv1.NetworkPolicy) { np.Spec.Egress = nil }), same, true},
		"if a type is added, then it asks":                           {"bob", with(func(np *networkingv1.NetworkPolicy) { np.Spec.PolicyTypes = append(np.Spec.PolicyTypes, "Ingress") }), same, true},
		"if a label changes, then it asks":                           {"bob", with(func(np *networkingv1.NetworkPolicy) { np.Labels["app"] = "api" }), same, true},
		"if the last label goes, then it asks":                       {"bob", with(func(np *networkingv1.NetworkPolicy) { np.Labels = nil }), same, true},
		"if an exemption comes, then it asks":                        {"bob", same, with(func(np *networkingv1.NetworkPolicy) { np.Annotations = nil }), true},
		"if an exempt user of the cluster writes, then it does not":  {controller, same, nil, false},
		"if an exempt person writes, then it asks":                   {"alice", same, nil, true},
		"if an exempt user's name has a quote in it, then it asks":   {awkward, same, nil, true},
		"if another user of the cluster writes, then it asks":        {"system:serviceaccount:shop:default", same, nil, true},
		"if a Namespace is relabelled, then it asks":                 {"bob", space(map[string]string{"portcullis.dev/enforce": "restricted"}), space(nil), true},
		"if a Namespace's status alone is written, then it does not": {"bob", space(nil), space(nil), false},
		"if a Namespace is created, then it asks":                    {"bob", space(nil), nil, true},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, judges(t, c.who, c.object, c.old)) })
	}
}
