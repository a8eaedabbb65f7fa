package bench_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portcullis-dev/portcullis/pkg/engine"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rule"
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

var _ = engine.New
var _ = rule.Configured{}
