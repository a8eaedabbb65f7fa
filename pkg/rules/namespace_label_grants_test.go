package rules_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portcullis-dev/portcullis/pkg/engine"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rule"
	"github.com/portcullis-dev/portcullis/pkg/rules"
)

// BenchmarkNamespaceLabelGrants is a label change among 10,000 policies of 1,000 namespaces, each with a namespaceSelector; one
// in ten of them looks at the label.
func BenchmarkNamespaceLabelGrants(b *testing.B) {
	store := model.NewStore()
	for n := range 1000 {
		namespace := fmt.Sprintf("team-%d", n)
		store.SetPod(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "db-0", Labels: map[string]string{"app": "db"}}})
		for i := range 10 {
			np := networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("allow-%d", i)}}
			np.Spec.PodSelector.MatchLabels = map[string]string{"app": "db"}
			np.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{fmt.Sprintf("trusted-%d", i): "yes"}},
			}}}}
			store.SetPolicy(model.CompilePolicy(&np, model.Authored{}))
		}
	}
	old := &model.NamespaceMeta{Name: "tools", Described: true, Labels: map[string]string{corev1.LabelMetadataName: "tools"}}
	store.SetNamespace(old)
	now := *old
	now.Labels = map[string]string{corev1.LabelMetadataName: "tools", "trusted-0": "yes"}
	snapshot := store.Snapshot(model.Facts{})
	e := engine.New([]rule.Configured{rules.Catalogue().Find("namespace-label-grants").Default()})
	for b.Loop() {
		require.Len(b, e.Evaluate(snapshot, model.Change{Operation: model.Update, OldNS: old, NewNS: &now}), 1)
	}
}
