package mutate

import (
	"encoding/json"
	"fmt"

	jsonpatch "github.com/evanphx/json-patch/v5"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/portcullis-dev/portcullis/pkg/finding"
)

// dnsEgress takes over the patch of the finding that would deny the policy, if the patched policy has no such finding: a
// patch that does not help is left out, so that the denial tells what is wrong.
func (r *Result) dnsEgress(in *PolicyInput) error {
	now, err := Apply(in.Object, r.Patch)
	if err != nil {
		return err
	}
	blocked := in.Blocked(now)
	for _, f := range blocked {
		if len(f.Patch) == 0 {
			continue
		}
		mended, err := Apply(now, f.Patch)
		if err != nil {
			return err
		}
		if len(in.Blocked(mended)) == 0 {
			r.add(DNSEgress, "portcullis: added an egress rule for the cluster's DNS (UDP and TCP), which the selected pods could not reach", f.Patch...)
			return nil
		}
	}
	return nil
}

// Apply is the policy after a JSON Patch. The policy given is not changed.
func Apply(np *networkingv1.NetworkPolicy, ops []finding.PatchOp) (*networkingv1.NetworkPolicy, error) {
	if len(ops) == 0 {
		return np, nil
	}
	document, err := json.Marshal(np)
	if err != nil {
		return nil, fmt.Errorf("encoding the policy: %w", err)
	}
	text, err := json.Marshal(ops)
	if err != nil {
		return nil, fmt.Errorf("encoding the patch: %w", err)
	}
	patch, err := jsonpatch.DecodePatch(text)
	if err != nil {
		return nil, fmt.Errorf("reading the patch: %w", err)
	}
	patched, err := patch.Apply(document)
	if err != nil {
		return nil, fmt.Errorf("applying the patch: %w", err)
	}
	out := &networkingv1.NetworkPolicy{}
	if err := json.Unmarshal(patched, out); err != nil {
		return nil, fmt.Errorf("reading the patched policy: %w", err)
	}
	return out, nil
}
