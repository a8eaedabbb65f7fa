// Package cyclonus asks the matcher of Cyclonus (https://github.com/mattfenwick/cyclonus), a program that tests network
// plugins, about the connections that pkg/reach is asked about: an evaluator that was written by others from the same
// documentation.
//
// Where the two differ, the reason must be one of Differences: something that Cyclonus does not know of, or does otherwise
// than Kubernetes. Each of them is a small change of what Cyclonus is told, after which it must agree.
package cyclonus

import (
	"slices"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/portcullis-dev/portcullis/test/oracle"
	"github.com/portcullis-dev/portcullis/test/oracle/gen"
)

// Answer is what the policies of each end say to a connection.
type Answer struct{ Egress, Ingress bool }

// telling is how a cluster is told to Cyclonus. The zero value is the plain way.
type telling struct {
	hostNetwork, cilium, portNames, notIn, emptyValue bool
}

// Ask is what Cyclonus says to the connection, told of it in the plain way.
func Ask(c *oracle.Cluster, conn gen.Connection) Answer { return telling{}.ask(c, conn) }

func (t telling) ask(c *oracle.Cluster, conn gen.Connection) Answer {
	policies := make([]*networkingv1.NetworkPolicy, len(c.Policies))
	for i := range c.Policies {
		policies[i] = t.policy(&c.Policies[i], conn)
	}
	built := matcher.BuildNetworkPolicies(true, policies)
	var out Answer
	for _, name := range t.portNamesOf(conn) {
		result := built.IsTrafficAllowed(&matcher.Traffic{
			Source: t.peer(c, conn.From), Destination: t.peer(c, conn.To),
			ResolvedPort: int(conn.Number), ResolvedPortName: name, Protocol: conn.Protocol,
		})
		out.Egress, out.Ingress = out.Egress || result.Egress.IsAllowed(), out.Ingress || result.Ingress.IsAllowed()
	}
	return out
}

// policy is the policy as the API server stores it, where policyTypes are never empty, and in the words that t asks for.
func (t telling) policy(p *networkingv1.NetworkPolicy, conn gen.Connection) *networkingv1.NetworkPolicy {
	p = p.DeepCopy()
	if len(p.Spec.PolicyTypes) == 0 {
		p.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		if len(p.Spec.Egress) > 0 {
			p.Spec.PolicyTypes = append(p.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
		}
	}
	t.selector(&p.Spec.PodSelector)
	if t.cilium && conn.From.Pod != nil && conn.To.Pod != nil {
		withoutBlocks(&p.Spec)
	}
	for _, r := range p.Spec.Ingress {
		t.peers(r.From)
	}
	for _, r := range p.Spec.Egress {
		t.peers(r.To)
	}
	return p
}

func (t telling) peers(peers []networkingv1.NetworkPolicyPeer) {
	for i := range peers {
		t.selector(peers[i].PodSelector)
		t.selector(peers[i].NamespaceSelector)
	}
}

// withoutBlocks takes out the ipBlocks, and the rules that have no peers but those: without peers they would be for everyone.
func withoutBlocks(spec *networkingv1.NetworkPolicySpec) {
	isBlock := func(p networkingv1.NetworkPolicyPeer) bool { return p.IPBlock != nil }
	without := func(peers []networkingv1.NetworkPolicyPeer) (left []networkingv1.NetworkPolicyPeer, none bool) {
		left = slices.DeleteFunc(slices.Clone(peers), isBlock)
		return left, len(peers) > 0 && len(left) == 0
	}
	spec.Ingress = slices.DeleteFunc(spec.Ingress, func(r networkingv1.NetworkPolicyIngressRule) bool { _, none := without(r.From); return none })
	spec.Egress = slices.DeleteFunc(spec.Egress, func(r networkingv1.NetworkPolicyEgressRule) bool { _, none := without(r.To); return none })
	for i := range spec.Ingress {
		spec.Ingress[i].From, _ = without(spec.Ingress[i].From)
	}
	for i := range spec.Egress {
		spec.Egress[i].To, _ = without(spec.Egress[i].To)
	}
}

// peer is one end of the connection.
func (t telling) peer(c *oracle.Cluster, e oracle.Endpoint) *matcher.TrafficPeer {
	out := &matcher.TrafficPeer{IP: e.IP.String()}
	if e.Pod == nil || t.hostNetwork && e.Pod.Spec.HostNetwork {
		return out
	}
	labels := map[string]string{corev1.LabelMetadataName: e.Pod.Namespace}
	for _, ns := range c.Namespaces {
		if ns.Name == e.Pod.Namespace {
			for key, value := range ns.Labels {
				labels[key] = value
			}
		}
	}
	out.Internal = &matcher.InternalPeer{Namespace: e.Pod.Namespace, NamespaceLabels: t.labels(labels), PodLabels: t.labels(e.Pod.Labels)}
	return out
}

// portNamesOf are the names of the port that is connected to: none, one, or, where t asks for that, several, of which the
// plain way tells the first.
func (t telling) portNamesOf(conn gen.Connection) []string {
	out := []string{}
	if pod := conn.To.Pod; pod != nil && !(t.hostNetwork && pod.Spec.HostNetwork) {
		for _, container := range slices.Concat(pod.Spec.Containers, sidecars(pod)) {
			for _, p := range container.Ports {
				protocol := p.Protocol
				if protocol == "" {
					protocol = corev1.ProtocolTCP
				}
				if p.ContainerPort == conn.Number && protocol == conn.Protocol {
					out = append(out, p.Name)
				}
			}
		}
	}
	switch {
	case len(out) == 0:
		return []string{""}
	case !t.portNames:
		return out[:1]
	}
	return out
}

// sidecars are the init containers that go on to run beside the others.
func sidecars(pod *corev1.Pod) []corev1.Container {
	var out []corev1.Container
	for _, c := range pod.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			out = append(out, c)
		}
	}
	return out
}
