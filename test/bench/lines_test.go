package bench_test

import (
	"fmt"
	"io"
	"runtime/metrics"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/report/graph"
)

// distinct is a cluster of so many workloads of which no two may connect to the same, and almost every two may connect: the
// worst for a list of lines, as none of them can be merged.
func distinct(b *testing.B, workloads int) *model.Snapshot {
	store := model.NewStore()
	for i := range workloads {
		namespace, name := fmt.Sprintf("team-%d", i/50), fmt.Sprintf("app-%d", i)
		labels := map[string]string{"app": name}
		selector := &metav1.LabelSelector{MatchLabels: labels}
		but := func(other int) []networkingv1.NetworkPolicyPeer {
			return []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{}, PodSelector: &metav1.LabelSelector{
				MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: metav1.LabelSelectorOpNotIn, Values: []string{fmt.Sprintf("app-%d", other%workloads)}}},
			}}}
		}
		_, err := store.Apply(&appsv1.Deployment{
			TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}, ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Spec: appsv1.DeploymentSpec{Replicas: ptr.To(int32(2)), Selector: selector, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}}},
		})
		require.NoError(b, err)
		_, err = store.Apply(&networkingv1.NetworkPolicy{
			TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"}, ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Spec: networkingv1.NetworkPolicySpec{
				PodSelector: *selector, PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
				Ingress: []networkingv1.NetworkPolicyIngressRule{{From: but(7 * i), Ports: []networkingv1.NetworkPolicyPort{{Port: ptr.To(intstr.FromInt(8000 + i%13))}}}},
				Egress:  []networkingv1.NetworkPolicyEgressRule{{To: but(11 * i)}},
			},
		})
		require.NoError(b, err)
	}
	return store.Snapshot(model.Facts{})
}

// BenchmarkReachText writes the lines of workloads that have nothing in common, and tells how much memory the process has
// taken by then.
func BenchmarkReachText(b *testing.B) {
	for _, workloads := range []int{500, 2_000} {
		b.Run(fmt.Sprintf("workloads=%d", workloads), func(b *testing.B) {
			world := distinct(b, workloads)
			for b.Loop() {
				c, err := reach.Connect(b.Context(), world)
				require.NoError(b, err)
				require.NoError(b, (&graph.Graph{Connectivity: c}).Text(io.Discard))
			}
			sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}}
			metrics.Read(sample)
			b.ReportMetric(float64(sample[0].Value.Uint64())/(1<<20), "MiB")
		})
	}
}
