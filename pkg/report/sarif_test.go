package report_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/report"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

func TestTheSARIFOfAFullReport(t *testing.T) {
	golden(t, "report.sarif", sarif(t, full(), options()))
}

// location is where a result of a SARIF log points.
type location struct {
	Physical struct {
		Artifact struct{ URI, URIBaseID string } `json:"artifactLocation"`
		Region   struct{ StartLine, StartColumn, EndColumn int }
	} `json:"physicalLocation"`
}

type sarifResult struct {
	RuleID              string
	RuleIndex           *int
	Level               string
	Locations           []location
	PartialFingerprints map[string]string
	Suppressions        []struct{ Kind, Justification string }
}

type sarifRun struct {
	Tool struct {
		Driver struct {
			Rules []struct{ ID, HelpURI string }
		}
	}
	Results []sarifResult
}

func runOf(t require.TestingT, log []byte) sarifRun {
	var out struct{ Runs []sarifRun }
	require.NoError(t, json.Unmarshal(log, &out))
	require.Len(t, out.Runs, 1)
	return out.Runs[0]
}

func TestSARIFSaysWhatIsDoneAboutAFinding(t *testing.T) {
	run := runOf(t, sarif(t, full(), options()))
	want := map[string]string{"internet-ingress": "error", "policy-types-unset": "warning", "invalid-setting": "note", "dns-blocked": "note", "internet-egress": "note", "all-ports": "note"}
	got := map[string]string{}
	for _, r := range run.Results {
		got[r.RuleID] = r.Level
		if r.RuleIndex != nil {
			assert.Equal(t, r.RuleID, run.Tool.Driver.Rules[*r.RuleIndex].ID)
		}
		assert.Equal(t, r.RuleID == "all-ports", r.RuleIndex == nil, "a rule that is not in force has no index")
		assert.Equal(t, r.RuleID == "all-ports", len(r.Suppressions) == 1, "what is exempt is suppressed")
	}
	assert.Equal(t, want, got)
	for _, r := range run.Tool.Driver.Rules {
		want := "https://github.com/portcullis-dev/portcullis/blob/main/docs/rules/" + r.ID + ".md"
		if r.ID == "invalid-setting" {
			want = "https://kubernetes.io/docs/concepts/services-networking/network-policies/"
		}
		assert.Equal(t, want, r.HelpURI)
	}
}

func TestAnExemptionByAnAnnotationIsSuppressedInSource(t *testing.T) {
	found := decided()[5:]
	assert.Equal(t, "external", runOf(t, sarif(t, report.FromDecided(scope, found, nil), options())).Results[0].Suppressions[0].Kind)
	found[0].ExemptInSource = true
	assert.Equal(t, "inSource", runOf(t, sarif(t, report.FromDecided(scope, found, nil), options())).Results[0].Suppressions[0].Kind)
}

func TestAResultPointsAtTheTextOfItsLine(t *testing.T) {
	run := runOf(t, sarif(t, full(), options()))
	at := slices.IndexFunc(run.Results, func(r sarifResult) bool { return r.RuleID == "internet-ingress" })
	region := run.Results[at].Locations[0].Physical.Region
	assert.Equal(t, 14, region.StartLine)
	assert.Equal(t, 9, region.StartColumn, "behind the blanks")
	assert.Equal(t, 9+len("cidr: 0.0.0.0/0\t# \x1b[2Jall"), region.EndColumn)
}

func TestIfAFindingIsInNoFileThenItIsPlacedNearby(t *testing.T) {
	uris := map[string]string{}
	for _, r := range runOf(t, sarif(t, full(), options())).Results {
		uris[r.RuleID] = r.Locations[0].Physical.Artifact.URI
	}
	assert.Equal(t, "db%20&%20co/50%25%20a.yaml", uris["invalid-setting"], "the first object of the namespace")
	assert.Equal(t, "db%20&%20co/50%25%20a.yaml", uris["dns-blocked"], "the first object of all")

	live := report.FromDecided(scope, decided()[2:3], nil)
	assert.Empty(t, runOf(t, sarif(t, live, options())).Results[0].Locations[0].Physical.Artifact.URI, "if there are no files, then nowhere")
}

func TestPathsAreURIs(t *testing.T) {
	for path, want := range map[string][2]string{
		"a/./b.yaml":    {"a/b.yaml", "%SRCROOT%"},
		"a:b.yaml":      {"./a:b.yaml", "%SRCROOT%"},
		"../a.yaml":     {"../a.yaml", "%SRCROOT%"},
		"stdin":         {"stdin", "%SRCROOT%"},
		"/srv/a b.yaml": {"file:///srv/a%20b.yaml", ""},
		"a?b#c.yaml":    {"a%3Fb%23c.yaml", "%SRCROOT%"},
		"\xff\n.yaml":   {"%FF%0A.yaml", "%SRCROOT%"},
	} {
		found := decided()[:1]
		found[0].Source.File = path
		artifact := runOf(t, sarif(t, report.FromDecided(scope, found, nil), report.SARIFOptions{})).Results[0].Locations[0].Physical.Artifact
		assert.Equal(t, want, [2]string{artifact.URI, artifact.URIBaseID})
	}
}

func TestTheFingerprintStaysWhenLinesAndWordsChange(t *testing.T) {
	prints := func(ds []verdict.Decided) []string {
		var out []string
		for _, r := range runOf(t, sarif(t, report.FromDecided(scope, ds, nil), report.SARIFOptions{})).Results {
			require.Len(t, r.PartialFingerprints, 1)
			out = append(out, r.PartialFingerprints["portcullisFinding/v1"])
		}
		slices.Sort(out)
		return out
	}
	before := prints(decided())
	assert.Len(t, slices.Compact(slices.Clone(before)), len(before), "each has its own")
	moved := decided()
	for i := range moved {
		moved[i].Message, moved[i].Source.Line, moved[i].Action = moved[i].Message+" now", moved[i].Source.Line+7, verdict.ActionWarn
	}
	assert.Equal(t, before, prints(moved))
	moved[1].Path = "spec.ingress[1]"
	assert.NotEqual(t, before, prints(moved))

	twice := append(decided()[:1], decided()[:1]...)
	twice[1].Message = "Another one."
	assert.Len(t, slices.Compact(prints(twice)), 2, "two of the same place are told apart")
}
