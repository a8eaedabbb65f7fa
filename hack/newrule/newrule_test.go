package main

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheBeginningsOfARuleAreWrittenOnce(t *testing.T) {
	root := t.TempDir()
	require.NoError(t, write(root, "open-cellar-door"))
	text, err := os.ReadFile(filepath.Join(root, "pkg/rules/open_cellar_door.go"))
	require.NoError(t, err)
	_, err = parser.ParseFile(token.NewFileSet(), "open_cellar_door.go", text, 0)
	assert.NoError(t, err)
	assert.Contains(t, string(text), "func openCellarDoor() *rule.Rule")
	assert.Contains(t, string(text), `ID: "open-cellar-door"`)
	for _, kind := range []string{"bad", "good"} {
		assert.FileExists(t, filepath.Join(root, "pkg/rules/testdata/open-cellar-door", kind, "first.yaml"))
	}
	assert.ErrorContains(t, write(root, "open-cellar-door"), "is there already")
}

func TestAnIDIsASlug(t *testing.T) {
	for _, id := range []string{"", "Open", "open_door", "../x", "a--b", "open-1", "range", "all"} {
		assert.ErrorContains(t, write(t.TempDir(), id), "is no id of a rule", id)
	}
}

func TestIfGoWouldLeaveOutTheFileThenTheIDIsRefused(t *testing.T) {
	for _, id := range []string{"open-test", "host-linux", "host-windows", "open-wasm"} {
		assert.ErrorContains(t, write(t.TempDir(), id), "choose an id with another last word", id)
	}
	assert.NoError(t, write(t.TempDir(), "linux-door"))
}
