package model

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// SettingsPrefix is the prefix of the labels and annotations that Portcullis reads.
const SettingsPrefix = "portcullis.dev/"

// CompilePolicy applies the API server's defaults to a NetworkPolicy and compiles it. It never fails: what an API server
// would refuse is read as older servers stored it (CIDRs masked and decimal), or else matches nothing; what is wrong is told
// where manifests are read. The object is not kept.
func CompilePolicy(np *networkingv1.NetworkPolicy, authored Authored) *Policy {
	p := &Policy{
		Namespace:   namespaceOf(np),
		Name:        np.Name,
		Labels:      np.Labels,
		Annotations: settingsOf(np.Annotations),
		Controlled:  metav1.GetControllerOfNoCopy(np) != nil,
		Deleting:    np.DeletionTimestamp != nil,
		Created:     np.CreationTimestamp.Time,
		UID:         np.UID,
		PodSelector: compileSelector(&np.Spec.PodSelector),
		Authored:    authored,
	}
	if p.Name == "" {
		p.Name = np.GenerateName
	}
	p.Types = policyTypes(&np.Spec)
	if n := len(np.Spec.Ingress); n > 0 {
		p.Rules[Ingress] = make([]Rule, n)
		for i := range np.Spec.Ingress {
			r := &np.Spec.Ingress[i]
			p.Rules[Ingress][i] = compileRule(r.From, r.Ports)
		}
	}
	if n := len(np.Spec.Egress); n > 0 {
		p.Rules[Egress] = make([]Rule, n)
		for i := range np.Spec.Egress {
			r := &np.Spec.Egress[i]
			p.Rules[Egress][i] = compileRule(r.To, r.Ports)
		}
	}
	p.bulk = [2]bulk{Ingress: bulkOf(p.Rules[Ingress]), Egress: bulkOf(p.Rules[Egress])}
	return p
}

func namespaceOf(o metav1.Object) string {
	if ns := o.GetNamespace(); ns != "" {
		return ns
	}
	return metav1.NamespaceDefault
}

// policyTypes are the types with the default of the API: "If this field is not specified, it will default based on the
// existence of ingress or egress rules; policies that contain an egress section are assumed to affect egress, and all
// policies (whether or not they contain an ingress section) are assumed to affect ingress."
func policyTypes(spec *networkingv1.NetworkPolicySpec) [2]bool {
	if len(spec.PolicyTypes) == 0 {
		return [2]bool{Ingress: true, Egress: len(spec.Egress) > 0}
	}
	return [2]bool{
		Ingress: slices.Contains(spec.PolicyTypes, networkingv1.PolicyTypeIngress),
		Egress:  slices.Contains(spec.PolicyTypes, networkingv1.PolicyTypeEgress),
	}
}

func settingsOf(all map[string]string) map[string]string {
	var out map[string]string
	for key, value := range all {
		if strings.HasPrefix(key, SettingsPrefix) {
			if out == nil {
				out = map[string]string{}
			}
			out[key] = value
		}
	}
	return out
}

// nothing is a selector that no labels match.
var nothing = Selector{terms: []term{{key: "an invalid selector"}}}

func compileSelector(s *metav1.LabelSelector) Selector {
	compiled, err := CompileSelector(s)
	if err != nil {
		return nothing
	}
	return compiled
}

func compileRule(peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) Rule {
	r := Rule{Numeric: netset.AllPorts(), External: netset.AllAddrs()}
	if len(ports) > 0 {
		r.Ports = make([]PortSpec, len(ports))
		numbers := make([]netset.Ports, len(ports))
		for i := range ports {
			r.Ports[i] = compilePort(&ports[i])
			numbers[i] = r.Ports[i].Numbers
			r.Named = r.Named || r.Ports[i].Name != ""
		}
		r.Numeric = netset.UnionPorts(numbers...)
	}
	if len(peers) > 0 {
		r.Peers = make([]Peer, len(peers))
		var blocks []netset.Addrs
		for i := range peers {
			r.Peers[i] = compilePeer(&peers[i])
			if b := r.Peers[i].IPBlock; b != nil {
				blocks = append(blocks, b.Addrs)
			}
		}
		r.External = netset.UnionAddrs(blocks...)
	}
	return r
}

func compilePort(port *networkingv1.NetworkPolicyPort) PortSpec {
	spec := PortSpec{Protocol: protocolOf(port.Protocol), EndPort: port.EndPort != nil}
	switch {
	case port.Port == nil:
		// "If this field is not provided, this matches all port names and numbers."
		spec.Numbers = netset.AllOf(spec.Protocol)
	case port.Port.Type == intstr.String:
		spec.Name = port.Port.StrVal
	default:
		first, last := port.Port.IntVal, port.Port.IntVal
		if port.EndPort != nil {
			last = *port.EndPort
		}
		if first >= 1 && first <= last && last <= 65535 {
			spec.Numbers = netset.PortRange(spec.Protocol, uint16(first), uint16(last))
		}
	}
	return spec
}

// protocolOf is the protocol; "If not specified, this field defaults to TCP."
func protocolOf(p *corev1.Protocol) netset.Protocol {
	if p == nil || *p == "" {
		return netset.TCP
	}
	protocol, ok := netset.ParseProtocol(string(*p))
	if !ok {
		return netset.TCP
	}
	return protocol
}

func compilePeer(peer *networkingv1.NetworkPolicyPeer) Peer {
	if peer.IPBlock != nil {
		return Peer{IPBlock: compileIPBlock(peer.IPBlock)}
	}
	var out Peer
	if peer.NamespaceSelector != nil {
		s := compileSelector(peer.NamespaceSelector)
		out.NamespaceSelector = &s
	}
	if peer.PodSelector != nil {
		s := compileSelector(peer.PodSelector)
		out.PodSelector = &s
	}
	if peer.NamespaceSelector == nil && peer.PodSelector == nil {
		out.PodSelector = &nothing
	}
	return out
}

func compileIPBlock(b *networkingv1.IPBlock) *IPBlock {
	out := &IPBlock{CIDR: b.CIDR, Except: b.Except, Addrs: addrsOf(b.CIDR)}
	if len(b.Except) > 0 {
		excepted := make([]netset.Addrs, len(b.Except))
		for i, e := range b.Except {
			excepted[i] = addrsOf(e)
		}
		out.Addrs = out.Addrs.Minus(netset.UnionAddrs(excepted...))
	}
	return out
}

func addrsOf(cidr string) netset.Addrs {
	prefix, _, err := netset.ParseCIDR(cidr)
	if err != nil {
		return netset.Addrs{}
	}
	return netset.AddrsOf(prefix)
}
