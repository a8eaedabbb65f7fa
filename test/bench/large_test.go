package bench_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/portcullis-dev/portcullis/test/bench"
)

// block is one of many disjoint public networks.
func block(i int) string { return fmt.Sprintf("%d.%d.%d.0/24", 20+(i*7)>>16, (i*7)>>8%256, i*7%256) }

func ports(n int) []networkingv1.NetworkPolicyPort {
	number := intstr.FromInt(1 + n%60_000)
	return []networkingv1.NetworkPolicyPort{{Port: &number}}
}

// large are policies of about two megabytes, as large as the API server takes.
var large = map[string]func() networkingv1.NetworkPolicySpec{
	"60,000 peers": func() networkingv1.NetworkPolicySpec {
		rule := networkingv1.NetworkPolicyIngressRule{Ports: ports(0)}
		for i := range 60_000 {
			rule.From = append(rule.From, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: block(i)}})
		}
		return networkingv1.NetworkPolicySpec{Ingress: []networkingv1.NetworkPolicyIngressRule{rule}}
	},
	"20,000 rules of addresses": func() (spec networkingv1.NetworkPolicySpec) {
		for i := range 20_000 {
			spec.Ingress = append(spec.Ingress, networkingv1.NetworkPolicyIngressRule{
				From: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: block(i)}}}, Ports: ports(i)})
		}
		return spec
	},
	"15,000 rules of labels": func() (spec networkingv1.NetworkPolicySpec) {
		for i := range 15_000 {
			spec.Ingress = append(spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: []networkingv1.NetworkPolicyPeer{{
				PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": fmt.Sprint("app-", i)}}, NamespaceSelector: &metav1.LabelSelector{},
			}}, Ports: ports(i)})
		}
		return spec
	},
	"100,000 exceptions": func() networkingv1.NetworkPolicySpec {
		b := &networkingv1.IPBlock{CIDR: "0.0.0.0/0"}
		for i := range 100_000 {
			b.Except = append(b.Except, block(i))
		}
		return networkingv1.NetworkPolicySpec{
			PolicyTypes: []networkingv1.PolicyType{"Egress"}, Egress: []networkingv1.NetworkPolicyEgressRule{{To: []networkingv1.NetworkPolicyPeer{{IPBlock: b}}}}}
	},
}

// BenchmarkLargePolicy judges the change of a policy as large as an API server takes, with all rules.
func BenchmarkLargePolicy(b *testing.B) {
	h, err := bench.Handler(bench.Size{Namespaces: 10, Pods: 100, Policies: 100})
	require.NoError(b, err)
	for name, spec := range large {
		body := update(b, spec())
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, "/validate?timeout=10s", bytes.NewReader(body))
				r.Header.Set("Content-Type", "application/json")
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatal(w.Body)
				}
			}
		})
	}
}

// update is a recorded review of an UPDATE, of a policy without rules to one with that spec.
func update(tb testing.TB, spec networkingv1.NetworkPolicySpec) []byte {
	text, err := bench.Review("update", 1)
	require.NoError(tb, err)
	var review map[string]any
	require.NoError(tb, json.Unmarshal(text, &review))
	object := review["request"].(map[string]any)["object"].(map[string]any)
	spec.PodSelector.MatchLabels = map[string]string{"app": "app-5"}
	object["spec"] = spec
	body, err := json.Marshal(review)
	require.NoError(tb, err)
	return body
}
