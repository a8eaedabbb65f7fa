package report_test

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/report"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

func catalogue(t *testing.T) []*rule.Rule {
	t.Helper()
	doc := rule.Doc{
		Title: "Pods accept connections from a | wide part of the internet", Why: "Scanners find an open port within minutes.\n\nA second paragraph.",
		Finds: "Pods that accept too much.", Remedy: "Name the addresses.", References: []rule.Reference{{Title: "CIS 5.3.2", URL: "https://example.com/cis"}},
		Bad: "ingress:\n- {}\n", Good: "ingress: []\n",
	}
	withParams := doc
	withParams.Title = "Only a title"
	withParams.Params = []rule.Param{{Name: "wide", Default: "{ipv4: 8, ipv6: 16}", Description: "how many addresses are wide,\nas a prefix length"}}
	run := func(*rule.Pass) {}
	c, err := rule.NewCatalogue(
		&rule.Rule{ID: "some-rule", Level: finding.Baseline, Severity: finding.High, Subjects: []string{finding.KindNetworkPolicy}, Doc: doc, Run: run},
		&rule.Rule{ID: "another", Level: finding.Restricted, Severity: finding.Info, Subjects: []string{finding.KindNamespace}, Doc: withParams, Run: run,
			NewSettings: func() any { return &struct{}{} }},
	)
	require.NoError(t, err)
	return c.All()
}

func TestTheCatalogueIsListedAndExplained(t *testing.T) {
	all := catalogue(t)
	for name, write := range map[string]func(io.Writer) error{
		"rules.txt":   func(w io.Writer) error { return report.RulesText(w, all) },
		"rules.md":    func(w io.Writer) error { return report.RulesMarkdown(w, all) },
		"another.md":  func(w io.Writer) error { return report.RuleMarkdown(w, all[0]) },
		"some.md":     func(w io.Writer) error { return report.RuleMarkdown(w, all[1]) },
		"some.txt":    func(w io.Writer) error { return report.RuleText(w, all[1], 0) },
		"another.txt": func(w io.Writer) error { return report.RuleText(w, all[0], 40) },
	} {
		var out bytes.Buffer
		require.NoError(t, write(&out))
		golden(t, name, out.Bytes())
	}
}

func TestTheCatalogueIsJSON(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, report.RulesJSON(&out, catalogue(t)))
	var read []map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &read))
	require.Len(t, read, 2)
	assert.Equal(t, "another", read[0]["id"])
	assert.Equal(t, "restricted", read[0]["level"])
}
