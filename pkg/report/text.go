package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// TextOptions are how the text is shown.
type TextOptions struct {
	// Color is whether terminal colours are used.
	Color bool
	// Width is where lines are broken; 0 for nowhere.
	Width int
	// Line is the text of a line of a file that was judged; nil if no files were.
	Line func(file string, line int) (string, bool)
}

// Text writes the report for people: by subject, what is denied first, each finding with the line it is about, the
// connection that proves it, and the fix.
func (r *Report) Text(w io.Writer, o TextOptions) error {
	t := textWriter{TextOptions: o}
	for _, group := range bySubject(r.Findings) {
		t.subject(group)
		for i := range group {
			t.finding(&group[i])
		}
		t.out.WriteByte('\n')
	}
	t.summary(r)
	_, err := io.WriteString(w, t.out.String())
	return err
}

// bySubject groups findings in the order of their subjects, those of which something is denied first, and orders those of one
// subject by what is done about them.
func bySubject(findings []Finding) [][]Finding {
	var out [][]Finding
	at := map[finding.Subject]int{}
	for _, f := range findings {
		i, known := at[f.Subject]
		if !known {
			i = len(out)
			at[f.Subject] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], f)
	}
	for _, group := range out {
		slices.SortStableFunc(group, func(a, b Finding) int { return cmp.Compare(rank(a.Action), rank(b.Action)) })
	}
	denied := func(group []Finding) int { return min(rank(group[0].Action), 1) }
	slices.SortStableFunc(out, func(a, b []Finding) int { return cmp.Compare(denied(a), denied(b)) })
	return out
}

func rank(a verdict.Action) int {
	return slices.Index([]verdict.Action{
		verdict.ActionDeny, verdict.ActionWarn, verdict.ActionProvisional, verdict.ActionUndetermined, verdict.ActionAudit, verdict.ActionExempt,
	}, a)
}

// Colours as ANSI terminals know them.
const (
	bold   = "1"
	dim    = "2"
	red    = "1;31"
	green  = "32"
	yellow = "33"
	blue   = "34"
)

type textWriter struct {
	TextOptions
	out strings.Builder
}

func (t *textWriter) paint(color, s string) string {
	if !t.Color || s == "" {
		return s
	}
	return "\x1b[" + color + "m" + s + "\x1b[0m"
}

func (t *textWriter) subject(group []Finding) {
	s := group[0].Subject
	t.out.WriteString(t.paint(bold, Printable(s.Title())) + "\n")
}

func (t *textWriter) finding(f *Finding) {
	label, color := string(f.Action), dim
	switch f.Action {
	case verdict.ActionDeny:
		label, color = "DENY", red
	case verdict.ActionWarn:
		label, color = "WARN", yellow
		if f.WouldDeny {
			label = "WOULD DENY"
		}
	case verdict.ActionProvisional, verdict.ActionUndetermined:
		color = blue
	}
	place := ""
	if f.Source != nil {
		place = fmt.Sprintf(" at %s:%d", Printable(f.Source.File), f.Source.Line)
	}
	fmt.Fprintf(&t.out, "  %s %s %s\n", t.paint(color, label), t.paint(bold, f.Rule), t.paint(dim, fmt.Sprintf("(%s, %s)%s", f.Level, f.Severity, place)))
	t.paragraph(textIndent, textIndent, f.Message)
	t.excerpt(f)
	if f.Witness != nil && !strings.Contains(f.Message, f.Witness.String()) {
		name := "proof"
		if f.Witness.From == "" {
			name = "pod"
		}
		t.field(name, f.Witness.String(), green)
	}
	if f.Fix != "" {
		t.field("fix", f.Fix, green)
	}
	if f.ExemptReason != "" {
		t.field("why", f.ExemptReason, dim)
	}
}

// longestLine is how long a line is shown, in bytes: JSON without line breaks has everything in one, which shows nobody anything.
const longestLine = 400

// excerpt shows the line of the manifest, or else names the field. The first line of an object says nothing.
func (t *textWriter) excerpt(f *Finding) {
	if f.Path == "" {
		return
	}
	if f.Source != nil && t.Line != nil {
		if text, ok := t.Line(f.Source.File, f.Source.Line); ok && len(text) <= longestLine {
			t.out.WriteString(textIndent + t.paint(dim, fmt.Sprintf("%5d | ", f.Source.Line)) + Printable(text) + "\n")
			return
		}
	}
	t.field("field", f.Path, dim)
}

const textIndent = "    "

func (t *textWriter) field(name, text, color string) {
	pad := strings.Repeat(" ", len("field")-len(name)+1)
	t.paragraph(textIndent+t.paint(color, name+":")+pad, textIndent+strings.Repeat(" ", len("field: ")), text)
}

// paragraph writes text behind a prefix, and breaks it at blanks so that it fits the width.
func (t *textWriter) paragraph(prefix, indent, text string) {
	t.out.WriteString(prefix)
	column := len(indent)
	for i, word := range strings.Fields(text) {
		if i > 0 {
			if t.Width > 0 && column+1+len(word) > t.Width {
				t.out.WriteString("\n" + indent)
				column = len(indent)
			} else {
				t.out.WriteByte(' ')
				column++
			}
		}
		t.out.WriteString(Printable(word))
		column += len(word)
	}
	t.out.WriteByte('\n')
}

// Printable replaces what would steer a terminal, as manifests are not to be trusted.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r >= ' ' && (r < 0x7f || r > 0x9f) {
			return r
		}
		return '\ufffd'
	}, s)
}

func (t *textWriter) summary(r *Report) {
	t.count(r)
	t.next(r)
}

// count says how much was judged, and what was found.
func (t *textWriter) count(r *Report) {
	s := &r.Summary
	fmt.Fprintf(&t.out, "%s in %s, %s: ", plural(s.Policies, "policy", "policies"), plural(s.Namespaces, "namespace", "namespaces"), plural(s.Pods, "pod", "pods"))
	var parts []string
	add := func(n int, color, one, many string) {
		if n > 0 {
			parts = append(parts, t.paint(color, plural(n, one, many)))
		}
	}
	add(s.Deny, red, "denied", "denied")
	add(s.Warn, yellow, "warning", "warnings")
	add(s.Provisional, blue, "provisional", "provisional")
	add(s.Undetermined, blue, "undetermined", "undetermined")
	add(s.Audit, dim, "for the audit", "for the audit")
	add(s.Exempt, dim, "exempt", "exempt")
	if len(parts) == 0 {
		parts = []string{t.paint(green, "nothing found")}
	}
	t.out.WriteString(strings.Join(parts, ", "))
	if n := len(r.Problems); n > 0 {
		t.out.WriteString(", " + t.paint(red, plural(n, "problem in the input", "problems in the input")))
	}
	t.out.WriteString(".\n")
}

// next says what to do now.
func (t *textWriter) next(r *Report) {
	first := func(a verdict.Action, custom bool) int {
		return slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Action == a && f.Custom == custom })
	}
	worst := first(verdict.ActionDeny, false)
	if worst < 0 {
		worst = first(verdict.ActionWarn, false)
	}
	switch {
	case len(r.Problems) > 0:
		t.out.WriteString("Next: mend the problems listed with file and line, since what is wrong there may hide more, and check again.\n")
	case worst >= 0:
		fmt.Fprintf(&t.out, "Next: apply the fixes, by hand or by portcullis fix, and check again. Why a rule is there, and how to meet it: portcullis rules %s\n", r.Findings[worst].Rule)
	case first(verdict.ActionDeny, true) >= 0, first(verdict.ActionWarn, true) >= 0:
		t.out.WriteString("Next: apply the fixes, by hand or by portcullis fix, and check again. The rules are those of your configuration: portcullis rules --config FILE lists them\n")
	}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
