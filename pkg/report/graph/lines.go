package graph

import (
	"bufio"
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/report"
)

// flow is "TCP/80", with what is not certain of it.
func flow(f *reach.Flow) string {
	var parts []string
	if !f.Every.IsEmpty() {
		parts = append(parts, f.Every.String())
	}
	if f.Partial() {
		parts = append(parts, f.Ports.Minus(f.Every).String()+" (not between all pods)")
	}
	if !f.Maybe.IsEmpty() {
		parts = append(parts, f.Maybe.String()+" (perhaps: it depends on pods' addresses)")
	}
	return strings.Join(parts, ", ")
}

// field is text of a table, and how wide it is.
type field struct {
	text  string
	width int
}

func newField(text string) field {
	text = report.Printable(text)
	return field{text, utf8.RuneCountInString(text)}
}

// row is from, to, and what flows.
type row [3]field

// lines are the merged connections as rows. There may be millions: nothing of them is kept but the names of single workloads.
type lines struct {
	of    *reach.Connectivity
	marks map[*reach.Workload]string // what is said behind a workload's name
	ends  map[*reach.Group]field
	flows []rendered
}

// rendered is a flow and its text.
type rendered struct {
	flow reach.Flow
	text field
}

func newLines(of *reach.Connectivity, marks map[*reach.Workload]string) *lines {
	return &lines{of: of, marks: marks, ends: map[*reach.Group]field{}}
}

func (l *lines) rows(yield func(row) bool) {
	for m := range l.of.Merged() {
		if !yield(row{l.end(m.From, m.Addrs), l.end(m.To, m.Addrs), l.flow(m.Flow)}) {
			return
		}
	}
}

func (l *lines) end(g *reach.Group, addrs netset.Addrs) field {
	switch {
	case g == nil || g.Whole:
		return newField(name(g, addrs))
	case l.ends[g].width == 0:
		l.ends[g] = newField(g.String() + l.marks[g.Workloads[0]])
	}
	return l.ends[g]
}

// mostRendered is how many texts of flows are remembered: most lines have one that others had shortly before.
const mostRendered = 8

func (l *lines) flow(f reach.Flow) field {
	for i := range l.flows {
		if r := l.flows[i]; r.flow.Equal(&f) {
			copy(l.flows[1:i+1], l.flows[:i])
			l.flows[0] = r
			return r.text
		}
	}
	if len(l.flows) < mostRendered {
		l.flows = append(l.flows, rendered{})
	}
	copy(l.flows[1:], l.flows)
	l.flows[0] = rendered{f, newField(flow(&f))}
	return l.flows[0].text
}

// widest is how far columns are aligned.
const widest = 44

// table writes rows of two aligned columns and a third below their title, if they have one, and says how many. The rows are
// made twice: to see how wide they are, and to write them.
func table(out *bufio.Writer, title string, rows iter.Seq[row]) (lines int) {
	var width [2]int
	for r := range rows {
		lines++
		for i := range width {
			if n := r[i].width; n <= widest {
				width[i] = max(width[i], n)
			}
		}
	}
	if lines > 0 && title != "" {
		_, _ = out.WriteString(title + ":\n")
	}
	blanks := strings.Repeat(" ", widest)
	pad := func(f field, n int) {
		_, _ = out.WriteString(f.text)
		_, _ = out.WriteString(blanks[:max(0, n-f.width)])
	}
	for r := range rows {
		pad(r[0], width[0])
		_, _ = out.WriteString(" → ")
		pad(r[1], width[1])
		_, _ = out.WriteString("  ")
		_, _ = out.WriteString(r[2].text)
		_ = out.WriteByte('\n')
	}
	return lines
}
