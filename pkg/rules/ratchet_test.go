package rules_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/engine"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rules"
)

func TestIfAPolicyIsWidenedThenItsFindingsAreNotWithinTheOldOnes(t *testing.T) {
	cfg, err := config.Load(nil, "", rules.Catalogue())
	require.NoError(t, err)
	found := func(id, spec string) []finding.Finding {
		store := model.NewStore()
		for _, app := range []string{"web", "db"} {
			store.SetPod(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: app, Labels: map[string]string{"app": app}}})
		}
		np := networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "policy"}}
		require.NoError(t, yaml.UnmarshalStrict([]byte(spec), &np.Spec))
		p := model.CompilePolicy(&np, model.Authored{})
		store.SetPolicy(p)
		out := ofRule(engine.New(cfg.Rules).Evaluate(store.Snapshot(model.Facts{}), model.Change{OldPolicy: p, NewPolicy: p}), id)
		require.NotEmpty(t, out, spec)
		return out
	}
	const (
		web      = `podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: `
		everyPod = `podSelector: {}, policyTypes: [Ingress], ingress: `
		reports  = `[{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: reports}}}]}]`
		all      = `[{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: a}}}], ports: [{port: 80}]}]`
	)
	for name, c := range map[string]struct{ id, old, now string }{
		"another peer":          {"all-ports", web + reports, web + `[{}]`},
		"more pods":             {"all-ports", web + reports, everyPod + reports},
		"more pods of peers":    {"all-namespaces", web + all, web + `[{from: [{namespaceSelector: {}}], ports: [{port: 80}]}]`},
		"more ports for all":    {"all-namespaces", web + all, web + `[{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: a}}}], ports: [{port: 80}, {port: 81}]}]`},
		"more pods without DNS": {"dns-blocked", `podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]`, `podSelector: {}, policyTypes: [Egress]`},
		"more pods open to all": {"internet-ingress", web + `[{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]`, everyPod + `[{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]`},
		"another admin's peer":  {"admin-port", web + `[{from: [{ipBlock: {cidr: 10.0.0.0/24}}], ports: [{port: 6060}]}]`, web + `[{from: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: 6060}]}]`},
	} {
		old, now := found(c.id, "{"+c.old+"}"), found(c.id, "{"+c.now+"}")
		assert.False(t, now[0].Within(old), name)
		assert.True(t, old[0].Within(old), name+": what stays is within")
	}
}
