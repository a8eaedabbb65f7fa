package report_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/fix"
	"github.com/portcullis-dev/portcullis/pkg/report"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// hostile are texts that would break out of a format that does not escape.
func hostile() *rapid.Generator[string] {
	piece := rapid.OneOf(rapid.SampledFrom([]string{
		"\"", "'", "`", "\n", "\r", "\r\n", "::", "\n::error::", "::stop-commands::x", "\n::add-mask::a\n", "%0A", "%", "%3A", ",", "=", ":", "]]>", "<![CDATA[", "</testcase>",
		"<!--", "-->", "&lt;", "&", "<script>", "\x00", "\x1b[2J", "\x7f", "\u0085", "\u2028", "\u202e", "\ufffe", "\xff", "\xed\xa0\x80", "##[error]", "${{ secrets.X }}", "$(id)", "\\", "\\u0000", "\t", " ",
	}), rapid.String(), rapid.StringMatching(`[a-z/.]{1,8}`))
	return rapid.Map(rapid.SliceOfN(piece, 0, 6), func(s []string) string { return strings.Join(s, "") })
}

func hostileReport(t *rapid.T) *report.Report {
	text := hostile()
	source := func() finding.Source {
		return finding.Source{File: text.Draw(t, "file"), Line: rapid.IntRange(0, 20).Draw(t, "line")}
	}
	actions := []verdict.Action{verdict.ActionDeny, verdict.ActionWarn, verdict.ActionAudit, verdict.ActionExempt, verdict.ActionProvisional, verdict.ActionUndetermined}
	object := rapid.Custom(func(t *rapid.T) finding.Subject {
		return finding.Subject{Kind: rapid.SampledFrom([]string{finding.KindNetworkPolicy, finding.KindNamespace, finding.KindCluster}).Draw(t, "kind"), Namespace: text.Draw(t, "namespace"), Name: text.Draw(t, "name")}
	})
	var found []verdict.Decided
	for range rapid.IntRange(0, 5).Draw(t, "findings") {
		d := verdict.Decided{Finding: finding.Finding{
			Rule: rapid.SampledFrom([]string{"internet-ingress", "all-ports", "custom"}).Draw(t, "rule"), Level: finding.Baseline, Subject: object.Draw(t, "subject"),
			Path: text.Draw(t, "path"), Message: text.Draw(t, "message"), Fix: text.Draw(t, "fix"), Source: source(),
			Witness: finding.Witness{From: text.Draw(t, "from"), To: text.Draw(t, "to"), Port: "TCP/1"},
			Patch:   []finding.PatchOp{{Op: "add", Path: text.Draw(t, "patch"), Value: text.Draw(t, "value")}},
		}, Action: rapid.SampledFrom(actions).Draw(t, "action"), ExemptReason: text.Draw(t, "reason")}
		found = append(found, d)
	}
	var told []report.Problem
	for range rapid.IntRange(0, 3).Draw(t, "problems") {
		told = append(told, report.Problem{File: text.Draw(t, "file"), Line: rapid.IntRange(0, 9).Draw(t, "line"), Message: text.Draw(t, "message")})
	}
	r := report.FromDecided(scope, found, told)
	for range rapid.IntRange(0, 3).Draw(t, "judged") {
		r.Judged = append(r.Judged, report.Object{Subject: object.Draw(t, "subject"), Source: source()})
	}
	return r
}

func TestWhateverNamesHoldEveryFormatIsValidAndHoldsNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := hostileReport(t)
		line := hostile().Draw(t, "text of the lines")
		o := options()
		o.Fix = func(f *report.Finding) []fix.Region {
			return []fix.Region{{StartLine: 1, StartColumn: 1, EndLine: 2, EndColumn: 1, Text: f.Message}}[:len(f.Message)%2]
		}
		o.Line = func(string, int) (string, bool) { return line, true }

		log := sarif(t, r, o)
		require.Len(t, runOf(t, log).Results, len(r.Findings))

		for _, o := range []report.JUnitOptions{{}, {FailOnWarn: true}} {
			text := junit(t, r, o)
			require.True(t, utf8.Valid(text))
			checkJUnit(t, text)
		}

		wanted := map[string]int{}
		for range r.Problems {
			wanted["error"]++
		}
		for _, f := range r.Findings {
			switch f.Action {
			case verdict.ActionDeny:
				wanted["error"]++
			case verdict.ActionWarn:
				wanted["warning"]++
			case verdict.ActionAudit, verdict.ActionProvisional, verdict.ActionUndetermined:
				wanted["notice"]++
			}
		}
		got := map[string]int{}
		require.Equal(t, -1, strings.IndexFunc(github(t, r), func(r rune) bool { return unicode.IsControl(r) && r != '\n' }), "there are control characters")
		// The runner reads lines as .NET does: CR, LF and CRLF end one.
		output := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(github(t, r)), "\n")
		for _, line := range output[:len(output)-2] {
			c, ok := parseCommand(line)
			require.True(t, ok, "%q is no command", line)
			got[c.name]++
			for key, value := range c.properties {
				switch key {
				case "title":
				case "line":
					_, err := strconv.Atoi(value)
					require.NoError(t, err)
				case "file":
					require.True(t, slices.ContainsFunc(r.Findings, func(f report.Finding) bool { return f.Source != nil && visible(f.Source.File) == value }) ||
						slices.ContainsFunc(r.Problems, func(p report.Problem) bool { return visible(p.File) == value }), "%q is no file", value)
				default:
					require.Fail(t, "a property "+key)
				}
			}
		}
		require.Equal(t, wanted, got)
		_, ok := parseCommand(output[len(output)-2])
		require.False(t, ok, "the summary is no command")

		for _, p := range r.Problems {
			_, ok := parseCommand(p.String())
			require.False(t, ok, "%q is a command", p.String())
			require.NotContains(t, p.String(), "##[")
			require.Equal(t, 1, len(strings.FieldsFunc(p.String()+".", func(r rune) bool { return r == '\n' || r == '\r' })))
		}
	})
}
