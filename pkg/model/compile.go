package model

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
	c := newCompiler(&np.Spec)
	if n := len(np.Spec.Ingress); n > 0 {
		p.Rules[Ingress] = make([]Rule, n)
		for i := range np.Spec.Ingress {
			r := &np.Spec.Ingress[i]
			p.Rules[Ingress][i] = c.rule(r.From, r.Ports)
		}
	}
	if n := len(np.Spec.Egress); n > 0 {
		p.Rules[Egress] = make([]Rule, n)
		for i := range np.Spec.Egress {
			r := &np.Spec.Egress[i]
			p.Rules[Egress][i] = c.rule(r.To, r.Ports)
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
