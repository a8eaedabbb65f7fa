// Package sarif holds what Portcullis writes as SARIF against the schema of OASIS, which the module gosec carries.
package sarif

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	_ "github.com/securego/gosec/v2/cmd/vflag" // so that go.mod keeps the module
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/fix"
	"github.com/portcullis-dev/portcullis/pkg/report"
	"github.com/portcullis-dev/portcullis/pkg/rule"
	"github.com/portcullis-dev/portcullis/pkg/rules"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// schemaOf is the schema of SARIF 2.1.0 with errata 01.
func schemaOf(t *testing.T) *jsonschema.Schema {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/securego/gosec/v2").Output()
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "report", "sarif", "testdata", "sarif-schema-2.1.0.json"))
	require.NoError(t, err)
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("sarif-schema-2.1.0.json", schema))
	compiled, err := compiler.Compile("sarif-schema-2.1.0.json")
	require.NoError(t, err)
	return compiled
}

func valid(schema *jsonschema.Schema, log []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(log))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

func TestALogWithEverythingInItIsValid(t *testing.T) {
	schema := schemaOf(t)
	log, err := os.ReadFile(filepath.Join("..", "..", "pkg", "report", "testdata", "report.sarif"))
	require.NoError(t, err)
	require.NoError(t, valid(schema, log))

	wrong := bytes.Replace(log, []byte(`"level": "error"`), []byte(`"level": "deny"`), 1)
	require.NotEqual(t, log, wrong)
	assert.Error(t, valid(schema, wrong), "the schema refuses what it should")
}

func TestTheSARIFOfTheExamplesIsValid(t *testing.T) {
	schema := schemaOf(t)
	binary := filepath.Join(t.TempDir(), "portcullis")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-C", filepath.Join("..", ".."), "-o", binary, "./cmd/portcullis").CombinedOutput()
	require.NoError(t, err, "%s", out)
	for input, findings := range map[string]bool{"examples": true, "-": false} {
		command := exec.CommandContext(t.Context(), binary, "check", "-o", "sarif", input)
		command.Dir = filepath.Join("..", "..")
		command.Stdin = strings.NewReader("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: none}\n")
		log, err := command.Output()
		if exit := (&exec.ExitError{}); !errors.As(err, &exit) || exit.ExitCode() != 1 {
			require.NoError(t, err)
		}
		require.NoError(t, valid(schema, log), input)
		var got struct{ Runs []struct{ Results []any } }
		require.NoError(t, json.Unmarshal(log, &got))
		assert.Equal(t, findings, len(got.Runs[0].Results) > 0, input)
	}
}

// hostile are texts that would break out of a format that does not escape, or that are no text at all.
func hostile() *rapid.Generator[string] {
	piece := rapid.OneOf(rapid.SampledFrom([]string{"\"", "\\", "\\u0000", "\n", "\r", "\x00", "\x1b[2J", "\u2028", "\u202e", "\ufffe", "\xff", "\xed\xa0\x80", "{", "${{ x }}", "%", "#", "?", ":", "..", "//", " ", "\t"}), rapid.String())
	return rapid.Map(rapid.SliceOfN(piece, 0, 6), func(s []string) string { return strings.Join(s, "") })
}

func TestWhateverNamesHoldTheLogIsValid(t *testing.T) {
	schema := schemaOf(t)
	var configured []rule.Configured
	for _, r := range rules.Catalogue().All() {
		configured = append(configured, r.Default())
	}
	actions := []verdict.Action{verdict.ActionDeny, verdict.ActionWarn, verdict.ActionAudit, verdict.ActionExempt, verdict.ActionProvisional, verdict.ActionUndetermined}
	kinds := []string{finding.KindNetworkPolicy, finding.KindNamespace, finding.KindCluster}
	rapid.Check(t, func(t *rapid.T) {
		text := hostile()
		var found []verdict.Decided
		var told []report.Problem
		for range rapid.IntRange(0, 4).Draw(t, "findings") {
			found = append(found, verdict.Decided{Finding: finding.Finding{
				Rule: rapid.SampledFrom([]string{"internet-ingress", "custom"}).Draw(t, "rule"), Level: finding.Baseline,
				Subject: finding.Subject{Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Namespace: text.Draw(t, "namespace"), Name: text.Draw(t, "name")},
				Path:    text.Draw(t, "path"), Message: text.Draw(t, "message"), Fix: text.Draw(t, "fix"),
				Source:  finding.Source{File: text.Draw(t, "file"), Line: rapid.IntRange(0, 20).Draw(t, "line")},
				Witness: finding.Witness{From: text.Draw(t, "from"), To: text.Draw(t, "to"), Port: "TCP/1"},
			}, Action: rapid.SampledFrom(actions).Draw(t, "action"), ExemptReason: text.Draw(t, "reason")})
		}
		for range rapid.IntRange(0, 3).Draw(t, "problems") {
			told = append(told, report.Problem{File: text.Draw(t, "file"), Line: rapid.IntRange(0, 9).Draw(t, "line"), Message: text.Draw(t, "message")})
		}
		line := text.Draw(t, "text of the lines")
		var log bytes.Buffer
		require.NoError(t, report.FromDecided(report.Scope{}, found, told).SARIF(&log, report.SARIFOptions{
			Version: "v1.2.3", Rules: configured, Line: func(string, int) (string, bool) { return line, true },
			Fix: func(f *report.Finding) []fix.Region {
				return []fix.Region{{StartLine: 1, StartColumn: 1, EndLine: 2, EndColumn: 1, Text: f.Message}}[:len(f.Message)%2]
			},
		}))
		require.NoError(t, valid(schema, log.Bytes()))
	})
}
