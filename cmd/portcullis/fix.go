package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/repair"
	"github.com/portcullis-dev/portcullis/pkg/rule"
	"github.com/portcullis-dev/portcullis/pkg/source/manifest"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

type fixOptions struct {
	inputOptions
	level, failOn            string
	rules                    []string
	provisional, diff, write bool
}

func (p program) fixCommand() *cobra.Command {
	var o fixOptions
	command := &cobra.Command{
		Use:   "fix [PATH|-]...",
		Short: "Apply the fixes of findings to manifests",
		Long: `Applies the fixes of what check finds, and prints the corrected manifests: all of the input, changed or not. Of several
files it makes one YAML stream. Comments, the order of fields and the formatting of what is not fixed stay as they are.

A fix is kept only if judging the whole input again proves it: the finding is gone, there is no new one of the same or a
stricter level, and nothing is open that was closed, unless opening is what the fix is for, as with DNS. What was fixed and
what that closes and opens, what could not be fixed and why, and what is left to fix by hand is told on standard error.

Findings that deny or warn are fixed. Exempt and provisional ones are left alone, and so are those of severity info unless
--rule names their rule. A file with problems is not changed.

Exit code 0 if nothing at or above --fail-on is left, 1 if something is, and 2 for bad input. With --diff it is 1 as well if
there is a difference.`,
		Example: `  portcullis fix manifests/ --diff
  portcullis fix manifests/ --write
  helm template my-chart | portcullis fix - | kubectl apply -f -
  portcullis fix manifests/ --rule rules-ignored --rule dns-blocked --diff | git apply`,
		RunE: func(command *cobra.Command, paths []string) error {
			return p.fix(command.Context(), paths, o)
		},
		ValidArgsFunction: completeManifests,
	}
	choice(command, &o.level, "level", "", "", "enforce this `LEVEL` (privileged, baseline, restricted) whatever the labels of namespaces say", "privileged", "baseline", "restricted")
	choice(command, &o.failOn, "fail-on", "", "deny", "what makes the exit code 1 if it is left: deny, or warn for both", "deny", "warn")
	flags := command.Flags()
	flags.StringArrayVar(&o.rules, "rule", nil, "fix only what this rule finds, by its `ID`; repeat it for several")
	flags.BoolVar(&o.provisional, "provisional", false, "fix provisional findings as well")
	flags.BoolVar(&o.diff, "diff", false, "print what would change as a unified diff, for git apply or patch -p1")
	flags.BoolVar(&o.write, "write", false, "change the files in place, and print nothing")
	o.flags(flags)
	_ = command.RegisterFlagCompletionFunc("rule", cobra.FixedCompletions(p.ruleIDs(), cobra.ShellCompDirectiveNoFileComp))
	command.MarkFlagsMutuallyExclusive("diff", "write")
	return command
}

func (p program) fix(ctx context.Context, paths []string, o fixOptions) error {
	if err := oneOf("fail-on", o.failOn, "deny", "warn"); err != nil {
		return err
	}
	enforced, err := parseLevel(o.level)
	switch {
	case err != nil:
		return err
	case o.write && (len(paths) == 0 || slices.Contains(paths, manifest.Stdin)):
		return usageError{errors.New("--write changes files, and standard input is none: name files or folders, or leave --write out")}
	case o.live && len(paths) == 0 && !p.piped:
		return usageError{errors.New("there is nothing to fix: name manifests, as fix does not change the cluster")}
	case o.live && len(paths) == 0:
		paths = []string{manifest.Stdin}
	}
	done := p.progressing("reading, judging and fixing")
	defer done()
	in, err := p.read(ctx, paths, o.inputOptions, "fix", examples("portcullis fix manifests/ --diff", "helm template my-chart | portcullis fix -"))
	if err != nil {
		return err
	}
	known := p.configuredRules(in)
	for _, id := range o.rules {
		if known[id] == nil {
			return usageError{fmt.Errorf("--rule %q is no rule that is on: portcullis rules lists all", id)}
		}
	}
	j := p.newJudge(in.config, enforced)
	repaired, err := repair.Run(ctx, in.Result, repair.Options{
		Facts: in.facts,
		Judge: func(ctx context.Context, s *model.Snapshot, policies []*model.Policy) ([]verdict.Decided, error) {
			return in.changed(s, policies).decide(ctx, j)
		},
		Wanted:  o.wants,
		MayOpen: func(id string) bool { return known[id] != nil && known[id].Doc.Opens != "" },
	})
	if err != nil {
		return err
	}
	done()
	p.tellFixes(in, repaired, o)
	return p.finishFix(in, repaired, o)
}

// configuredRules are the rules that are on, those of the configuration included.
func (p program) configuredRules(in *input) map[string]*rule.Rule {
	out := map[string]*rule.Rule{}
	for _, r := range in.config.Rules {
		out[r.ID] = r.Rule
	}
	return out
}

// changed is the input with other versions of its policies.
func (in *input) changed(s *model.Snapshot, policies []*model.Policy) *input {
	result, out := *in.Result, *in
	result.Policies = policies
	out.Result, out.snapshot = &result, s
	return &out
}

// parseLevel reads --level; nil if it is absent.
func parseLevel(text string) (*finding.Level, error) {
	if text == "" {
		return nil, nil
	}
	level, err := finding.ParseLevel(text)
	if err != nil {
		return nil, usageError{fmt.Errorf("--level: %w", err)}
	}
	return &level, nil
}

// wants says whether a finding is to be fixed.
func (o *fixOptions) wants(d *verdict.Decided) bool {
	switch d.Action {
	case verdict.ActionDeny, verdict.ActionWarn:
	case verdict.ActionProvisional:
		if !o.provisional {
			return false
		}
	default:
		return false
	}
	if len(o.rules) == 0 {
		return d.Severity != finding.Info
	}
	return slices.Contains(o.rules, d.Rule)
}

// tellFixes tells what was fixed, what was not and why, and what is to be done by hand.
func (p program) tellFixes(in *input, r *repair.Result, o fixOptions) {
	skipped := map[string]bool{}
	for _, f := range r.Fixed {
		p.tell("%s: fixed %s: %s", f.Source.File, what(&f.Decided, false), f.Message)
		for _, line := range f.Effects {
			p.tell("  %s", line)
		}
	}
	for _, s := range r.Skipped {
		skipped[what(&s.Decided, true)] = true
		p.tell("%s: not fixed %s: %s", s.Source.File, what(&s.Decided, true), s.Reason)
	}
	byHand := 0
	for i := range r.Left {
		d := &r.Left[i]
		if !o.wants(d) || skipped[what(d, true)] {
			continue
		}
		byHand++
		advice := d.Fix
		if advice == "" {
			advice = d.Message
		}
		place := ""
		if d.Source.File != "" {
			place = fmt.Sprintf("%s:%d: ", d.Source.File, lineOf(r, d, o.write))
		}
		p.tell("%sby hand %s: %s", place, what(d, true), advice)
	}
	if len(r.Fixed)+len(r.Skipped)+byHand == 0 {
		if in.unread() {
			return
		}
		p.tell("There is nothing to fix.")
		return
	}
	p.tell("%d fixed, %d not fixed, %d to fix by hand.", len(r.Fixed), len(r.Skipped), byHand)
}

// lineOf is where a finding that is left stands: in the file as it is on disk, which is corrected with --write alone.
func lineOf(r *repair.Result, d *verdict.Decided, written bool) int {
	at := slices.IndexFunc(r.Files, func(f repair.File) bool { return f.Name == d.Source.File })
	if written || at < 0 {
		return d.Source.Line
	}
	return r.Files[at].OldLine(d.Source.Line)
}

// what is a finding without its message.
func what(d *verdict.Decided, path bool) string {
	text := d.Rule + " of " + d.Subject.Title()
	if path && d.Path != "" {
		text += " at " + d.Path
	}
	return strings.TrimSpace(text)
}

// finishFix writes the outcome, and decides about the exit code.
func (p program) finishFix(in *input, r *repair.Result, o fixOptions) error {
	failed := len(in.problems) > 0
	var err error
	switch {
	case o.write:
		for _, f := range r.Files {
			if err := replaceFile(f.Name, f.Old, f.New); err != nil {
				p.tell("%s: is not written: %v", f.Name, err)
				failed = true
			}
		}
	case o.diff:
		err = writeDiff(p.out, r.Files)
	default:
		err = writeStream(p.out, in.Result, r.Files)
	}
	if err != nil {
		return fmt.Errorf("writing the manifests: %w", err)
	}
	left := slices.ContainsFunc(r.Left, func(d verdict.Decided) bool {
		return d.Action == verdict.ActionDeny || o.failOn == "warn" && d.Action == verdict.ActionWarn
	})
	switch {
	case failed:
		return exit(exitBadInput)
	case left || o.diff && len(r.Files) > 0:
		return exit(exitFindings)
	}
	return nil
}
