package rules

import (
	"fmt"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// all-ports: a rule that opens every port, or every TCP port, to peers outside of the policy's own namespace; or several rules
// that do so together. Ports are counted over all items of the rule, and, where no rule does it alone, over all rules: for each
// address, and for each peer of selectors over those rules that have a peer which holds it.
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
			Finds:      "A rule that allows every port, or every TCP port, to or from peers outside of the policy's own namespace; or several rules that do so together.",
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
		alone := false
		for i := range policy.Rules[d] {
			r := &policy.Rules[d][i]
			if !r.Numeric.ContainsAll(netset.AllOf(netset.TCP)) {
				continue
			}
			if peer, outside := outsidePeer(r, d, policy.Namespace); outside {
				alone = true
				reportAllPorts(p, d, i, peer, r.Numeric, "")
			}
		}
		if alone {
			continue
		}
		if i, peer, ports, is := splitPorts(policy, d); is {
			reportAllPorts(p, d, i, peer, ports, ", by several rules together")
		}
	}
}

func reportAllPorts(p *rule.Pass, d model.Direction, i int, peer string, open netset.Ports, how string) {
	pods := crowd(p.Reach.Select(p.Change.NewPolicy).Classes)
	if len(pods) == 0 { // only pods on the host's network
		return
	}
	w := finding.Witness{To: pods[0].Name()}
	ports := "every TCP port"
	if open.Equal(netset.AllPorts()) {
		ports = "every port"
	}
	message := fmt.Sprintf("%s %s connections on %s from %s%s", pods.who(), pods.verb("accept", "accepts"), ports, peer, how)
	if d == model.Egress {
		message = fmt.Sprintf("%s may connect to %s of %s%s", pods.who(), ports, peer, how)
	}
	p.Report(rulePath(d, i), w, "%s", message).Pods(pods.count()).Fix("List the ports that are needed under ports").
		Covers(peerExtent(pods, d, peer, open)...)
}

// splitPorts is a peer outside of the namespace for which several rules together open every TCP port, and the first of them.
func splitPorts(policy *model.Policy, d model.Direction) (first int, peer string, open netset.Ports, is bool) {
	rules := policy.Rules[d]
	all := make([]netset.Ports, len(rules))
	for i := range rules {
		all[i] = rules[i].Numeric
	}
	if !netset.UnionPorts(all...).ContainsAll(netset.AllOf(netset.TCP)) {
		return 0, "", open, false
	}
	if i, addrs, ports := splitAddrs(rules); !addrs.IsEmpty() {
		return i, addrs.Short(2), ports, true
	}
	own := model.SelectorOf(map[string]string{metadataName: policy.Namespace})
	parts := portionsOf(policy, d)
	if len(parts) > mostPortions {
		return 0, "", open, false
	}
	for _, x := range parts {
		to := x.to()
		if to == nil || to.NamespaceSelector == nil || !possible(to) || onlyNamespace(to.NamespaceSelector, policy.Namespace) {
			continue
		}
		open = x.on().Numeric
		for _, o := range parts {
			if a := o.to(); a == nil || a.IPBlock == nil && holdsSelectors(&own, a, to) {
				open = open.Union(o.on().Numeric)
			}
		}
		if open.ContainsAll(netset.AllOf(netset.TCP)) {
			return x.rule, namespacesText(to.NamespaceSelector), open, true
		}
	}
	return 0, "", open, false
}

// splitAddrs are the addresses outside of the cluster for which the rules together open every TCP port, the first rule that does
// for any of them, and the ports.
func splitAddrs(rules []model.Rule) (first int, addrs netset.Addrs, open netset.Ports) {
	conns := make([]netset.Conns, len(rules))
	for i := range rules {
		conns[i] = netset.ConnsOf(rules[i].External, rules[i].Numeric)
	}
	addrs = netset.AllAddrs()
	for _, part := range netset.UnionConns(conns...).Parts() {
		if part.Ports.Overlaps(netset.AllOf(netset.TCP)) {
			addrs, open = addrs.Intersect(part.Addrs), open.Union(part.Ports)
		}
	}
	if !open.ContainsAll(netset.AllOf(netset.TCP)) {
		return 0, netset.Addrs{}, open
	}
	for i := range rules {
		if rules[i].External.Overlaps(addrs) && rules[i].Numeric.Overlaps(netset.AllOf(netset.TCP)) {
			return i, addrs, open
		}
	}
	return 0, netset.Addrs{}, open
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
