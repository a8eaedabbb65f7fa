// Package registration makes the webhook configurations that have an API server ask Portcullis.
//
// Two webhooks, each in a ValidatingWebhookConfiguration and a MutatingWebhookConfiguration:
//   - networkpolicies.portcullis.dev, without which no NetworkPolicy is written (failurePolicy Fail), outside of the exempt
//     namespaces;
//   - namespaces.portcullis.dev, without which everything goes on (Ignore): a webhook on Namespaces that fails can keep an API
//     server from starting (https://github.com/kubernetes/kubernetes/issues/56761).
//
// The subresources of Namespaces are among what is asked about, since writes of them may change labels. NetworkPolicies have none.
//
// They have matchConditions, by which the API server asks the mutating ones only about objects that a mutation could concern, and the
// validating ones not about updates that change nothing that is judged.
package registration

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/portcullis-dev/portcullis/pkg/admission"
	"github.com/portcullis-dev/portcullis/pkg/mutate"
)

// Names of the webhooks, and of both configurations.
const (
	Name            = "portcullis"
	NetworkPolicies = "networkpolicies.portcullis.dev"
	Namespaces      = "namespaces.portcullis.dev"
)

// How long the API server waits for an answer, in seconds. A Namespace is not worth more than two: its webhook is Ignore, and a
// guard that hangs would slow every write of a Namespace down.
const (
	policySeconds    = 5
	namespaceSeconds = 2
)

// Options are what the webhook configurations depend on.
type Options struct {
	// Client says how the API server reaches the path, as in /validate.
	Client func(path string) admissionregistrationv1.WebhookClientConfig
	// ExemptNamespaces are the namespaces about whose NetworkPolicies the API server is not to ask.
	ExemptNamespaces []string
	// ExemptUsers are the names of exempt users. About those of the cluster itself, as in
	// system:serviceaccount:kube-system:namespace-controller, the API server is not to ask.
	ExemptUsers []string
	// Mutations decide about the mutating webhooks; one that nothing is switched on for is left out.
	Mutations mutate.Config
}

// webhook is what validating and mutating webhooks have in common.
type webhook struct {
	name              string
	rule              admissionregistrationv1.Rule
	failurePolicy     admissionregistrationv1.FailurePolicyType
	seconds           int32
	namespaceSelector *metav1.LabelSelector
	judged            []admissionregistrationv1.MatchCondition // of the validating one
	conditions        []admissionregistrationv1.MatchCondition // of the mutating one; none if it is not needed
}

func (o *Options) webhooks() []webhook {
	return []webhook{
		{
			name: NetworkPolicies, failurePolicy: admissionregistrationv1.Fail, seconds: policySeconds,
			rule: admissionregistrationv1.Rule{
				APIGroups: []string{"networking.k8s.io"}, APIVersions: []string{"v1"}, Resources: []string{"networkpolicies"},
				Scope: ptr.To(admissionregistrationv1.NamespacedScope),
			},
			namespaceSelector: outside(o.ExemptNamespaces), judged: judged(true, o.ExemptUsers), conditions: policyConditions(o.Mutations),
		},
		{
			name: Namespaces, failurePolicy: admissionregistrationv1.Ignore, seconds: namespaceSeconds,
			rule: admissionregistrationv1.Rule{
				APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"namespaces", "namespaces/status", "namespaces/finalize"},
				Scope: ptr.To(admissionregistrationv1.ClusterScope),
			},
			namespaceSelector: outside(nil), judged: judged(false, o.ExemptUsers), conditions: namespaceConditions(o.Mutations),
		},
	}
}

// outside selects all namespaces but these, by the label that the API server itself sets on each.
func outside(namespaces []string) *metav1.LabelSelector {
	if len(namespaces) == 0 {
		return &metav1.LabelSelector{}
	}
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
		Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpNotIn, Values: namespaces,
	}}}
}

func (w *webhook) rules(operations ...admissionregistrationv1.OperationType) []admissionregistrationv1.RuleWithOperations {
	return []admissionregistrationv1.RuleWithOperations{{Operations: operations, Rule: w.rule}}
}

var reviewVersions = []string{"v1"}

// Validating is the configuration of the webhooks that judge.
func Validating(o Options) *admissionregistrationv1.ValidatingWebhookConfiguration {
	out := &admissionregistrationv1.ValidatingWebhookConfiguration{
		TypeMeta:   metav1.TypeMeta{APIVersion: admissionregistrationv1.SchemeGroupVersion.String(), Kind: "ValidatingWebhookConfiguration"},
		ObjectMeta: objectMeta(),
	}
	for _, w := range o.webhooks() {
		out.Webhooks = append(out.Webhooks, admissionregistrationv1.ValidatingWebhook{
			Name:                    w.name,
			ClientConfig:            o.Client(admission.ValidatePath),
			Rules:                   w.rules(admissionregistrationv1.Create, admissionregistrationv1.Update, admissionregistrationv1.Delete),
			FailurePolicy:           &w.failurePolicy,
			MatchPolicy:             ptr.To(admissionregistrationv1.Equivalent),
			NamespaceSelector:       w.namespaceSelector,
			SideEffects:             ptr.To(admissionregistrationv1.SideEffectClassNone),
			TimeoutSeconds:          ptr.To(w.seconds),
			AdmissionReviewVersions: reviewVersions,
			MatchConditions:         w.judged,
		})
	}
	return out
}

// Mutating is the configuration of the webhooks that repair.
func Mutating(o Options) *admissionregistrationv1.MutatingWebhookConfiguration {
	out := &admissionregistrationv1.MutatingWebhookConfiguration{
		TypeMeta:   metav1.TypeMeta{APIVersion: admissionregistrationv1.SchemeGroupVersion.String(), Kind: "MutatingWebhookConfiguration"},
		ObjectMeta: objectMeta(),
	}
	for _, w := range o.webhooks() {
		if len(w.conditions) == 0 {
			continue
		}
		out.Webhooks = append(out.Webhooks, admissionregistrationv1.MutatingWebhook{
			Name:                    w.name,
			ClientConfig:            o.Client(admission.MutatePath),
			Rules:                   w.rules(admissionregistrationv1.Create, admissionregistrationv1.Update),
			FailurePolicy:           &w.failurePolicy,
			MatchPolicy:             ptr.To(admissionregistrationv1.Equivalent),
			NamespaceSelector:       w.namespaceSelector,
			SideEffects:             ptr.To(admissionregistrationv1.SideEffectClassNone),
			TimeoutSeconds:          ptr.To(w.seconds),
			AdmissionReviewVersions: reviewVersions,
			MatchConditions:         w.conditions,
			ReinvocationPolicy:      ptr.To(admissionregistrationv1.IfNeededReinvocationPolicy),
		})
	}
	return out
}

func objectMeta() metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: Name, Labels: map[string]string{"app.kubernetes.io/name": Name}}
}
