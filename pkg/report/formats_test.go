package report_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/fix"
	"github.com/portcullis-dev/portcullis/pkg/report"
	"github.com/portcullis-dev/portcullis/pkg/rule"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
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

// sarifSchema is the one whose source testdata/README.md names.
func sarifSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join("testdata", "sarif-schema-2.1.0.json"))
	require.NoError(t, err)
	return schema
}

func validate(t require.TestingT, schema *jsonschema.Schema, log []byte) {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(log))
	require.NoError(t, err)
	require.NoError(t, schema.Validate(value))
}

func TestSARIFIsValid(t *testing.T) {
	schema := sarifSchema(t)
	log := sarif(t, full(), options())
	golden(t, "report.sarif", log)
	validate(t, schema, log)
	validate(t, schema, sarif(t, report.FromDecided(report.Scope{}, nil, nil), report.SARIFOptions{}))

	// The schema does refuse what it should.
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(strings.Replace(string(log), `"level": "error"`, `"level": "deny"`, 1)))
	require.NoError(t, err)
	assert.Error(t, schema.Validate(value))
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

// suites is JUnit's XML as a reporter reads it.
type suites struct {
	Tests    int `xml:"tests,attr"`
	Failures int `xml:"failures,attr"`
	Errors   int `xml:"errors,attr"`
	Suites   []struct {
		Name     string `xml:"name,attr"`
		File     string `xml:"file,attr"`
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Errors   int    `xml:"errors,attr"`
		Cases    []struct {
			Name    string `xml:"name,attr"`
			Class   string `xml:"classname,attr"`
			Failure []struct {
				Type    string `xml:"type,attr"`
				Message string `xml:"message,attr"`
				Text    string `xml:",chardata"`
			} `xml:"failure"`
			Error  []struct{} `xml:"error"`
			Output string     `xml:"system-out"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

func suitesOf(t require.TestingT, text []byte) suites {
	var out suites
	require.NoError(t, xml.Unmarshal(text, &out))
	return out
}

func TestJUnitHasACaseForEachObject(t *testing.T) {
	for name, o := range map[string]report.JUnitOptions{"report.junit.xml": {}, "report-warn.junit.xml": {FailOnWarn: true}} {
		text := junit(t, full(), o)
		golden(t, name, text)
		checkJUnit(t, text)
	}
	got := suitesOf(t, junit(t, full(), report.JUnitOptions{}))
	var cases []string
	for _, s := range got.Suites {
		for _, c := range s.Cases {
			cases = append(cases, s.Name+": "+c.Name+" "+strconv.Itoa(len(c.Failure)))
		}
	}
	assert.Equal(t, []string{
		"a.yaml: the file is as kubectl and the API server want it 0", "db & co/50% a.yaml: NetworkPolicy shop/db 0", "web.yaml: NetworkPolicy shop/web 1",
		"x.yaml: the file is as kubectl and the API server want it 0", "namespace kube-system: NetworkPolicy kube-system/dns 0", "namespace ops: NetworkPolicy ops/agent 0", "namespace shop: Namespace shop 0",
	}, cases)
}

func TestOnlyWithFailOnWarnWarningsFail(t *testing.T) {
	warned := report.FromDecided(scope, decided()[:1], nil)
	assert.Equal(t, 0, suitesOf(t, junit(t, warned, report.JUnitOptions{})).Failures)
	assert.Contains(t, suitesOf(t, junit(t, warned, report.JUnitOptions{})).Suites[0].Cases[0].Output, "web.yaml:5: warn policy-types-unset: ")
	assert.Equal(t, 1, suitesOf(t, junit(t, warned, report.JUnitOptions{FailOnWarn: true})).Failures)
}

// checkJUnit holds the text against what junit-10.xsd of Jenkins' xUnit plugin allows, and against its own counts.
func checkJUnit(t require.TestingT, text []byte) {
	allowed := map[string][]string{
		"testsuites": {"name", "time", "tests", "failures", "errors"},
		"testsuite":  {"name", "tests", "failures", "errors", "group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url"},
		"testcase":   {"name", "time", "classname", "group"}, "failure": {"type", "message"}, "error": {"type", "message"}, "system-out": nil,
	}
	required := map[string][]string{"testsuite": {"name", "tests", "failures", "errors"}, "testcase": {"name"}}
	parents := map[string]string{"testsuites": "", "testsuite": "testsuites", "testcase": "testsuite", "failure": "testcase", "error": "testcase", "system-out": "testcase"}
	path := []string{""}
	for decoder := xml.NewDecoder(bytes.NewReader(text)); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		switch e := token.(type) {
		case xml.StartElement:
			require.Contains(t, allowed, e.Name.Local)
			require.Equal(t, parents[e.Name.Local], path[len(path)-1])
			path = append(path, e.Name.Local)
			var names []string
			for _, a := range e.Attr {
				names = append(names, a.Name.Local)
			}
			require.Subset(t, allowed[e.Name.Local], names)
			require.Subset(t, names, required[e.Name.Local])
		case xml.EndElement:
			path = path[:len(path)-1]
		}
	}
	got := suitesOf(t, text)
	tests, failures, failed := 0, 0, 0
	for _, s := range got.Suites {
		require.Len(t, s.Cases, s.Tests)
		tests, failures, failed = tests+s.Tests, failures+s.Failures, failed+s.Errors
		for _, c := range s.Cases {
			require.LessOrEqual(t, len(c.Failure)+len(c.Error), 1, "Jenkins reads the first alone")
		}
	}
	require.Equal(t, [3]int{got.Tests, got.Failures, got.Errors}, [3]int{tests, failures, failed})
}

func TestGitHubAnnotatesFiles(t *testing.T) {
	golden(t, "report.github.txt", []byte(github(t, full())))
}

// command is a workflow command as GitHub's runner takes it from a line.
type command struct {
	name, message string
	properties    map[string]string
}

// parseCommand does what the runner does: a line, less blanks, that begins with :: and holds another :: is a command.
func parseCommand(line string) (command, bool) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(line), "::")
	if !ok {
		return command{}, false
	}
	head, message, ok := strings.Cut(rest, "::")
	if !ok {
		return command{}, false
	}
	data := strings.NewReplacer("%0D", "\r", "%0A", "\n", "%25", "%")
	property := strings.NewReplacer("%0D", "\r", "%0A", "\n", "%3A", ":", "%2C", ",", "%25", "%")
	c := command{message: data.Replace(message), properties: map[string]string{}}
	name, list, _ := strings.Cut(head, " ")
	c.name = name
	for _, p := range strings.Split(list, ",") {
		if key, value, ok := strings.Cut(p, "="); ok {
			c.properties[key] = property.Replace(value)
		}
	}
	return c, true
}

// visible is a name without control characters but line breaks.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\r' && unicode.IsControl(r) {
			return '\ufffd'
		}
		return r
	}, s)
}

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
	schema := sarifSchema(t)
	rapid.Check(t, func(t *rapid.T) {
		r := hostileReport(t)
		line := hostile().Draw(t, "text of the lines")
		o := options()
		o.Fix = func(f *report.Finding) []fix.Region {
			return []fix.Region{{StartLine: 1, StartColumn: 1, EndLine: 2, EndColumn: 1, Text: f.Message}}[:len(f.Message)%2]
		}
		o.Line = func(string, int) (string, bool) { return line, true }

		log := sarif(t, r, o)
		validate(t, schema, log)
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
