// Package report is the verdict on a set of manifests, or on a cluster, for people and for programs: the JSON contract
// report.portcullis.dev/v1alpha1, and its renderings. The same input gives the same bytes.
package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// The type of the document.
const (
	APIVersion = "report.portcullis.dev/v1alpha1"
	Kind       = "Report"
)

// Report is the document. Make one with New.
type Report struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Summary    Summary   `json:"summary"`
	Findings   []Finding `json:"findings"`
	Problems   []Problem `json:"problems"`
	// Judged are the objects that came with the input, for the formats that list what is well, too.
	Judged []Object `json:"-"`
}

// Scope is how much was judged.
type Scope struct {
	Namespaces int `json:"namespaces"`
	Policies   int `json:"policies"`
	// Pods are those there are, and those that the templates of workloads without pods ask for.
	Pods int `json:"pods"`
}

// Summary counts what was judged, and the findings by action.
type Summary struct {
	Scope
	Deny         int `json:"deny"`
	Warn         int `json:"warn"`
	Audit        int `json:"audit"`
	Exempt       int `json:"exempt"`
	Provisional  int `json:"provisional"`
	Undetermined int `json:"undetermined"`
}

// Finding is one finding and what is done about it.
type Finding struct {
	Rule     string           `json:"rule"`
	Level    finding.Level    `json:"level"`
	Severity finding.Severity `json:"severity"`
	Action   verdict.Action   `json:"action"`
	// WouldDeny is whether only the configuration's mode: audit keeps the finding from denying.
	WouldDeny bool              `json:"wouldDeny,omitempty"`
	Subject   finding.Subject   `json:"subject"`
	Path      string            `json:"path"`
	Message   string            `json:"message"`
	Fix       string            `json:"fix"`
	Witness   *finding.Witness  `json:"witness,omitempty"`
	Pods      int               `json:"pods"`
	Patch     []finding.PatchOp `json:"patch,omitempty"`
	Source    *finding.Source   `json:"source,omitempty"`
	// More is how many more there are of the rule and subject, with the same action, that the background audit counts and does not list.
	More int `json:"more,omitempty"`
	// Custom is whether the rule is one of the configuration.
	Custom bool `json:"-"`
	// ExemptReason is why an exempt finding is, for people, and ExemptInSource whether the policy's own annotation says so.
	ExemptReason   string `json:"-"`
	ExemptInSource bool   `json:"-"`
}

// advice is the finding for people, in one line: the message, the connection that proves it, and the fix.
func (f *Finding) advice() string {
	d := verdict.Decided{Finding: finding.Finding{Message: f.Message, Fix: f.Fix}}
	if f.Witness != nil {
		d.Witness = *f.Witness
	}
	return d.Advice()
}

// Object is something that was judged, whether anything was found of it or not.
type Object struct {
	Subject finding.Subject
	Source  finding.Source // the zero value if it was not read from a file
}

// Problem is something in the input that could not be read, or that the API server would refuse.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"` // counted from 1; 0 if it is about the whole file
	Message string `json:"message"`
}

// String is "file:line: message" on one line, whatever the names and the message hold. It neither begins with :: nor holds
// ##[, which a job on GitHub Actions would take for a command.
func (p Problem) String() string {
	text := oneLine(p.Message)
	if p.File != "" {
		place := p.File
		if p.Line > 0 {
			place = fmt.Sprintf("%s:%d", place, p.Line)
		}
		text = oneLine(place + ": " + text)
	}
	if strings.HasPrefix(text, "::") {
		text = "./" + text
	}
	return strings.ReplaceAll(text, "##[", "## [")
}

// oneLine is text without line breaks, control characters and what is not UTF-8.
func oneLine(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD")))
}

// ScopeOf counts what is in the snapshot.
func ScopeOf(s *model.Snapshot) Scope {
	var out Scope
	for ns := range s.Namespaces() {
		out.Add(ns)
	}
	return out
}

// Add counts one more namespace.
func (s *Scope) Add(ns *model.Namespace) {
	s.Namespaces++
	s.Policies += len(ns.Policies)
	s.Pods += reach.CountPods(ns.Classes)
}

// FromDecided makes the report of findings that have been decided.
func FromDecided(scope Scope, decided []verdict.Decided, problems []Problem) *Report {
	r := &Report{
		APIVersion: APIVersion, Kind: Kind, Summary: Summary{Scope: scope},
		Findings: make([]Finding, 0, len(decided)), Problems: append([]Problem{}, problems...),
	}
	sorted := slices.SortedStableFunc(slices.Values(decided), func(a, b verdict.Decided) int { return finding.Compare(a.Finding, b.Finding) })
	for i := range sorted {
		r.Findings = append(r.Findings, fromDecided(&sorted[i]))
		r.Summary.count(sorted[i].Action, 1+sorted[i].More)
	}
	slices.SortStableFunc(r.Problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return r
}

func fromDecided(d *verdict.Decided) Finding {
	out := Finding{
		Rule: d.Rule, Level: d.Level, Severity: d.Severity, Action: d.Action, WouldDeny: d.WouldDeny, Subject: d.Subject, Path: d.Path,
		Message: d.Message, Fix: d.Fix, Pods: d.Pods, Patch: d.Patch, More: d.More, Custom: d.Custom, ExemptReason: d.ExemptReason, ExemptInSource: d.ExemptInSource,
	}
	if !d.Witness.IsZero() {
		witness := d.Witness
		out.Witness = &witness
	}
	if d.Source != (finding.Source{}) {
		source := d.Source
		out.Source = &source
	}
	return out
}

func (s *Summary) count(a verdict.Action, n int) {
	switch a {
	case verdict.ActionDeny:
		s.Deny += n
	case verdict.ActionWarn:
		s.Warn += n
	case verdict.ActionAudit:
		s.Audit += n
	case verdict.ActionExempt:
		s.Exempt += n
	case verdict.ActionProvisional:
		s.Provisional += n
	case verdict.ActionUndetermined:
		s.Undetermined += n
	}
}

// JSON writes the report as indented JSON.
func (r *Report) JSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}
