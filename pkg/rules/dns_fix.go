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
	"github.com/portcullis-dev/portcullis/pkg/reach"
)

// metadataName is the label that the API server sets on every Namespace, with its name as value.
const metadataName = "kubernetes.io/metadata.name"

// dnsFix is what to do for DNS, and the egress rule that does it.
func dnsFix(policy *model.Policy, v *reach.View) (string, []finding.PatchOp) {
	facts := v.World().Facts()
	for i := range facts.DNS {
		server := &facts.DNS[i]
		peers, name := dnsDestination(v, server)
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
	for i := range facts.DNS {
		if server := &facts.DNS[i]; onHost(v, server) {
			return hostFix(facts, server), nil
		}
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
func dnsDestination(v *reach.View, server *model.DNSServer) (peers []networkingv1.NetworkPolicyPeer, name string) {
	facts := v.World().Facts()
	peers, name = dnsPeers(server)
	if onHost(v, server) {
		peers, name = nodePeers(facts)
	}
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

// onHost says whether all pods of a DNS server are on the host's network, where no selector finds them.
func onHost(v *reach.View, server *model.DNSServer) bool {
	classes := v.DNSClasses(server)
	return len(classes) > 0 && !slices.ContainsFunc(classes, func(c *model.PodClass) bool { return !c.HostNetwork })
}

// nodePeers are the configured addresses of the nodes; none if there are none, or no ipBlock matches nodes. The addresses that Nodes
// have today would not be those of tomorrow's.
func nodePeers(facts *model.Facts) (peers []networkingv1.NetworkPolicyPeer, name string) {
	if !facts.NodesConfigured || facts.CNI == model.CNICilium {
		return nil, ""
	}
	peers, _ = dnsPeers(&model.DNSServer{Addrs: facts.Nodes})
	return peers, "the nodes' addresses (" + facts.Nodes.Short(3) + ")"
}

// hostFix is what to do for DNS pods on the host's network, where no patch does it.
func hostFix(facts *model.Facts, server *model.DNSServer) string {
	if facts.CNI == model.CNICilium {
		return "Take the DNS pods off the host's network: Cilium finds them there neither by selectors nor by ipBlocks"
	}
	return fmt.Sprintf("Add an egress rule by an ipBlock of the nodes' addresses, UDP and TCP %s: the DNS pods are on the host's network",
		numbersText(server.Ports))
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
