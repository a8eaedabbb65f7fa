package model

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A label selector is a conjunction of requirements, each on one key. All requirements on one key together allow a set
// of values: a finite one, or all but a finite one, and perhaps the key's absence. Selectors are kept as one such term
// for each key, so that matching, implication and always-true are decided exactly.

// Selector is a compiled label selector. The zero value matches everything.
type Selector struct {
	terms []term // sorted by key; terms that allow everything are left out
}

type term struct {
	key      string
	absentOK bool
	// negated: all values but those in values are allowed; otherwise exactly those in values.
	negated bool
	values  []string // sorted, unique
}

// CompileSelector compiles a LabelSelector; nil matches nothing in the Kubernetes API, so callers pass what they have
// checked for nil. An unknown operator, or values that do not fit the operator, is an error.
func CompileSelector(s *metav1.LabelSelector) (Selector, error) {
	out := SelectorOf(s.MatchLabels)
	excluded := map[string][]string{} // by key; put together at once, as there may be thousands for one key
	for i, e := range s.MatchExpressions {
		t := term{key: e.Key, values: unique(e.Values)}
		switch e.Operator {
		case metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn:
		case metav1.LabelSelectorOpExists:
			t.negated = true
		case metav1.LabelSelectorOpDoesNotExist:
			t.absentOK = true
		default:
			return Selector{}, fmt.Errorf("matchExpressions[%d].operator: %q is not one of In, NotIn, Exists, DoesNotExist", i, e.Operator)
		}
		wantsValues := e.Operator == metav1.LabelSelectorOpIn || e.Operator == metav1.LabelSelectorOpNotIn
		if wantsValues && len(e.Values) == 0 {
			return Selector{}, fmt.Errorf("matchExpressions[%d].values: must not be empty when operator is %s", i, e.Operator)
		}
		if !wantsValues && len(e.Values) > 0 {
			return Selector{}, fmt.Errorf("matchExpressions[%d].values: must be empty when operator is %s", i, e.Operator)
		}
		if e.Operator == metav1.LabelSelectorOpNotIn {
			excluded[e.Key] = append(excluded[e.Key], e.Values...)
			continue
		}
		out.add(t)
	}
	for key, values := range excluded {
		out.add(term{key: key, values: unique(values), negated: true, absentOK: true})
	}
	return out, nil
}

func unique(values []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(values)))
}

// SelectorOf is the selector that demands exactly the labels.
func SelectorOf(labels map[string]string) Selector {
	var out Selector
	for key, value := range labels {
		if len(labels) == 1 {
			return new(oneTerm).selector(key, value)
		}
		out.add(term{key: key, values: []string{value}})
	}
	return out
}

// oneTerm is the only term of a selector that demands one label, as most do, and its value: in one piece of memory.
type oneTerm struct {
	terms  [1]term
	values [1]string
}

func isOneTerm(s *metav1.LabelSelector) bool {
	return len(s.MatchLabels) == 1 && len(s.MatchExpressions) == 0
}

func (t *oneTerm) selector(key, value string) Selector {
	t.values[0] = value
	t.terms[0] = term{key: key, values: t.values[:]}
	return Selector{t.terms[:]}
}

func (s *Selector) add(t term) {
	at, found := slices.BinarySearchFunc(s.terms, t.key, func(t term, key string) int { return strings.Compare(t.key, key) })
	if found {
		s.terms[at] = s.terms[at].and(t)
	} else {
		s.terms = slices.Insert(s.terms, at, t)
	}
	if s.terms[at].isTrue() {
		s.terms = slices.Delete(s.terms, at, at+1)
	}
}

func (t term) isTrue() bool { return t.absentOK && t.negated && len(t.values) == 0 }

func (t term) isFalse() bool { return !t.absentOK && !t.negated && len(t.values) == 0 }

func (t term) and(o term) term {
	out := term{key: t.key, absentOK: t.absentOK && o.absentOK}
	switch {
	case t.negated && o.negated:
		out.negated = true
		out.values = unique(slices.Concat(t.values, o.values))
	case t.negated:
		out.values = filter(o.values, t.allows)
	default:
		out.values = filter(t.values, o.allows)
	}
	return out
}

func filter(values []string, keep func(string) bool) []string {
	var out []string
	for _, v := range values {
		if keep(v) {
			out = append(out, v)
		}
	}
	return out
}

func (t term) allows(value string) bool {
	if len(t.values) == 1 {
		return (t.values[0] == value) != t.negated
	}
	_, listed := slices.BinarySearch(t.values, value)
	return listed != t.negated
}

// implies says whether everything that t allows, o allows.
func (t term) implies(o term) bool {
	if t.absentOK && !o.absentOK {
		return false
	}
	if t.negated {
		// All values but finitely many fit only into another such set, whose exceptions must be among t's.
		return o.negated && !slices.ContainsFunc(o.values, t.allows)
	}
	for _, v := range t.values {
		if !o.allows(v) {
			return false
		}
	}
	return true
}

func (t term) matches(labels map[string]string) bool {
	value, present := labels[t.key]
	if !present {
		return t.absentOK
	}
	return t.allows(value)
}

// Matches says whether the selector matches the labels.
func (s *Selector) Matches(labels map[string]string) bool {
	for i := range s.terms {
		if !s.terms[i].matches(labels) {
			return false
		}
	}
	return true
}

// Unmet is what of the labels does not meet the selector: "app=db" for a value that is not allowed, "no app" for a label that
// is not there.
func (s *Selector) Unmet(labels map[string]string) []string {
	var out []string
	for _, t := range s.terms {
		if t.matches(labels) {
			continue
		}
		if value, there := labels[t.key]; there {
			out = append(out, t.key+"="+value)
		} else {
			out = append(out, "no "+t.key)
		}
	}
	return out
}

// AlwaysTrue says whether the selector matches every set of labels.
func (s *Selector) AlwaysTrue() bool { return len(s.terms) == 0 }

// AlwaysTrueForNamespaces says whether the selector matches every Namespace: "The Kubernetes control plane sets an
// immutable label kubernetes.io/metadata.name on all namespaces", so demanding that key demands nothing.
func (s *Selector) AlwaysTrueForNamespaces() bool {
	for _, t := range s.terms {
		if t.key != metav1NamespaceName || !t.negated || len(t.values) > 0 {
			return false
		}
	}
	return true
}

// metav1NamespaceName is corev1.LabelMetadataName.
const metav1NamespaceName = "kubernetes.io/metadata.name"

// Satisfiable says whether any set of labels matches.
func (s *Selector) Satisfiable() bool { return !slices.ContainsFunc(s.terms, term.isFalse) }

// Demanded are the labels that everything that the selector matches carries, by key and value.
func (s *Selector) Demanded() iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		for i := range s.terms {
			if t := &s.terms[i]; !t.absentOK && !t.negated && len(t.values) == 1 && !yield(t.key, t.values[0]) {
				return
			}
		}
	}
}

// Implies says whether every set of labels that s matches is matched by o, too.
func (s *Selector) Implies(o *Selector) bool { return s.impliesTerms(o) || !s.Satisfiable() }

func (s *Selector) impliesTerms(o *Selector) bool {
	mine := s.terms
	for i := range o.terms {
		theirs := &o.terms[i]
		for len(mine) > 0 && mine[0].key < theirs.key {
			mine = mine[1:]
		}
		if len(mine) == 0 || mine[0].key != theirs.key { // s allows everything for the key, and a term that does is left out
			return false
		}
		if !mine[0].implies(*theirs) {
			return false
		}
	}
	return true
}

// Equal says whether both selectors match the same sets of labels.
func (s *Selector) Equal(o *Selector) bool { return s.Implies(o) && o.Implies(s) }

// maxExamples bounds the label sets of Examples: a selector of many In lists would otherwise multiply.
const maxExamples = 64

// Examples are label sets that carry exactly what the selector demands: one for each value of a finite list, one fresh
// value where only the key's presence is demanded, and the key left out wherever it may be. There are none if nothing
// matches, and at most 64.
func (s *Selector) Examples() []map[string]string {
	if !s.Satisfiable() {
		return nil
	}
	out := []map[string]string{{}}
	for _, t := range s.terms {
		if t.absentOK {
			continue
		}
		values := t.values
		if t.negated {
			values = []string{t.fresh()}
		}
		var next []map[string]string
		for _, base := range out {
			for _, v := range values {
				if len(next) == maxExamples {
					break
				}
				labels := maps.Clone(base)
				labels[t.key] = v
				next = append(next, labels)
			}
		}
		out = next
	}
	return out
}

// fresh is a value that a negated term allows.
func (t term) fresh() string {
	for i := 0; ; i++ {
		if v := fmt.Sprintf("any-%d", i); t.allows(v) {
			return v
		}
	}
}

// Extend is the labels with the fewest more that make the selector match, and whether there is such a set: labels that
// are there already are never changed.
func (s *Selector) Extend(labels map[string]string) (map[string]string, bool) {
	out := labels
	for _, t := range s.terms {
		if t.matches(out) {
			continue
		}
		if _, present := out[t.key]; present || t.isFalse() {
			return nil, false
		}
		if len(out) == len(labels) {
			out = maps.Clone(labels)
			if out == nil {
				out = map[string]string{}
			}
		}
		switch {
		case t.negated:
			out[t.key] = t.fresh()
		case len(t.values) > 0:
			out[t.key] = t.values[0]
		default:
			return nil, false
		}
	}
	return out, true
}

// Demands is the value that the selector demands for the key, if it demands exactly one.
func (s *Selector) Demands(key string) (string, bool) {
	for _, t := range s.terms {
		if t.key == key && !t.absentOK && !t.negated && len(t.values) == 1 {
			return t.values[0], true
		}
	}
	return "", false
}

// Values are the values that the selector allows for the key, if it demands the key and the values are finite.
func (s *Selector) Values(key string) ([]string, bool) {
	for _, t := range s.terms {
		if t.key == key && !t.absentOK && !t.negated {
			return t.values, true
		}
	}
	return nil, false
}

// String is the selector in kubectl's notation: "app=web,tier in (a,b),!legacy"; "everything" for the empty one.
func (s *Selector) String() string {
	if s.AlwaysTrue() {
		return "everything"
	}
	parts := make([]string, len(s.terms))
	for i, t := range s.terms {
		parts[i] = t.String()
	}
	return strings.Join(parts, ",")
}

func (t term) String() string {
	values := strings.Join(t.values, ",")
	switch {
	case t.isFalse():
		return t.key + " in ()"
	case !t.negated && len(t.values) == 0:
		return "!" + t.key
	case !t.negated && t.absentOK:
		return fmt.Sprintf("(!%s or %s in (%s))", t.key, t.key, values)
	case !t.negated && len(t.values) == 1:
		return t.key + "=" + values
	case !t.negated:
		return fmt.Sprintf("%s in (%s)", t.key, values)
	case len(t.values) == 0:
		return t.key
	case t.absentOK:
		return fmt.Sprintf("%s notin (%s)", t.key, values)
	}
	return fmt.Sprintf("%s,%s notin (%s)", t.key, t.key, values)
}

// FormatLabels is labels for people: "app=web,tier=front", the first few of many, or "no labels".
func FormatLabels(labels map[string]string) string {
	const most = 6
	if len(labels) == 0 {
		return "no labels"
	}
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if len(parts) == most {
			return fmt.Sprintf("%s and %d more labels", strings.Join(parts, ","), len(labels)-most)
		}
		parts = append(parts, key+"="+labels[key])
	}
	return strings.Join(parts, ",")
}

func templateName(template string) string {
	_, name, found := strings.Cut(template, "/")
	if !found {
		return template
	}
	return name
}
