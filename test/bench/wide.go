package bench

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// WideNamespace holds the policies of Wide.
const WideNamespace = "wide"

// wideRules are the rules of a policy that is nearly as large as an API server takes: 600 KB of JSON.
const wideRules = 3_000

// Wide yields a Namespace with a pod, and n policies of 3,000 ingress rules each for it. Every rule has a selector and a port of its
// own, and of every one there is something to find in a live cluster: it matches every namespace there is. An author who means
// no good may have as many.
func Wide(n int, yield func(Object) error) error {
	f := filler{yield: yield}
	f.namespace(WideNamespace)
	f.app(WideNamespace, "web", map[string]string{"app": "web"}, 1)
	for i := range n {
		rules := make([]networkingv1.NetworkPolicyIngressRule, wideRules)
		for j := range rules {
			port := intstr.FromInt32(int32(j + 1))
			rules[j] = networkingv1.NetworkPolicyIngressRule{
				From: []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{
					MatchExpressions: []metav1.LabelSelectorRequirement{{Key: fmt.Sprintf("example.org/a-label-that-no-namespace-has-%d-%d", i, j), Operator: metav1.LabelSelectorOpDoesNotExist}},
				}}},
				Ports: []networkingv1.NetworkPolicyPort{{Port: &port}},
			}
		}
		f.apply(WideNamespace, &networkingv1.NetworkPolicy{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("wide-%d", i)},
			Spec:       networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}, Ingress: rules},
		})
	}
	return f.err
}
