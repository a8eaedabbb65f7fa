// Package oracle answers, for one connection at a time, whether the NetworkPolicies of a cluster allow it.
//
// It is the yardstick for pkg/reach, and shares nothing with it: it is written from the documentation of the API
// (the Go doc of k8s.io/api/networking/v1, quoted at each branch), goes straight over the API objects with plain loops,
// computes no sets, and prefers being checked by reading to being fast.
//
// Beyond the API's own words it follows what most network plugins do:
//   - pods on the host's network are outside of NetworkPolicy: no policy isolates them and no selector finds them as a
//     peer; to the policies of others they are the address of their node, which has no named ports;
//   - an ipBlock matches pods by their addresses; Cilium's matches neither pods nor nodes.
//
// Left out, because the objects do not tell: traffic from the node that a pod runs on (always allowed), and Services (a
// connection is one after the Service's translation).
package oracle

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Cluster is everything that an answer depends on. All pods are running.
type Cluster struct {
	Namespaces []corev1.Namespace
	Pods       []corev1.Pod
	Policies   []networkingv1.NetworkPolicy
	// Cilium says that an ipBlock matches neither pods nor nodes, but only addresses outside of the cluster.
	Cilium bool
}

// Endpoint is one end of a connection: a pod at one of its addresses, or, without Pod, an address that is no pod's.
type Endpoint struct {
	Pod *corev1.Pod
	IP  netip.Addr
}

// Answer is the fate of one connection, and why.
type Answer struct {
	Allowed         bool
	EgressOK        bool // the policies of the source let it out
	IngressOK       bool // the policies of the destination let it in
	EgressIsolated  bool // a policy of type Egress selects the source
	IngressIsolated bool // a policy of type Ingress selects the destination
}

// Allowed answers for one connection to a port number, 1 to 65535, of the destination.
func Allowed(c *Cluster, from, to Endpoint, protocol corev1.Protocol, port int32) Answer {
	// "exception: a pod cannot block access to itself" (the NetworkPolicy documentation).
	if from.Pod != nil && to.Pod != nil && from.Pod.Namespace == to.Pod.Namespace && from.Pod.Name == to.Pod.Name {
		return Answer{Allowed: true, EgressOK: true, IngressOK: true}
	}
	// "Traffic is allowed to a pod if there are no NetworkPolicies selecting the pod [...] OR if the traffic matches at
	// least one ingress rule across all of the NetworkPolicy objects whose podSelector matches the pod."
	var egressAllowed, ingressAllowed bool
	var a Answer
	for i := range c.Policies {
		policy := &c.Policies[i]
		if hasType(policy, networkingv1.PolicyTypeEgress) && appliesTo(policy, from) {
			a.EgressIsolated = true
			for _, rule := range policy.Spec.Egress {
				if peersMatch(c, policy, rule.To, to) && portsMatch(rule.Ports, to, protocol, port) {
					egressAllowed = true
				}
			}
		}
		if hasType(policy, networkingv1.PolicyTypeIngress) && appliesTo(policy, to) {
			a.IngressIsolated = true
			for _, rule := range policy.Spec.Ingress {
				if peersMatch(c, policy, rule.From, from) && portsMatch(rule.Ports, to, protocol, port) {
					ingressAllowed = true
				}
			}
		}
	}
	a.EgressOK = !a.EgressIsolated || egressAllowed
	a.IngressOK = !a.IngressIsolated || ingressAllowed
	a.Allowed = a.EgressOK && a.IngressOK
	return a
}

// hasType: "If this field is not specified, it will default based on the existence of ingress or egress rules; policies that
// contain an egress section are assumed to affect egress, and all policies (whether or not they contain an ingress
// section) are assumed to affect ingress." An empty list is no egress section once the API server has stored it.
func hasType(policy *networkingv1.NetworkPolicy, want networkingv1.PolicyType) bool {
	if len(policy.Spec.PolicyTypes) == 0 {
		return want == networkingv1.PolicyTypeIngress || len(policy.Spec.Egress) > 0
	}
	for _, t := range policy.Spec.PolicyTypes {
		if t == want {
			return true
		}
	}
	return false
}

// appliesTo: "podSelector selects the pods to which this NetworkPolicy object applies. [...] An empty selector matches all
// pods in the policy's namespace."
func appliesTo(policy *networkingv1.NetworkPolicy, e Endpoint) bool {
	return e.Pod != nil && !e.Pod.Spec.HostNetwork && e.Pod.Namespace == policy.Namespace &&
		matches(&policy.Spec.PodSelector, e.Pod.Labels)
}

// peersMatch: "Items in this list are combined using a logical OR operation. If this field is empty or missing, this rule
// matches all destinations (traffic not restricted by destination)."
func peersMatch(c *Cluster, policy *networkingv1.NetworkPolicy, peers []networkingv1.NetworkPolicyPeer, e Endpoint) bool {
	if len(peers) == 0 {
		return true
	}
	for i := range peers {
		if peerMatches(c, policy, &peers[i], e) {
			return true
		}
	}
	return false
}

func peerMatches(c *Cluster, policy *networkingv1.NetworkPolicy, peer *networkingv1.NetworkPolicyPeer, e Endpoint) bool {
	if peer.IPBlock != nil {
		if c.Cilium && e.Pod != nil {
			return false
		}
		return blockContains(peer.IPBlock, e.IP)
	}
	if e.Pod == nil || e.Pod.Spec.HostNetwork {
		return false
	}
	switch {
	case peer.NamespaceSelector != nil && peer.PodSelector != nil:
		// "the NetworkPolicyPeer as a whole selects the pods matching podSelector in the namespaces selected by
		// namespaceSelector."
		return matches(peer.NamespaceSelector, namespaceLabels(c, e.Pod.Namespace)) && matches(peer.PodSelector, e.Pod.Labels)
	case peer.NamespaceSelector != nil:
		// "Otherwise it selects all pods in the namespaces selected by namespaceSelector."
		return matches(peer.NamespaceSelector, namespaceLabels(c, e.Pod.Namespace))
	case peer.PodSelector != nil:
		// "Otherwise it selects the pods matching podSelector in the policy's own namespace."
		return e.Pod.Namespace == policy.Namespace && matches(peer.PodSelector, e.Pod.Labels)
	default:
		return false // the API server refuses a peer without any field
	}
}

// blockContains: "IPBlock describes a particular CIDR that is allowed to the pods matched by a NetworkPolicySpec's
// podSelector. The except entry describes CIDRs that should not be included within this rule."
func blockContains(block *networkingv1.IPBlock, ip netip.Addr) bool {
	if !netip.MustParsePrefix(block.CIDR).Contains(ip) {
		return false
	}
	for _, except := range block.Except {
		if netip.MustParsePrefix(except).Contains(ip) {
			return false
		}
	}
	return true
}

// portsMatch: "Each item in this list is combined using a logical OR. If this field is empty or missing, this rule matches
// all ports (traffic not restricted by port)." In either direction they are ports of the destination.
func portsMatch(ports []networkingv1.NetworkPolicyPort, to Endpoint, protocol corev1.Protocol, number int32) bool {
	if len(ports) == 0 {
		return true
	}
	for i := range ports {
		if portMatches(&ports[i], to, protocol, number) {
			return true
		}
	}
	return false
}

func portMatches(port *networkingv1.NetworkPolicyPort, to Endpoint, protocol corev1.Protocol, number int32) bool {
	// "protocol represents the protocol (TCP, UDP, or SCTP) which traffic must match. If not specified, this field
	// defaults to TCP."
	wanted := corev1.ProtocolTCP
	if port.Protocol != nil {
		wanted = *port.Protocol
	}
	if wanted != protocol {
		return false
	}
	// "If this field is not provided, this matches all port names and numbers."
	if port.Port == nil {
		return true
	}
	// "This can either be a numerical or named port on a pod."
	if port.Port.Type == intstr.String {
		return to.Pod != nil && !to.Pod.Spec.HostNetwork && podNamesPort(to.Pod, port.Port.StrVal, protocol, number)
	}
	// "endPort indicates that the range of ports from port to endPort if set, inclusive, should be allowed by the policy."
	if port.EndPort != nil {
		return port.Port.IntVal <= number && number <= *port.EndPort
	}
	return port.Port.IntVal == number
}

// podNamesPort says whether a container of the pod has a port of that name, protocol and number. Init containers count
// if they run on beside the others (restartPolicy: Always).
func podNamesPort(pod *corev1.Pod, name string, protocol corev1.Protocol, number int32) bool {
	for _, container := range pod.Spec.Containers {
		if containerNamesPort(container, name, protocol, number) {
			return true
		}
	}
	for _, container := range pod.Spec.InitContainers {
		sidecar := container.RestartPolicy != nil && *container.RestartPolicy == corev1.ContainerRestartPolicyAlways
		if sidecar && containerNamesPort(container, name, protocol, number) {
			return true
		}
	}
	return false
}

func containerNamesPort(container corev1.Container, name string, protocol corev1.Protocol, number int32) bool {
	for _, port := range container.Ports {
		declared := port.Protocol
		if declared == "" {
			declared = corev1.ProtocolTCP // "Defaults to "TCP"."
		}
		if port.Name == name && declared == protocol && port.ContainerPort == number {
			return true
		}
	}
	return false
}

// namespaceLabels are the labels of a namespace, with the one that the API server sets on each. A namespace that no object
// describes has that one alone.
func namespaceLabels(c *Cluster, name string) map[string]string {
	all := map[string]string{}
	for _, ns := range c.Namespaces {
		if ns.Name == name {
			for key, value := range ns.Labels {
				all[key] = value
			}
		}
	}
	all[corev1.LabelMetadataName] = name
	return all
}

// matches follows "standard label selector semantics; if present but empty, it selects all". What is no selector at all
// (the API server refuses it) selects nothing.
func matches(selector *metav1.LabelSelector, of map[string]string) bool {
	s, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && s.Matches(labels.Set(of))
}
