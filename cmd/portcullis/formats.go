package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/report"
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
				Version: version(), Rules: in.config.Rules, Line: in.Lookup(), Documented: func(id string) bool { return p.rules.Find(id) != nil },
			})
		}},
		{"junit", func(p program, r *report.Report, _ *input, o checkOptions) error {
			return r.JUnit(p.out, report.JUnitOptions{FailOnWarn: o.failOn == "warn"})
		}},
		{"github", func(p program, r *report.Report, _ *input, _ checkOptions) error { return r.GitHub(p.out) }},
		{"html", func(p program, r *report.Report, in *input, _ checkOptions) error {
			return p.page("check", in, r).Write(p.out)
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
