package celrule

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/portcullis-dev/portcullis/pkg/model"
)

// Objects become what they are as JSON from the API server, with its defaults: policyTypes and protocols are filled in, and
// empty lists are left out. It is done by hand, as it is done for each review; a test compares it with the general way on
// every field there is.

type fields = map[string]any

// policyValue is a NetworkPolicy.
func policyValue(np *networkingv1.NetworkPolicy, p *model.Policy) fields {
	spec := fields{"podSelector": selectorValue(&np.Spec.PodSelector)}
	var types []any
	for _, d := range model.Directions {
		if len(np.Spec.PolicyTypes) == 0 && p.Isolates(d) {
			types = append(types, d.String())
		}
	}
	for _, t := range np.Spec.PolicyTypes {
		types = append(types, string(t))
	}
	spec["policyTypes"] = types
	ingress := make([]any, len(np.Spec.Ingress))
	for i := range np.Spec.Ingress {
		ingress[i] = ruleValue("from", np.Spec.Ingress[i].From, np.Spec.Ingress[i].Ports)
	}
	put(spec, "ingress", ingress)
	egress := make([]any, len(np.Spec.Egress))
	for i := range np.Spec.Egress {
		egress[i] = ruleValue("to", np.Spec.Egress[i].To, np.Spec.Egress[i].Ports)
	}
	put(spec, "egress", egress)
	meta := metaValue(&np.ObjectMeta, np.Labels)
	meta["namespace"] = p.Namespace
	return fields{"apiVersion": networkingv1.SchemeGroupVersion.String(), "kind": "NetworkPolicy", "metadata": meta, "spec": spec}
}

// namespaceValue is a Namespace, of which there is the metadata alone. Its labels are those that the API server sets, too.
func namespaceValue(m *model.NamespaceMeta, ns *corev1.Namespace) fields {
	var meta fields
	if ns != nil {
		meta = metaValue(&ns.ObjectMeta, m.Labels)
	} else {
		meta = metaValue(&metav1.ObjectMeta{}, m.Labels)
	}
	meta["name"] = m.Name
	return fields{"apiVersion": corev1.SchemeGroupVersion.String(), "kind": "Namespace", "metadata": meta}
}

func metaValue(m *metav1.ObjectMeta, labels map[string]string) fields {
	out := fields{}
	if m.Name != "" {
		out["name"] = m.Name
	}
	if m.GenerateName != "" {
		out["generateName"] = m.GenerateName
	}
	if len(labels) > 0 {
		out["labels"] = labels
	}
	if len(m.Annotations) > 0 {
		out["annotations"] = m.Annotations
	}
	return out
}

// put adds a list that is not empty.
func put(to fields, name string, list []any) {
	if len(list) > 0 {
		to[name] = list
	}
}

func ruleValue(peersField string, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) fields {
	out := fields{}
	values := make([]any, len(peers))
	for i := range peers {
		values[i] = peerValue(&peers[i])
	}
	put(out, peersField, values)
	values = make([]any, len(ports))
	for i := range ports {
		values[i] = portValue(&ports[i])
	}
	put(out, "ports", values)
	return out
}

func peerValue(p *networkingv1.NetworkPolicyPeer) fields {
	out := fields{}
	if p.PodSelector != nil {
		out["podSelector"] = selectorValue(p.PodSelector)
	}
	if p.NamespaceSelector != nil {
		out["namespaceSelector"] = selectorValue(p.NamespaceSelector)
	}
	if p.IPBlock != nil {
		block := fields{"cidr": p.IPBlock.CIDR}
		put(block, "except", texts(p.IPBlock.Except))
		out["ipBlock"] = block
	}
	return out
}

// portValue is a port; "If not specified, this field defaults to TCP" (NetworkPolicyPort.protocol).
func portValue(p *networkingv1.NetworkPolicyPort) fields {
	out := fields{"protocol": string(corev1.ProtocolTCP)}
	if p.Protocol != nil {
		out["protocol"] = string(*p.Protocol)
	}
	if p.Port != nil {
		if p.Port.Type == intstr.String {
			out["port"] = p.Port.StrVal
		} else {
			out["port"] = int64(p.Port.IntVal)
		}
	}
	if p.EndPort != nil {
		out["endPort"] = int64(*p.EndPort)
	}
	return out
}

func selectorValue(s *metav1.LabelSelector) fields {
	out := fields{}
	if len(s.MatchLabels) > 0 {
		out["matchLabels"] = s.MatchLabels
	}
	requirements := make([]any, len(s.MatchExpressions))
	for i := range s.MatchExpressions {
		e := &s.MatchExpressions[i]
		requirement := fields{"key": e.Key, "operator": string(e.Operator)}
		put(requirement, "values", texts(e.Values))
		requirements[i] = requirement
	}
	put(out, "matchExpressions", requirements)
	return out
}

func texts[T ~string](list []T) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = string(s)
	}
	return out
}
