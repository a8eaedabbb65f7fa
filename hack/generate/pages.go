package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/portcullis-dev/portcullis/pkg/report"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// generated are files by their names, with slashes.
type generated map[string][]byte

func (g generated) names() []string { return slices.Sorted(maps.Keys(g)) }

// pagesOf are the pages of the rules and their list.
func pagesOf(all []*rule.Rule) (generated, error) {
	out := generated{}
	var index bytes.Buffer
	if err := report.RulesMarkdown(&index, all); err != nil {
		return nil, err
	}
	out[pagesFolder+"/README.md"] = index.Bytes()
	for _, r := range all {
		var page bytes.Buffer
		if err := report.RuleMarkdown(&page, r); err != nil {
			return nil, err
		}
		out[pagesFolder+"/"+r.ID+".md"] = page.Bytes()
	}
	return out, nil
}

// leastFixtures is how many fixtures of each kind a rule needs.
const leastFixtures = 4

// unwritten begins the texts that the scaffold of a rule leaves to its author.
const unwritten = "Write here"

// lacking is what a rule still lacks.
func lacking(root fs.FS, r *rule.Rule) []error {
	var out []error
	for _, text := range []string{r.Doc.Title, r.Doc.Why, r.Doc.Finds, r.Doc.Remedy} {
		if strings.HasPrefix(text, unwritten) {
			out = append(out, fmt.Errorf("rule %s: its documentation still says %q: write it in %s/%s.go", r.ID, text, rulesFolder, strings.ReplaceAll(r.ID, "-", "_")))
		}
	}
	for _, kind := range []string{"bad", "good"} {
		folder := rulesFolder + "/testdata/" + r.ID + "/" + kind
		files, _ := fs.Glob(root, folder+"/*.yaml")
		files = slices.DeleteFunc(files, func(name string) bool { return strings.HasSuffix(name, ".before.yaml") })
		if len(files) < leastFixtures {
			out = append(out, fmt.Errorf("rule %s: %s has %d fixtures: write at least %d", r.ID, folder, len(files), leastFixtures))
		}
	}
	return out
}
