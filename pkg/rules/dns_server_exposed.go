package rules

import (
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// dns-server-exposed: a policy that selects the cluster's DNS pods and allows ingress to them from public addresses, on any
// port and however few. No Service justifies it.
func dnsServerExposed() *rule.Rule {
	return &rule.Rule{
		ID: "dns-server-exposed", Level: finding.Baseline, Severity: finding.High,
		Subjects: []string{finding.KindNetworkPolicy},
		Run:      runDNSServerExposed,
		Doc: rule.Doc{
			Title: "Cluster DNS open to the internet",
			Why: "A resolver that answers the internet is used to flood others with large answers to forged questions, and it tells anyone who " +
				"asks the names and addresses of everything in the cluster.",
			References: []rule.Reference{docsPolicies,
				{Title: "RFC 5358: Preventing Use of Recursive Nameservers in Reflector Attacks", URL: "https://www.rfc-editor.org/rfc/rfc5358"}},
			Finds:  "A policy that selects the cluster's DNS pods and allows connections to them from public addresses.",
			Remedy: "Allow DNS from the cluster's pods, and nothing from outside.",
			Bad:    dnsServerExposedBad,
			Good:   dnsServerExposedGood,
		},
	}
}

const dnsServerExposedBad = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: coredns
  namespace: kube-system
spec:
  podSelector:
    matchLabels:
      k8s-app: kube-dns
  policyTypes: [Ingress]
  ingress:
    - ports:
        - protocol: UDP
          port: 53
        - protocol: TCP
          port: 53
`

const dnsServerExposedGood = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: coredns
  namespace: kube-system
spec:
  podSelector:
    matchLabels:
      k8s-app: kube-dns
  policyTypes: [Ingress]
  ingress:
    - from:
        - namespaceSelector: {}
      ports:
        - protocol: UDP
          port: 53
        - protocol: TCP
          port: 53
`

func runDNSServerExposed(p *rule.Pass) {
	policy := p.Change.NewPolicy
	if policy == nil || !policy.Isolates(model.Ingress) || !mentionsAddrs(policy, model.Ingress) {
		return
	}
	own := ownAddrs(p.World.Facts())
	var bad []opening
	for _, c := range p.Reach.Select(policy).Classes {
		if !p.Reach.ServesDNS(c) {
			continue
		}
		if conns := publicConns(reach.PolicyExternal(policy, c, model.Ingress), own); !conns.IsEmpty() {
			bad = append(bad, opening{class: c, conns: conns, unjustified: conns})
		}
	}
	if len(bad) == 0 {
		return
	}
	found := culprits(policy, model.Ingress, bad)
	servers, ports := classesOf(bad), portsOf(bad)
	source, port := bad[0].proof(policy, model.Ingress, own)
	w := finding.Witness{From: source.String(), To: bad[0].class.Name(), Port: portText(port, bad[0].class)}
	fix, patch := fromPods(policy, found, p.World.Facts())
	p.Report(found[0].path(), w, "The cluster's DNS servers accept %s from public addresses (%s)", portsText(ports, bad[0].class), w).
		Fix(fix, patch...).Pods(servers.count()).Covers(extent(bad)...)
}

// fromPods takes out the peers at fault, and where they hold the pods' addresses, too, lets the pods of every namespace in
// instead: without them, nobody would have DNS.
func fromPods(policy *model.Policy, found []culprit, facts *model.Facts) (string, []finding.PatchOp) {
	everyPod := networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{}}
	var patch []finding.PatchOp
	for _, c := range slices.Backward(found) {
		at := fmt.Sprintf("/spec/ingress/%d", c.rule)
		r := &policy.Rules[model.Ingress][c.rule]
		if r.AllPeers() {
			patch = append(patch, finding.PatchOp{Op: "add", Path: at + "/from", Value: []networkingv1.NetworkPolicyPeer{everyPod}})
			continue
		}
		removed := c.peers
		if holdsPods(c.sources(r), facts) {
			removed = c.peers[1:]
		}
		for _, k := range slices.Backward(removed) {
			patch = append(patch, finding.PatchOp{Op: "remove", Path: fmt.Sprintf("%s/from/%d", at, k)})
		}
		switch {
		case len(removed) < len(c.peers):
			patch = append(patch, finding.PatchOp{Op: "replace", Path: fmt.Sprintf("%s/from/%d", at, c.peers[0]), Value: everyPod})
		case len(removed) == len(r.Peers): // without its last peer, a rule would allow everyone
			patch = append(patch[:len(patch)-len(removed)], finding.PatchOp{Op: "remove", Path: at})
		}
	}
	return "Allow DNS from pods only, as by from: [{namespaceSelector: {}}]", patch
}

// holdsPods says whether addresses are known to hold those of all pods, where the CNI compares them.
func holdsPods(addrs netset.Addrs, facts *model.Facts) bool {
	within := facts.PodCIDRs
	if within.IsEmpty() {
		within = netset.PrivateRanges()
	}
	return facts.CNI != model.CNICilium && addrs.ContainsAll(within)
}
