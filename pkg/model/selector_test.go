package model_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"pgregory.net/rapid"

	"github.com/portcullis-dev/portcullis/pkg/model"
)

// Selectors are drawn over two keys with two values each. A third value and the keys' absence tell all selectors apart that say
// different things.
var (
	keys   = []string{"app", "tier"}
	values = []string{"a", "b"}
)

// universe is every set of labels that such a selector may tell apart.
func universe() []map[string]string {
	out := []map[string]string{{}}
	for _, key := range keys {
		var next []map[string]string
		for _, base := range out {
			next = append(next, base)
			for _, value := range append([]string{"other"}, values...) {
				with := maps.Clone(base)
				with[key] = value
				next = append(next, with)
			}
		}
		out = next
	}
	return out
}

func drawSelector(t *rapid.T) *metav1.LabelSelector {
	s := &metav1.LabelSelector{MatchLabels: rapid.MapOfN(rapid.SampledFrom(keys), rapid.SampledFrom(values), 0, 2).Draw(t, "matchLabels")}
	for range rapid.IntRange(0, 3).Draw(t, "expressions") {
		e := metav1.LabelSelectorRequirement{Key: rapid.SampledFrom(keys).Draw(t, "key")}
		e.Operator = rapid.SampledFrom([]metav1.LabelSelectorOperator{"In", "NotIn", "Exists", "DoesNotExist"}).Draw(t, "operator")
		if e.Operator == "In" || e.Operator == "NotIn" {
			e.Values = rapid.SliceOfNDistinct(rapid.SampledFrom(values), 1, 2, rapid.ID).Draw(t, "values")
		}
		s.MatchExpressions = append(s.MatchExpressions, e)
	}
	return s
}

func compile(t require.TestingT, s *metav1.LabelSelector) model.Selector {
	compiled, err := model.CompileSelector(s)
	require.NoError(t, err)
	return compiled
}

func TestASelectorMatchesWhatKubernetesSaysItDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSelector(t)
		compiled := compile(t, s)
		theirs, err := metav1.LabelSelectorAsSelector(s)
		require.NoError(t, err)
		for _, set := range universe() {
			assert.Equal(t, theirs.Matches(labels.Set(set)), compiled.Matches(set), "%v", set)
		}
	})
}

func TestWhatSelectorsImplyIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := compile(t, drawSelector(t)), compile(t, drawSelector(t))
		implies, equal, some, all := true, true, false, true
		for _, set := range universe() {
			x, y := a.Matches(set), b.Matches(set)
			implies, equal = implies && (!x || y), equal && x == y
			some, all = some || x, all && x
		}
		assert.Equal(t, implies, a.Implies(&b), "%s implies %s", a.String(), b.String())
		assert.Equal(t, equal, a.Equal(&b), "%s equals %s", a.String(), b.String())
		assert.Equal(t, some, a.Satisfiable(), a.String())
		assert.Equal(t, all, a.AlwaysTrue(), a.String())
	})
}

func TestExamplesCarryWhatIsDemandedAndNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := compile(t, drawSelector(t))
		examples := s.Examples()
		assert.Equal(t, s.Satisfiable(), len(examples) > 0)
		for _, e := range examples {
			assert.True(t, s.Matches(e), "%s matches its example %v", s.String(), e)
			for key := range e {
				without := maps.Clone(e)
				delete(without, key)
				assert.False(t, s.Matches(without), "%s is not demanded by %s", key, s.String())
			}
		}
	})
}

func TestDemandedAreTheLabelsThatAllThatMatchesCarries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := compile(t, drawSelector(t))
		if !s.Satisfiable() {
			return
		}
		var want map[string]string
		for _, set := range universe() {
			if !s.Matches(set) {
				continue
			}
			if want == nil {
				want = maps.Clone(set)
			}
			maps.DeleteFunc(want, func(key, value string) bool { return set[key] != value || value == "other" }) // which stands for many
		}
		assert.Equal(t, want, maps.Collect(s.Demanded()), s.String())
	})
}

func TestExtendAddsAsFewLabelsAsPossible(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := compile(t, drawSelector(t))
		base := rapid.SampledFrom(universe()).Draw(t, "base")
		before := maps.Clone(base)
		extended, ok := s.Extend(base)
		assert.Equal(t, before, base, "what is given is not changed")
		// Brute force: the sets that hold all of base.
		fewest := -1
		for _, set := range universe() {
			holds := true
			for key, value := range base {
				holds = holds && set[key] == value
			}
			if holds && s.Matches(set) && (fewest < 0 || len(set) < fewest) {
				fewest = len(set)
			}
		}
		require.Equal(t, fewest >= 0, ok, "%s extends %v", s.String(), base)
		if ok {
			assert.True(t, s.Matches(extended))
			assert.Len(t, extended, fewest)
		}
	})
}

func TestTheNameLabelOfNamespacesDemandsNothing(t *testing.T) {
	const name = "kubernetes.io/metadata.name"
	for _, c := range []struct {
		selector metav1.LabelSelector
		always   bool
	}{
		{metav1.LabelSelector{}, true},
		{metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: name, Operator: "Exists"}}}, true},
		{metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: name, Operator: "NotIn", Values: []string{"shop"}}}}, false},
		{metav1.LabelSelector{MatchLabels: map[string]string{name: "shop"}}, false},
		{metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "team", Operator: "Exists"}}}, false},
	} {
		s := compile(t, &c.selector)
		assert.Equal(t, c.always, s.AlwaysTrueForNamespaces(), s.String())
	}
}

func TestASelectorThatTheAPIServerRefusesIsAnError(t *testing.T) {
	for _, e := range []metav1.LabelSelectorRequirement{
		{Key: "app", Operator: "In"}, {Key: "app", Operator: "NotIn"}, {Key: "app", Operator: "Exists", Values: []string{"a"}},
		{Key: "app", Operator: "DoesNotExist", Values: []string{"a"}}, {Key: "app", Operator: "in", Values: []string{"a"}},
	} {
		_, err := model.CompileSelector(&metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{e}})
		assert.ErrorContains(t, err, "matchExpressions[0].", "%v", e)
	}
}

func TestManyValuesGiveAtMost64Examples(t *testing.T) {
	var s metav1.LabelSelector
	for _, key := range []string{"a", "b", "c", "d"} {
		s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: "In", Values: []string{"1", "2", "3", "4", "5"}})
	}
	compiled := compile(t, &s)
	examples := compiled.Examples()
	assert.Len(t, examples, 64)
	assert.False(t, slices.ContainsFunc(examples, func(e map[string]string) bool { return !compiled.Matches(e) }))
}

func TestASelectorWrittenAsAnObjectIsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := compile(t, drawSelector(t))
		written := s.LabelSelector()
		again := compile(t, written)
		assert.True(t, s.Equal(&again), "%s is written as %v", s.String(), written)
		for _, labels := range universe() {
			assert.Equal(t, s.Matches(labels), again.Matches(labels), "%s: %v", s.String(), labels)
		}
	})
}
