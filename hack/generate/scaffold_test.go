package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The rules of this module are copied, a new one is added to the copy, and the program is compiled with the copy in the place
// of the original.
func TestANewRuleCompilesAndIsListedAndDocumentedAndToldToBeUnwritten(t *testing.T) {
	module, err := filepath.Abs("../..")
	require.NoError(t, err)
	root := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(root, rulesFolder), os.DirFS(filepath.Join(module, rulesFolder))))
	command := func(dir, name string, args ...string) {
		c := exec.Command(name, args...)
		c.Dir = dir
		text, err := c.CombinedOutput()
		require.NoError(t, err, "%s", text)
	}
	newrule := filepath.Join(t.TempDir(), "newrule")
	command(module, "go", "build", "-o", newrule, "./hack/newrule")
	command(root, newrule, "open-cellar-door")

	build := func(root string) (portcullis, func(), error) {
		replace := map[string]string{}
		for _, name := range []string{listFile, rulesFolder + "/open_cellar_door.go"} {
			replace[filepath.Join(module, filepath.FromSlash(name))] = filepath.Join(root, filepath.FromSlash(name))
		}
		text, err := json.Marshal(map[string]any{"Replace": replace})
		require.NoError(t, err)
		overlay, binary := filepath.Join(t.TempDir(), "overlay.json"), filepath.Join(t.TempDir(), "portcullis")
		require.NoError(t, os.WriteFile(overlay, text, 0o644))
		command(module, "go", "build", "-overlay", overlay, "-o", binary, "./cmd/portcullis")
		return func(args ...string) ([]byte, error) { return exec.Command(binary, args...).Output() }, func() {}, nil
	}
	assert.ErrorContains(t, run(root, true, build), "pkg/rules/catalogue_gen.go is stale: run make generate")
	require.NoError(t, run(root, false, build))
	page, err := os.ReadFile(filepath.Join(root, "docs/rules/open-cellar-door.md"))
	require.NoError(t, err)
	assert.Contains(t, string(page), "open-cellar-door")

	err = run(root, true, build)
	const of = "rule open-cellar-door: pkg/rules/"
	assert.ErrorContains(t, err, of+`open_cellar_door.go:15 still says "Write here why it matters.`)
	assert.ErrorContains(t, err, of+`testdata/open-cellar-door/good/first.yaml:1 still says "Say here`)
	assert.ErrorContains(t, err, of+"testdata/open-cellar-door/bad needs at least 4 fixtures and has 1: write 3 more")
	assert.NotContains(t, err.Error(), "stale")
}
