// Package generate writes NetworkPolicies: default denies, the way to DNS, and the other side of what is allowed on one side
// only. It is pure; what it writes is meant to have no finding of its own at level restricted, where it is put.
package generate

import (
	"errors"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// Policy is a policy that was written, and what it is for, as a sentence.
type Policy struct {
	Object  *networkingv1.NetworkPolicy
	Comment string
}

// Compiled is the policy as rules see it. A policy without namespace is in default, as for kubectl.
func (p *Policy) Compiled() *model.Policy {
	np := p.Object.DeepCopy()
	if np.Namespace == "" {
		np.Namespace = metav1.NamespaceDefault
	}
	return model.CompilePolicy(np, model.Authored{})
}

func newPolicy(namespace, name string, types ...model.Direction) *networkingv1.NetworkPolicy {
	np := &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: networkingv1.SchemeGroupVersion.String(), Kind: finding.KindNetworkPolicy},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
	}
	for _, d := range types {
		np.Spec.PolicyTypes = append(np.Spec.PolicyTypes, networkingv1.PolicyType(d.String()))
	}
	return np
}

// DefaultDeny isolates every pod of the namespace in the directions, of which there is at least one.
func DefaultDeny(namespace string, directions ...model.Direction) Policy {
	name, comment := "default-deny", "Nothing is let in or out but what other policies allow."
	if len(directions) == 1 {
		name += "-" + directions[0].Field()
		comment = "Nothing is let in but what other policies allow."
		if directions[0] == model.Egress {
			comment = "Nothing is let out but what other policies allow."
		}
	}
	return Policy{Object: newPolicy(namespace, name, directions...), Comment: comment}
}

// ErrNoDNS is that the cluster's DNS is not known.
var ErrNoDNS = errors.New("it is not known where the cluster's DNS is: set cluster.dns in the configuration")

// AllowDNS lets every pod of the namespace out to the cluster's DNS, by each of the ways to it.
func AllowDNS(namespace string, facts *model.Facts) (Policy, error) {
	np := newPolicy(namespace, "allow-dns", model.Egress)
	np.Spec.Egress = dnsRules(facts)
	if len(np.Spec.Egress) == 0 {
		return Policy{}, ErrNoDNS
	}
	return Policy{Object: np, Comment: "Every pod may ask the cluster's DNS."}, nil
}

func dnsRules(facts *model.Facts) []networkingv1.NetworkPolicyEgressRule {
	var out []networkingv1.NetworkPolicyEgressRule
	for i := range facts.DNS {
		server := &facts.DNS[i]
		var rule networkingv1.NetworkPolicyEgressRule
		if server.PodSelector != nil {
			peer := networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{}, PodSelector: server.PodSelector.LabelSelector()}
			if server.NamespaceSelector != nil {
				peer.NamespaceSelector = server.NamespaceSelector.LabelSelector()
			}
			rule.To = append(rule.To, peer)
		}
		for _, prefix := range server.Addrs.Prefixes() {
			rule.To = append(rule.To, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: prefix.String()}})
		}
		for _, number := range server.Ports {
			for _, protocol := range []netset.Protocol{netset.UDP, netset.TCP} {
				rule.Ports = append(rule.Ports, portOf(netset.PortSpan{Protocol: protocol, First: number, Last: number}))
			}
		}
		if len(rule.To) > 0 && len(rule.Ports) > 0 {
			out = append(out, rule)
		}
	}
	return out
}

// portOf is an item of a rule's ports.
func portOf(span netset.PortSpan) networkingv1.NetworkPolicyPort {
	protocol := corev1.Protocol(span.Protocol.String())
	out := networkingv1.NetworkPolicyPort{Protocol: &protocol}
	if span.First == 1 && span.Last == 65535 {
		return out
	}
	first := intstr.FromInt32(int32(span.First))
	out.Port = &first
	if span.Last > span.First {
		last := int32(span.Last)
		out.EndPort = &last
	}
	return out
}
