package rules

import (
	"fmt"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// peer-matches-nothing: a peer whose selectors match no pod: no namespace, no pod in the namespaces that they match, or no pod
// in the policy's own.
//
// Manifests are never complete. Of them it is said only where there is evidence of a mistake: pods whose labels are spelt almost
// so, a namespace whose name is written as another label, or a podSelector that matches pods of the policy's own namespace and
// none in those that it is combined with. In a live cluster it is provisional while the policy is written.
func peerMatchesNothing() *rule.Rule {
	return &rule.Rule{
		ID: "peer-matches-nothing", Level: finding.Restricted, Severity: finding.Low,
		Subjects: []string{finding.KindNetworkPolicy},
		Run:      runPeerMatchesNothing,
		Doc: rule.Doc{
			Title: "A peer that matches no pod",
			Why: "A peer that matches nothing allows nothing: the connection that it was written for is blocked. The most frequent cause is the " +
				"name of a namespace as a label that the namespace does not carry.",
			References: []rule.Reference{docsPolicies,
				{Title: "Kubernetes: targeting a Namespace by its name", URL: "https://kubernetes.io/docs/concepts/services-networking/network-policies/#targeting-a-namespace-by-its-name"}},
			Finds:  "A podSelector or namespaceSelector of a peer, or both together, that match nothing, where there are workloads that they could match.",
			Remedy: "Compare the labels with those of the pods. Select a namespace by kubernetes.io/metadata.name, which every one carries.",
			Bad: `apiVersion: networking.k8s.io/v1
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
        - podSelector:
            matchLabels:
              app: web-frontned
      ports:
        - port: 5432
---
` + podOfShop,
			Good: `apiVersion: networking.k8s.io/v1
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
        - podSelector:
            matchLabels:
              app: web-frontend
      ports:
        - port: 5432
---
` + podOfShop,
		},
	}
}

const podOfShop = `apiVersion: v1
kind: Pod
metadata:
  name: web-0
  namespace: shop
  labels:
    app: web-frontend
`

func runPeerMatchesNothing(p *rule.Pass) {
	policy := p.Change.NewPolicy
	if policy == nil {
		return
	}
	for _, d := range model.Directions {
		if !policy.Isolates(d) {
			continue
		}
		for i := range policy.Rules[d] {
			if p.Stopped() {
				return
			}
			for j := range policy.Rules[d][i].Peers {
				peer := &policy.Rules[d][i].Peers[j]
				if peer.IPBlock != nil {
					continue
				}
				if what, fix := matchesNothing(p, policy, peer); what != "" {
					b := p.Report(peerPath(d, i, j), finding.Witness{}, "%s, so the peer allows nothing", what).Fix(fix)
					if p.World.Facts().Live && p.Change.Operation != model.Exists {
						b.Provisional("what it selects may come later")
					}
				}
			}
		}
	}
}

// mostLooked bounds the namespaces that are looked into for one peer.
const mostLooked = 64

// matchesNothing says what the peer does not match, and what to do; empty if it matches something, or that cannot be told.
func matchesNothing(p *rule.Pass, policy *model.Policy, peer *model.Peer) (what, fix string) {
	const compare = "Compare the labels with those of the pods"
	live := p.World.Facts().Live
	if peer.NamespaceSelector == nil {
		classes := p.World.NamespaceOrImplied(policy.Namespace).Classes
		if len(classes) == 0 || anyMatches(classes, peer.PodSelector) {
			return "", ""
		}
		what = fmt.Sprintf("No pod in namespace %s has %s", policy.Namespace, peer.PodSelector)
		if near, ok := nearestLabels(peer.PodSelector, classes); ok {
			return what, fmt.Sprintf("Did you mean %s?", near)
		}
		if live {
			return what, compare
		}
		return "", ""
	}
	namespaces := 0
	var classes []*model.PodClass
	for ns := range p.World.Select(peer.NamespaceSelector) {
		if namespaces++; namespaces > mostLooked {
			return "", ""
		}
		if anyMatches(ns.Classes, peer.PodSelector) {
			return "", ""
		}
		classes = append(classes, ns.Classes...)
	}
	if namespaces == 0 {
		if name, ok := meantByName(p.World, peer.NamespaceSelector); ok {
			return fmt.Sprintf("No namespace has %s", peer.NamespaceSelector), fmt.Sprintf("Write %s: %s, which the namespace carries", metadataName, name)
		}
		if live {
			return fmt.Sprintf("No namespace has %s", peer.NamespaceSelector), "Compare the labels with those of the namespaces"
		}
		return "", ""
	}
	if peer.PodSelector == nil {
		return "", ""
	}
	what = fmt.Sprintf("No pod in %s has %s", namespacesText(peer.NamespaceSelector), peer.PodSelector)
	own := p.World.NamespaceOrImplied(policy.Namespace).Classes
	switch near, ok := nearestLabels(peer.PodSelector, classes); {
	case ok:
		return what, fmt.Sprintf("Did you mean %s?", near)
	case live:
		return what, compare
	case len(classes) > 0 && anyMatches(own, peer.PodSelector):
		return what, fmt.Sprintf("Make two items of the selectors if the pods of namespace %s are meant", policy.Namespace)
	}
	return "", ""
}

func anyMatches(classes []*model.PodClass, s *model.Selector) bool {
	for _, c := range classes {
		if s == nil || s.Matches(c.Labels) {
			return true
		}
	}
	return false
}

// meantByName is the name of a namespace that a selector demands as the value of some label.
func meantByName(s *model.Snapshot, sel *model.Selector) (string, bool) {
	for _, labels := range sel.Examples() {
		for key, value := range labels {
			if key != metadataName && len(labels) == 1 && s.Namespace(value) != nil {
				return value, true
			}
		}
	}
	return "", false
}
