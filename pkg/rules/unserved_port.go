package rules

import (
	"slices"
	"strings"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// unserved-port: an ingress port by number that none of the selected pods declares, where all of them declare some.
//
// Of a range, one port that is served is enough. The same ports in several rules are told once, at the first. Pods may serve ports that they do not declare, so it is a hint. What
// service-port explains is left to it.
func unservedPort() *rule.Rule {
	return &rule.Rule{
		ID: "unserved-port", Level: finding.Restricted, Severity: finding.Info,
		Subjects: []string{finding.KindNetworkPolicy},
		YieldsTo: []string{"service-port"},
		Run:      runUnservedPort,
		Doc: rule.Doc{
			Title: "A port that nobody serves",
			Why: "A port that no pod serves is a mistake in a number, or a leftover. The first blocks the clients; the second is open for whatever " +
				"listens there next.",
			References: []rule.Reference{docsPolicies},
			Finds:      "A port of an ingress rule that no selected pod declares, where every selected pod declares ports.",
			Remedy:     "Correct the number, remove the port, or declare it in the pod.",
			Bad:        strings.Replace(networkPolicyOfWeb, "PORT", "9999", 1) + "---\n" + webBehindService,
			Good:       strings.Replace(networkPolicyOfWeb, "PORT", "8080", 1) + "---\n" + webBehindService,
		},
	}
}

const networkPolicyOfWeb = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: shop
spec:
  podSelector:
    matchLabels:
      app: web
  policyTypes: [Ingress]
  ingress:
    - from:
        - podSelector: {}
      ports:
        - port: PORT
`

func runUnservedPort(p *rule.Pass) {
	policy := p.Change.NewPolicy
	if policy == nil || !policy.Isolates(model.Ingress) {
		return
	}
	selection := p.Reach.Select(policy)
	if selection.Hypothetical || len(selection.Classes) == 0 {
		return
	}
	var served netset.Ports
	for _, c := range selection.Classes {
		if len(c.Ports) == 0 {
			return
		}
		for _, declared := range c.Ports {
			served = served.Union(netset.PortsOf(declared.Port))
		}
	}
	pods := crowd(selection.Classes)
	var told []netset.Ports
	for i := range policy.Rules[model.Ingress] {
		if p.Stopped() {
			return
		}
		r := &policy.Rules[model.Ingress][i]
		for j := range r.Ports {
			item := &r.Ports[j]
			if item.Name != "" || item.Numbers.IsEmpty() || item.Numbers.Overlaps(served) ||
				slices.ContainsFunc(told, item.Numbers.Equal) {
				continue
			}
			told = append(told, item.Numbers)
			p.Report(rulePath(model.Ingress, i).Child("ports").Index(j), finding.Witness{To: pods[0].Name()},
				"%s %s not declare %s, but %s", pods.who(), pods.verb("do", "does"), item.Numbers.Short(), served.Short()).
				Fix("Correct the port, remove it, or declare it in the pod").Pods(pods.count())
		}
	}
}
