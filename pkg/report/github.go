package report

import (
	"cmp"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// Workflow commands by which a job on GitHub Actions annotates files
// (https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands): an error for each problem of the
// input and each denied finding, a warning for each warning, and a notice for what is recorded, provisional or undetermined.
// What is exempt is left out. GitHub shows ten of each for a step: the most severe come first.

// GitHub writes the report as workflow commands, one on a line, and a summary.
func (r *Report) GitHub(w io.Writer) error {
	var out strings.Builder
	for _, p := range r.Problems {
		annotate(&out, "error", p.File, p.Line, "problem in the input", p.Message)
	}
	findings := slices.Clone(r.Findings)
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(rank(a.Action), rank(b.Action)), cmp.Compare(b.Severity, a.Severity))
	})
	for i := range findings {
		f := &findings[i]
		command := "notice"
		switch f.Action {
		case verdict.ActionDeny:
			command = "error"
		case verdict.ActionWarn:
			command = "warning"
		case verdict.ActionExempt:
			continue
		}
		file, line := "", 0
		if f.Source != nil {
			file, line = f.Source.File, f.Source.Line
		}
		annotate(&out, command, file, line, f.Rule+" in "+f.Subject.Title(), f.advice())
	}
	t := textWriter{}
	t.count(r)
	out.WriteString(t.out.String())
	_, err := io.WriteString(w, out.String())
	return err
}

// annotate writes one command. An annotation without a file is shown with the job.
func annotate(out *strings.Builder, command, file string, line int, title, message string) {
	out.WriteString("::" + command + " ")
	if file != "" {
		out.WriteString("file=" + githubProperty(shown(file)) + ",")
		if line > 0 {
			out.WriteString("line=" + strconv.Itoa(line) + ",")
		}
	}
	out.WriteString("title=" + githubProperty(oneLine(title)) + "::" + githubData(oneLine(message)) + "\n")
}

// shown is a file's name without what would steer the terminal that shows the log.
func shown(file string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\r' && r != '\n' {
			return unicode.ReplacementChar
		}
		return r
	}, file)
}

// githubData escapes the message of a command, and githubProperty the value of a property: what the runner takes back are
// these, and no others.
func githubData(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

func githubProperty(s string) string {
	return strings.NewReplacer(":", "%3A", ",", "%2C").Replace(githubData(s))
}
