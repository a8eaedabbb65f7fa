package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// rules-ignored: a direction that the author wrote, while policyTypes leaves it out, so that it has no effect.
//
// Written is a direction that has rules, or of which the author is known to have written an empty list: by the manifest, by
// the annotation of client-side apply, or by the field ownership of server-side apply. The API server fills in policyTypes
// before any webhook sees the policy, Egress only if there are egress rules at that time, and never again on later applies.
func rulesIgnored() *rule.Rule {
	return &rule.Rule{
		ID: "rules-ignored", Level: finding.Baseline, Severity: finding.High,
		Subjects: []string{finding.KindNetworkPolicy},
		Run:      runRulesIgnored,
		Doc: rule.Doc{
			Title: "Rules that have no effect",
			Why: "A direction that policyTypes leaves out is not isolated, whatever rules stand there: who reads the manifest believes in a " +
				"wall that is not there. It happens by itself where policyTypes is left to the API server: an empty list of egress rules does not " +
				"count for the default, and rules that are added later do not change it.",
			References: []rule.Reference{
				{Title: "Kubernetes: NetworkPolicySpec, policyTypes", URL: "https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/#NetworkPolicySpec"},
				docsPolicies},
			Finds:  "Ingress or egress rules, or an explicit empty list of them, in a policy whose policyTypes leaves that direction out.",
			Remedy: "Write policyTypes, always, with every direction that the policy is about.",
			Bad:    rulesIgnoredBad,
			Good:   strings.Replace(rulesIgnoredBad, "[Ingress]", "[Ingress, Egress]", 1),
		},
	}
}

const rulesIgnoredBad = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: shop
spec:
  podSelector:
    matchLabels:
      app: web
  policyTypes: [Ingress]
  egress:
    - to:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: kube-system
          podSelector:
            matchLabels:
              k8s-app: kube-dns
      ports:
        - protocol: UDP
          port: 53
        - protocol: TCP
          port: 53
`

func runRulesIgnored(p *rule.Pass) {
	policy := p.Change.NewPolicy
	if policy == nil {
		return
	}
	for _, d := range model.Directions {
		rules := len(policy.Rules[d])
		empty := rules == 0 && policy.Authored.Known && policy.Authored.Rules[d] == model.WrittenEmpty
		if policy.Isolates(d) || rules == 0 && !empty {
			continue
		}
		pods := crowd(p.Reach.Select(policy).Classes)
		message := fmt.Sprintf("%s in spec.%s %s no effect", plural(rules, "rule", "rules"), d.Field(), hasOrHave(rules))
		if empty {
			message = fmt.Sprintf("The empty list spec.%s is to deny everything, and has no effect", d.Field())
		}
		message += ", because policyTypes leaves " + d.String() + " out"
		if policy.Authored.Known && !policy.Authored.PolicyTypes {
			message += " (the manifest does not set it, and so it is " + typesText(policy.Types) + ")"
		}
		var w finding.Witness
		if len(pods) > 0 {
			w.To = pods[0].Name()
		}
		b := p.Report(spec(d.Field()), w, "%s", message)
		fix, patch := typesFix(p, policy, d)
		b.Fix(fix, patch...).Pods(pods.count()).Covers(finding.Part{Key: d.Field()})
	}
}

// typesText is policyTypes as written in a manifest.
func typesText(types [2]bool) string { return "[" + strings.Join(typeNames(types), ", ") + "]" }

func typeNames(types [2]bool) []string {
	var out []string
	for _, d := range model.Directions {
		if types[d] {
			out = append(out, d.String())
		}
	}
	return out
}

// hasOrHave is the verb that agrees with so many.
func hasOrHave(n int) string {
	if n == 1 {
		return "has"
	}
	return "have"
}

// typesFix adds the direction to policyTypes, and a rule for DNS where the pods would be without. Where the rules would be
// refused as soon as they count, or there is no such rule to add, it is words alone.
func typesFix(p *rule.Pass, policy *model.Policy, d model.Direction) (string, []finding.PatchOp) {
	mended := *policy
	mended.Types[d] = true
	fix := "Set spec.policyTypes to " + typesText(mended.Types)
	patch := []finding.PatchOp{{Op: "add", Path: "/spec/policyTypes", Value: typeNames(mended.Types)}}
	switch {
	case d == model.Ingress && opensUnexposed(p, &mended):
		return fix + ", and narrow the rules, which would let the internet in", nil
	case d == model.Egress && lackDNS(p, &mended):
		text, allow := dnsFix(&mended, p.Reach)
		if len(allow) == 0 {
			return fix + ", and allow DNS: " + text, nil
		}
		return fix + ", and allow DNS", append(patch, allow...)
	}
	return fix, patch
}

// opensUnexposed says whether the policy lets public addresses connect to pods where nothing exposes them, or to DNS servers.
func opensUnexposed(p *rule.Pass, policy *model.Policy) bool {
	own, s := ownAddrs(p.World.Facts()), defaultExposure()
	return slices.ContainsFunc(p.Reach.Select(policy).Classes, func(c *model.PodClass) bool {
		public := publicConns(reach.PolicyExternal(policy, c, model.Ingress), own)
		if public.IsEmpty() || p.Reach.ServesDNS(c) {
			return !public.IsEmpty()
		}
		exposures, _ := p.Reach.Exposed(c, s.options())
		return !public.Minus(netset.ConnsOf(netset.AllAddrs(), reach.ExposedPorts(exposures))).IsEmpty()
	})
}

// lackDNS says whether pods that ask the cluster's DNS could not reach it if the policy of the change were mended so.
func lackDNS(p *rule.Pass, mended *model.Policy) bool {
	after := reach.NewView(p.World.With(model.Change{Operation: model.Update, OldPolicy: p.Change.NewPolicy, NewPolicy: mended}))
	return slices.ContainsFunc(after.Select(mended).Classes, func(c *model.PodClass) bool {
		return c.ClusterDNS && !after.ServesDNS(c) && after.DNS(c).UDP == reach.No
	})
}
