package celrule_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/engine"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rules"
	"github.com/portcullis-dev/portcullis/pkg/source/manifest"
)

// The fixtures of an example NAME.yaml are in testdata/examples/NAME/bad and good. Where x.before.yaml stands beside x.yaml, the change from
// the one to the other is judged, else every object as it stands. A first line "# by: USER, GROUP, GROUP" says who asks.

const examples = "../../examples/custom-rules"

func TestEveryExampleFindsWhatItSaysAndNothingElse(t *testing.T) {
	paths, err := filepath.Glob(examples + "/*.yaml")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(paths), 10)
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.True(t, strings.HasPrefix(string(text), "# "), "a comment says what it is for")
			c, err := config.LoadFile(path, rules.Catalogue())
			require.NoError(t, err)
			require.Len(t, c.Object.CustomRules, 1)
			id := c.Object.CustomRules[0].ID
			assert.Equal(t, "acme-"+name, id)
			for kind, want := range map[string]bool{"bad": true, "good": false} {
				fixtures, err := filepath.Glob(filepath.Join("testdata/examples", name, kind, "*.yaml"))
				require.NoError(t, err)
				require.NotEmpty(t, fixtures)
				for _, f := range fixtures {
					if strings.HasSuffix(f, ".before.yaml") {
						continue
					}
					t.Run(kind+" "+filepath.Base(f), func(t *testing.T) {
						found := slices.DeleteFunc(judge(t, c, f), func(f finding.Finding) bool { return f.Rule != id })
						for _, f := range found {
							assert.Equal(t, finding.Violation, f.Outcome, f.Message)
							if c.Object.CustomRules[0].MessageExpression != "" {
								assert.NotEqual(t, c.Object.CustomRules[0].Message, f.Message, "messageExpression failed")
							}
						}
						assert.Equal(t, want, len(found) > 0, "%v", found)
					})
				}
			}
		})
	}
}

// judge is what is found of a fixture.
func judge(t *testing.T, c *config.Config, path string) []finding.Finding {
	t.Helper()
	after := load(t, path)
	var requester *model.Requester
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	first, _, _ := strings.Cut(string(text), "\n")
	if by, there := strings.CutPrefix(first, "# by: "); there {
		names := strings.Split(by, ", ")
		requester = &model.Requester{Username: names[0], Groups: names[1:]}
	}
	e, prior := engine.New(c.Rules), after.Store.Snapshot(c.Facts)
	var changes []model.Change
	if beforePath := strings.TrimSuffix(path, ".yaml") + ".before.yaml"; exists(beforePath) {
		before := load(t, beforePath)
		prior = before.Store.Snapshot(c.Facts)
		changes = append(changes, between(t, before, after))
	} else {
		for _, p := range after.Policies {
			changes = append(changes, model.Change{OldPolicy: p, NewPolicy: p})
		}
		for _, ns := range after.Namespaces {
			changes = append(changes, model.Change{OldNS: ns, NewNS: ns})
		}
	}
	var out []finding.Finding
	for _, change := range changes {
		change.Requester = requester
		out = append(out, e.Evaluate(prior, change)...)
	}
	return out
}

func load(t *testing.T, path string) *manifest.Result {
	t.Helper()
	result, err := manifest.Load(t.Context(), []string{path}, nil)
	require.NoError(t, err)
	require.Empty(t, result.Problems)
	return result
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// between is the change of the one object that there was before.
func between(t *testing.T, before, after *manifest.Result) model.Change {
	t.Helper()
	if len(before.Policies) == 0 {
		require.Len(t, before.Namespaces, 1)
		require.Len(t, after.Namespaces, 1)
		return model.Change{Operation: model.Update, OldNS: before.Namespaces[0], NewNS: after.Namespaces[0]}
	}
	require.Len(t, before.Policies, 1)
	if len(after.Policies) == 0 {
		return model.Change{Operation: model.Delete, OldPolicy: before.Policies[0]}
	}
	return model.Change{Operation: model.Update, OldPolicy: before.Policies[0], NewPolicy: after.Policies[0]}
}
