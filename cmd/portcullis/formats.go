package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/fix"
	"github.com/portcullis-dev/portcullis/pkg/report"
	"github.com/portcullis-dev/portcullis/pkg/source/manifest"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// format is one way to show a report.
type format struct {
	name  string // as a value of --output
	write func(p program, r *report.Report, in *input, o checkOptions) error
}

// formats are all ways, in the order of the help.
func formats() []format {
	return []format{
		{"text", func(p program, r *report.Report, in *input, _ checkOptions) error {
			return r.Text(p.out, report.TextOptions{Color: p.color, Width: p.width, Line: in.Lookup()})
		}},
		{"json", func(p program, r *report.Report, _ *input, _ checkOptions) error { return r.JSON(p.out) }},
		{"sarif", func(p program, r *report.Report, in *input, _ checkOptions) error {
			return r.SARIF(p.out, report.SARIFOptions{
				Version: version(), Rules: in.config.Rules, Line: in.Lookup(), Fix: in.fixes(),
			})
		}},
		{"junit", func(p program, r *report.Report, _ *input, o checkOptions) error {
			return r.JUnit(p.out, report.JUnitOptions{FailOnWarn: o.failOn == "warn"})
		}},
		{"github", func(p program, r *report.Report, _ *input, _ checkOptions) error { return r.GitHub(p.out) }},
		{"html", func(p program, r *report.Report, in *input, _ checkOptions) error {
			return p.page(in.verb, in, r).Write(p.out)
		}},
	}
}

// formatNames are the values of --output.
func formatNames() []string {
	var names []string
	for _, f := range formats() {
		names = append(names, f.name)
	}
	return names
}

// write shows the report in the format of that name.
func (p program) write(r *report.Report, in *input, o checkOptions) error {
	for _, f := range formats() {
		if f.name == o.output {
			return f.write(p, r, in, o)
		}
	}
	return oneOf("output", o.output, formatNames()...)
}

// objects are the policies and Namespaces that are judged.
func (in *input) objects() []report.Object {
	var out []report.Object
	for _, p := range in.judged() {
		out = append(out, report.Object{Subject: p.Subject(), Source: p.Source})
	}
	for _, ns := range in.Namespaces {
		out = append(out, report.Object{Subject: finding.Subject{Kind: finding.KindNamespace, Name: ns.Name}, Source: ns.Source})
	}
	return out
}

// largestFixed bounds the documents for which fixes are written as text, in bytes: a document is parsed for each finding in it.
const largestFixed = 128 << 10

// fixes returns a function that tells what the patch of a finding changes in its file; nothing if there is no file to change,
// or if it cannot be done. The function remembers the last file, and is not safe for concurrent use.
func (in *input) fixes() func(*report.Finding) []fix.Region {
	var name string
	var content []byte
	var text *manifest.Text
	return func(f *report.Finding) []fix.Region {
		if len(f.Patch) == 0 || f.Source == nil || f.Source.File == manifest.StdinName || f.Action == verdict.ActionExempt || f.Action == verdict.ActionUndetermined {
			return nil
		}
		if text == nil || f.Source.File != name {
			var err error
			if content, err = in.Content(f.Source.File); err != nil {
				return nil
			}
			name, text = f.Source.File, manifest.NewText(content)
		}
		if text.SizeAt(f.Source.Line) > largestFixed {
			return nil
		}
		edits, err := text.Edits(&finding.Finding{Subject: f.Subject, Source: *f.Source, Patch: f.Patch})
		if err != nil {
			return nil
		}
		return fix.Regions(content, edits)
	}
}

// choice adds a flag whose value is one of a few, and completes it. The command checks it by oneOf.
func choice(command *cobra.Command, to *string, name, shorthand, value, usage string, allowed ...string) {
	command.Flags().StringVarP(to, name, shorthand, value, usage)
	// It fails where there is no such flag, or one with completions: this one is new.
	_ = command.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(allowed, cobra.ShellCompDirectiveNoFileComp))
}

// completeManifests completes arguments to folders and to files that may hold manifests.
func completeManifests(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return []cobra.Completion{"yaml", "yml", "json"}, cobra.ShellCompDirectiveFilterFileExt
}

// either is "a, b or c".
func either(values ...string) string {
	last := len(values) - 1
	return strings.Join(values[:last], ", ") + " or " + values[last]
}
