package main

import (
	"encoding/json"
	"encoding/xml"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/rules"
)

func TestTheExitCodeIsTheSameInEveryFormat(t *testing.T) {
	for input, want := range map[string]int{policy("shop/web", closed): exitOK, policy("shop/web", open): exitFindings, policy("shop/web", broken): exitBadInput} {
		for _, format := range formatNames() {
			r := check(t, input, "-o", format)
			assert.Equal(t, want, r.code, format)
			assert.NotEmpty(t, r.out, format)
		}
	}
}

func TestGitHubIsToldOfFindingsAndProblemsWithFileAndLine(t *testing.T) {
	r := check(t, policy("shop/web", open)+policy("shop/db", broken), "-o", "github")
	assert.Contains(t, r.out, "::error file=stdin,line=9,title=open-rule in NetworkPolicy shop/web::Every peer is allowed (8.8.8.8 -> shop/web:80). Fix: name the peers.\n")
	assert.Contains(t, r.out, "::error file=stdin,line=18,title=problem in the input::")
}

func TestJUnitListsWhatIsWell(t *testing.T) {
	input := namespace("shop", "") + policy("shop/web", open) + policy("shop/db", closed) + policy("shop/cache", half)
	for arg, want := range map[string][2]int{"--fail-on=deny": {4, 1}, "--fail-on=warn": {4, 2}} {
		var got struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
		}
		require.NoError(t, xml.Unmarshal([]byte(check(t, input, "-o", "junit", arg).out), &got))
		assert.Equal(t, want, [2]int{got.Tests, got.Failures}, arg)
	}
}

func TestTheSARIFOfTheExamplesIsValidAndHasEveryRule(t *testing.T) {
	r := command{args: []string{"check", "-o", "sarif", filepath.Join("..", "..", "examples")}, rules: rules.Catalogue()}.run(t)
	assert.Equal(t, exitFindings, r.code)
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(r.out))
	require.NoError(t, err)
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join("..", "..", "pkg", "report", "testdata", "sarif-schema-2.1.0.json"))
	require.NoError(t, err)
	require.NoError(t, schema.Validate(value))

	var log struct {
		Runs []struct {
			Tool    struct{ Driver struct{ Rules []any } }
			Results []struct {
				Locations []struct {
					PhysicalLocation struct {
						Region struct{ StartLine, StartColumn int }
					}
				}
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(r.out), &log))
	assert.Len(t, log.Runs[0].Tool.Driver.Rules, len(rules.Catalogue().All()))
	require.NotEmpty(t, log.Runs[0].Results)
	for _, result := range log.Runs[0].Results {
		require.Len(t, result.Locations, 1)
		assert.Positive(t, result.Locations[0].PhysicalLocation.Region.StartLine)
		assert.Positive(t, result.Locations[0].PhysicalLocation.Region.StartColumn)
	}
}

// completions are what the shell is told for the last of the arguments, and the directive.
func completions(t *testing.T, args ...string) (values []string, directive string) {
	t.Helper()
	r := try(t, append([]string{"__complete"}, args...)...)
	require.Equal(t, exitOK, r.code, r.err)
	for line := range strings.Lines(r.out) {
		line = strings.TrimSuffix(line, "\n")
		if code, ok := strings.CutPrefix(line, ":"); ok {
			return values, code
		}
		value, _, _ := strings.Cut(line, "\t")
		values = append(values, value)
	}
	require.Fail(t, "no directive")
	return nil, ""
}

func TestTheShellCompletes(t *testing.T) {
	const noFiles, byExtension = "4", "8"
	for _, c := range []struct {
		line      string
		want      []string
		directive string
	}{
		{"check --level ", []string{"privileged", "baseline", "restricted"}, noFiles},
		{"check --fail-on ", []string{"deny", "warn"}, noFiles},
		{"check -o ", formatNames(), noFiles},
		{"check ", []string{"yaml", "yml", "json"}, byExtension},
		{"check --config ", []string{"yaml", "yml", "json"}, byExtension},
		{"rules ", []string{"no-egress", "open-rule", "unlabelled", "unsure"}, noFiles},
		{"rules unsure ", nil, noFiles},
		{"rules -o ", []string{"text", "json", "markdown"}, noFiles},
		{"check-config ", []string{"yaml", "yml", "json"}, byExtension},
		{"check-config -o ", []string{"text", "yaml"}, noFiles},
	} {
		got, directive := completions(t, strings.Split(c.line, " ")...)
		assert.Equal(t, c.want, got, c.line)
		assert.Equal(t, c.directive, directive, c.line)
	}
	got, _ := completions(t, "che")
	assert.Equal(t, []string{"check", "check-config"}, got)
}

func TestEveryChoiceIsCompleted(t *testing.T) {
	root := program{rules: testRules(t)}.rootCommand()
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name == "output" || f.Name == "level" || f.Name == "fail-on" {
				_, completed := c.GetFlagCompletionFunc(f.Name)
				assert.True(t, completed, "--%s of %s has no completions: add it by choice", f.Name, c.CommandPath())
			}
		})
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
}
