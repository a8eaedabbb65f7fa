package isolate_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/isolate"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rules"
	"github.com/portcullis-dev/portcullis/pkg/source/manifest"
)

// plan is what is planned, in words.
func plan(t *testing.T, configuration, manifests string) []string {
	t.Helper()
	c, err := config.Load([]byte(configuration), "guard.yaml", rules.Catalogue())
	require.NoError(t, err)
	result, err := manifest.Load(t.Context(), []string{manifest.Stdin}, strings.NewReader(manifests))
	require.NoError(t, err)
	require.Empty(t, result.Problems)
	actions, err := isolate.Plan(result.Store.Snapshot(c.Facts), c)
	require.NoError(t, err)
	var out []string
	for _, a := range actions {
		switch {
		case a.Apply == nil:
			out = append(out, "remove "+a.Namespace+"/"+a.Name)
		default:
			out = append(out, "apply "+a.Namespace+"/"+a.Name)
			types := make([]string, len(a.Apply.Spec.PolicyTypes))
			for i, d := range a.Apply.Spec.PolicyTypes {
				types[i] = string(d)
			}
			out[len(out)-1] += " " + strings.Join(types, "+")
		}
	}
	return out
}

func namespace(name, label string) string {
	labels := "{}"
	if label != "" {
		labels = "{portcullis.dev/isolate: " + label + "}"
	}
	return "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: " + name + ", labels: " + labels + "}\n"
}

func deny(namespace, labels, spec string) string {
	return "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: portcullis-default-deny, namespace: " + namespace +
		", labels: {" + labels + "}}\nspec: " + spec + "\n"
}

const (
	ours  = "app.kubernetes.io/managed-by: portcullis"
	right = "{podSelector: {}, policyTypes: [Ingress]}"
)

func TestNamespacesGetTheDefaultDenyThatTheyAskFor(t *testing.T) {
	for name, c := range map[string]struct {
		configuration, manifests string
		want                     []string
	}{
		"if nothing is asked for, then nothing is done":        {"", namespace("shop", ""), nil},
		"if the label says ingress, then ingress is isolated":  {"", namespace("shop", "ingress"), []string{"apply shop/portcullis-default-deny Ingress"}},
		"if the label says all, then DNS is opened first":      {"", namespace("shop", "all"), []string{"apply shop/portcullis-allow-dns Egress", "apply shop/portcullis-default-deny Ingress+Egress"}},
		"if the configuration says so, then all namespaces do": {"isolateNamespaces: ingress", namespace("a", "") + namespace("b", ""), []string{"apply a/portcullis-default-deny Ingress", "apply b/portcullis-default-deny Ingress"}},
		"if the label says none, then the configuration is overruled": {
			"isolateNamespaces: all", namespace("shop", "none"), nil},
		"if the namespace is exempt, then it is left alone": {"exemptions: {namespaces: [shop]}", namespace("shop", "all") + namespace("kube-system", "all"), nil},
		"if the policy is right, then nothing is written":   {"", namespace("shop", "ingress") + deny("shop", ours, right), nil},
		"if somebody has opened it, then it is restored": {
			"", namespace("shop", "ingress") + deny("shop", ours, "{podSelector: {}, policyTypes: [Ingress], ingress: [{}]}"),
			[]string{"apply shop/portcullis-default-deny Ingress"}},
		"if somebody has narrowed its pods, then it is restored": {
			"", namespace("shop", "ingress") + deny("shop", ours, "{podSelector: {matchLabels: {a: b}}, policyTypes: [Ingress]}"),
			[]string{"apply shop/portcullis-default-deny Ingress"}},
		"if rules are added for a direction that it does not isolate, then nothing is written, as they are ignored": {
			"", namespace("shop", "ingress") + deny("shop", ours, "{podSelector: {}, policyTypes: [Ingress], egress: [{}]}"), nil},
		"if the namespace becomes exempt, then its default deny stays": {
			"exemptions: {namespaces: [shop]}", namespace("shop", "ingress") + deny("shop", ours, right), nil},
		"if the label goes, then the policy goes": {"", namespace("shop", "") + deny("shop", ours, right), []string{"remove shop/portcullis-default-deny"}},
		"if somebody has taken the label off, then it is restored": {
			"", namespace("shop", "ingress") + deny("shop", "", right), []string{"apply shop/portcullis-default-deny Ingress"}},
		"if somebody has put another policy in its place, then it is restored": {
			"", namespace("shop", "ingress") + deny("shop", "app.kubernetes.io/managed-by: me", "{podSelector: {}, policyTypes: [Ingress], ingress: [{}]}"),
			[]string{"apply shop/portcullis-default-deny Ingress"}},
		"if the way to DNS is somebody else's, then it is restored before egress is isolated": {
			"", namespace("shop", "all") + strings.ReplaceAll(deny("shop", "", "{podSelector: {}, policyTypes: [Egress], egress: [{}]}"), isolate.DefaultDeny, isolate.AllowDNS),
			[]string{"apply shop/portcullis-allow-dns Egress", "apply shop/portcullis-default-deny Ingress+Egress"}},
		"if somebody else's is not asked for, then it is left alone": {"", namespace("shop", "") + deny("shop", "", right), nil},
		"if the namespace is only implied, then nothing is done yet": {"isolateNamespaces: all", deny("shop", "", right), nil},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, plan(t, c.configuration, c.manifests))
		})
	}
}

func TestWhatIsAppliedIsWhatIsPlannedNoMore(t *testing.T) {
	c, err := config.Load([]byte("isolateNamespaces: all"), "guard.yaml", rules.Catalogue())
	require.NoError(t, err)
	result, err := manifest.Load(t.Context(), []string{manifest.Stdin}, strings.NewReader(namespace("shop", "")))
	require.NoError(t, err)
	actions, err := isolate.Plan(result.Store.Snapshot(c.Facts), c)
	require.NoError(t, err)
	require.Len(t, actions, 2)
	for _, a := range actions {
		result.Store.SetPolicy(model.CompilePolicy(a.Apply, model.Authored{}))
	}
	again, err := isolate.Plan(result.Store.Snapshot(c.Facts), c)
	require.NoError(t, err)
	assert.Empty(t, again)
}
