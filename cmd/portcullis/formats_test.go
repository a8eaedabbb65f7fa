package main

import (
	"encoding/json"
	"encoding/xml"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

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

func TestTheSARIFOfTheExamplesHasEveryRuleAndPlaces(t *testing.T) {
	r := command{args: []string{"check", "-o", "sarif", filepath.Join("..", "..", "examples")}, rules: rules.Catalogue()}.run(t)
	assert.Equal(t, exitFindings, r.code)
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

// sarifResult is a finding and its fix as an editor reads them.
type sarifResult struct {
	RuleID              string
	PartialFingerprints map[string]string
	Fixes               []struct {
		ArtifactChanges []struct {
			ArtifactLocation struct{ URI string }
			Replacements     []struct {
				DeletedRegion   struct{ StartLine, StartColumn, EndLine, EndColumn int }
				InsertedContent struct{ Text string }
			}
		}
	}
}

// sarifOf is what check finds in a folder.
func sarifOf(t *testing.T, dir string) []sarifResult {
	t.Helper()
	r := command{args: []string{"check", "-o", "sarif", dir}, rules: rules.Catalogue()}.run(t)
	require.Empty(t, r.err)
	var log struct {
		Runs []struct{ Results []sarifResult }
	}
	require.NoError(t, json.Unmarshal([]byte(r.out), &log))
	return log.Runs[0].Results
}

// offset is the byte at a line and a column of code points.
func offset(text string, line, column int) int {
	at := 0
	for range line - 1 {
		at += strings.IndexByte(text[at:], '\n') + 1
	}
	for range column - 1 {
		_, size := utf8.DecodeRuneInString(text[at:])
		at += size
	}
	return at
}

func TestEveryFixInSARIFMendsItsFinding(t *testing.T) {
	const crowded = "# Größe: 日本\r\n" +
		`{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"annotations": {"note": "é日本"}, "name": "one-line", "namespace": "shop"}, ` +
		`"spec": {"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "a"}}}], "ports": [{"port": 80}]}]}} # kept` + "\r\n"
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "examples"))))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a b.yaml"), []byte(crowded), 0o644))
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "config")))
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "custom-rules")))
	found := sarifOf(t, dir)
	fixed := 0
	for _, result := range found {
		if len(result.Fixes) == 0 {
			continue
		}
		fixed++
		require.Len(t, result.Fixes[0].ArtifactChanges, 1)
		change := result.Fixes[0].ArtifactChanges[0]
		location, err := url.Parse(change.ArtifactLocation.URI)
		require.NoError(t, err)
		before, err := os.ReadFile(location.Path)
		require.NoError(t, err)
		after := string(before)
		for _, r := range slices.Backward(change.Replacements) {
			d := r.DeletedRegion
			after = after[:offset(after, d.StartLine, d.StartColumn)] + r.InsertedContent.Text + after[offset(after, d.EndLine, d.EndColumn):]
		}
		require.NoError(t, os.WriteFile(location.Path, []byte(after), 0o644))
		for _, left := range sarifOf(t, dir) {
			assert.NotEqual(t, result.PartialFingerprints, left.PartialFingerprints, "%s is still found in\n%s", result.RuleID, after)
		}
		require.NoError(t, os.WriteFile(location.Path, before, 0o644))
	}
	assert.GreaterOrEqual(t, fixed, 5)
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
		{"serve ", nil, noFiles},
		{"serve --mode ", []string{"enforce", "audit"}, noFiles},
		{"serve --snapshot ", nil, "16"},
		{"version ", nil, noFiles},
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
			if slices.Contains([]string{"output", "level", "fail-on", "mode", "cert-source", "log-format"}, f.Name) {
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
