package rules

import (
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// external-ingress: pods that accept connections from any public address, however few, that nothing justifies.
//
// Justified are, on a port that something exposes (see internet-ingress): every source; or, where the Service has
// loadBalancerSourceRanges, only these; or, where only the configuration says where load balancers connect from, only
// those. The configured addresses of load balancers are justified on every port of an exposed pod, for their health checks.
//
// Provisional as internet-ingress is, and left out where that rule finds something in the policy.
func externalIngress() *rule.Rule {
	return &rule.Rule{
		ID: "external-ingress", Level: finding.Restricted, Severity: finding.Medium,
		Subjects:    []string{finding.KindNetworkPolicy},
		YieldsTo:    []string{"internet-ingress"},
		NewSettings: func() any { s := defaultExposure(); return &s },
		Run:         runExternalIngress,
		Doc: rule.Doc{
			Title: "Open to public addresses without need",
			Why: "Even a single public address is outside of your control: it may be shared, spoofed, or given to someone else next month. " +
				"Behind a load balancer the pods see its addresses or those that it lets through, and need to accept no others.",
			References: []rule.Reference{docsPolicies, nsaHardening,
				{Title: "Kubernetes: loadBalancerSourceRanges", URL: "https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/#ServiceSpec"}},
			Finds: "Selected pods that accept connections from public addresses on ports that nothing exposes; and, where " +
				"loadBalancerSourceRanges are set or the load balancers' own addresses are configured, from any other public address on exposed ports.",
			Remedy: "Remove the sources, or narrow them to the load balancer's. Networks of your own belong into cluster.trustedCIDRs of the configuration.",
			Bad:    externalIngressBad,
			Good:   externalIngressGood,
			Params: exposureParams,
		},
	}
}

const externalIngressBad = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: admin
  namespace: shop
spec:
  podSelector:
    matchLabels:
      app: admin
  policyTypes: [Ingress]
  ingress:
    - from:
        - ipBlock:
            cidr: 52.94.76.0/22
      ports:
        - port: 8080
`

const externalIngressGood = `apiVersion: networking.k8s.io/v1
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
            cidr: 52.94.76.0/22
      ports:
        - port: 8443
---
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: shop
spec:
  type: LoadBalancer
  loadBalancerSourceRanges: [52.94.76.0/22]
  selector:
    app: web
  ports:
    - port: 443
      targetPort: 8443
`

// sourcesOf are the addresses that an exposure justifies.
func sourcesOf(e *reach.Exposure, facts *model.Facts) netset.Addrs {
	switch {
	case !e.Sources.IsEmpty():
		return e.Sources.Union(facts.LoadBalancerSources)
	case !facts.LoadBalancerSources.IsEmpty():
		return facts.LoadBalancerSources
	}
	return netset.AllAddrs()
}

func runExternalIngress(p *rule.Pass) {
	s := rule.Settings[*exposureSettings](p)
	facts := p.World.Facts()
	justify := func(o *opening, exposures []reach.Exposure) {
		var parts []netset.Conns
		for i := range exposures {
			parts = append(parts, netset.ConnsOf(sourcesOf(&exposures[i], facts), exposures[i].Ports))
		}
		if len(exposures) > 0 {
			parts = append(parts, netset.ConnsOf(facts.LoadBalancerSources, netset.AllPorts()))
		}
		o.justified = netset.UnionConns(parts...)
		o.unjustified = o.conns.Minus(o.justified)
	}
	all := s.openings(p, justify)
	bad := failing(all)
	if len(bad) == 0 {
		return
	}
	policy := p.Change.NewPolicy
	found := culprits(policy, model.Ingress, bad)
	pods, ports := classesOf(bad), portsOf(bad)
	source, port := bad[0].proof(policy, model.Ingress, ownAddrs(facts))
	w := finding.Witness{From: source.String(), To: bad[0].class.Name(), Port: portText(port, bad[0].class)}
	var sources netset.Addrs
	for i := range bad {
		sources = sources.Union(bad[i].unjustified.AddrsOn(netset.AllPorts()))
	}
	from := "public addresses in " + sources.Short(3)
	if sources.HasAtLeast(8, 16) {
		from = "the internet"
	}
	reason := "nothing exposes " + them(ports)
	if exposed := bad[0].justified.PortsOf(netset.AllAddrs()); exposed.ContainsAll(ports) {
		reason = "the load balancer lets only " + bad[0].justified.AddrsOn(ports).Short(3) + " through"
	}
	b := p.Report(found[0].path(), w, "%s %s %s from %s (%s), and %s",
		pods.who(), pods.verb("accept", "accepts"), portsText(ports, bad[0].class), from, w, reason)
	fix, patch := fixExposure(p, s.options(), found, all)
	if slices.ContainsFunc(found, func(c culprit) bool { return len(c.peers) == 0 }) {
		patch = nil // it would let in the pods of every namespace by name, which all-namespaces finds
	}
	b.Fix(fix, patch...).Pods(pods.count()).Covers(extent(bad)...)
	if why := s.later(p, all, bad, justify); why != "" {
		b.Provisional(why)
	}
}
