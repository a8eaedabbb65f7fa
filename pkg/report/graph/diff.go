package graph

import (
	"bufio"
	"fmt"
	"io"
	"iter"

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
	for _, s := range d.Shifts {
		if !s.IsEmpty() {
			return true
		}
	}
	return !d.Opened.IsEmpty() || !d.Closed.IsEmpty() || len(d.NewFindings)+len(d.GoneFindings)+len(d.Added)+len(d.Removed) > 0
}

// section is connections that have changed alike.
type section struct {
	title string
	rows  iter.Seq[row]
	most  int // how many rows a comment shows
}

// sections are what is newly allowed, what is newly blocked, and what is allowed otherwise than before.
func (d *Diff) sections() []section {
	marks := map[*reach.Workload]string{}
	for _, w := range d.Added {
		marks[w] = " (new)"
	}
	for _, w := range d.Removed {
		marks[w] = " (gone)"
	}
	out := []section{{"Newly allowed", newLines(d.Opened, marks).rows, mostRows}, {"Newly blocked", newLines(d.Closed, marks).rows, mostRows}}
	for _, s := range d.Shifts {
		out = append(out, section{shiftTitle(s), newLines(s.Connectivity, marks).rows, mostShiftRows})
	}
	return out
}

// shiftTitle is a shift for people.
func shiftTitle(s reach.Shift) string {
	switch [2]reach.Certainty{s.Before, s.After} {
	case [2]reach.Certainty{reach.Never, reach.Perhaps}:
		return "Perhaps newly allowed (it depends on pods' addresses)"
	case [2]reach.Certainty{reach.Perhaps, reach.Never}:
		return "Surely blocked, and before perhaps allowed"
	case [2]reach.Certainty{reach.Perhaps, reach.Some}:
		return "Surely allowed between some pods, and before only perhaps"
	case [2]reach.Certainty{reach.Perhaps, reach.Every}:
		return "Surely allowed, and before only perhaps"
	case [2]reach.Certainty{reach.Some, reach.Every}:
		return "Allowed between all pods, and before only between some"
	case [2]reach.Certainty{reach.Every, reach.Some}:
		return "Allowed only between some pods, and before between all"
	case [2]reach.Certainty{reach.Every, reach.Perhaps}:
		return "Only perhaps allowed (it depends on pods' addresses), and before surely"
	}
	return "Only perhaps allowed (it depends on pods' addresses), and before surely between some pods"
}

// Text writes the difference for people.
func (d *Diff) Text(w io.Writer) error {
	out := bufio.NewWriter(w)
	if !d.Differ() {
		_, _ = out.WriteString("No difference: the same connections are allowed, and the same is found.\n")
		return out.Flush()
	}
	var counts []int
	for _, s := range d.sections() {
		n := table(out, s.title, s.rows)
		if n > 0 {
			_ = out.WriteByte('\n')
		}
		counts = append(counts, n)
	}
	findings := func(title string, findings []report.Finding) {
		if len(findings) == 0 {
			return
		}
		_, _ = out.WriteString(title + ":\n")
		for i := range findings {
			f := &findings[i]
			place := ""
			if f.Source != nil {
				place = fmt.Sprintf(" (%s:%d)", f.Source.File, f.Source.Line)
			}
			_, _ = out.WriteString(report.Printable(fmt.Sprintf("%s %s at %s%s: %s", f.Action, f.Rule, f.Subject.String(), place, f.Message)) + "\n")
		}
		_ = out.WriteByte('\n')
	}
	findings("New findings", d.NewFindings)
	findings("Findings that are gone", d.GoneFindings)
	_, _ = out.WriteString(d.summary(counts) + "\n")
	return out.Flush()
}

// summary is one sentence; lines are how many of the sections.
func (d *Diff) summary(lines []int) string {
	text := plural(lines[0], "line is newly allowed", "lines are newly allowed") + fmt.Sprintf(", %d newly blocked", lines[1])
	otherwise := 0
	for _, n := range lines[2:] {
		otherwise += n
	}
	if otherwise > 0 {
		text += fmt.Sprintf(", %d allowed otherwise than before", otherwise)
	}
	text += "; " + plural(len(d.NewFindings), "finding is", "findings are") + fmt.Sprintf(" new, %d gone", len(d.GoneFindings))
	if n := len(d.Added); n > 0 {
		text += "; " + plural(n, "workload is new", "workloads are new")
	}
	if n := len(d.Removed); n > 0 {
		text += "; " + plural(n, "workload is gone", "workloads are gone")
	}
	return text + "."
}

// Changed is what is allowed otherwise than before, between two ends.
type Changed struct {
	From End `json:"from"`
	To   End `json:"to"`
	// Ports are as in Connection.
	Ports []string `json:"ports"`
	// Before and After are between how many pods it was and is allowed: "every", "some", "maybe" where that depends on addresses
	// of pods that are not known, or "none".
	Before string `json:"before"`
	After  string `json:"after"`
}

// certainty is a certainty in JSON.
func certainty(c reach.Certainty) string {
	return [...]string{reach.Never: "none", reach.Perhaps: "maybe", reach.Some: "some", reach.Every: "every"}[c]
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
	l.begin("changed")
	for _, s := range d.Shifts {
		for e := range s.Edges() {
			l.item(Changed{From: end(e.From, e.Addrs), To: end(e.To, e.Addrs), Ports: Ports(e.Ports), Before: certainty(s.Before), After: certainty(s.After)})
		}
	}
	l.end()
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
