package main

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/report"
	"github.com/portcullis-dev/portcullis/pkg/rules"
)

// corpus is a folder of manifests from real projects: PORTCULLIS_CORPUS, or one beside the repository.
func corpus(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("PORTCULLIS_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "corpus")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skip("there is no corpus: set PORTCULLIS_CORPUS to a folder of manifests to run this test")
	}
	return dir
}

// explained are the problems that the corpus is known to have. That files of one folder are alternatives of each other, and
// so hold different objects of one name, is the most common.
var explained = []string{
	" differs from the one at ",
	"NetworkPolicy in extensions/v1beta1 is gone since Kubernetes 1.16",
	`unknown field "status": NetworkPolicies have none since Kubernetes 1.28`,
}

func TestTheCorpusIsJudgedWithoutUnexplainedProblems(t *testing.T) {
	folders := map[string]bool{}
	require.NoError(t, filepath.WalkDir(corpus(t), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && filepath.Ext(path) == ".yaml" {
			folders[filepath.Dir(path)] = true
		}
		return err
	}))
	perRule, total := map[string]map[string]int{}, report.Summary{}
	for _, folder := range slices.Sorted(maps.Keys(folders)) {
		r := command{args: []string{"check", folder, "-o", "json"}, rules: rules.Catalogue()}.run(t)
		var out report.Report
		require.NoError(t, json.Unmarshal([]byte(r.out), &out), "%s: %s", folder, r.err)
		for _, p := range out.Problems {
			known := slices.ContainsFunc(explained, func(text string) bool { return strings.Contains(p.Message, text) })
			assert.True(t, known, "%s:%d: %s", p.File, p.Line, p.Message)
		}
		for _, f := range out.Findings {
			if perRule[f.Rule] == nil {
				perRule[f.Rule] = map[string]int{}
			}
			perRule[f.Rule][string(f.Action)]++
		}
		total.Policies += out.Summary.Policies
		total.Pods += out.Summary.Pods
	}
	t.Logf("%d folders, %d policies, %d pods", len(folders), total.Policies, total.Pods)
	for _, id := range slices.Sorted(maps.Keys(perRule)) {
		t.Logf("%-24s %v", id, perRule[id])
	}
}
