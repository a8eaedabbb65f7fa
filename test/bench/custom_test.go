package bench_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/engine"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rule"
	"github.com/portcullis-dev/portcullis/pkg/rules"
	"github.com/portcullis-dev/portcullis/test/bench"
)

// BenchmarkCustomRules judges a change with each of the example rules, and with all of them, in a cluster of 1,000
// namespaces and 10,000 pods.
func BenchmarkCustomRules(b *testing.B) {
	paths, err := filepath.Glob("../../examples/custom-rules/*.yaml")
	require.NoError(b, err)
	require.NotEmpty(b, paths)
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "app-5"}}
	compile := func(rules int) *model.Policy {
		np := &networkingv1.NetworkPolicy{
			ObjectMeta: metav1.ObjectMeta{Namespace: bench.SubjectNamespace, Name: "policy-5", Labels: map[string]string{"owner": "shop"}},
			Spec:       bench.Spec(selector, 5, rules, 1_000),
		}
		p := model.CompilePolicy(np, model.Authored{})
		p.KeepObject(np)
		return p
	}
	change := model.Change{Operation: model.Update, OldPolicy: compile(3), NewPolicy: compile(2), Requester: &model.Requester{Username: "jane"}}
	store := model.NewStore()
	store.KeepObjects(true)
	require.NoError(b, bench.Fill(store, bench.Size{Namespaces: 1_000, Pods: 10_000, Policies: 10_000}))
	snapshot := store.Snapshot(model.Facts{Live: true, Objects: true})
	run := func(name string, rules []rule.Configured) {
		judge := engine.New(rules)
		b.Run("rule="+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				judge.Evaluate(snapshot, change)
			}
		})
	}
	var all []rule.Configured
	for _, path := range paths {
		c, err := config.LoadFile(path, rules.Catalogue())
		require.NoError(b, err)
		for i := range c.Rules {
			if c.Rules[i].Custom {
				all = append(all, c.Rules[i])
				run(strings.TrimSuffix(filepath.Base(path), ".yaml"), c.Rules[i:i+1])
			}
		}
	}
	run("all", all)
	run("none", nil)
}

// BenchmarkLoadCustomRules reads the configuration of one custom rule: the language is prepared each time.
func BenchmarkLoadCustomRules(b *testing.B) {
	text, err := os.ReadFile("../../examples/custom-rules/narrow-blocks-in-prod.yaml")
	require.NoError(b, err)
	for b.Loop() {
		if _, err := config.Load(text, "guard.yaml", rules.Catalogue()); err != nil {
			b.Fatal(err)
		}
	}
}
