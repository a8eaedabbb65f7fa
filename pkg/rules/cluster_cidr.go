package rules

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// cluster-cidr: an ipBlock that holds addresses of the cluster's own pods, Services or nodes.
//
// What it matches inside of the cluster depends on the CNI, and the addresses of pods do not last. Where the cluster's ranges are
// not known, a block of all private addresses holds them, and whether one of some does is undetermined, unless another block
// of the policy is found already. Left out are egress blocks of DNS servers that are known by their addresses alone, as NodeLocal
// DNSCache is: no selector finds them.
func clusterCIDR() *rule.Rule {
	return &rule.Rule{
		ID: "cluster-cidr", Level: finding.Restricted, Severity: finding.Low,
		Subjects: []string{finding.KindNetworkPolicy},
		Run:      runClusterCIDR,
		Doc: rule.Doc{
			Title: "An ipBlock that holds the cluster's own addresses",
			Why: "ipBlocks are for addresses outside of the cluster. Whether they match pods differs from one CNI to the next, pods get new addresses " +
				"with every start, and a Service's address is mostly gone before policies are applied.",
			References: []rule.Reference{
				{Title: "Kubernetes: behaviour of to and from selectors, ipBlock", URL: "https://kubernetes.io/docs/concepts/services-networking/network-policies/#behavior-of-to-and-from-selectors"}},
			Finds:  "An ipBlock, less its exceptions, that overlaps the addresses of pods, Services or nodes. Left out are the addresses of NodeLocal DNSCache and of DNS servers that the configuration names, in egress.",
			Remedy: "Name pods by podSelector and namespaceSelector, and leave the cluster's own ranges out of the block by except.",
			Bad:    clusterCIDRBad,
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
            cidr: 10.0.0.0/8
            except: [10.244.0.0/16]
      ports:
        - port: 8443
---
` + nodeWithPods,
		},
	}
}

const clusterCIDRBad = `apiVersion: networking.k8s.io/v1
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
            cidr: 10.0.0.0/8
      ports:
        - port: 8443
---
` + nodeWithPods

const nodeWithPods = `apiVersion: v1
kind: Node
metadata:
  name: node-1
spec:
  podCIDR: 10.244.0.0/16
`

// privateAddr stands for whatever addresses the cluster has.
var privateAddr = netip.MustParseAddr("10.0.0.1")

func runClusterCIDR(p *rule.Pass) {
	policy := p.Change.NewPolicy
	if policy == nil {
		return
	}
	facts := p.World.Facts()
	known := netset.UnionAddrs(facts.PodCIDRs, facts.ServiceCIDRs, facts.Nodes)
	found, doubtful := false, ""
	for _, d := range model.Directions {
		if !policy.Isolates(d) {
			continue
		}
		for i := range policy.Rules[d] {
			r := &policy.Rules[d][i]
			for j := range r.Peers {
				b := r.Peers[j].IPBlock
				switch {
				case b == nil, d == model.Egress && answersDNS(facts, b.Addrs):
				case known.IsEmpty() && b.Addrs.ContainsAll(netset.PrivateRanges()):
					found = true
					p.Report(peerPath(d, i, j).Child("ipBlock", "cidr"), between(p, d, i, privateAddr), "%s holds all private addresses, and so the cluster's own", b.CIDR).
						Fix("Name pods by selectors, and leave the cluster's own ranges out by except").Covers(finding.Part{Key: d.Field()})
				case known.IsEmpty() && b.Addrs.Overlaps(netset.PrivateRanges()):
					if doubtful == "" {
						doubtful = b.CIDR
					}
				case b.Addrs.Overlaps(known):
					reportClusterCIDR(p, d, i, j, facts)
				}
			}
		}
	}
	if doubtful != "" && !found {
		p.Undetermined("Whether %s holds addresses of the cluster is not known: set cluster.cidrs in the configuration", doubtful)
	}
}

// answersDNS says whether all of the addresses are of a DNS server that is known by addresses alone.
func answersDNS(facts *model.Facts, addrs netset.Addrs) bool {
	return slices.ContainsFunc(facts.DNS, func(server model.DNSServer) bool { return server.PodSelector == nil && server.Addrs.ContainsAll(addrs) })
}

func reportClusterCIDR(p *rule.Pass, d model.Direction, i, j int, facts *model.Facts) {
	b := p.Change.NewPolicy.Rules[d][i].Peers[j].IPBlock
	for _, own := range []struct {
		what  string
		addrs netset.Addrs
	}{{"pods", facts.PodCIDRs}, {"Services", facts.ServiceCIDRs}, {"nodes", facts.Nodes}} {
		both := b.Addrs.Intersect(own.addrs)
		addr, some := both.Witness()
		if !some {
			continue
		}
		fix := "Name pods by podSelector and namespaceSelector instead"
		if !own.addrs.ContainsAll(b.Addrs) {
			fix = fmt.Sprintf("Name pods by selectors, and leave %s out by except", both.Short(2))
		}
		p.Report(peerPath(d, i, j).Child("ipBlock", "cidr"), between(p, d, i, addr), "%s holds addresses of the cluster's %s (%s)", b.CIDR, own.what, both.Short(2)).Fix(fix).
			Covers(finding.Part{Key: d.Field(), Conns: netset.ConnsOf(b.Addrs.Intersect(netset.UnionAddrs(facts.PodCIDRs, facts.ServiceCIDRs, facts.Nodes)), netset.AllPorts())})
		return
	}
}
