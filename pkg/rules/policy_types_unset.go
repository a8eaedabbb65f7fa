package rules

import (
	"strings"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// policy-types-unset: the manifest leaves policyTypes to the API server. It is said loudest where only egress rules are
// written, for then all ingress is denied as well. Where what the author wrote is not known, nothing is said.
func policyTypesUnset() *rule.Rule {
	return &rule.Rule{
		ID: "policy-types-unset", Level: finding.Restricted, Severity: finding.Low,
		Subjects: []string{finding.KindNetworkPolicy},
		YieldsTo: []string{"rules-ignored"},
		Run:      runPolicyTypesUnset,
		Doc: rule.Doc{
			Title: "policyTypes left to be guessed",
			Why: "The API server's guess is made once, from what the first manifest has: Ingress always, Egress if there are egress rules. A policy " +
				"that is only about egress then denies all ingress, and egress rules that are added later have no effect.",
			References: []rule.Reference{
				{Title: "Kubernetes: NetworkPolicySpec, policyTypes", URL: "https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/#NetworkPolicySpec"}},
			Finds:  "A manifest without policyTypes. At admission it is known from client-side or server-side apply; of other clients it is not.",
			Remedy: "Write policyTypes with every direction that the policy is about.",
			Bad:    strings.Replace(dnsBlockedGood, "  policyTypes: [Egress]\n", "", 1),
			Good:   dnsBlockedGood,
		},
	}
}

func runPolicyTypesUnset(p *rule.Pass) {
	policy := p.Change.NewPolicy
	if policy == nil || !policy.Authored.Known || policy.Authored.PolicyTypes {
		return
	}
	var w finding.Witness
	pods := crowd(p.Reach.Select(policy).Classes)
	if len(pods) > 0 {
		w.To = pods[0].Name()
	}
	types := typesText(policy.Types)
	written := policy.Authored.Rules
	loud := policy.Isolates(model.Ingress) && written[model.Ingress] == model.WrittenNothing && written[model.Egress] == model.WrittenRules
	if !loud {
		p.Report(spec("policyTypes"), finding.Witness{}, "The manifest leaves policyTypes out, which the API server takes as %s", types).
			Fix("Write policyTypes: "+types, setTypes(policy)).Pods(pods.count())
		return
	}
	p.Report(spec("policyTypes"), w, "The manifest leaves policyTypes out and has only egress rules, which the API server takes as %s: all ingress is denied as well", types).
		Fix("Write policyTypes: "+types+" if that is meant, or [Egress]", setTypes(policy)).Pods(pods.count()).Severity(finding.Medium)
}

// setTypes writes down what is in force.
func setTypes(policy *model.Policy) finding.PatchOp {
	return finding.PatchOp{Op: "add", Path: "/spec/policyTypes", Value: typeNames(policy.Types)}
}
