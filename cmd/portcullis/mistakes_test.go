package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestIfNothingButProblemsIsReadThenTheyAreAllThatIsSaid(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ok.yaml"), []byte(policy("shop/a", closed)), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "broken.yaml"), []byte("a: [\n"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "empty"), 0o700))
	t.Chdir(dir)
	for path, want := range map[string]string{
		"missing": "missing: there is no such file or folder: check the path\n", "empty": "empty: the folder has no .yaml, .yml or .json files: name one that has\n",
		"broken.yaml": "broken.yaml:1: is not valid YAML: did not find expected node content\n",
	} {
		for _, args := range [][]string{{"check", path}, {"reach", path}, {"diff", path, "ok.yaml"}, {"diff", "ok.yaml", path}, {"explain", "--from", "a", "--to", "b", "--port", "80", path}} {
			r := try(t, args...)
			assert.Equal(t, result{exitBadInput, "", want}, r, args)
		}
		fix := try(t, "fix", path)
		assert.Equal(t, exitBadInput, fix.code)
		assert.Equal(t, want, fix.err)
		assert.Contains(t, try(t, "check", path, "-o", "json").out, `"problems": [`, "programs get their report")
	}
}

func TestWhatManyTryIsToldWhatToWriteInstead(t *testing.T) {
	for line, want := range map[string]string{
		"check -f a.yaml":    "Error: there is no flag -f: name files and folders without it, as in portcullis check manifests/\nSee portcullis check --help.\n",
		"check - --config -": "Error: standard input cannot be both the configuration and manifests: name a file for one of them\nSee portcullis check --help.\n",
		"completion csh":     "Error: the shell \"csh\" is not known: use bash, zsh, fish or powershell\nSee portcullis completion --help.\n",
	} {
		assert.Equal(t, result{exitBadInput, "", want}, try(t, strings.Fields(line)...))
	}
}

func TestOutsideOfAGitRepositoryThereAreNoRevisions(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("GIT_CEILING_DIRECTORIES", filepath.Dir(dir))
	t.Chdir(dir)
	require.NoError(t, os.WriteFile("a.yaml", []byte(policy("shop/a", closed)), 0o600))
	want := result{exitBadInput, "", "Error: git:main:a.yaml: this folder is in no git repository: run it in the one that has the revision\n"}
	assert.Equal(t, want, try(t, "diff", "git:main:a.yaml", "a.yaml"))
}
