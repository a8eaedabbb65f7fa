package rules

import (
	"fmt"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// dns-any-destination: an egress rule that opens port 53 to a wide part of the public internet. Data leaves in the questions.
//
// Left out is the rule that allows every destination on every port, or on every TCP port, which others speak of.
func dnsAnyDestination() *rule.Rule {
	return &rule.Rule{
		ID: "dns-any-destination", Level: finding.Restricted, Severity: finding.Low,
		Subjects: []string{finding.KindNetworkPolicy},
		Run:      runDNSAnyDestination,
		Doc: rule.Doc{
			Title: "DNS to anywhere",
			Why: "Port 53 to any address is a tunnel: a name server of a stranger reads data out of the questions, and answers with commands. Pods " +
				"need the cluster's DNS, and no other.",
			References: []rule.Reference{docsPolicies,
				{Title: "MITRE ATT&CK T1071.004: Application Layer Protocol: DNS", URL: "https://attack.mitre.org/techniques/T1071/004/"}},
			Finds:  "An egress rule that allows port 53, UDP or TCP, to a wide part of the public internet. The rule that allows every destination on every port is left to others.",
			Remedy: "Allow port 53 to the cluster's DNS pods alone.",
			Bad: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: allow-dns
  namespace: shop
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
    - ports:
        - protocol: UDP
          port: 53
        - protocol: TCP
          port: 53
`,
			Good: dnsBlockedGood,
		},
	}
}

func runDNSAnyDestination(p *rule.Pass) {
	policy := p.Change.NewPolicy
	if policy == nil || !policy.Isolates(model.Egress) || !mentionsAddrs(policy, model.Egress) {
		return
	}
	facts := p.World.Facts()
	own := ownAddrs(facts)
	many := wide{IPv4: 8, IPv6: 16}
	for i := range policy.Rules[model.Egress] {
		r := &policy.Rules[model.Egress][i]
		dns := r.Numeric.Intersect(port53())
		if dns.IsEmpty() || r.AllPeers() && r.Numeric.ContainsAll(netset.AllOf(netset.TCP)) {
			continue
		}
		public := netset.Public(r.External).Minus(own)
		if !many.is(public) {
			continue
		}
		pods := crowd(p.Reach.Select(policy).Classes)
		if len(pods) == 0 {
			return
		}
		addr, _ := netset.PublicWitness(r.External.Minus(own))
		port, _ := dns.Witness()
		w := finding.Witness{From: pods[0].Name(), To: addr.String(), Port: port.String()}
		p.Report(rulePath(model.Egress, i), w, "%s may send DNS questions to any server on the internet (%s)", pods.who(), w).
			Fix("Allow port 53 to the cluster's DNS alone", onlyDNS(r, i, p.Reach)...).Pods(pods.count()).
			Covers(finding.Part{Key: "dns", Conns: netset.ConnsOf(public, dns)})
		return
	}
}

// onlyDNS replaces the peers of a rule that is about port 53 alone by the cluster's DNS, where the rule allowed that already.
func onlyDNS(r *model.Rule, i int, v *reach.View) []finding.PatchOp {
	facts := v.World().Facts()
	if r.Named || !port53().ContainsAll(r.Numeric) || !holdsPods(r.External, facts) {
		return nil
	}
	for j := range facts.DNS {
		if peers, _ := dnsDestination(v, &facts.DNS[j]); len(peers) > 0 {
			return []finding.PatchOp{{Op: "add", Path: fmt.Sprintf("/spec/egress/%d/to", i), Value: peers}}
		}
	}
	return nil
}
