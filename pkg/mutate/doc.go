// Package mutate repairs what authors leave out, before the object is judged: it yields a JSON Patch (RFC 6902), the names of
// the mutations that made it, and a sentence about each for the author. It is pure and idempotent: mutating what it has
// patched yields nothing.
//
// The mutations, by their names in the configuration:
//   - policyTypes fills policyTypes where it is missing; and where the author did not write policyTypes but did write a
//     direction (rules, or an explicit empty list), it adds that direction. What the author wrote explicitly is never
//     changed: a direction that explicit policyTypes leave out is a finding of the rule rules-ignored.
//   - namespaceNameLabel gives every Namespace its own name as the value of a label, and corrects a wrong value.
//   - namespaceLabels sets labels that a Namespace lacks.
//   - copyNamespaceLabels copies labels that a NetworkPolicy lacks from its Namespace.
//   - dnsEgress adds the DNS egress rule to a policy that would be denied as dns-blocked.
//
// An object that another controller keeps is never touched, because that controller would change it back; neither is one that is
// being deleted.
package mutate

import (
	"github.com/portcullis-dev/portcullis/pkg/finding"
)

// Names of the mutations, as in the configuration and in metrics.
const (
	PolicyTypes         = "policyTypes"
	NamespaceNameLabel  = "namespaceNameLabel"
	NamespaceLabels     = "namespaceLabels"
	CopyNamespaceLabels = "copyNamespaceLabels"
	DNSEgress           = "dnsEgress"
)

// Config switches the mutations. The zero value switches all of them off.
type Config struct {
	PolicyTypes bool
	// NamespaceNameLabel is the label key that holds the Namespace's name; empty switches the mutation off.
	NamespaceNameLabel string
	// NamespaceLabels are set on Namespaces that lack them.
	NamespaceLabels map[string]string
	// CopyNamespaceLabels are the keys of the labels that policies get from their Namespace.
	CopyNamespaceLabels []string
	DNSEgress           bool
}

// Result is what is to be changed. The zero value changes nothing.
type Result struct {
	Patch []finding.PatchOp
	// Mutations are the names of those that changed something, each once.
	Mutations []string
	// Warnings tell the author what was changed and why, one sentence each.
	Warnings []string
}

func (r *Result) add(mutation, warning string, ops ...finding.PatchOp) {
	r.Patch = append(r.Patch, ops...)
	r.Mutations = append(r.Mutations, mutation)
	r.Warnings = append(r.Warnings, warning)
}
