package rules

import (
	"fmt"
	"maps"
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// selects-nothing: a podSelector that no pod and no workload's template matches.
//
// Left out are the empty podSelector, which waits for whatever comes, and input that has no workload at all. Provisional when
// the policy is written to a live cluster: Helm, for one, installs NetworkPolicies before workloads.
func selectsNothing() *rule.Rule {
	return &rule.Rule{
		ID: "selects-nothing", Level: finding.Restricted, Severity: finding.Low,
		Subjects: []string{finding.KindNetworkPolicy},
		Run:      runSelectsNothing,
		Doc: rule.Doc{
			Title: "Selects no pod",
			Why: "A policy whose labels are misspelt, or have moved on, guards nothing, and nobody notices. The pods that it was meant for are as " +
				"open as ever.",
			References: []rule.Reference{docsPolicies},
			Finds:      "A podSelector that no pod and no workload's template in the policy's namespace matches, where there are workloads at all.",
			Remedy:     "Compare the labels with those of the pods. If the pods come later, nothing needs to be done.",
			Bad: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: shop
spec:
  podSelector:
    matchLabels:
      app: webb
  policyTypes: [Ingress]
---
apiVersion: v1
kind: Pod
metadata:
  name: web-0
  namespace: shop
  labels:
    app: web
`,
			Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: shop
spec:
  podSelector:
    matchLabels:
      app: web
  policyTypes: [Ingress]
---
apiVersion: v1
kind: Pod
metadata:
  name: web-0
  namespace: shop
  labels:
    app: web
`,
		},
	}
}

func runSelectsNothing(p *rule.Pass) {
	policy := p.Change.NewPolicy
	if policy == nil || policy.PodSelector.AlwaysTrue() || !p.Reach.Select(policy).Hypothetical || !anyPod(p.World) {
		return
	}
	classes := p.World.NamespaceOrImplied(policy.Namespace).Classes
	fix := "Compare the labels with those of the pods"
	if near, ok := nearestLabels(&policy.PodSelector, classes); ok {
		fix = "Did you mean " + near + "?"
	}
	what := fmt.Sprintf("No pod in namespace %s has %s", policy.Namespace, policy.PodSelector.String())
	if !policy.PodSelector.Satisfiable() {
		what, fix = "The podSelector contradicts itself, and no pod can match it", "Remove one of the contradicting requirements"
	}
	b := p.Report(spec("podSelector"), finding.Witness{}, "%s, so the policy guards nothing", what).Fix(fix)
	if p.World.Facts().Live && p.Change.Operation != model.Exists && policy.PodSelector.Satisfiable() {
		b.Provisional("pods are usually made after the policies that select them")
	}
}

// anyPod says whether the snapshot has any pod or workload at all. It ends with the first one.
func anyPod(s *model.Snapshot) bool {
	for ns := range s.Namespaces() {
		if len(ns.Classes) > 0 {
			return true
		}
	}
	return false
}

// nearestLabels are labels of pods that are spelt almost as the selector demands.
func nearestLabels(s *model.Selector, classes []*model.PodClass) (string, bool) {
	for _, wanted := range s.Examples() {
		for _, key := range slices.Sorted(maps.Keys(wanted)) {
			var keys, values []string
			for _, c := range classes {
				keys = append(keys, slices.Sorted(maps.Keys(c.Labels))...)
				if value, there := c.Labels[key]; there {
					values = append(values, value)
				}
			}
			if slices.Contains(values, wanted[key]) {
				continue
			}
			if near, ok := model.Nearest(wanted[key], values); ok {
				return key + "=" + near, true
			}
			if near, ok := model.Nearest(key, keys); ok && !slices.Contains(keys, key) {
				return near + "=" + wanted[key], true
			}
		}
	}
	return "", false
}
