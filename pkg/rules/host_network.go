package rules

import (
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// host-network: selected pods that use the host's network, to which most CNIs do not apply the policy.
func hostNetwork() *rule.Rule {
	return &rule.Rule{
		ID: "host-network", Level: finding.Restricted, Severity: finding.Low,
		Subjects: []string{finding.KindNetworkPolicy},
		Run:      runHostNetwork,
		Doc: rule.Doc{
			Title: "Selected pods on the host's network",
			Why: "A pod with hostNetwork has the node's address, and most CNIs cannot tell its traffic from the node's. The policy reads as if it " +
				"guarded these pods, and it does not.",
			References: []rule.Reference{
				{Title: "Kubernetes: NetworkPolicy and hostNetwork pods", URL: "https://kubernetes.io/docs/concepts/services-networking/network-policies/#networkpolicy-and-hostnetwork-pods"}},
			Finds:  "Pods with hostNetwork that the policy's podSelector selects.",
			Remedy: "Guard these pods by the node's firewall or by a policy of the CNI for nodes, or take them off the host's network.",
			Bad: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: agent
  namespace: ops
spec:
  podSelector:
    matchLabels:
      app: agent
  policyTypes: [Ingress]
---
apiVersion: v1
kind: Pod
metadata:
  name: agent-0
  namespace: ops
  labels:
    app: agent
spec:
  hostNetwork: true
  containers:
    - name: agent
      image: registry.example/agent:1
`,
			Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: agent
  namespace: ops
spec:
  podSelector:
    matchLabels:
      app: agent
  policyTypes: [Ingress]
---
apiVersion: v1
kind: Pod
metadata:
  name: agent-0
  namespace: ops
  labels:
    app: agent
spec:
  containers:
    - name: agent
      image: registry.example/agent:1
`,
		},
	}
}

func runHostNetwork(p *rule.Pass) {
	policy := p.Change.NewPolicy
	if policy == nil {
		return
	}
	pods := crowd(p.Reach.Select(policy).HostNetwork)
	if len(pods) == 0 || pods.count() == 0 {
		return
	}
	w := finding.Witness{To: pods[0].Name()}
	p.Report(spec("podSelector"), w, "%s %s the host's network (%s), and most CNIs do not apply NetworkPolicies to such pods", pods.who(), pods.verb("use", "uses"), w).
		Fix("Guard them on the node, or take them off the host's network").Pods(pods.count()).Covers(keys(pods)...)
}
