package packaging

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hook is a hook of pre-commit (https://pre-commit.com/#creating-new-hooks).
type hook struct {
	ID, Name, Description, Language, Entry string
	Args                                   []string
	Types                                  []string `yaml:"types_or"`
	PassFilenames                          *bool    `yaml:"pass_filenames"`
	Minimum                                string   `yaml:"minimum_pre_commit_version"`
}

func TestThePreCommitHookJudgesTheWholeRepository(t *testing.T) {
	var hooks []hook
	readYAML(t, ".pre-commit-hooks.yaml", &hooks)
	require.Len(t, hooks, 1)
	h := hooks[0]
	assert.Equal(t, "portcullis", h.ID)
	assert.Equal(t, []string{"yaml", "json"}, h.Types)
	require.NotNil(t, h.PassFilenames)
	assert.False(t, *h.PassFilenames, "the changed files alone do not say what exposes them")

	// pre-commit installs all programs of a Go repository, and runs the entry with the arguments.
	assert.Equal(t, "golang", h.Language)
	words := strings.Fields(h.Entry)
	assert.FileExists(t, filepath.Join(root, "cmd", words[0], "main.go"))
	for dir, want := range map[string]int{"": 1, "deploy": 1, "good": 0} {
		r := script{dir: filepath.Join(workspace(t), dir), path: []string{bin}, args: append(words, h.Args...)}.run(t)
		assert.Equal(t, want, r.code, r.out+r.err)
	}

	page, err := os.ReadFile(filepath.Join(root, "docs", "command-line.md"))
	require.NoError(t, err)
	assert.Contains(t, string(page), "- id: "+h.ID+"\n")
}
