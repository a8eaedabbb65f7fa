package rule_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

func whole(id string) *rule.Rule {
	return &rule.Rule{
		ID: id, Level: finding.Baseline, Subjects: []string{finding.KindNetworkPolicy}, Run: func(*rule.Pass) {},
		Doc: rule.Doc{Title: "Title", Why: "Why", Finds: "Finds", Remedy: "Remedy", Bad: "bad", Good: "good", References: []rule.Reference{{Title: "Docs"}}},
	}
}

func TestARuleWithoutOneOfItsPartsIsRefused(t *testing.T) {
	require.NoError(t, whole("open-door").Check())
	for missing, without := range map[string]func(*rule.Rule){
		"the id must be a slug":           func(r *rule.Rule) { r.ID = "Open" },
		"level is missing":                func(r *rule.Rule) { r.Level = finding.Privileged },
		"subjects is missing":             func(r *rule.Rule) { r.Subjects = nil },
		"title is missing":                func(r *rule.Rule) { r.Doc.Title = "" },
		"why is missing":                  func(r *rule.Rule) { r.Doc.Why = "" },
		"finds is missing":                func(r *rule.Rule) { r.Doc.Finds = "" },
		"remedy is missing":               func(r *rule.Rule) { r.Doc.Remedy = "" },
		"a reference is missing":          func(r *rule.Rule) { r.Doc.References = nil },
		"a bad example is missing":        func(r *rule.Rule) { r.Doc.Bad = "" },
		"a good example is missing":       func(r *rule.Rule) { r.Doc.Good = "" },
		"run is missing":                  func(r *rule.Rule) { r.Run = nil },
		"documentation of the parameters": func(r *rule.Rule) { r.NewSettings = func() any { return nil } },
	} {
		r := whole("open-door")
		without(r)
		assert.ErrorContains(t, r.Check(), missing)
		_, err := rule.NewCatalogue(r)
		assert.ErrorContains(t, err, missing)
	}
}

func TestACatalogueIsSortedAndHasEachRuleOnce(t *testing.T) {
	c, err := rule.NewCatalogue(whole("b"), whole("a"))
	require.NoError(t, err)
	assert.Equal(t, "a", c.All()[0].ID)
	assert.Equal(t, "b", c.Find("b").ID)
	assert.Nil(t, c.Find("c"))
	_, err = rule.NewCatalogue(whole("a"), whole("b"), whole("a"))
	assert.ErrorContains(t, err, `rule "a" is there twice`)
}
