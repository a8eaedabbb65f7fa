package rules

import (
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// metadataName is the label that the API server sets on every Namespace, with its name as value.
const metadataName = "kubernetes.io/metadata.name"

// dnsFix is what to do for DNS, and the egress rule that does it.
func dnsFix(policy *model.Policy, facts *model.Facts) (string, []finding.PatchOp) {
	for i := range facts.DNS {
		server := &facts.DNS[i]
		peers, name := dnsDestination(facts, server)
		if len(peers) == 0 {
			continue
		}
		one := networkingv1.NetworkPolicyEgressRule{To: peers}
		for _, protocol := range []netset.Protocol{netset.UDP, netset.TCP} {
			for _, number := range server.Ports {
				port := intstr.FromInt32(int32(number))
				one.Ports = append(one.Ports, networkingv1.NetworkPolicyPort{Protocol: protocolOf(protocol), Port: &port})
			}
		}
		op := finding.PatchOp{Op: "add", Path: "/spec/egress/-", Value: one}
		if len(policy.Rules[model.Egress]) == 0 {
			op = finding.PatchOp{Op: "add", Path: "/spec/egress", Value: []networkingv1.NetworkPolicyEgressRule{one}}
		}
		return fmt.Sprintf("Add an egress rule to %s, UDP and TCP %s", name, numbersText(server.Ports)), []finding.PatchOp{op}
	}
	// There is at least one server, and none that a peer could name.
	return fmt.Sprintf("Add an egress rule to the cluster's DNS, UDP and TCP %s: cluster.dns in the configuration says where it is", numbersText(facts.DNS[0].Ports)), nil
}

func numbersText(numbers []uint16) string {
	text := ""
	for i, n := range numbers {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprint(n)
	}
	return text
}

// dnsDestination are the peers that stand for a DNS server and, where it runs in front of it, for NodeLocal DNSCache.
func dnsDestination(facts *model.Facts, server *model.DNSServer) (peers []networkingv1.NetworkPolicyPeer, name string) {
	peers, name = dnsPeers(server)
	for i := range facts.DNS {
		cache := &facts.DNS[i]
		if !cache.OnNode || cache == server || !slices.Equal(cache.Ports, server.Ports) {
			continue
		}
		if more, also := dnsPeers(cache); len(peers) > 0 && len(more) > 0 {
			peers, name = append(peers, more...), name+" and to "+also
		}
	}
	return peers, name
}

// dnsPeers are the peers that stand for a DNS server; none if its selectors name no namespace.
func dnsPeers(server *model.DNSServer) (peers []networkingv1.NetworkPolicyPeer, name string) {
	if server.Namespace != "" {
		return []networkingv1.NetworkPolicyPeer{{
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{metadataName: server.Namespace}},
			PodSelector:       &metav1.LabelSelector{MatchLabels: server.Labels},
		}}, fmt.Sprintf("the DNS pods (%s in namespace %s)", model.FormatLabels(server.Labels), server.Namespace)
	}
	prefixes := server.Addrs.Prefixes()
	if len(prefixes) > mostPeers {
		return nil, ""
	}
	for _, prefix := range prefixes {
		peers = append(peers, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: prefix.String()}})
	}
	if server.OnNode {
		return peers, "NodeLocal DNSCache (" + server.Addrs.Short(3) + ")"
	}
	return peers, "the DNS servers " + server.Addrs.Short(3)
}
