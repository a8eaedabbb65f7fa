package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/portcullis-dev/portcullis/pkg/report"
)

type checkOptions struct {
	inputOptions
	level, failOn, output string
}

func (p program) checkCommand() *cobra.Command {
	var o checkOptions
	command := &cobra.Command{
		Use:   "check [PATH|-]...",
		Short: "Judge manifests as the cluster would at admission",
		Long: `Judges the NetworkPolicies and Namespaces among manifests: files, folders (recursively) and - for standard input. The
workloads, Services, Ingresses and other objects beside them are what they are judged by, so give them all.

With --live, the manifests are judged by what is in the cluster, too; without manifests, all that is in the cluster is judged.

What kubectl or the API server would refuse is told with file and line, and the rest is judged regardless.

Exit code 0 if nothing is found at or above --fail-on, 1 if something is, and 2 for bad input.`,
		Example: `  portcullis check manifests/
  helm template my-chart | portcullis check -
  portcullis check deploy/ --level restricted --fail-on warn -o json
  portcullis check new-policy.yaml --live
  portcullis check deploy/ -o sarif > portcullis.sarif`,
		RunE: func(command *cobra.Command, paths []string) error {
			return p.check(command.Context(), paths, o)
		},
		ValidArgsFunction: completeManifests,
	}
	choice(command, &o.level, "level", "", "", "enforce this `LEVEL` (privileged, baseline, restricted) whatever the labels of namespaces say", "privileged", "baseline", "restricted")
	choice(command, &o.failOn, "fail-on", "", "deny", "what makes the exit code 1: deny, or warn for both", "deny", "warn")
	choice(command, &o.output, "output", "o", "text", either(formatNames()...), formatNames()...)
	o.flags(command.Flags())
	return command
}

func (p program) check(ctx context.Context, paths []string, o checkOptions) error {
	if err := errors.Join(oneOf("output", o.output, formatNames()...), oneOf("fail-on", o.failOn, "deny", "warn")); err != nil {
		return usageError{err}
	}
	enforced, err := parseLevel(o.level)
	if err != nil {
		return err
	}
	done := p.progressing("reading and judging")
	defer done()
	in, err := p.read(ctx, paths, o.inputOptions, "check", examples("portcullis check manifests/", "helm template my-chart | portcullis check -", "portcullis check --live"))
	if err != nil {
		return err
	}
	decided, err := in.decide(ctx, p.newJudge(in.config, enforced))
	if err != nil {
		return err
	}
	done()

	if len(in.judged()) == 0 && len(in.problems) == 0 {
		p.tell("There is no NetworkPolicy in the input.")
	}
	r := report.FromDecided(report.ScopeOf(in.snapshot), decided, in.problems)
	r.Judged = in.objects()
	return p.finish(r, in, o)
}

// finish shows the report, and says by the exit code what it holds.
func (p program) finish(r *report.Report, in *input, o checkOptions) error {
	if in.unread() && o.output == "text" {
		return exit(exitBadInput)
	}
	switch err := p.write(r, in, o); {
	case err != nil:
		return fmt.Errorf("writing the report: %w", err)
	case len(in.problems) > 0:
		return exit(exitBadInput)
	case r.Summary.Deny > 0 || o.failOn == "warn" && r.Summary.Warn > 0:
		return exit(exitFindings)
	}
	return nil
}
