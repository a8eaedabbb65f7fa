package bench_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/engine"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rules"
	"github.com/portcullis-dev/portcullis/test/bench"
)

var sizes = []int{1_000, 10_000, 100_000}

func cluster(tb testing.TB, pods int) *model.Snapshot {
	store := model.NewStore()
	require.NoError(tb, bench.Fill(store, bench.Size{Namespaces: 1_000, Pods: pods, Policies: 10_000}))
	return store.Snapshot(model.Facts{Live: true})
}

func subject(rules int) *model.Policy {
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "app-5"}}
	np := &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: bench.SubjectNamespace, Name: "policy-5"},
		Spec:       bench.Spec(selector, 5, rules, 1_000),
	}
	return model.CompilePolicy(np, model.Authored{})
}

func BenchmarkSnapshotAfterOneChange(b *testing.B) {
	for _, pods := range sizes {
		b.Run(fmt.Sprintf("pods=%d", pods), func(b *testing.B) {
			store := model.NewStore()
			require.NoError(b, bench.Fill(store, bench.Size{Namespaces: 1_000, Pods: pods, Policies: 10_000}))
			store.Snapshot(model.Facts{Live: true})
			p := subject(3)
			for b.Loop() {
				store.SetPolicy(p)
				store.Snapshot(model.Facts{Live: true})
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		subject(10)
	}
}

// BenchmarkEvaluate judges changes with all rules, in a namespace of 50 pods and 10 policies.
func BenchmarkEvaluate(b *testing.B) {
	cfg, err := config.Load(nil, "", rules.Catalogue())
	require.NoError(b, err)
	judge := engine.New(cfg.Rules)
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "app-5"}}
	compile := func(spec networkingv1.NetworkPolicySpec) *model.Policy {
		return model.CompilePolicy(&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: bench.SubjectNamespace, Name: "policy-5"}, Spec: spec}, model.Authored{})
	}
	open := bench.Spec(selector, 5, 3, 1_000)
	open.Ingress = append(open.Ingress, networkingv1.NetworkPolicyIngressRule{From: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0"}}}})
	narrowed := bench.Spec(selector, 5, 2, 1_000)
	old := compile(bench.Spec(selector, 5, 3, 1_000))
	for _, c := range []struct {
		name   string
		change model.Change
	}{
		{"update", model.Change{Operation: model.Update, OldPolicy: old, NewPolicy: compile(narrowed)}},
		{"open", model.Change{Operation: model.Update, OldPolicy: old, NewPolicy: compile(open)}},
		{"delete", model.Change{Operation: model.Delete, OldPolicy: old}},
	} {
		for _, pods := range sizes {
			snapshot := cluster(b, pods)
			b.Run(fmt.Sprintf("change=%s/pods=%d", c.name, pods), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					judge.Evaluate(snapshot, c.change)
				}
			})
			b.Run(fmt.Sprintf("change=%s/with-diff/pods=%d", c.name, pods), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					judge.Review(snapshot, c.change).Diff()
				}
			})
		}
	}
}
