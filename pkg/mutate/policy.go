package mutate

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
)

// PolicyInput is a NetworkPolicy that is about to be written.
type PolicyInput struct {
	// Object is the policy as in the review: after the API server's defaults, before any of ours. It is not changed.
	Object *networkingv1.NetworkPolicy
	// Authored is what the author wrote, as far as it is known. It is asked only where it matters.
	Authored func() model.Authored
	// NamespaceLabels are the labels of the policy's Namespace, as far as it is known.
	NamespaceLabels map[string]string
	// Blocked yields the findings of the rule dns-blocked that would deny the policy. It is asked only where the mutation
	// dnsEgress is on.
	Blocked func(*networkingv1.NetworkPolicy) []finding.Finding
}

// Policy mutates a NetworkPolicy. The error says that a patch of the rule dns-blocked could not be applied; the result then
// holds the other mutations.
func Policy(cfg Config, in PolicyInput) (Result, error) {
	var r Result
	if untouchable(&in.Object.ObjectMeta) {
		return r, nil
	}
	types := in.Object.Spec.PolicyTypes
	if cfg.PolicyTypes {
		types = r.policyTypes(&in)
	}
	if len(cfg.CopyNamespaceLabels) > 0 {
		wanted := map[string]string{}
		for _, key := range cfg.CopyNamespaceLabels {
			if value, there := in.NamespaceLabels[key]; there {
				wanted[key] = value
			}
		}
		set := labelSetter{labels: maps.Clone(in.Object.Labels)}
		r.fill(CopyNamespaceLabels, "portcullis: copied the labels %s from the Namespace", &set, wanted)
	}
	if cfg.DNSEgress && isolatesEgress(types, &in.Object.Spec) {
		return r, r.dnsEgress(&in)
	}
	return r, nil
}

func isolatesEgress(types []networkingv1.PolicyType, spec *networkingv1.NetworkPolicySpec) bool {
	if len(types) == 0 {
		return len(spec.Egress) > 0
	}
	return slices.Contains(types, networkingv1.PolicyTypeEgress)
}

// policyTypes yields what policyTypes are then. It is never missing at the webhook, as the API server fills it in while decoding,
// from what it keeps of the manifest: "policies that contain an egress section are assumed to affect egress" is true only of
// sections with rules, and only the first time that the policy is applied.
func (r *Result) policyTypes(in *PolicyInput) []networkingv1.PolicyType {
	spec := &in.Object.Spec
	if len(spec.PolicyTypes) == 0 {
		types := []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		if authored := in.Authored(); spec.Egress != nil || authored.Known && authored.Rules[model.Egress] != model.WrittenNothing {
			types = append(types, networkingv1.PolicyTypeEgress)
		}
		r.add(PolicyTypes, "portcullis: set spec.policyTypes to "+join(types)+", which the manifest leaves to be guessed",
			finding.PatchOp{Op: "add", Path: "/spec/policyTypes", Value: types})
		return types
	}
	types := spec.PolicyTypes
	if slices.Contains(types, networkingv1.PolicyTypeIngress) && slices.Contains(types, networkingv1.PolicyTypeEgress) {
		return types
	}
	authored := in.Authored()
	if !authored.Known || authored.PolicyTypes {
		return types
	}
	for _, d := range model.Directions {
		missing := networkingv1.PolicyType(d.String())
		if authored.Rules[d] == model.WrittenNothing || slices.Contains(types, missing) {
			continue
		}
		types = append(slices.Clip(types), missing)
		r.add(PolicyTypes, fmt.Sprintf("portcullis: added %s to spec.policyTypes: the manifest has an %s section and no policyTypes, and without this the section has no effect", d, d.Field()),
			finding.PatchOp{Op: "add", Path: "/spec/policyTypes/-", Value: missing})
	}
	return types
}

func join(types []networkingv1.PolicyType) string {
	words := make([]string, len(types))
	for i, t := range types {
		words[i] = string(t)
	}
	return strings.Join(words, ", ")
}
