package gen

import (
	"fmt"
	"net/netip"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"
)

func policy(t *rapid.T, number int) networkingv1.NetworkPolicy {
	const ingress, egress = networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress
	np := networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: networkingv1.SchemeGroupVersion.String(), Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace(t), Name: fmt.Sprintf("n%d", number)},
	}
	if oneIn(t, 2, "podSelector") {
		np.Spec.PodSelector = *selector(t, podLabels())
	}
	np.Spec.PolicyTypes = pick(t, "policyTypes", [][]networkingv1.PolicyType{{ingress, egress}, {ingress}, {egress}, nil, {egress, ingress}, {}})
	np.Spec.Ingress = list(t, "ingress", func() networkingv1.NetworkPolicyIngressRule {
		return networkingv1.NetworkPolicyIngressRule{From: peers(t), Ports: ports(t)}
	})
	np.Spec.Egress = list(t, "egress", func() networkingv1.NetworkPolicyEgressRule {
		return networkingv1.NetworkPolicyEgressRule{To: peers(t), Ports: ports(t)}
	})
	return np
}

// list draws up to three items; none is either an empty list or no list.
func list[T any](t *rapid.T, label string, item func() T) []T {
	n := pick(t, label, []int{0, 1, 2, 1, 1, 2, 3, 1, 2, -1})
	if n < 0 {
		return []T{}
	}
	var out []T
	for range n {
		out = append(out, item())
	}
	return out
}

func peers(t *rapid.T) []networkingv1.NetworkPolicyPeer {
	return list(t, "peers", func() networkingv1.NetworkPolicyPeer {
		var p networkingv1.NetworkPolicyPeer
		switch upTo(t, 5, "peer") {
		case 0:
			p.PodSelector = selector(t, podLabels())
		case 1:
			p.NamespaceSelector = selector(t, namespaceLabels())
		case 2:
			p.PodSelector, p.NamespaceSelector = selector(t, podLabels()), selector(t, namespaceLabels())
		default:
			p.IPBlock = ipBlock(t)
		}
		return p
	})
}

// selector draws an empty selector, or one of up to two requirements.
func selector(t *rapid.T, from universe) *metav1.LabelSelector {
	s := &metav1.LabelSelector{}
	for range upTo(t, 3, "requirements") {
		u := pick(t, "key", from)
		value := pick(t, "value", u.values)
		e := metav1.LabelSelectorRequirement{Key: u.key}
		switch upTo(t, 6, "operator") {
		case 0:
			e.Operator, e.Values = metav1.LabelSelectorOpIn, []string{value}
		case 1:
			e.Operator, e.Values = metav1.LabelSelectorOpNotIn, []string{value}
		case 2:
			e.Operator = metav1.LabelSelectorOpExists
		case 3:
			e.Operator = metav1.LabelSelectorOpDoesNotExist
		case 4:
			e.Operator, e.Values = metav1.LabelSelectorOpIn, []string{pick(t, "value", u.values), value, "other"}
		default:
			if s.MatchLabels == nil {
				s.MatchLabels = map[string]string{}
			}
			s.MatchLabels[u.key] = value
			continue
		}
		s.MatchExpressions = append(s.MatchExpressions, e)
	}
	return s
}

func ipBlock(t *rapid.T) *networkingv1.IPBlock {
	around := pick(t, "address", anyAddrs())
	cidr := prefix(t, around, 0)
	b := &networkingv1.IPBlock{CIDR: cidr.String()}
	b.Except = list(t, "except", func() string {
		inside := pick(t, "address", anyAddrs())
		if !cidr.Contains(inside) {
			inside = around
		}
		return prefix(t, inside, cidr.Bits()).String()
	})
	return b
}

// prefix draws a range around the address, of at least so many bits.
func prefix(t *rapid.T, around netip.Addr, least int) netip.Prefix {
	var fitting []int
	for _, host := range []int{0, 1, 2, 3, 4, 16, 20, 31, 64, 127, around.BitLen()} {
		if bits := around.BitLen() - host; bits >= least {
			fitting = append(fitting, bits)
		}
	}
	return netip.PrefixFrom(around, pick(t, "bits", fitting)).Masked()
}

func ports(t *rapid.T) []networkingv1.NetworkPolicyPort {
	return list(t, "ports", func() networkingv1.NetworkPolicyPort {
		var p networkingv1.NetworkPolicyPort
		if protocol := pick(t, "protocol", append(protocols(), "")); protocol != "" {
			p.Protocol = &protocol
		}
		switch upTo(t, 5, "port") {
		case 0:
			number := intstr.FromInt32(pick(t, "number", portNumbers()))
			p.Port = &number
		case 1, 2:
			name := intstr.FromString(pick(t, "name", portNames()))
			p.Port = &name
		case 3:
			first := pick(t, "first", []int32{1, 53, 54, 80})
			last := pick(t, "last", []int32{80, 81, 65535, first})
			number := intstr.FromInt32(first)
			p.Port, p.EndPort = &number, &last
		}
		return p
	})
}
