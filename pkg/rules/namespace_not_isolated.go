package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// namespace-not-isolated: a namespace with pods, and without a policy that isolates all of them for ingress (or egress, by
// the parameter): one with an empty podSelector. Pods that come tomorrow would be open.
//
// It is about namespaces as they stand, and not about the writing of a Namespace.
func namespaceNotIsolated() *rule.Rule {
	return &rule.Rule{
		ID: "namespace-not-isolated", Level: finding.Restricted, Severity: finding.Low,
		Subjects:    []string{finding.KindNamespace},
		NewSettings: func() any { return &namespaceNotIsolatedSettings{Directions: []string{"ingress"}} },
		Run:         runNamespaceNotIsolated,
		Doc: rule.Doc{
			Title: "No default deny",
			Why: "Without a default deny a pod is open until someone thinks of it. With one, a new pod is closed until someone says who may reach " +
				"it, which is the order in which mistakes are noticed.",
			References: []rule.Reference{cisPolicies, nsaHardening,
				{Title: "Kubernetes: default policies", URL: "https://kubernetes.io/docs/concepts/services-networking/network-policies/#default-policies"}},
			Finds:  "A namespace with pods that has no policy with an empty podSelector for ingress; for egress, too, if the parameter says so.",
			Remedy: "Add a default deny, and let other policies allow what is needed.",
			Bad:    namespaceWithPod,
			Good: namespaceWithPod + `---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: default-deny
  namespace: shop
spec:
  podSelector: {}
  policyTypes: [Ingress]
`,
			Params: []rule.Param{{Name: "directions", Default: "[ingress]", Description: "The directions in which namespaces are to be isolated: ingress, egress, or both."}},
		},
	}
}

const namespaceWithPod = `apiVersion: v1
kind: Namespace
metadata:
  name: shop
---
apiVersion: v1
kind: Pod
metadata:
  name: web-0
  namespace: shop
  labels:
    app: web
`

type namespaceNotIsolatedSettings struct {
	Directions []string `json:"directions"`
}

func (s *namespaceNotIsolatedSettings) Validate() error {
	for i, d := range s.Directions {
		if d != "ingress" && d != "egress" {
			return fmt.Errorf("directions[%d]: %q is no direction: use ingress or egress", i, d)
		}
	}
	return nil
}

func runNamespaceNotIsolated(p *rule.Pass) {
	if p.Change.NewNS == nil || p.Change.Operation != model.Exists {
		return
	}
	ns := p.World.Namespace(p.Change.NewNS.Name)
	if ns == nil {
		return
	}
	pods := slices.DeleteFunc(crowd(slices.Clone(ns.Classes)), func(c *model.PodClass) bool { return c.HostNetwork || c.Count() == 0 })
	if len(pods) == 0 {
		return
	}
	s := rule.Settings[*namespaceNotIsolatedSettings](p)
	var missing []string
	for _, d := range model.Directions {
		isolated := slices.ContainsFunc(ns.Policies, func(policy *model.Policy) bool { return policy.PodSelector.AlwaysTrue() && policy.Isolates(d) })
		if slices.Contains(s.Directions, d.Field()) && !isolated {
			missing = append(missing, d.Field())
		}
	}
	if len(missing) == 0 {
		return
	}
	directions := strings.Join(missing, " and ")
	p.Report(nil, finding.Witness{To: pods[0].Name()}, "The namespace has %s and no default deny for %s", plural(pods.count(), "pod", "pods"), directions).
		Fix("Add a NetworkPolicy with an empty podSelector for " + directions).Pods(pods.count())
}
