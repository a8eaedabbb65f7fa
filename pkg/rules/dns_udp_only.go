package rules

import (
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// dns-udp-only: pods that are isolated for egress, and reach the cluster's DNS over UDP, but not over TCP.
//
// All policies together count. The subject is a policy that isolates the pods and itself allows UDP to DNS: the one to mend.
func dnsUDPOnly() *rule.Rule {
	return &rule.Rule{
		ID: "dns-udp-only", Level: finding.Restricted, Severity: finding.Low,
		Subjects: []string{finding.KindNetworkPolicy},
		Run:      runDNSUDPOnly,
		Doc: rule.Doc{
			Title: "DNS over UDP without TCP",
			Why: "An answer that does not fit into a UDP packet comes back truncated, and the resolver asks again over TCP. Where that is " +
				"blocked, names with many addresses or long records fail to resolve, and only those.",
			References: []rule.Reference{docsPolicies,
				{Title: "RFC 7766: DNS Transport over TCP", URL: "https://www.rfc-editor.org/rfc/rfc7766"}},
			Finds:  "Pods that are isolated for egress and reach the cluster's DNS over UDP, but by no policy over TCP; told of the policy that allows UDP.",
			Remedy: "Allow TCP on the same port beside UDP.",
			Opens:  "DNS over TCP, where it is open over UDP",
			Bad:    dnsUDPOnlyBad,
			Good:   dnsBlockedGood,
		},
	}
}

const dnsUDPOnlyBad = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: allow-dns
  namespace: shop
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
    - to:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: kube-system
          podSelector:
            matchLabels:
              k8s-app: kube-dns
      ports:
        - protocol: UDP
          port: 53
`

func runDNSUDPOnly(p *rule.Pass) {
	policy := p.Change.NewPolicy
	if policy == nil || !policy.Isolates(model.Egress) {
		return
	}
	var found crowd
	for _, c := range p.Reach.Select(policy).Classes {
		if !c.ClusterDNS || p.Reach.ServesDNS(c) {
			continue
		}
		if answer := p.Reach.DNS(c); answer.UDP == reach.Yes && answer.TCP == reach.No {
			found = append(found, c)
		}
	}
	if len(found) == 0 {
		return
	}
	at, port := udpRule(p, policy)
	if at < 0 {
		return
	}
	w := dnsWitness(p.Reach, found[0])
	w.Port = netset.Port{Protocol: netset.TCP, Number: port}.String()
	number := intstr.FromInt32(int32(port))
	p.Report(rulePath(model.Egress, at).Child("ports"), w, "%s %s the cluster's DNS over UDP, but not over TCP (%s), which long answers need",
		found.who(), found.verb("reach", "reaches"), w).
		Fix(fmt.Sprintf("Allow TCP/%d beside UDP/%d", port, port), finding.PatchOp{
			Op: "add", Path: fmt.Sprintf("/spec/egress/%d/ports/-", at),
			Value: networkingv1.NetworkPolicyPort{Protocol: protocolOf(netset.TCP), Port: &number},
		}).Pods(found.count()).Covers(keys(found)...)
}

// udpRule is the policy's first rule that lets the pods reach DNS over UDP, and on which port; -1 if another policy does.
func udpRule(p *rule.Pass, policy *model.Policy) (at int, port uint16) {
	facts := p.World.Facts()
	for i := range policy.Rules[model.Egress] {
		r := &policy.Rules[model.Egress][i]
		for j := range facts.DNS {
			server := &facts.DNS[j]
			for _, number := range server.Ports {
				udp := netset.Port{Protocol: netset.UDP, Number: number}
				if !r.AllPorts() && allowsServer(p.Reach, policy, r, server, udp) {
					return i, number
				}
			}
		}
	}
	return -1, 0
}

// allowsServer says whether one rule lets the pods of c reach a DNS server on the port.
func allowsServer(v *reach.View, policy *model.Policy, r *model.Rule, server *model.DNSServer, port netset.Port) bool {
	if !server.Addrs.IsEmpty() && r.External.Overlaps(server.Addrs) && r.Numeric.Contains(port) {
		return true
	}
	return slices.ContainsFunc(v.DNSClasses(server), func(class *model.PodClass) bool {
		return reach.PortsOn(r, class).Contains(port) && v.MatchRule(policy.Namespace, r, reach.Endpoint{Class: class}).Some
	})
}
