package report

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// RulesText lists the rules, one on a line.
func RulesText(w io.Writer, rules []*rule.Rule) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "RULE\tLEVEL\tSEVERITY\tFINDS")
	for _, r := range rules {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", r.ID, r.Level, r.Severity, r.Doc.Title)
	}
	return table.Flush()
}

// RulesJSON writes the rules as a JSON array, or one alone as an object.
func RulesJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// RulesMarkdown is the list of rules as a Markdown table, with links to the pages beside it.
func RulesMarkdown(w io.Writer, rules []*rule.Rule) error {
	var b strings.Builder
	b.WriteString("# Rules\n\n| rule | level | severity | about | finds |\n|---|---|---|---|---|\n")
	for _, r := range rules {
		fmt.Fprintf(&b, "| [`%s`](%s.md) | %s | %s | %s | %s |\n", r.ID, r.ID, r.Level, r.Severity, strings.Join(r.Subjects, ", "), cell(r.Doc.Title))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// RuleText is one rule with all that is documented of it.
func RuleText(w io.Writer, r *rule.Rule, width int) error {
	t := textWriter{TextOptions: TextOptions{Width: width}}
	t.paragraph("", "", fmt.Sprintf("%s: %s", r.ID, r.Doc.Title))
	t.paragraph("", "", fmt.Sprintf("Level %s, severity %s, about each %s.", r.Level, r.Severity, strings.Join(r.Subjects, " and ")))
	section := func(title, text string) {
		t.out.WriteString("\n" + title + "\n")
		for i, p := range strings.Split(strings.TrimSpace(text), "\n\n") {
			if i > 0 {
				t.out.WriteByte('\n')
			}
			t.paragraph("  ", "  ", p)
		}
	}
	section("Finds", r.Doc.Finds)
	section("Why", r.Doc.Why)
	section("Remedy", r.Doc.Remedy)
	if len(r.Doc.Params) > 0 {
		t.out.WriteString("\nParameters\n")
		for _, p := range r.Doc.Params {
			t.paragraph("  ", "    ", fmt.Sprintf("%s (default %s): %s", p.Name, p.Default, p.Description))
		}
	}
	code := func(title, text string) {
		if text == "" {
			return // a custom rule has no examples
		}
		t.out.WriteString("\n" + title + "\n")
		for line := range strings.Lines(strings.TrimSpace(text) + "\n") {
			t.out.WriteString("  " + line)
		}
	}
	code("Bad", r.Doc.Bad)
	code("Good", r.Doc.Good)
	t.out.WriteString("\nReferences\n")
	for _, ref := range r.Doc.References {
		t.paragraph("  ", "  ", ref.Title+": "+ref.URL)
	}
	_, err := io.WriteString(w, t.out.String())
	return err
}

// RuleMarkdown is the page of one rule.
func RuleMarkdown(w io.Writer, r *rule.Rule) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# `%s`\n\n%s\n\n", r.ID, r.Doc.Title)
	fmt.Fprintf(&b, "| level | severity | about |\n|---|---|---|\n| %s | %s | %s |\n", r.Level, r.Severity, strings.Join(r.Subjects, ", "))
	fmt.Fprintf(&b, "\n## What it finds\n\n%s\n", strings.TrimSpace(r.Doc.Finds))
	fmt.Fprintf(&b, "\n## Why it matters\n\n%s\n", strings.TrimSpace(r.Doc.Why))
	fmt.Fprintf(&b, "\n## What to do\n\n%s\n", strings.TrimSpace(r.Doc.Remedy))
	if len(r.Doc.Params) > 0 {
		b.WriteString("\n## Parameters\n\n| name | default | meaning |\n|---|---|---|\n")
		for _, p := range r.Doc.Params {
			fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", p.Name, p.Default, cell(p.Description))
		}
	}
	if !r.Custom {
		fmt.Fprintf(&b, "\n## Bad\n\n```yaml\n%s\n```\n", strings.TrimSpace(r.Doc.Bad))
		fmt.Fprintf(&b, "\n## Good\n\n```yaml\n%s\n```\n", strings.TrimSpace(r.Doc.Good))
		fmt.Fprintf(&b, "\n## Switching it off\n\nIn the configuration, for every namespace:\n\n```yaml\nrules:\n  %s: off\n```\n", r.ID)
	} else {
		b.WriteString("\n## Switching it off\n\nFor every namespace, by taking it off `customRules` in the configuration.\n")
	}
	if slices.Contains(r.Subjects, finding.KindNetworkPolicy) {
		fmt.Fprintf(&b, "\nOn one policy, by whoever may `exempt` `networkpolicies` in the API group `portcullis.dev`:\n\n"+
			"```yaml\nmetadata:\n  annotations:\n    portcullis.dev/exempt: %s\n    portcullis.dev/exempt-reason: the reason, in words\n```\n", r.ID)
	}
	b.WriteString("\n## References\n\n")
	for _, ref := range r.Doc.References {
		fmt.Fprintf(&b, "- [%s](%s)\n", ref.Title, ref.URL)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// cell is text for a cell of a Markdown table.
func cell(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", "\\|")
}
