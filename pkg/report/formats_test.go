package report_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/fix"
	"github.com/portcullis-dev/portcullis/pkg/report"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

var judged = []report.Object{
	{Subject: policy("shop", "web"), Source: finding.Source{File: "web.yaml", Line: 2}},
	{Subject: policy("shop", "db"), Source: finding.Source{File: "db & co/50% a.yaml", Line: 9}},
	{Subject: policy("ops", "agent")},
	{Subject: policy("kube-system", "dns")},
}

// configured are rules for the findings of decided, but one.
func configured() []rule.Configured {
	var out []rule.Configured
	for _, d := range decided() {
		r := &rule.Rule{ID: d.Rule, Level: d.Level, Severity: d.Severity, Subjects: []string{d.Subject.Kind}, Doc: rule.Doc{
			Title: "Title of " + d.Rule, Why: "Why it matters.", Finds: "What is found", Remedy: "What to do.", Bad: "bad: {}", Good: "good: {}",
			References: []rule.Reference{{Title: "Network Policies", URL: "https://kubernetes.io/docs/concepts/services-networking/network-policies/"}},
		}}
		r.Custom = d.Rule == "invalid-setting"
		if d.Rule != "all-ports" {
			out = append(out, r.Default())
		}
	}
	return out
}

func full() *report.Report {
	r := report.FromDecided(scope, decided(), problems)
	r.Judged = judged
	return r
}

func options() report.SARIFOptions {
	return report.SARIFOptions{Version: "v1.2.3", Rules: configured(), Line: lines, Fix: func(f *report.Finding) []fix.Region {
		if f.Rule != "policy-types-unset" {
			return nil
		}
		return []fix.Region{{StartLine: 6, StartColumn: 1, EndLine: 6, EndColumn: 1, Text: "  policyTypes:\n  - Ingress\n"}, {StartLine: 9, StartColumn: 3, EndLine: 10, EndColumn: 1}}
	}}
}

func sarif(t require.TestingT, r *report.Report, o report.SARIFOptions) []byte {
	var out bytes.Buffer
	require.NoError(t, r.SARIF(&out, o))
	return out.Bytes()
}

func junit(t require.TestingT, r *report.Report, o report.JUnitOptions) []byte {
	var out bytes.Buffer
	require.NoError(t, r.JUnit(&out, o))
	return out.Bytes()
}

func github(t require.TestingT, r *report.Report) string {
	var out bytes.Buffer
	require.NoError(t, r.GitHub(&out))
	return out.String()
}

func TestEveryFormatGivesTheSameBytesForTheSameInput(t *testing.T) {
	formats := func(r *report.Report) string {
		return string(sarif(t, r, options())) + string(junit(t, r, report.JUnitOptions{})) + github(t, r)
	}
	want := formats(full())
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 0))
		shuffled, objects := decided(), slices.Clone(judged)
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		random.Shuffle(len(objects), func(i, j int) { objects[i], objects[j] = objects[j], objects[i] })
		r := report.FromDecided(scope, shuffled, problems)
		r.Judged = objects
		require.Equal(t, want, formats(r))
	}
}

func TestIfTheWriterFailsThenItIsTold(t *testing.T) {
	closed, err := os.CreateTemp(t.TempDir(), "")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	for _, r := range []*report.Report{full(), report.FromDecided(report.Scope{}, nil, nil)} {
		assert.ErrorIs(t, r.SARIF(closed, options()), os.ErrClosed)
		assert.ErrorIs(t, r.JUnit(closed, report.JUnitOptions{}), os.ErrClosed)
		assert.ErrorIs(t, r.GitHub(closed), os.ErrClosed)
	}
}
