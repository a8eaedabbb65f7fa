package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/engine"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/report"
	"github.com/portcullis-dev/portcullis/pkg/source/manifest"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

type checkOptions struct{ config, level, failOn, output string }

func (p program) checkCommand() *cobra.Command {
	var o checkOptions
	command := &cobra.Command{
		Use:   "check [PATH|-]...",
		Short: "Judge manifests as the cluster would at admission",
		Long: `Judges the NetworkPolicies and Namespaces among manifests: files, folders (recursively) and - for standard input. The
workloads, Services, Ingresses and other objects beside them are what they are judged by, so give them all.

What kubectl or the API server would refuse is told with file and line, and the rest is judged regardless.

Exit code 0 if nothing is found at or above --fail-on, 1 if something is, and 2 for bad input.`,
		Example: `  portcullis check manifests/
  helm template my-chart | portcullis check -
  portcullis check deploy/ --level restricted --fail-on warn -o json`,
		RunE: func(command *cobra.Command, paths []string) error {
			if len(paths) == 0 {
				if !p.piped {
					return usageError{errors.New("there is nothing to check: name files or folders, or pipe manifests in, as in\n  portcullis check manifests/\n  helm template my-chart | portcullis check -")}
				}
				paths = []string{manifest.Stdin}
			}
			return p.check(command.Context(), paths, o)
		},
	}
	flags := command.Flags()
	flags.StringVar(&o.config, "config", "", "configuration `FILE`; the defaults without it")
	flags.StringVar(&o.level, "level", "", "enforce this `LEVEL` (privileged, baseline, restricted) whatever the labels of namespaces say")
	flags.StringVar(&o.failOn, "fail-on", "deny", "what makes the exit code 1: deny, or warn for both")
	flags.StringVarP(&o.output, "output", "o", "text", "text or json")
	return command
}

func (p program) check(ctx context.Context, paths []string, o checkOptions) error {
	j, c, err := p.newJudge(o)
	if err != nil {
		return err
	}
	done := p.progressing("reading and judging the manifests")
	defer done()
	input, err := manifest.Load(ctx, paths, p.in)
	if err != nil {
		return err
	}
	snapshot := input.Store.Snapshot(c.Facts)
	decided, err := j.all(ctx, snapshot, input.Policies)
	if err != nil {
		return err
	}
	done()

	var problems []report.Problem
	for _, problem := range input.Problems {
		problems = append(problems, report.Problem(problem))
		p.tell("%s", place(problem)+problem.Message)
	}
	if len(input.Policies) == 0 && len(problems) == 0 {
		p.tell("There is no NetworkPolicy in the input.")
	}
	r := report.FromDecided(report.ScopeOf(snapshot), decided, problems)
	if o.output == "json" {
		err = r.JSON(p.out)
	} else {
		err = r.Text(p.out, report.TextOptions{Color: p.color, Width: p.width, Line: input.Lookup()})
	}
	switch {
	case err != nil:
		return fmt.Errorf("writing the report: %w", err)
	case len(problems) > 0:
		return exit(exitBadInput)
	case r.Summary.Deny > 0 || o.failOn == "warn" && r.Summary.Warn > 0:
		return exit(exitFindings)
	}
	return nil
}

// place is "file:line: ".
func place(problem manifest.Problem) string {
	if problem.Line == 0 {
		return problem.File + ": "
	}
	return fmt.Sprintf("%s:%d: ", problem.File, problem.Line)
}

// newJudge checks the options and reads the configuration.
func (p program) newJudge(o checkOptions) (*judge, *config.Config, error) {
	if err := errors.Join(oneOf("output", o.output, "text", "json"), oneOf("fail-on", o.failOn, "deny", "warn")); err != nil {
		return nil, nil, usageError{err}
	}
	c, err := p.loadConfig(o.config)
	if err != nil {
		return nil, nil, err
	}
	j := &judge{
		engine: engine.New(c.Rules), policy: verdict.Policy{Levels: c.Levels, Mode: c.Mode, Ratchet: c.Ratchet},
		exempt: c.Exemptions, ruleIDs: p.ruleIDs(), now: p.now(),
	}
	if o.level != "" {
		level, err := finding.ParseLevel(o.level)
		if err != nil {
			return nil, nil, usageError{fmt.Errorf("--level: %w", err)}
		}
		j.enforced = &level
	}
	return j, c, nil
}
