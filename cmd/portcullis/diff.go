package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/report"
	"github.com/portcullis-dev/portcullis/pkg/report/graph"
	"github.com/portcullis-dev/portcullis/pkg/source/manifest"
)

type diffOptions struct {
	inputOptions
	output, failOn string
}

func (p program) diffCommand() *cobra.Command {
	var o diffOptions
	command := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Show what NEW newly allows and newly blocks",
		Long: `Compares two states: what the one allows and the other does not, and what is found in one of them only. Each is a file, a
folder, - for standard input, or git:REV:PATH for what a folder or file was in a revision of the git repository around it.

With --live, there is but one argument, NEW: the manifests are compared with the cluster as it is, as if they were applied.

Exit code 0, 1 if NEW has a finding at or above --fail-on that OLD has not, and 2 for bad input.`,
		Example: `  portcullis diff git:main:deploy deploy
  portcullis diff old/ new/ -o markdown > comment.md
  portcullis diff --live manifests/`,
		RunE: func(command *cobra.Command, paths []string) error {
			want := 2
			if o.live {
				want = 1
			}
			if len(paths) != want {
				if o.live {
					return usageError{fmt.Errorf("with --live, %s wants NEW alone, and got %d", command.CommandPath(), len(paths))}
				}
				return usageError{fmt.Errorf("%s wants OLD and NEW, and got %d", command.CommandPath(), len(paths))}
			}
			return p.diff(command.Context(), paths, o)
		},
	}
	flags := command.Flags()
	choice(command, &o.output, "output", "o", "text", either(diffNames()...), diffNames()...)
	choice(command, &o.failOn, "fail-on", "", "deny", "which new findings make the exit code 1: deny, or warn for both", "deny", "warn")
	o.flags(flags)
	return command
}

// state is one side of a comparison.
type state struct {
	in           *input
	connectivity *reach.Connectivity
	report       *report.Report
}

func (p program) diff(ctx context.Context, paths []string, o diffOptions) error {
	if err := errors.Join(oneOf("output", o.output, diffNames()...), oneOf("fail-on", o.failOn, "deny", "warn")); err != nil {
		return usageError{err}
	}
	if len(paths) == 2 && paths[0] == manifest.Stdin && paths[1] == manifest.Stdin {
		return usageError{errors.New("only one of OLD and NEW can be standard input")}
	}
	if o.config == manifest.Stdin {
		return usageError{errors.New("diff reads its configuration twice: name a file with --config")}
	}
	done := p.progressing("reading and comparing")
	defer done()
	sides := make([]*state, 2)
	for i := range sides {
		of := paths[i*(len(paths)-1) : i*(len(paths)-1)+1]
		if o.live && i == 0 {
			of = nil
		}
		var err error
		if sides[i], err = p.state(ctx, of, o.inputOptions); err != nil {
			return err
		}
	}
	old, now := sides[0], sides[1]
	if old.in.unread() || now.in.unread() {
		return exit(exitBadInput) // a difference from what could not be read would tell of changes that nobody has made
	}
	d := &graph.Diff{
		Comparison:   reach.Compare(old.connectivity, now.connectivity),
		NewFindings:  missing(now.report.Findings, old.report.Findings),
		GoneFindings: missing(old.report.Findings, now.report.Findings),
		Problems:     append(old.in.problems, now.in.problems...),
	}
	done()
	var err error
	for _, f := range diffFormats() {
		if f.name == o.output {
			err = f.write(p, d)
		}
	}
	if err != nil {
		return fmt.Errorf("writing the difference: %w", err)
	}
	if len(d.Problems) > 0 {
		return exit(exitBadInput)
	}
	for _, f := range d.NewFindings {
		if f.Action == "deny" || o.failOn == "warn" && f.Action == "warn" {
			return exit(exitFindings)
		}
	}
	return nil
}

// state reads one side: paths, of which each may be of a git revision, and the cluster with --live.
func (p program) state(ctx context.Context, paths []string, o inputOptions) (*state, error) {
	local, name, remove, err := checkOut(ctx, paths)
	if err != nil {
		return nil, err
	}
	defer remove()
	o.name = name
	in, err := p.read(ctx, local, o, "compare", examples("portcullis diff old/ new/"))
	if err != nil {
		return nil, err
	}
	// All that a cluster holds is judged on both sides, so that what the manifests change elsewhere is seen, too.
	in.onlyCluster = o.live
	decided, err := in.decide(ctx, p.newJudge(in.config, nil))
	if err != nil {
		return nil, err
	}
	s := &state{in: in, report: report.FromDecided(report.ScopeOf(in.snapshot), decided, in.problems)}
	for i := range s.report.Findings {
		if source := s.report.Findings[i].Source; source != nil {
			s.report.Findings[i].Source = &finding.Source{File: name(source.File), Line: source.Line}
		}
	}
	s.connectivity, err = reach.Connect(ctx, in.snapshot)
	return s, err
}

// missing are the findings that others lack. A finding is the same if rule, object and action are, and either field or message:
// rules that move within a policy, or pods that are more or fewer, make no new finding.
func missing(findings, others []report.Finding) []report.Finding {
	type key struct {
		rule, action, path, message string
		subject                     finding.Subject
	}
	keys := func(f *report.Finding) [2]key {
		k := key{rule: f.Rule, action: string(f.Action), subject: f.Subject}
		byPath, byMessage := k, k
		byPath.path, byMessage.message = f.Path, f.Message
		return [2]key{byPath, byMessage}
	}
	have := map[key]bool{}
	for i := range others {
		for _, k := range keys(&others[i]) {
			have[k] = true
		}
	}
	var out []report.Finding
	for i := range findings {
		if k := keys(&findings[i]); !have[k[0]] && !have[k[1]] {
			out = append(out, findings[i])
		}
	}
	return out
}

// diffFormat is one way to show a difference.
type diffFormat struct {
	name  string // as a value of --output
	write func(p program, d *graph.Diff) error
}

// diffFormats are all ways, in the order of the help.
func diffFormats() []diffFormat {
	return []diffFormat{
		{"text", func(p program, d *graph.Diff) error { return d.Text(p.out) }},
		{"json", func(p program, d *graph.Diff) error { return d.JSON(p.out) }},
		{"markdown", func(p program, d *graph.Diff) error { return d.Markdown(p.out) }},
	}
}

func diffNames() []string {
	var names []string
	for _, f := range diffFormats() {
		names = append(names, f.name)
	}
	return names
}
