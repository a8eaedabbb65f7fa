package rules

import (
	"fmt"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// all-ports: a rule that opens every port, or every TCP port, to peers outside of the policy's own namespace. Ports are
// counted over all items of the rule.
func allPorts() *rule.Rule {
	return &rule.Rule{
		ID: "all-ports", Level: finding.Restricted, Severity: finding.Low,
		Subjects: []string{finding.KindNetworkPolicy},
		Run:      runAllPorts,
		Doc: rule.Doc{
			Title: "Every port open",
			Why: "Beside the port that is meant, pods listen on others: metrics, profiling, debugging, administration. A rule without ports opens " +
				"those as well, and the ones that a later version adds.",
			References: []rule.Reference{docsPolicies, nsaHardening},
			Finds:      "A rule that allows every port, or every TCP port, to or from peers outside of the policy's own namespace.",
			Remedy:     "List the ports that are needed.",
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
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: reports
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
      ports:
        - port: 5432
    - from:
        - podSelector: {}
`,
		},
	}
}

func runAllPorts(p *rule.Pass) {
	policy := p.Change.NewPolicy
	if policy == nil {
		return
	}
	for _, d := range model.Directions {
		if !policy.Isolates(d) {
			continue
		}
		for i := range policy.Rules[d] {
			r := &policy.Rules[d][i]
			if !r.Numeric.ContainsAll(netset.AllOf(netset.TCP)) {
				continue
			}
			peer, outside := outsidePeer(r, d, policy.Namespace)
			if !outside {
				continue
			}
			pods := crowd(p.Reach.Select(policy).Classes)
			if len(pods) == 0 { // only pods on the host's network
				return
			}
			w := finding.Witness{To: pods[0].Name()}
			ports := "every TCP port"
			if r.Numeric.Equal(netset.AllPorts()) {
				ports = "every port"
			}
			message := fmt.Sprintf("%s %s connections on %s from %s", pods.who(), pods.verb("accept", "accepts"), ports, peer)
			if d == model.Egress {
				message = fmt.Sprintf("%s may connect to %s of %s", pods.who(), ports, peer)
			}
			p.Report(rulePath(d, i), w, "%s", message).Pods(pods.count()).Fix("List the ports that are needed under ports").
				Covers(peerExtent(pods, d, peer, r.Numeric)...)
		}
	}
}

// outsidePeer is the first peer of the rule that is outside of the namespace, for a sentence.
func outsidePeer(r *model.Rule, d model.Direction, namespace string) (string, bool) {
	if r.AllPeers() {
		if d == model.Egress {
			return "every destination", true
		}
		return "everyone", true
	}
	for i := range r.Peers {
		peer := &r.Peers[i]
		switch {
		case peer.IPBlock != nil:
			if !peer.IPBlock.Addrs.IsEmpty() {
				return peer.IPBlock.CIDR, true
			}
		case peer.NamespaceSelector != nil && !onlyNamespace(peer.NamespaceSelector, namespace):
			return namespacesText(peer.NamespaceSelector), true
		}
	}
	return "", false
}

// onlyNamespace says whether the selector can match no namespace but this one.
func onlyNamespace(s *model.Selector, namespace string) bool {
	name, demanded := s.Demands(metadataName)
	return demanded && name == namespace || !s.Satisfiable()
}

// namespacesText is the pods of the namespaces that a selector matches, for a sentence.
func namespacesText(s *model.Selector) string {
	if s.AlwaysTrueForNamespaces() {
		return "every namespace"
	}
	if name, demanded := s.Demands(metadataName); demanded {
		return "namespace " + name
	}
	return "namespaces with " + s.String()
}
