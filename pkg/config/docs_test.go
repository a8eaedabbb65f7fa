package config_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/rules"
)

var update = flag.Bool("update", false, "write the generated parts of docs/ anew")

const docs = "../../docs"

// fresh compares a generated file with the one that is there, or writes it.
func fresh(t *testing.T, path, want string) {
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
	}
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, want, string(got), "%s is stale: run make generate", path)
}

func TestSchemaIsFresh(t *testing.T) {
	var encoded strings.Builder
	encoder := json.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	require.NoError(t, encoder.Encode(generate(t, rules.Catalogue())))
	fresh(t, filepath.Join(docs, "configuration.schema.json"), encoded.String())
}

var fieldsPart = regexp.MustCompile(`(?s)(<!-- fields: .*? -->\n).*(<!-- end of fields -->)`)

func TestSchemaTableInTheDocsIsFresh(t *testing.T) {
	path := filepath.Join(docs, "configuration.md")
	page, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Regexp(t, fieldsPart, string(page))
	var table strings.Builder
	table.WriteString("| field | default | meaning |\n|---|---|---|\n")
	for _, f := range fieldsOf(generate(t, rules.Catalogue()), "") {
		if strings.HasPrefix(f.path, "rules.") || strings.Contains(f.path, "elector.") {
			continue // parameters are on the rules' pages, and selectors are those of Kubernetes
		}
		fallback := ""
		if value, there := f.schema["default"]; there {
			text, err := json.Marshal(value)
			require.NoError(t, err)
			fallback = "`" + strings.Trim(string(text), `"`) + "`"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", f.path, fallback, f.schema["description"])
	}
	fresh(t, path, fieldsPart.ReplaceAllString(string(page), "${1}\n"+strings.ReplaceAll(table.String(), "$", "$$")+"\n${2}"))
}

func TestDocsAndExamplesAreValid(t *testing.T) {
	valid := validator(t, generate(t, rules.Catalogue()))
	check := func(t *testing.T, text, name string) {
		_, err := config.Load([]byte(text), name, rules.Catalogue())
		assert.NoError(t, err)
		assert.NoError(t, valid(text))
	}
	examples, err := filepath.Glob("../../examples/config/*.yaml")
	require.NoError(t, err)
	custom, err := filepath.Glob("../../examples/custom-rules/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, custom)
	examples = append(examples, custom...)
	require.NotEmpty(t, examples)
	for _, path := range examples {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			check(t, string(text), path)
		})
	}
	for _, name := range []string{"configuration.md", "custom-rules.md"} {
		page, err := os.ReadFile(filepath.Join(docs, name))
		require.NoError(t, err)
		blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1)
		require.NotEmpty(t, blocks)
		for i, b := range blocks {
			if strings.HasPrefix(b[1], "metadata:") {
				continue // of a NetworkPolicy
			}
			t.Run(fmt.Sprintf("%s, block %d", name, i), func(t *testing.T) { check(t, b[1], name) })
		}
	}
}

func TestEveryRulesDefaultsAreValidAndSurviveTheWayThroughAFile(t *testing.T) {
	first, err := config.Load(nil, "", rules.Catalogue())
	require.NoError(t, err)
	require.Len(t, first.Rules, len(rules.Catalogue().All()))
	printed, err := first.YAML()
	require.NoError(t, err)
	second, err := config.Load(printed, "printed", rules.Catalogue())
	require.NoError(t, err)
	assert.Equal(t, first.Object, second.Object)
	assert.NoError(t, validator(t, generate(t, rules.Catalogue()))(string(printed)))
}
