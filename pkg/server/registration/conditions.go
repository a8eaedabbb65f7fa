package registration

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/mutate"
)

// The conditions are CEL. "All of the matchConditions must evaluate to true", and one that fails to evaluate counts as the
// webhook's failure: so each looks whether a field is there before it reads it. Where they are true of too much, that costs
// a review; they are never false of an object that mutate would change.

// judged are the conditions of the validating webhooks: what the handler lets through unevaluated is not asked about, and neither is what
// users of the cluster itself do whom the configuration exempts. A person's exempt write is asked about, for the audit log to tell of it.
func judged(hasSpec bool, exemptUsers []string) []admissionregistrationv1.MatchCondition {
	fields := []string{"metadata.labels", "metadata.annotations"}
	if hasSpec {
		fields = append([]string{"spec"}, fields...)
	}
	changes := []string{"request.operation != 'UPDATE'"}
	for _, field := range fields {
		changes = append(changes, fmt.Sprintf("has(object.%[1]s) != has(oldObject.%[1]s) || has(object.%[1]s) && object.%[1]s != oldObject.%[1]s", field))
	}
	out := []admissionregistrationv1.MatchCondition{{Name: "changes-something", Expression: strings.Join(changes, " || ")}}
	if system := systemUsers(exemptUsers); len(system) > 0 {
		out = append(out, admissionregistrationv1.MatchCondition{
			Name: "not-an-exempt-system-user", Expression: fmt.Sprintf("!(request.userInfo.username in ['%s'])", strings.Join(system, "', '")),
		})
	}
	return out
}

// systemUsers are those of the names that only the cluster itself gives: "the prefix system: is reserved for Kubernetes system use".
// A name that does not stand as it is between the quotes of CEL is left out, which costs reviews.
func systemUsers(names []string) []string {
	var out []string
	for _, name := range names {
		if strings.HasPrefix(name, "system:") && !strings.ContainsAny(name, "'\\\n\r") {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// untouched are the objects that mutate leaves alone: those being deleted, and those that another controller keeps.
var untouched = []admissionregistrationv1.MatchCondition{
	{Name: "not-being-deleted", Expression: "!has(object.metadata.deletionTimestamp)"},
	{Name: "without-controller", Expression: "!has(object.metadata.ownerReferences) || " +
		"!object.metadata.ownerReferences.exists(o, has(o.controller) && o.controller)"},
}

// policyConditions are those of NetworkPolicies; none if no mutation is on.
func policyConditions(m mutate.Config) []admissionregistrationv1.MatchCondition {
	var alternatives []string
	if m.PolicyTypes {
		alternatives = append(alternatives, "!has(object.spec.policyTypes) || size(object.spec.policyTypes) == 0")
		for _, d := range model.Directions {
			alternatives = append(alternatives, fmt.Sprintf("(!('%s' in object.spec.policyTypes) && (%s))", d, wroteWithoutTypes(d)))
		}
	}
	alternatives = append(alternatives, lacks(m.CopyNamespaceLabels)...)
	if m.DNSEgress {
		alternatives = append(alternatives, "!has(object.spec.policyTypes) || 'Egress' in object.spec.policyTypes")
	}
	return conditions("needs-repair", alternatives)
}

// wroteWithoutTypes is whether the author may have written a section of the direction and no policyTypes: by the manifest that
// kubectl leaves, as it writes JSON, without blanks; or by the fields that server-side apply leaves. There is nothing else to know
// it by.
func wroteWithoutTypes(d model.Direction) string {
	manifest := fmt.Sprintf("object.metadata.annotations['%s']", model.LastApplied)
	return fmt.Sprintf(`has(object.metadata.annotations) && '%s' in object.metadata.annotations && `+
		`%s.contains('"%s"') && !%s.contains('"policyTypes":["') || `+
		`has(object.metadata.managedFields) && object.metadata.managedFields.exists(m, m.operation == 'Apply' && `+
		`has(m.fieldsV1) && 'f:spec' in m.fieldsV1 && 'f:%s' in m.fieldsV1['f:spec'])`,
		model.LastApplied, manifest, d.Field(), manifest, d.Field())
}

// namespaceConditions are those of Namespaces; none if no mutation is on.
func namespaceConditions(m mutate.Config) []admissionregistrationv1.MatchCondition {
	alternatives := lacks(slices.Sorted(maps.Keys(m.NamespaceLabels)))
	if key := m.NamespaceNameLabel; key != "" {
		// There is no name yet where the API server is to make one from generateName.
		alternatives = append(alternatives, fmt.Sprintf("has(object.metadata.name) && "+
			"(!has(object.metadata.labels) || !('%s' in object.metadata.labels) || object.metadata.labels['%s'] != object.metadata.name)", key, key))
	}
	return conditions("needs-labels", alternatives)
}

// lacks is, for each key, that the object has no such label. Keys of labels have no quotes in them.
func lacks(keys []string) []string {
	var out []string
	for _, key := range keys {
		out = append(out, fmt.Sprintf("!has(object.metadata.labels) || !('%s' in object.metadata.labels)", key))
	}
	return out
}

// conditions are met if any of the expressions is true of an object that may be touched.
func conditions(name string, alternatives []string) []admissionregistrationv1.MatchCondition {
	if len(alternatives) == 0 {
		return nil
	}
	return append(slices.Clone(untouched), admissionregistrationv1.MatchCondition{Name: name, Expression: strings.Join(alternatives, " || ")})
}
