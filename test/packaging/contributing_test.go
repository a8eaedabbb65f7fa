package packaging

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// file is a file of the repository.
func file(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	require.NoError(t, err)
	return string(text)
}

func TestEveryTargetThatThePagesNameIsThere(t *testing.T) {
	targets := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z-]+):.*## `).FindAllStringSubmatch(file(t, "Makefile"), -1) {
		targets[m[1]] = true
	}
	pages := []string{"README.md", "CONTRIBUTING.md"}
	docs, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	require.NoError(t, err)
	for _, page := range docs {
		pages = append(pages, "docs/"+filepath.Base(page))
	}
	command := regexp.MustCompile("(?m)(?:^|`|; )make ((?:[a-z-]+ ?)+)")
	found := 0
	for _, page := range pages {
		for _, m := range command.FindAllStringSubmatch(file(t, page), -1) {
			for _, target := range strings.Fields(m[1]) {
				found++
				assert.True(t, targets[target], "%s names make %s", page, target)
			}
		}
	}
	assert.Greater(t, found, 15, "commands are no longer found")
}

func TestEveryModuleIsToldOfTidiedAndChecked(t *testing.T) {
	found := 0
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (entry.Name() == "bin" || strings.HasPrefix(entry.Name(), ".")):
			return filepath.SkipDir
		case entry.Name() != "go.mod" || filepath.Dir(path) == root:
			return nil
		}
		found++
		module, err := filepath.Rel(root, filepath.Dir(path))
		require.NoError(t, err)
		for _, name := range []string{"CONTRIBUTING.md", "Makefile", ".ci/run"} {
			assert.Regexp(t, `\b`+regexp.QuoteMeta(filepath.ToSlash(module))+"[`\\s;]", file(t, name), "%s leaves out %s", name, module)
		}
		return nil
	}))
	assert.Greater(t, found, 5)
}
