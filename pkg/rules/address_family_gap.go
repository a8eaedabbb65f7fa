package rules

import (
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// address-family-gap: a rule whose ipBlocks restrict one address family and leave the other wide open.
//
// Restricted is a family of which the rule allows something and less than what is wide (one IPv4 /8, one IPv6 /16), without
// the help of except; wide open is one of which it allows all public addresses. A family that the rule does not mention is
// closed, and so no gap.
func addressFamilyGap() *rule.Rule {
	return &rule.Rule{
		ID: "address-family-gap", Level: finding.Restricted, Severity: finding.Medium,
		Subjects: []string{finding.KindNetworkPolicy},
		Run:      runAddressFamilyGap,
		Doc: rule.Doc{
			Title: "One address family restricted, the other open",
			Why: "In a dual-stack cluster every client may come over IPv4 and over IPv6. A list of networks for one and everything for the other is no " +
				"restriction.",
			References: []rule.Reference{docsPolicies,
				{Title: "Kubernetes: IPv4/IPv6 dual-stack", URL: "https://kubernetes.io/docs/concepts/services-networking/dual-stack/"}},
			Finds:  "A rule that allows a few networks of one address family, and all public addresses of the other.",
			Remedy: "Restrict both families, or leave the one out that is not used.",
			Bad: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: shop
spec:
  podSelector:
    matchLabels:
      app: web
  policyTypes: [Ingress]
  ingress:
    - from:
        - ipBlock:
            cidr: 192.168.10.0/24
        - ipBlock:
            cidr: ::/0
      ports:
        - port: 8443
`,
			Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: shop
spec:
  podSelector:
    matchLabels:
      app: web
  policyTypes: [Ingress]
  ingress:
    - from:
        - ipBlock:
            cidr: 192.168.10.0/24
        - ipBlock:
            cidr: fd00:10::/64
      ports:
        - port: 8443
`,
		},
	}
}

func runAddressFamilyGap(p *rule.Pass) {
	policy := p.Change.NewPolicy
	if policy == nil {
		return
	}
	internet := netset.PublicInternet()
	for _, d := range model.Directions {
		if !policy.Isolates(d) {
			continue
		}
		for i := range policy.Rules[d] {
			r := &policy.Rules[d][i]
			if r.AllPeers() || r.External.IsEmpty() {
				continue
			}
			v4, v6 := r.External.IPv4(), r.External.IPv6()
			switch {
			case v6.ContainsAll(internet.IPv6()) && restricted(v4, 8, 0):
				reportGap(p, d, i, v4, "IPv6", v6)
			case v4.ContainsAll(internet.IPv4()) && restricted(v6, 0, 16):
				reportGap(p, d, i, v6, "IPv4", v4)
			}
		}
	}
}

// restricted says whether addresses of one family are some, and not wide.
func restricted(a netset.Addrs, v4, v6 int) bool { return !a.IsEmpty() && !a.HasAtLeast(v4, v6) }

func reportGap(p *rule.Pass, d model.Direction, i int, few netset.Addrs, open string, all netset.Addrs) {
	r := &p.Change.NewPolicy.Rules[d][i]
	at := rulePath(d, i)
	for j := range r.Peers {
		if b := r.Peers[j].IPBlock; b != nil && b.Addrs.Overlaps(all) {
			at = peerPath(d, i, j).Child("ipBlock", "cidr")
			break
		}
	}
	addr, _ := all.Witness()
	p.Report(at, between(p, d, i, addr), "The rule allows only %s of %s, and all of %s", few.Short(3), map[string]string{"IPv4": "IPv6", "IPv6": "IPv4"}[open], open).
		Fix("Restrict both families, or leave " + open + " out").
		Covers(finding.Part{Key: d.Field() + " " + open, Conns: netset.ConnsOf(all, r.Numeric)})
}
