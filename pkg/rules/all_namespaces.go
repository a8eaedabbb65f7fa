package rules

import (
	"fmt"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// all-namespaces: ingress from, or egress to, the pods of every namespace, with or without a podSelector: whoever may create
// pods anywhere chooses their labels.
//
// Every namespace is meant by a namespaceSelector that is always true, and in a live cluster by one that matches all of at
// least three namespaces. Left out are egress for DNS alone, and ingress for DNS to the cluster's DNS pods.
func allNamespaces() *rule.Rule {
	return &rule.Rule{
		ID: "all-namespaces", Level: finding.Restricted, Severity: finding.Low,
		Subjects: []string{finding.KindNetworkPolicy},
		Run:      runAllNamespaces,
		Doc: rule.Doc{
			Title: "Open to every namespace",
			Why: "A cluster is shared. A rule for every namespace lets in the tenant of tomorrow, and a podSelector beside it is no barrier: " +
				"whoever creates a pod gives it its labels.",
			References: []rule.Reference{docsPolicies,
				{Title: "Kubernetes: Multi-tenancy, network isolation", URL: "https://kubernetes.io/docs/concepts/security/multi-tenancy/#network-isolation"}},
			Finds:  "A peer whose namespaceSelector matches every namespace, in ingress, or in egress for more than DNS.",
			Remedy: "Name the namespaces, best by kubernetes.io/metadata.name, which nobody can forge.",
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
        - namespaceSelector: {}
          podSelector:
            matchLabels:
              app: reports
      ports:
        - port: 5432
`,
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
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: reports
          podSelector:
            matchLabels:
              app: reports
      ports:
        - port: 5432
`,
		},
	}
}

// fewNamespaces is from how many namespaces on a selector that matches all of them says more than that there are few.
const fewNamespaces = 3

func runAllNamespaces(p *rule.Pass) {
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
			r := &policy.Rules[d][i]
			for j := range r.Peers {
				if peer := &r.Peers[j]; everyNamespace(p.World, peer) && !forDNS(p, policy, d, r) {
					reportEveryNamespace(p, d, i, j)
					break
				}
			}
		}
	}
}

func everyNamespace(s *model.Snapshot, peer *model.Peer) bool {
	switch {
	case peer.NamespaceSelector == nil:
		return false
	case peer.NamespaceSelector.AlwaysTrueForNamespaces():
		return true
	case !s.Facts().Live:
		return false
	}
	all, namespaces := s.SelectsAll(peer.NamespaceSelector)
	return all && namespaces >= fewNamespaces
}

// forDNS says whether the rule is about the cluster's DNS alone.
func forDNS(p *rule.Pass, policy *model.Policy, d model.Direction, r *model.Rule) bool {
	ports := dnsPorts(p.World.Facts())
	if d == model.Egress {
		return !r.Named && ports.ContainsAll(r.Numeric)
	}
	for _, c := range p.Reach.Select(policy).Classes {
		if !p.Reach.ServesDNS(c) || !ports.ContainsAll(reach.PortsOn(r, c)) {
			return false
		}
	}
	return true
}

func reportEveryNamespace(p *rule.Pass, d model.Direction, i, j int) {
	policy := p.Change.NewPolicy
	r := &policy.Rules[d][i]
	pods := crowd(p.Reach.Select(policy).Classes)
	if len(pods) == 0 {
		return
	}
	labels := ""
	if s := r.Peers[j].PodSelector; s != nil && !s.AlwaysTrue() {
		labels = " that carry " + s.String() + ", as any pod can"
	}
	ports := r.Numeric
	if d == model.Ingress {
		ports = reach.PortsOn(r, pods[0])
	}
	w := finding.Witness{To: pods[0].Name()}
	message := fmt.Sprintf("%s %s %s from the pods of every namespace%s", pods.who(), pods.verb("accept", "accepts"), portsText(ports, pods[0]), labels)
	if d == model.Egress {
		message = fmt.Sprintf("%s may connect to the pods of every namespace%s on %s", pods.who(), labels, ports.Short())
	}
	p.Report(peerPath(d, i, j).Child("namespaceSelector"), w, "%s", message).Pods(pods.count()).
		Fix("Name the namespaces, as by the label " + metadataName).
		Covers(peerExtent(pods, d, labels, ports)...)
}
