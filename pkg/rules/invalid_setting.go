package rules

import (
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// invalid-setting: a label or an annotation under portcullis.dev/ that cannot be understood: an unknown key, level, rule or
// kind of object, a date that cannot be read or has passed, an exemption without a reason.
func invalidSetting() *rule.Rule {
	return &rule.Rule{
		ID: "invalid-setting", Level: finding.Baseline, Severity: finding.Medium,
		Subjects: []string{finding.KindNetworkPolicy, finding.KindNamespace},
		Run:      runInvalidSetting,
		Doc: rule.Doc{
			Title: "A setting of Portcullis that cannot be understood",
			Why: "A misspelt setting is not in force, and nobody notices: a namespace that is thought to be guarded is not, or an exemption that is " +
				"thought to hold does not.",
			References: []rule.Reference{
				{Title: "Kubernetes: Pod Security Admission labels, whose levels have the same names", URL: "https://kubernetes.io/docs/concepts/security/pod-security-admission/"}},
			Finds: "Labels and annotations under portcullis.dev/ on NetworkPolicies and Namespaces that name an unknown key, level, rule or kind of " +
				"object, that carry a date which cannot be read or has passed, or that exempt without a reason.",
			Remedy: "Correct the setting, or remove it.",
			Bad: `apiVersion: v1
kind: Namespace
metadata:
  name: shop
  labels:
    portcullis.dev/enforce: strict
`,
			Good: `apiVersion: v1
kind: Namespace
metadata:
  name: shop
  labels:
    portcullis.dev/enforce: restricted
`,
		},
	}
}

func runInvalidSetting(p *rule.Pass) {
	var problems []model.SettingProblem
	switch policy, ns := p.Change.NewPolicy, p.Change.NewNS; {
	case policy != nil:
		problems = model.ReadPolicySettings(policy.Labels, policy.Annotations, slices.Concat(ids(), p.CustomRules), p.Change.Time).Problems
	case ns != nil:
		problems = model.ReadNamespaceSettings(ns.Labels, ns.Annotations).Problems
	}
	for _, problem := range problems {
		at := problem.Path()
		p.Report(at, finding.Witness{}, "%s", problem.Message).Fix(problem.Fix).
			Covers(finding.Part{Key: at.String() + ": " + problem.Message})
	}
}
