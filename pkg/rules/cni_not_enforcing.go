package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// cni-not-enforcing: a live cluster without a CNI that enforces NetworkPolicies, or with one that ignores what policies there
// use: endPort, or SCTP.
//
// CNIs are recognised by their DaemonSets, or configured. Of several, one that enforces is enough, and a feature is ignored
// only if all of those that enforce ignore it. Undetermined: no CNI is recognised, as some run without a DaemonSet.
func cniNotEnforcing() *rule.Rule {
	return &rule.Rule{
		ID: "cni-not-enforcing", Level: finding.Restricted, Severity: finding.High,
		Subjects: []string{finding.KindCluster},
		NewSettings: func() any {
			return &cniSettings{WithoutEndPort: []string{"openshift-sdn", "weave"}, WithoutSCTP: []string{"cilium"}}
		},
		Run: runCNINotEnforcing,
		Doc: rule.Doc{
			Title: "NetworkPolicies that nothing enforces",
			Why: "The API server stores NetworkPolicies and does not enforce them: the CNI does, or nobody. Without one that does, every policy is " +
				"accepted and none has an effect. And a CNI that does not know a field applies the rest of the rule without it.",
			References: []rule.Reference{
				{Title: "Kubernetes: prerequisites of NetworkPolicies", URL: "https://kubernetes.io/docs/concepts/services-networking/network-policies/#prerequisites"},
				{Title: "Kubernetes: ranges of ports", URL: "https://kubernetes.io/docs/concepts/services-networking/network-policies/#targeting-a-range-of-ports"},
				{Title: "Cilium: SCTP support", URL: "https://docs.cilium.io/en/stable/configuration/sctp/"},
				{Title: "Cilium: port ranges in network policies", URL: "https://github.com/cilium/cilium/issues/16622"},
			},
			Finds: "A live cluster where no CNI enforces NetworkPolicies, as its DaemonSets tell: flannel alone, or the AWS VPC CNI without its network " +
				"policy agent. And a CNI that ignores endPort or SCTP while policies use it; Cilium before 1.16 ignores endPort. Manifests alone do not tell.",
			Remedy: "Install a CNI that enforces NetworkPolicies, or switch that on. If one does that is not recognised, name it in cluster.cni of the configuration.",
			Bad:    agentBeside("kube-flannel-ds"),
			Good:   agentBeside("calico-node"),
			Params: []rule.Param{
				{Name: "withoutEndPort", Default: "[openshift-sdn, weave]", Description: "CNIs that ignore endPort, whatever their version."},
				{Name: "withoutSCTP", Default: "[cilium]", Description: "CNIs that ignore SCTP. Take cilium off the list if sctp.enabled is set in its chart, which it is not by default."},
			},
		},
	}
}

// agentBeside is an example of a policy and the DaemonSet of a CNI.
func agentBeside(name string) string {
	return `apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: ` + name + `
  namespace: kube-system
spec:
  selector: {matchLabels: {app: cni}}
  template:
    metadata:
      labels: {app: cni}
    spec:
      hostNetwork: true
      containers:
        - name: agent
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: default-deny
  namespace: shop
spec:
  podSelector: {}
  policyTypes: [Ingress]
`
}

type cniSettings struct {
	WithoutEndPort []string `json:"withoutEndPort"`
	WithoutSCTP    []string `json:"withoutSCTP"`
}

func runCNINotEnforcing(p *rule.Pass) {
	facts := p.World.Facts()
	if !facts.Live {
		return
	}
	enforcing := slices.DeleteFunc(slices.Clone(facts.Agents), func(a model.Agent) bool { return !a.Enforces })
	used := featuresOf(p.World)
	switch {
	case len(facts.Agents) == 0:
		p.Undetermined("Whether anything enforces NetworkPolicies here is not known, because no DaemonSet of a known CNI is there").
			Fix("Name the CNI in cluster.cni of the configuration")
	case len(enforcing) == 0:
		p.Report(nil, finding.Witness{}, "The cluster's CNI, %s, enforces no NetworkPolicies, so %s", facts.Agents[0].CNI, noEffect(used.policies)).Fix(enforce(facts.Agents[0]))
	default:
		s := rule.Settings[*cniSettings](p)
		s.report(p, enforcing, "endPort", "List the ports one by one", used.ranges, func(a model.Agent) bool {
			return slices.Contains(s.WithoutEndPort, a.CNI) || a.CNI == model.CNICilium && olderThan(a.Version, 1, 16)
		})
		s.report(p, enforcing, "SCTP", "Switch SCTP on in the CNI", used.sctp, func(a model.Agent) bool { return slices.Contains(s.WithoutSCTP, a.CNI) })
	}
}

// report tells a feature that policies use and every CNI that enforces ignores.
func (s *cniSettings) report(p *rule.Pass, enforcing []model.Agent, feature, fix string, by []*model.Policy, ignores func(model.Agent) bool) {
	if len(by) == 0 || slices.ContainsFunc(enforcing, func(a model.Agent) bool { return !ignores(a) }) {
		return
	}
	names, whose := by[0].Subject().String(), "which policy %s uses"
	if len(by) > 1 {
		names, whose = fmt.Sprintf("%s (%s and others)", plural(len(by), "policy", "policies"), names), "which %s use"
	}
	agent := enforcing[0].CNI
	if enforcing[0].Version != "" {
		agent += " " + enforcing[0].Version
	}
	p.Report(nil, finding.Witness{}, "The cluster's CNI, %s, ignores %s, "+whose, agent, feature, names).
		Fix(fix + ", or change to a CNI that knows " + feature)
}

// enforce is what to do to have policies enforced.
func enforce(a model.Agent) string {
	const other = "nstall a CNI that enforces them, such as Calico or Cilium, or name the one that does in cluster.cni of the configuration"
	if a.CNI == "aws-vpc" {
		return "Switch its network policy agent on (--enable-network-policy=true in DaemonSet aws-node), i" + other
	}
	return "I" + other
}

func noEffect(policies int) string {
	switch policies {
	case 0:
		return "none would have an effect"
	case 1:
		return "the only policy there is has no effect"
	}
	return fmt.Sprintf("none of the %d policies there are has an effect", policies)
}

// features are what the policies of a cluster use that not every CNI knows.
type features struct {
	policies     int
	ranges, sctp []*model.Policy
}

func featuresOf(s *model.Snapshot) features {
	var out features
	for ns := range s.Namespaces() {
		for _, policy := range ns.Policies {
			out.policies++
			if usesPort(policy, func(port model.PortSpec) bool {
				return port.EndPort && port.Numbers.Size() > 1
			}) {
				out.ranges = append(out.ranges, policy)
			}
			if usesPort(policy, func(port model.PortSpec) bool { return port.Protocol == netset.SCTP }) {
				out.sctp = append(out.sctp, policy)
			}
		}
	}
	return out
}

func usesPort(policy *model.Policy, is func(model.PortSpec) bool) bool {
	for _, d := range model.Directions {
		for i := range policy.Rules[d] {
			if policy.Isolates(d) && slices.ContainsFunc(policy.Rules[d][i].Ports, is) {
				return true
			}
		}
	}
	return false
}

// olderThan says whether a version as in "v1.15.3" is known to be older.
func olderThan(version string, major, minor int) bool {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) < 2 {
		return false
	}
	a, errA := strconv.Atoi(parts[0])
	b, errB := strconv.Atoi(parts[1])
	return errA == nil && errB == nil && (a < major || a == major && b < minor)
}
