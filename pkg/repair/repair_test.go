package repair_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/engine"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/fix"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/repair"
	"github.com/portcullis-dev/portcullis/pkg/rule"
	"github.com/portcullis-dev/portcullis/pkg/rules"
	"github.com/portcullis-dev/portcullis/pkg/source/manifest"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// policy is a manifest of a policy in namespace shop for pods with app=NAME, with a label that the rules of testRules look at.
func policy(name, label string) string {
	return fmt.Sprintf(`---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: %s
  namespace: shop
  labels:
    fix: %s # by a fix
spec:
  podSelector: {matchLabels: {app: %s}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {}}]
`, name, label, name)
}

// testRules are one rule whose patches do what the label says, and one that is stricter and looks at the whole namespace.
func testRules() []rule.Configured {
	policies := []string{finding.KindNetworkPolicy}
	removal := finding.PatchOp{Op: "remove", Path: "/metadata/labels/fix"}
	patches := map[string][]finding.PatchOp{
		"helps":   {removal},
		"fails":   {{Op: "add", Path: "/metadata/labels/more", Value: "x"}},
		"opens":   {removal, {Op: "add", Path: "/spec/ingress/-", Value: map[string]any{}}},
		"breaks":  {removal, {Op: "add", Path: "/metadata/labels/breaks", Value: "all"}},
		"spoils":  {removal, {Op: "add", Path: "/spec/policyTypes/-", Value: "Egres"}},
		"aliases": {{Op: "remove", Path: "/metadata/annotations"}},
	}
	untidy := &rule.Rule{ID: "untidy", Level: finding.Restricted, Severity: finding.Low, Subjects: policies, Run: func(p *rule.Pass) {
		if label := p.Change.NewPolicy.Labels["fix"]; label != "" {
			p.Report(nil, finding.Witness{}, "It is untidy.").Fix("Tidy up", patches[label]...)
		}
	}}
	broken := &rule.Rule{ID: "broken", Level: finding.Baseline, Severity: finding.High, Subjects: policies, Run: func(p *rule.Pass) {
		for _, other := range p.World.Namespace("shop").Policies {
			if other.Labels["breaks"] != "" && other.Name != p.Change.NewPolicy.Name {
				p.Report(nil, finding.Witness{}, "Policy %s breaks it.", other.Name)
			}
		}
	}}
	return []rule.Configured{untidy.Default(), broken.Default()}
}

type outcome struct {
	*repair.Result
	in   *manifest.Result
	text string // the input after
}

func run(t *testing.T, text string, configured []rule.Configured, mayOpen bool) outcome {
	t.Helper()
	in, err := manifest.Load(t.Context(), []string{manifest.Stdin}, strings.NewReader(text))
	require.NoError(t, err)
	e := engine.New(configured)
	levels := verdict.Levels{Enforce: finding.Baseline, Warn: finding.Restricted}
	result, err := repair.Run(t.Context(), in, repair.Options{
		Judge: func(_ context.Context, s *model.Snapshot, policies []*model.Policy) ([]verdict.Decided, error) {
			var out []verdict.Decided
			for _, p := range policies {
				found := e.Evaluate(s, model.Change{Time: time.Unix(0, 0), OldPolicy: p, NewPolicy: p})
				out = append(out, verdict.Decide(verdict.Policy{Levels: levels}, verdict.Exemptions{}, found, nil).Decided...)
			}
			return out, nil
		},
		Wanted: func(d *verdict.Decided) bool {
			return d.Action == verdict.ActionDeny || d.Action == verdict.ActionWarn
		},
		MayOpen: func(string) bool { return mayOpen },
	})
	require.NoError(t, err)
	out := outcome{result, in, text}
	for _, f := range result.Files {
		assert.Equal(t, text, string(f.Old))
		assert.Equal(t, string(f.New), string(fix.Apply(f.Old, f.Edits)))
		out.text = string(f.New)
	}
	return out
}

func (o *outcome) names() (fixed, skipped []string) {
	for _, f := range o.Fixed {
		fixed = append(fixed, f.Subject.Name)
	}
	for _, s := range o.Skipped {
		skipped = append(skipped, s.Subject.Name)
	}
	return fixed, skipped
}

func TestOnlyProvenFixesAreApplied(t *testing.T) {
	for name, c := range map[string]struct {
		label  string
		reason string // why it is not applied; empty if it is
	}{
		"if the finding is gone, then the fix is applied":                         {"helps", ""},
		"if the finding stays, then the fix is not applied":                       {"fails", "it would not help: It is untidy."},
		"if the fix opens something, then it is not applied":                      {"opens", "it would open all addresses → shop/(app=web) every port"},
		"if the fix breaks another policy, then it is not applied":                {"breaks", "it would bring broken in NetworkPolicy shop/bystander: Policy web breaks it."},
		"if the API server would refuse the fixed policy, then it is not applied": {"spoils", "the API server would refuse the outcome"},
		"if the patch does not fit, then the fix is not applied":                  {"aliases", "the policy the patch does not fit"},
	} {
		t.Run(name, func(t *testing.T) {
			text := policy("bystander", "") + policy("web", c.label)
			r := run(t, text, testRules(), false)
			if c.reason == "" {
				assert.Equal(t, strings.Replace(text, "  labels:\n    fix: helps # by a fix\n", "  labels: {}\n", 1), r.text)
				assert.Empty(t, r.Left)
				assert.Empty(t, r.Skipped)
				return
			}
			assert.Empty(t, r.Files)
			assert.Empty(t, r.Fixed)
			require.Len(t, r.Skipped, 1)
			assert.Contains(t, r.Skipped[0].Reason, c.reason)
			assert.Len(t, r.Left, 1)
		})
	}
}

func TestIfARuleMayOpenThenItsFixIsAppliedAndTold(t *testing.T) {
	pod := "---\napiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop, labels: {app: web}}\nspec: {containers: [{name: c}]}\n"
	r := run(t, pod+policy("web", "opens"), testRules(), true)
	require.Len(t, r.Fixed, 1)
	require.NotEmpty(t, r.Fixed[0].Effects)
	assert.Contains(t, r.Fixed[0].Effects[0], "opens: * → shop/")
	assert.Contains(t, r.text, "  - from: [{podSelector: {}}]\n  - {}\n")
}

func TestIfOneOfManyFixesCannotBeProvenThenTheOthersAreApplied(t *testing.T) {
	var text strings.Builder
	for i := range 20 {
		label := "helps"
		if i == 7 || i == 13 {
			label = "opens"
		}
		text.WriteString(policy(fmt.Sprintf("p%02d", i), label))
	}
	r := run(t, text.String(), testRules(), false)
	fixed, skipped := r.names()
	assert.Len(t, fixed, 18)
	assert.Equal(t, []string{"p07", "p13"}, skipped)
	assert.NotContains(t, r.text, "helps")
	assert.Equal(t, 2, strings.Count(r.text, "fix: opens # by a fix"))
	for _, p := range r.in.Store.Snapshot(model.Facts{}).Namespace("shop").Policies {
		assert.Equal(t, p.Name == "p07" || p.Name == "p13", p.Labels["fix"] == "opens", "the store holds what is written")
	}
}

func TestFixesForTheSamePodsAreAppliedOneAfterAnother(t *testing.T) {
	const manifests = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {replicas: 3, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c}]}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a-web, namespace: shop}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}]}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: shop}
spec: {podSelector: {}, policyTypes: [Egress]}
`
	var dns []rule.Configured
	for _, r := range rules.Catalogue().All() {
		if r.ID == "dns-blocked" {
			dns = append(dns, r.Default())
		}
	}
	r := run(t, manifests, dns, true)
	fixed, _ := r.names()
	assert.Len(t, fixed, 1, "DNS in one of the two is enough")
	assert.Empty(t, r.Left)
}

func TestPoliciesAreFoundWhereverTheyStand(t *testing.T) {
	web := strings.TrimPrefix(policy("web", "helps"), "---\n")
	const json = `{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"web","namespace":"shop","labels":{"fix":"helps"}},"spec":{"podSelector":{}}}`
	item := "- " + strings.TrimRight(strings.ReplaceAll(web, "\n", "\n  "), " ")
	for name, text := range map[string]string{
		"if names are to be made, then each policy is fixed": strings.ReplaceAll(policy("web", "helps")+policy("web", "helps"), "  name: web", "  generateName: web"),
		"if they are items of a list, then each is fixed":    "apiVersion: v1\nkind: List\nitems:\n" + item + strings.ReplaceAll(item, "web", "api"),
		"if they are JSON in one line, then each is fixed":   json + strings.ReplaceAll(json, "web", "api"),
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, text, testRules(), false)
			require.Empty(t, r.in.Problems)
			fixed, skipped := r.names()
			assert.Len(t, fixed, 2)
			assert.Empty(t, skipped)
			assert.NotContains(t, r.text, "helps")
		})
	}
}

func TestPoliciesThatCannotBeWrittenAreSkipped(t *testing.T) {
	twice := policy("web", "helps") + policy("web", "helps")
	r := run(t, twice, testRules(), false)
	require.Len(t, r.Skipped, 1)
	assert.Contains(t, r.Skipped[0].Reason, "the policy is also at stdin:2")

	problem := policy("web", "helps") + "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: x}\nspec: {pods: {}}\n"
	r = run(t, problem, testRules(), false)
	require.Len(t, r.Skipped, 1)
	assert.Contains(t, r.Skipped[0].Reason, "its file has problems")
}
