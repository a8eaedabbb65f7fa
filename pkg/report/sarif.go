package report

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/fix"
	"github.com/portcullis-dev/portcullis/pkg/rule"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// SARIF 2.1.0 with errata 01, as code scanners of GitHub, GitLab, Azure DevOps and editors read it
// (https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/sarif-v2.1.0-errata01-os.html):
//   - one run, whose rules are those in force, each with its documentation;
//   - a result for each finding: error if it is denied, warning if it is warned of, and note for all else. What is exempt is
//     suppressed, with the reason;
//   - problems of the input are notifications, and the run has failed if there are any;
//   - a result has a place in a file, since GitHub refuses others. What is about a namespace or the cluster, and in no
//     manifest, is placed at an object of the namespace, or at the first one. Only where no files were read there is none;
//   - a fix is what the finding's patch changes in the text, if it can be written there;
//   - the fingerprint holds the rule, the object and the field, so that a result stays the same when lines move.
const (
	sarifSchema  = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
	sarifVersion = "2.1.0"
	// sarifRoot stands for the folder that relative paths start from.
	sarifRoot = "%SRCROOT%"
	// sarifFingerprint names how fingerprints are made; another way needs another name.
	sarifFingerprint = "portcullisFinding/v1"
	sarifProblem     = "input-problem"
	// homepage is where the documentation is.
	homepage = "https://github.com/portcullis-dev/portcullis"
	// longestSnippet bounds the lines that are shown, in bytes: a manifest in JSON may be one line.
	longestSnippet = 1000
)

// SARIFOptions are what a SARIF log tells beside the findings.
type SARIFOptions struct {
	// Version is that of the program.
	Version string
	// Rules are those in force.
	Rules []rule.Configured
	// Line is the text of a line of a file that was judged; nil if no files were.
	Line func(file string, line int) (string, bool)
	// Fix is what a finding's patch changes in its file; nothing if it has none that can be written there. It may be nil.
	Fix func(*Finding) []fix.Region
}

// SARIF writes the report as a SARIF log.
func (r *Report) SARIF(w io.Writer, o SARIFOptions) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(sarifLog{Schema: sarifSchema, Version: sarifVersion, Runs: []sarifRun{r.sarifRun(&o)}})
}

func (r *Report) sarifRun(o *SARIFOptions) sarifRun {
	run := sarifRun{
		Tool: sarifTool{Driver: sarifDriver{
			Name: "Portcullis", Version: number(o.Version), InformationURI: homepage, Rules: []sarifRule{},
			Notifications: []sarifRule{{
				ID: sarifProblem, Name: pascal(sarifProblem), Short: &sarifText{Text: "Something is wrong with the input."},
				Full: &sarifText{Text: "Something in the input cannot be read, or kubectl or the API server would refuse it. The rest is judged regardless."},
				Help: &sarifText{Text: "Mend it and check again, since what is wrong there may hide more."},
			}},
		}},
		Invocations: []sarifInvocation{{Successful: len(r.Problems) == 0, Notifications: []sarifNotification{}}},
		Bases:       map[string]sarifArtifact{sarifRoot: {Description: &sarifText{Text: "The folder in which the files were named."}}},
		ColumnKind:  "unicodeCodePoints",
		Results:     []sarifResult{},
	}
	index := map[string]int{}
	for _, c := range slices.SortedFunc(slices.Values(o.Rules), func(a, b rule.Configured) int { return cmp.Compare(a.ID, b.ID) }) {
		index[c.ID] = len(run.Tool.Driver.Rules)
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRuleOf(&c, o))
	}
	for _, p := range r.Problems {
		run.Invocations[0].Notifications = append(run.Invocations[0].Notifications, sarifNotification{
			Descriptor: sarifReference{ID: sarifProblem}, Level: "error", Message: sarifText{Text: oneLine(p.Message)},
			Locations: []sarifLocation{{Physical: physical(finding.Source{File: p.File, Line: p.Line}, o)}},
		})
	}
	same := map[[sha256.Size]byte]int{}
	for i := range r.Findings {
		f := &r.Findings[i]
		result := r.sarifResult(f, o)
		if at, ok := index[f.Rule]; ok {
			result.RuleIndex = &at
		}
		print := sha256.Sum256([]byte(strings.Join([]string{f.Rule, f.Subject.Kind, f.Subject.Namespace, f.Subject.Name, f.Path}, "\x00")))
		same[print]++
		result.Fingerprints = map[string]string{sarifFingerprint: fmt.Sprintf("%s:%d", hex.EncodeToString(print[:16]), same[print])}
		run.Results = append(run.Results, result)
	}
	return run
}

func sarifRuleOf(c *rule.Configured, o *SARIFOptions) sarifRule {
	text := c.Doc.Why + "\n\n" + c.Doc.Remedy
	markdown := c.Doc.Why + "\n\n## What to do\n\n" + c.Doc.Remedy + "\n"
	if c.Doc.Good != "" {
		markdown += "\n## Good\n\n```yaml\n" + strings.TrimSpace(c.Doc.Good) + "\n```\n"
	}
	markdown += "\n## References\n\n"
	for _, ref := range c.Doc.References {
		text += "\n\n" + ref.Title + ": " + ref.URL
		markdown += "- [" + ref.Title + "](" + ref.URL + ")\n"
	}
	out := sarifRule{
		ID: c.ID, Name: pascal(c.ID), Short: &sarifText{Text: sentence(c.Doc.Title)}, Full: &sarifText{Text: sentence(c.Doc.Finds)},
		Help:    &sarifText{Text: text, Markdown: markdown},
		Default: &sarifConfiguration{Level: "warning"},
		Properties: &sarifRuleProperties{
			Tags:      []string{"kubernetes", "networkpolicy", "security", c.Level.String()},
			Precision: "very-high",
		},
	}
	if c.Level == finding.Baseline {
		out.Default.Level = "error"
	}
	// GitHub calls 7.0 and more high, 4.0 and more medium, and what is below low.
	switch c.Severity {
	case finding.High:
		out.Properties.SecuritySeverity = "8.0"
	case finding.Medium:
		out.Properties.SecuritySeverity = "5.5"
	case finding.Low:
		out.Properties.SecuritySeverity = "3.0"
	default:
		out.Properties.SecuritySeverity = "1.0"
	}
	switch {
	case !c.Custom:
		out.HelpURI = homepage + "/blob/main/docs/rules/" + c.ID + ".md"
	case len(c.Doc.References) > 0:
		out.HelpURI = c.Doc.References[0].URL
	}
	return out
}

func (r *Report) sarifResult(f *Finding, o *SARIFOptions) sarifResult {
	out := sarifResult{
		RuleID: f.Rule, Level: "note", Message: sarifText{Text: f.advice()},
		Locations: []sarifLocation{{
			Physical: physical(r.place(f), o),
			Logical:  []sarifLogical{{Name: oneLine(f.Subject.Name), FullName: oneLine(strings.TrimSuffix(f.Subject.Title()+" "+f.Path, " ")), Kind: "resource"}},
		}},
		Properties: sarifResultProperties{Action: f.Action, Level: f.Level, Severity: f.Severity, WouldDeny: f.WouldDeny, Subject: f.Subject, Path: f.Path, Witness: f.Witness, Pods: f.Pods, Patch: f.Patch},
	}
	switch f.Action {
	case verdict.ActionDeny:
		out.Level = "error"
	case verdict.ActionWarn:
		out.Level = "warning"
	case verdict.ActionExempt:
		kind := "external"
		if f.ExemptInSource {
			kind = "inSource"
		}
		out.Suppressions = []sarifSuppression{{Kind: kind, Status: "accepted", Justification: oneLine(f.ExemptReason)}}
	}
	if o.Fix != nil && f.Source != nil {
		out.Fixes = sarifFixes(f, o.Fix(f))
	}
	return out
}

// sarifFixes are the one fix that replaces the regions in the finding's file; none without regions.
func sarifFixes(f *Finding, regions []fix.Region) []sarifFix {
	if len(regions) == 0 {
		return nil
	}
	change := sarifChange{Artifact: artifact(f.Source.File)}
	for _, r := range regions {
		change.Replacements = append(change.Replacements, sarifReplacement{
			Deleted: sarifRegion{StartLine: r.StartLine, StartColumn: r.StartColumn, EndLine: r.EndLine, EndColumn: r.EndColumn}, Inserted: sarifText{Text: r.Text},
		})
	}
	return []sarifFix{{Description: sarifText{Text: oneLine(f.Fix)}, Changes: []sarifChange{change}}}
}

// place is where the finding is, or else where its namespace is, or any object; the zero value if no files were read.
func (r *Report) place(f *Finding) finding.Source {
	if f.Source != nil {
		return *f.Source
	}
	namespace := f.Subject.Namespace
	if f.Subject.Kind == finding.KindNamespace {
		namespace = f.Subject.Name
	}
	var best finding.Source
	bestHere := false
	for _, object := range r.Judged {
		here := namespace != "" && (object.Subject.Namespace == namespace || object.Subject == finding.Subject{Kind: finding.KindNamespace, Name: namespace})
		source := object.Source
		if source.File == "" || bestHere && !here {
			continue
		}
		if best.File == "" || here && !bestHere || cmp.Or(cmp.Compare(source.File, best.File), cmp.Compare(source.Line, best.Line)) < 0 {
			best, bestHere = source, here
		}
	}
	return best
}

// physical is a place in a file, or nil if there is no file.
func physical(s finding.Source, o *SARIFOptions) *sarifPhysical {
	if s.File == "" {
		return nil
	}
	out := &sarifPhysical{Artifact: artifact(s.File)}
	if s.Line < 1 {
		return out
	}
	out.Region = &sarifRegion{StartLine: s.Line}
	if o.Line == nil {
		return out
	}
	line, ok := o.Line(s.File, s.Line)
	if text := strings.TrimSpace(line); ok && text != "" && len(line) <= longestSnippet {
		start := strings.Index(line, text)
		out.Region.StartColumn = 1 + utf8.RuneCountInString(line[:start])
		out.Region.EndColumn = out.Region.StartColumn + utf8.RuneCountInString(text)
		out.Region.Snippet = &sarifText{Text: text}
	}
	return out
}

// artifact is the file as a URI: relative to sarifRoot, unless the path is absolute.
func artifact(path string) *sarifArtifact {
	slashed := filepath.ToSlash(filepath.Clean(path))
	if filepath.IsAbs(path) {
		return &sarifArtifact{URI: (&url.URL{Scheme: "file", Path: slashed}).String()}
	}
	return &sarifArtifact{URI: (&url.URL{Path: slashed}).String(), Base: sarifRoot}
}

// number is a version as SARIF wants it: beginning with a digit, or none.
func number(version string) string {
	version = strings.TrimPrefix(version, "v")
	if version == "" || version[0] < '0' || version[0] > '9' {
		return ""
	}
	return version
}

// pascal is InternetIngress for internet-ingress, and nothing for one word: a name is not to repeat the id.
func pascal(id string) string {
	if !strings.Contains(id, "-") {
		return ""
	}
	var out strings.Builder
	for word := range strings.SplitSeq(id, "-") {
		if word != "" {
			out.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return out.String()
}

// sentence ends a text with a full stop, and bounds it as GitHub does.
func sentence(s string) string {
	const longest = 1024
	s = strings.TrimSuffix(strings.TrimSpace(s), ".")
	if runes := []rune(s); len(runes) >= longest {
		return string(runes[:longest-1]) + "…"
	}
	return s + "."
}
