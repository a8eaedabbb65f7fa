package manifest

import (
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// refusal is a value that the API server refuses in a new object, and why. Such objects are evaluated all the same: older
// servers have stored CIDRs that newer ones refuse.
type refusal struct{ path, message string }

type refusals []refusal

func (r *refusals) add(at *field.Path, format string, args ...any) {
	*r = append(*r, refusal{at.String(), fmt.Sprintf(format, args...)})
}

func (r *refusals) addAll(errs field.ErrorList) {
	for _, err := range errs {
		// What follows is an example and a regular expression.
		message, _, _ := strings.Cut(err.Detail, " (e.g.")
		switch value, isText := err.BadValue.(string); {
		case message == "":
			message = err.ErrorBody()
		case isText && value != "":
			message = fmt.Sprintf("%q: %s", value, message)
		}
		*r = append(*r, refusal{err.Field, message})
	}
}

// refusedMeta checks name, namespace, labels and annotations. The name has been seen to be there.
func refusedMeta(meta metav1.ObjectMeta, namespaced bool, name apivalidation.ValidateNameFunc) refusals {
	var out refusals
	if namespaced && meta.Namespace == "" {
		meta.Namespace = metav1.NamespaceDefault
	} else if !namespaced {
		meta.Namespace = ""
	}
	meta.ManagedFields = nil
	if meta.Name == "" {
		meta.Name = meta.GenerateName + "x" // as the API server makes it before it looks
	}
	out.addAll(apivalidation.ValidateObjectMeta(&meta, namespaced, name, field.NewPath("metadata")))
	return out
}

func refusedNamespace(ns *corev1.Namespace) refusals {
	return refusedMeta(ns.ObjectMeta, false, apivalidation.NameIsDNSLabel)
}

func refusedPolicy(np *networkingv1.NetworkPolicy) refusals {
	out := refusedMeta(np.ObjectMeta, true, apivalidation.NameIsDNSSubdomain)
	spec := field.NewPath("spec")
	out.selector(&np.Spec.PodSelector, spec.Child("podSelector"))
	for i := range np.Spec.Ingress {
		rule, at := &np.Spec.Ingress[i], spec.Child("ingress").Index(i)
		out.rule(rule.Ports, at.Child("ports"), rule.From, at.Child("from"))
	}
	for i := range np.Spec.Egress {
		rule, at := &np.Spec.Egress[i], spec.Child("egress").Index(i)
		out.rule(rule.Ports, at.Child("ports"), rule.To, at.Child("to"))
	}
	for i, t := range np.Spec.PolicyTypes {
		if t != networkingv1.PolicyTypeIngress && t != networkingv1.PolicyTypeEgress {
			out.add(spec.Child("policyTypes").Index(i), "%q is no policy type: write Ingress or Egress", t)
		}
	}
	if len(np.Spec.PolicyTypes) > 2 {
		out.add(spec.Child("policyTypes"), "there are only two policy types: write each once")
	}
	return out
}

func (r *refusals) selector(s *metav1.LabelSelector, at *field.Path) {
	errs := metav1validation.ValidateLabelSelector(s, metav1validation.LabelSelectorValidationOptions{}, at)
	for _, err := range errs {
		if operator, ok := err.BadValue.(metav1.LabelSelectorOperator); ok {
			err.Detail = fmt.Sprintf("%q is no operator: write In, NotIn, Exists or DoesNotExist", operator)
		}
	}
	r.addAll(errs)
}

func (r *refusals) rule(ports []networkingv1.NetworkPolicyPort, portsAt *field.Path, peers []networkingv1.NetworkPolicyPeer, peersAt *field.Path) {
	for i := range ports {
		r.port(&ports[i], portsAt.Index(i))
	}
	for i := range peers {
		r.peer(&peers[i], peersAt.Index(i))
	}
}

func (r *refusals) port(p *networkingv1.NetworkPolicyPort, at *field.Path) {
	if p.Protocol != nil {
		switch *p.Protocol {
		case corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP:
		default:
			r.add(at.Child("protocol"), "%q is no protocol: write TCP, UDP or SCTP", *p.Protocol)
		}
	}
	switch {
	case p.Port == nil && p.EndPort != nil:
		r.add(at.Child("endPort"), "endPort needs a port: write the first port of the range as port")
	case p.Port == nil:
	case p.Port.Type == intstr.String:
		if problems := validation.IsValidPortName(p.Port.StrVal); len(problems) > 0 {
			hint := strings.Join(problems, "; ")
			if strings.Trim(p.Port.StrVal, "0123456789") == "" && p.Port.StrVal != "" {
				hint = "write the number without quotes"
			}
			r.add(at.Child("port"), "%q is no port name: %s", p.Port.StrVal, hint)
		}
		if p.EndPort != nil {
			r.add(at.Child("endPort"), "a range needs numbers, and port %q is a name", p.Port.StrVal)
		}
	default:
		if len(validation.IsValidPortNum(int(p.Port.IntVal))) > 0 {
			r.add(at.Child("port"), "%d is no port: ports are 1 to 65535", p.Port.IntVal)
		}
		switch {
		case p.EndPort == nil:
		case len(validation.IsValidPortNum(int(*p.EndPort))) > 0:
			r.add(at.Child("endPort"), "%d is no port: ports are 1 to 65535", *p.EndPort)
		case *p.EndPort < p.Port.IntVal:
			r.add(at.Child("endPort"), "%d comes before port %d: nothing is between them", *p.EndPort, p.Port.IntVal)
		}
	}
}

func (r *refusals) peer(p *networkingv1.NetworkPolicyPeer, at *field.Path) {
	if p.PodSelector != nil {
		r.selector(p.PodSelector, at.Child("podSelector"))
	}
	if p.NamespaceSelector != nil {
		r.selector(p.NamespaceSelector, at.Child("namespaceSelector"))
	}
	selects := p.PodSelector != nil || p.NamespaceSelector != nil
	switch {
	case p.IPBlock != nil:
		r.ipBlock(p.IPBlock, at.Child("ipBlock"))
		if selects {
			r.add(at, "an ipBlock and a selector cannot be one peer: make two items of them")
		}
	case !selects:
		r.add(at, "the peer is empty: write an ipBlock, a namespaceSelector or a podSelector")
	}
}

func (r *refusals) ipBlock(b *networkingv1.IPBlock, at *field.Path) {
	if b.CIDR == "" {
		r.add(at.Child("cidr"), "an ipBlock needs a cidr")
	}
	block, ok := r.cidr(b.CIDR, at.Child("cidr"))
	for i, e := range b.Except {
		exceptAt := at.Child("except").Index(i)
		except, exceptOK := r.cidr(e, exceptAt)
		switch {
		case e == "":
			r.add(exceptAt, "an item of except needs a CIDR")
		case ok && exceptOK && (!block.Contains(except.Addr()) || except.Bits() <= block.Bits()):
			r.add(exceptAt, "%q is not a part of %s: except can only take away from the ipBlock's own cidr", e, b.CIDR)
		}
	}
}

func (r *refusals) cidr(text string, at *field.Path) (netip.Prefix, bool) {
	if text == "" {
		return netip.Prefix{}, false
	}
	prefix, deviations, err := netset.ParseCIDR(text)
	if err != nil {
		r.add(at, "%s", err.Error())
		return prefix, false
	}
	for _, deviation := range deviations {
		r.add(at, "%q %s: write %s, as it is read here", text, deviation, prefix)
	}
	return prefix, true
}
