package rules

import (
	"fmt"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// namespace-label-grants: labels of a Namespace that, by being set, removed or changed, make a policy of another namespace let
// in pods of this one that could not connect before: by the policy's ingress, whatever the egress of the pods says.
//
// A Namespace is compared with its old version, and a new one with one that carries nothing but its name. A label by which
// Portcullis tells a Namespace's own name grants nothing either: what names a Namespace, means it.
// Where no pod is there yet, the pod that the peer's podSelector demands is judged.
func namespaceLabelGrants() *rule.Rule {
	return &rule.Rule{
		ID: "namespace-label-grants", Level: finding.Restricted, Severity: finding.Medium,
		Subjects: []string{finding.KindNamespace},
		Run:      runNamespaceLabelGrants,
		Doc: rule.Doc{
			Title: "Labels of a Namespace that let its pods in elsewhere",
			Why: "A namespaceSelector trusts whoever may label Namespaces. A label that looks harmless can open the databases of another team, whose " +
				"policies have not changed at all.",
			References: []rule.Reference{docsPolicies},
			Finds:      "A change of a Namespace's labels by which policies of other namespaces let its pods in that did not before.",
			Remedy:     "Keep the labels as they were, or let the owners of the policies confirm that these pods are meant.",
			Bad:        labelled("team: ops"),
			Good:       labelled("stage: test"),
			OnLabel:    true,
		},
	}
}

// labelled is an example with a label of the namespace tools.
func labelled(label string) string {
	return `apiVersion: v1
kind: Namespace
metadata:
  name: tools
  labels:
    ` + label + `
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: db
  namespace: shop
spec:
  podSelector:
    matchLabels:
      app: db
  policyTypes: [Ingress]
  ingress:
    - from:
        - namespaceSelector:
            matchLabels:
              team: ops
      ports:
        - port: 5432
---
apiVersion: v1
kind: Pod
metadata:
  name: db-0
  namespace: shop
  labels:
    app: db
---
apiVersion: v1
kind: Pod
metadata:
  name: shell-0
  namespace: tools
  labels:
    app: shell
`
}

// mostGrants is how many policies a finding names.
const mostGrants = 3

func runNamespaceLabelGrants(p *rule.Pass) {
	now := p.Change.NewNS
	if now == nil || p.Change.Operation != model.Create && p.Change.Operation != model.Update {
		return
	}
	old := named(p)
	if maps.Equal(old.Labels, now.Labels) {
		return
	}
	before := reach.NewView(p.Prior.With(model.Change{Operation: p.Change.Operation, NewNS: old}))
	var granted []grantedBy
	var let crowd
	for ns := range p.World.Namespaces() {
		if p.Stopped() {
			return
		}
		if ns.Meta.Name == now.Name {
			continue
		}
		for _, policy := range ns.Policies {
			if g, pods, is := grantTo(p, before, policy, old.Labels); is {
				granted = append(granted, g)
				let = append(let, pods...)
			}
		}
	}
	if len(granted) == 0 {
		return
	}
	var names []string
	for _, g := range granted[:min(len(granted), mostGrants)] {
		names = append(names, g.String())
	}
	text := strings.Join(names, "; ")
	if more := len(granted) - mostGrants; more > 0 {
		text += fmt.Sprintf("; and %s more", plural(more, "policy", "policies"))
	}
	p.Report(field.NewPath("metadata", "labels"), granted[0].witness, "The labels let pods of namespace %s in elsewhere: %s", now.Name, text).
		Fix("Keep the labels as they were, unless the owners of " + owners(granted) + " mean these pods").Pods(let.count())
}

// grantedBy is what one policy newly lets in.
type grantedBy struct {
	policy  *model.Policy
	to      crowd
	ports   netset.Ports
	witness finding.Witness
}

// String is "shop/db opens TCP/5432 on 1 pod (tools/shell-0 → shop/db-0)".
func (g grantedBy) String() string {
	on := plural(g.to.count(), "pod", "pods")
	if g.to.count() == 0 {
		on = "pods to come"
	}
	return fmt.Sprintf("%s/%s opens %s on %s (%s → %s)", g.policy.Namespace, g.policy.Name, portsText(g.ports, g.to[0]), on, g.witness.From, g.witness.To)
}

// owners are the namespaces of the policies, named up to a few.
func owners(granted []grantedBy) string {
	var names []string
	for _, g := range granted {
		if len(names) == 0 || names[len(names)-1] != g.policy.Namespace {
			names = append(names, g.policy.Namespace)
		}
	}
	if len(names) > mostGrants {
		return plural(len(names), "namespace", "namespaces")
	}
	if len(names) == 1 {
		return "namespace " + names[0]
	}
	return "namespaces " + strings.Join(names, " and ")
}

// named is the Namespace before the change, with its own name in every label that tells it.
func named(p *rule.Pass) *model.NamespaceMeta {
	old := *p.Change.NewNS
	old.Labels = map[string]string{corev1.LabelMetadataName: old.Name}
	if p.Change.Operation == model.Update && p.Change.OldNS != nil {
		maps.Copy(old.Labels, p.Change.OldNS.Labels)
	}
	if key := p.World.Facts().NamespaceNameLabel; key != "" && p.Change.NewNS.Labels[key] == old.Name {
		old.Labels[key] = old.Name
	}
	return &old
}

// grantTo is what the policy lets in of the changed namespace that nothing let in before, and the pods that are let in.
func grantTo(p *rule.Pass, before *reach.View, policy *model.Policy, old map[string]string) (g grantedBy, in crowd, is bool) {
	if !policy.Isolates(model.Ingress) {
		return g, nil, false
	}
	g.policy = policy
	ns := p.Change.NewNS
	for i := range policy.Rules[model.Ingress] {
		for j := range policy.Rules[model.Ingress][i].Peers {
			peer := &policy.Rules[model.Ingress][i].Peers[j]
			if peer.NamespaceSelector == nil || !peer.NamespaceSelector.Matches(ns.Labels) || peer.NamespaceSelector.Matches(old) {
				continue
			}
			for _, from := range callers(p.World, ns.Name, peer.PodSelector) {
				end := reach.Endpoint{Class: from}
				let := false
				for _, to := range p.Reach.Select(policy).Classes {
					ports := p.Reach.PolicyAllowed(policy, to, model.Ingress, end).Every.Minus(before.Allowed(to, model.Ingress, end).Every)
					if ports.IsEmpty() {
						continue
					}
					if len(g.to) == 0 {
						g.witness = finding.Witness{From: from.Name(), To: to.Name()}
						if port, ok := ports.Witness(); ok {
							g.witness.Port = portText(port, to)
						}
					}
					g.ports, let = g.ports.Union(ports), true
					if !containsClass(g.to, to) {
						g.to = append(g.to, to)
					}
				}
				if let && !containsClass(in, from) {
					in = append(in, from)
				}
			}
		}
	}
	return g, in, len(g.to) > 0
}

// callers are the pods of the namespace that the selector matches, or the pods that it demands where none is there.
func callers(s *model.Snapshot, namespace string, pods *model.Selector) []*model.PodClass {
	var out []*model.PodClass
	for _, c := range s.NamespaceOrImplied(namespace).Classes {
		if !c.HostNetwork && (pods == nil || pods.Matches(c.Labels)) {
			out = append(out, c)
		}
	}
	if len(out) > 0 {
		return out
	}
	if pods == nil {
		return []*model.PodClass{model.NewHypothetical(namespace, nil)}
	}
	for _, labels := range pods.Examples() {
		out = append(out, model.NewHypothetical(namespace, labels))
	}
	return out
}

func containsClass(classes crowd, c *model.PodClass) bool {
	for _, other := range classes {
		if other.Key() == c.Key() {
			return true
		}
	}
	return false
}
