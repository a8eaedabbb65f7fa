package model

import (
	"encoding/json"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// By the time that a policy reaches a webhook, the API server has filled in policyTypes, dropped empty lists, and on
// re-apply kept the policyTypes of before. What the author wrote can be recovered from two places:
//   - the annotation kubectl.kubernetes.io/last-applied-configuration (client-side apply) holds the manifest. It proves
//     something only while the object is what that manifest says: kubectl edit and replace leave an old one behind;
//   - managedFields entries with operation Apply (server-side apply) name the fields of the manifest. Entries with
//     operation Update are computed after defaulting, and prove nothing.

// LastApplied is the annotation of client-side apply.
const LastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// AuthoredBy is what the author of the object wrote, as far as its annotations and managed fields tell.
func AuthoredBy(np *networkingv1.NetworkPolicy) Authored {
	out := AuthoredByLastApplied(np.Annotations[LastApplied], &np.Spec)
	for i := range np.ManagedFields {
		entry := &np.ManagedFields[i]
		if entry.Operation == metav1.ManagedFieldsOperationApply && entry.Subresource == "" && entry.FieldsV1 != nil {
			out = out.And(AuthoredByFields(entry.FieldsV1.GetRawBytes(), &np.Spec))
		}
	}
	return out
}

// AuthoredByLastApplied reads the manifest in the annotation of client-side apply; not known if it is empty or not
// readable, or if the rules of the object are not those of the manifest.
func AuthoredByLastApplied(manifest string, spec *networkingv1.NetworkPolicySpec) Authored {
	if manifest == "" {
		return Authored{}
	}
	var written struct {
		Spec struct {
			PolicyTypes []string        `json:"policyTypes"`
			Ingress     json.RawMessage `json:"ingress"`
			Egress      json.RawMessage `json:"egress"`
		} `json:"spec"`
	}
	var full networkingv1.NetworkPolicy
	if json.Unmarshal([]byte(manifest), &written) != nil || json.Unmarshal([]byte(manifest), &full) != nil {
		return Authored{}
	}
	// Compiled forms are compared, because the object carries defaults that the manifest need not.
	if !sameRules(&full.Spec, spec) {
		return Authored{}
	}
	return Authored{
		Known:       true,
		PolicyTypes: len(written.Spec.PolicyTypes) > 0,
		Rules:       [2]Written{Ingress: writtenList(written.Spec.Ingress), Egress: writtenList(written.Spec.Egress)},
	}
}

func sameRules(a, b *networkingv1.NetworkPolicySpec) bool {
	left := CompilePolicy(&networkingv1.NetworkPolicy{Spec: *a}, Authored{})
	right := CompilePolicy(&networkingv1.NetworkPolicy{Spec: *b}, Authored{})
	return left.PodSelector.Equal(&right.PodSelector) && SameRules(left.Rules[Ingress], right.Rules[Ingress]) &&
		SameRules(left.Rules[Egress], right.Rules[Egress])
}

// SameRules says whether two lists of rules are the same after defaults, item by item.
func SameRules(a, b []Rule) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !SameRule(&a[i], &b[i]) {
			return false
		}
	}
	return true
}

// SameRule says whether two rules are the same after defaults, item by item.
func SameRule(a, b *Rule) bool {
	if len(a.Peers) != len(b.Peers) || len(a.Ports) != len(b.Ports) || !a.Numeric.Equal(b.Numeric) || !a.External.Equal(b.External) {
		return false
	}
	for i := range a.Ports {
		if a.Ports[i].Name != b.Ports[i].Name || a.Ports[i].Protocol != b.Ports[i].Protocol || !a.Ports[i].Numbers.Equal(b.Ports[i].Numbers) {
			return false
		}
	}
	for i := range a.Peers {
		if !samePeer(&a.Peers[i], &b.Peers[i]) {
			return false
		}
	}
	return true
}

func samePeer(a, b *Peer) bool {
	same := func(x, y *Selector) bool {
		if x == nil || y == nil {
			return x == y
		}
		return x.Equal(y)
	}
	if a.IPBlock != nil && b.IPBlock != nil {
		return a.IPBlock.CIDR == b.IPBlock.CIDR && equality.Semantic.DeepEqual(a.IPBlock.Except, b.IPBlock.Except)
	}
	return a.IPBlock == b.IPBlock && same(a.NamespaceSelector, b.NamespaceSelector) && same(a.PodSelector, b.PodSelector)
}

func writtenList(raw json.RawMessage) Written {
	var items []json.RawMessage
	if len(raw) == 0 || string(raw) == "null" || json.Unmarshal(raw, &items) != nil {
		return WrittenNothing
	}
	if len(items) == 0 {
		return WrittenEmpty
	}
	return WrittenRules
}

// AuthoredByFields reads the field set (fieldsV1) of one server-side apply. A set without f:spec proves nothing.
func AuthoredByFields(fieldsV1 []byte, spec *networkingv1.NetworkPolicySpec) Authored {
	var fields struct {
		Spec map[string]json.RawMessage `json:"f:spec"`
	}
	if json.Unmarshal(fieldsV1, &fields) != nil || fields.Spec == nil {
		return Authored{}
	}
	owns := func(field string, rules int) Written {
		if _, there := fields.Spec[field]; !there {
			return WrittenNothing
		}
		if rules == 0 {
			return WrittenEmpty
		}
		return WrittenRules
	}
	_, types := fields.Spec["f:policyTypes"]
	return Authored{
		Known:       true,
		PolicyTypes: types,
		Rules:       [2]Written{Ingress: owns("f:ingress", len(spec.Ingress)), Egress: owns("f:egress", len(spec.Egress))},
	}
}

// And joins two pieces of evidence: what either shows to be written, was.
func (a Authored) And(b Authored) Authored {
	if !a.Known {
		return b
	}
	if !b.Known {
		return a
	}
	return Authored{
		Known:       true,
		PolicyTypes: a.PolicyTypes || b.PolicyTypes,
		Rules:       [2]Written{max(a.Rules[Ingress], b.Rules[Ingress]), max(a.Rules[Egress], b.Rules[Egress])},
	}
}
