package model

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// LabelSelector is the selector as an object of the API: compiled again, it is the same.
func (s *Selector) LabelSelector() *metav1.LabelSelector {
	out := &metav1.LabelSelector{}
	demand := func(key string, operator metav1.LabelSelectorOperator, values ...string) {
		out.MatchExpressions = append(out.MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: operator, Values: slices.Clone(values)})
	}
	for _, t := range s.terms {
		switch {
		case t.isFalse():
			demand(t.key, metav1.LabelSelectorOpExists)
			demand(t.key, metav1.LabelSelectorOpDoesNotExist)
		case !t.negated && len(t.values) == 0:
			demand(t.key, metav1.LabelSelectorOpDoesNotExist)
		case !t.negated && len(t.values) == 1:
			if out.MatchLabels == nil {
				out.MatchLabels = map[string]string{}
			}
			out.MatchLabels[t.key] = t.values[0]
		case !t.negated:
			demand(t.key, metav1.LabelSelectorOpIn, t.values...)
		default:
			if !t.absentOK {
				demand(t.key, metav1.LabelSelectorOpExists)
			}
			if len(t.values) > 0 {
				demand(t.key, metav1.LabelSelectorOpNotIn, t.values...)
			}
		}
	}
	return out
}
