package graph

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/report"
)

// DiffKind is the kind of the JSON document of a Diff.
const DiffKind = "Diff"

// Diff is what changes from one state to another: what is allowed, and what is found.
type Diff struct {
	*reach.Comparison
	// NewFindings are those that only the new state has, GoneFindings those that only the old one has.
	NewFindings, GoneFindings []report.Finding
	Problems                  []report.Problem
}

// Differ says whether anything is different.
func (d *Diff) Differ() bool {
	return !d.Opened.IsEmpty() || !d.Closed.IsEmpty() || len(d.NewFindings)+len(d.GoneFindings)+len(d.Added)+len(d.Removed) > 0
}

// lines are the connections of one side as rows of a table.
func (d *Diff) lines(c *reach.Connectivity) [][3]string {
	marks := map[*reach.Workload]string{}
	for _, w := range d.Added {
		marks[w] = " (new)"
	}
	for _, w := range d.Removed {
		marks[w] = " (gone)"
	}
	var out [][3]string
	for _, m := range c.Merged() {
		row := [3]string{name(m.From, m.Addrs), name(m.To, m.Addrs), m.Ports.String()}
		for i, g := range []*reach.Group{m.From, m.To} {
			if g != nil && !g.Whole {
				row[i] += marks[g.Workloads[0]]
			}
		}
		out = append(out, row)
	}
	return out
}

// Text writes the difference for people.
func (d *Diff) Text(w io.Writer) error {
	var out strings.Builder
	if !d.Differ() {
		out.WriteString("No difference: the same connections are allowed, and the same is found.\n")
		_, err := io.WriteString(w, out.String())
		return err
	}
	opened, closed := d.lines(d.Opened), d.lines(d.Closed)
	section := func(title string, rows [][3]string) {
		if len(rows) > 0 {
			out.WriteString(title + ":\n")
			table(&out, rows, "→")
			out.WriteByte('\n')
		}
	}
	section("Newly allowed", opened)
	section("Newly blocked", closed)
	findings := func(title string, findings []report.Finding) {
		if len(findings) == 0 {
			return
		}
		out.WriteString(title + ":\n")
		for i := range findings {
			f := &findings[i]
			place := ""
			if f.Source != nil {
				place = fmt.Sprintf(" (%s:%d)", f.Source.File, f.Source.Line)
			}
			out.WriteString(report.Printable(fmt.Sprintf("%s %s at %s%s: %s", f.Action, f.Rule, f.Subject.String(), place, f.Message)) + "\n")
		}
		out.WriteByte('\n')
	}
	findings("New findings", d.NewFindings)
	findings("Findings that are gone", d.GoneFindings)
	out.WriteString(d.summary(len(opened), len(closed)) + "\n")
	_, err := io.WriteString(w, out.String())
	return err
}

// summary is one sentence.
func (d *Diff) summary(opened, closed int) string {
	parts := []string{
		plural(opened, "line is newly allowed", "lines are newly allowed"),
		fmt.Sprintf("%d newly blocked", closed),
		fmt.Sprintf("%s new", plural(len(d.NewFindings), "finding is", "findings are")),
		fmt.Sprintf("%d gone", len(d.GoneFindings)),
	}
	text := parts[0] + ", " + parts[1] + "; " + parts[2] + ", " + parts[3]
	if n := len(d.Added); n > 0 {
		text += "; " + plural(n, "workload is new", "workloads are new")
	}
	if n := len(d.Removed); n > 0 {
		text += "; " + plural(n, "workload is gone", "workloads are gone")
	}
	return text + "."
}

// mostRows is how many rows a table of a comment has: GitHub takes comments of up to 65,536 characters.
const mostRows = 100

// Markdown writes the difference so that it is fit for a comment on a pull request.
func (d *Diff) Markdown(w io.Writer) error {
	var out strings.Builder
	opened, closed := d.lines(d.Opened), d.lines(d.Closed)
	out.WriteString("### What the change allows and blocks\n\n")
	if !d.Differ() {
		out.WriteString("Nothing: the same connections are allowed, and the same is found.\n")
	} else {
		out.WriteString(upper(d.summary(len(opened), len(closed))) + "\n")
	}
	section := func(title string, rows [][3]string) {
		if len(rows) == 0 {
			return
		}
		fmt.Fprintf(&out, "\n**%s**\n\n| from | to | ports |\n|---|---|---|\n", title)
		for i, row := range rows {
			if i == mostRows {
				fmt.Fprintf(&out, "\nand %d more: `portcullis diff` lists them all.\n", len(rows)-i)
				break
			}
			fmt.Fprintf(&out, "| %s | %s | %s |\n", cell(row[0]), cell(row[1]), cell(row[2]))
		}
	}
	section("Newly allowed", opened)
	section("Newly blocked", closed)
	findings := func(title string, findings []report.Finding) {
		if len(findings) == 0 {
			return
		}
		fmt.Fprintf(&out, "\n**%s**\n\n| | rule | object | |\n|---|---|---|---|\n", title)
		for i := range findings {
			f := &findings[i]
			if i == mostRows {
				fmt.Fprintf(&out, "\nand %d more: `portcullis check` lists them all.\n", len(findings)-i)
				break
			}
			fmt.Fprintf(&out, "| %s | `%s` | %s | %s |\n", f.Action, f.Rule, cell(f.Subject.String()), cell(f.Message))
		}
	}
	findings("New findings", d.NewFindings)
	findings("Findings that are gone", d.GoneFindings)
	_, err := io.WriteString(w, out.String())
	return err
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// cell is text in a cell of a Markdown table: nothing in it is markup, and no line ends.
func cell(s string) string {
	var out strings.Builder
	for _, r := range report.Printable(s) {
		switch {
		case strings.ContainsRune("\\`*_{}[]()<>#+!|~@&", r):
			if r == '<' || r == '>' || r == '&' || r == '@' {
				fmt.Fprintf(&out, "&#%d;", r)
				continue
			}
			out.WriteByte('\\')
		case r == '\t':
			r = ' '
		}
		out.WriteRune(r)
	}
	return out.String()
}

// JSON writes every pair of workloads with what it opens and closes.
func (d *Diff) JSON(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "{\n  \"apiVersion\": %q,\n  \"kind\": %q,\n", report.APIVersion, DiffKind)
	l := lister{out: out}
	for _, side := range []struct {
		field string
		of    *reach.Connectivity
	}{{"opened", d.Opened}, {"closed", d.Closed}} {
		l.begin(side.field)
		for e := range side.of.Edges() {
			l.item(JSONConnection(&e))
		}
		l.end()
	}
	for _, side := range []struct {
		field string
		of    []*reach.Workload
	}{{"addedWorkloads", d.Added}, {"removedWorkloads", d.Removed}} {
		l.begin(side.field)
		for _, w := range side.of {
			l.item(JSONWorkload(w))
		}
		l.end()
	}
	for _, side := range []struct {
		field string
		of    []report.Finding
	}{{"newFindings", d.NewFindings}, {"goneFindings", d.GoneFindings}} {
		l.begin(side.field)
		for i := range side.of {
			l.item(&side.of[i])
		}
		l.end()
	}
	l.begin("problems")
	for _, p := range d.Problems {
		l.item(p)
	}
	l.last()
	_, _ = out.WriteString("}\n")
	if l.err != nil {
		return l.err
	}
	return out.Flush()
}
