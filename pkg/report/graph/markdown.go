package graph

import (
	"fmt"
	"io"
	"strings"

	"github.com/portcullis-dev/portcullis/pkg/report"
)

// mostRows is how many rows a table of a comment has: GitHub takes comments of up to 65,536 characters.
const (
	mostRows      = 100
	mostShiftRows = 20
)

// Markdown writes the difference so that it is fit for a comment on a pull request.
func (d *Diff) Markdown(w io.Writer) error {
	var out, tables strings.Builder
	var counts []int
	for _, s := range d.sections() {
		n := 0
		for row := range s.rows {
			if n++; n == 1 {
				fmt.Fprintf(&tables, "\n**%s**\n\n| from | to | ports |\n|---|---|---|\n", s.title)
			}
			if n <= s.most {
				fmt.Fprintf(&tables, "| %s | %s | %s |\n", cell(row[0].text), cell(row[1].text), cell(row[2].text))
			}
		}
		if n > s.most {
			fmt.Fprintf(&tables, "\nand %d more: `portcullis diff` lists them all.\n", n-s.most)
		}
		counts = append(counts, n)
	}
	out.WriteString("### What the change allows and blocks\n\n")
	if !d.Differ() {
		out.WriteString("Nothing: the same connections are allowed, and the same is found.\n")
	} else {
		out.WriteString(upper(d.summary(counts)) + "\n")
	}
	out.WriteString(tables.String())
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
