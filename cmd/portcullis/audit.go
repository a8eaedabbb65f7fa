package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/portcullis-dev/portcullis/pkg/audit"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/report"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

type auditOptions struct {
	checkOptions
	namespaces []string
	whatIf     string
}

func (p program) auditCommand() *cobra.Command {
	var o auditOptions
	command := &cobra.Command{
		Use:   "audit",
		Short: "Judge what stands in a cluster",
		Long: `Judges every NetworkPolicy and Namespace of the cluster that the kubeconfig names, once, as the background audit of serve
does: policies from before, objects around them that have changed since, claims that are not kept, exemptions that have
expired. Nothing is written to the cluster.

With --what-if, it says of each namespace which level it could enforce today without a violation, and prints the commands
that label those that could.

Exit code 0 if nothing is found at or above --fail-on, 1 if something is, and 2 for bad input; with --what-if, 1 if some
namespace could not.`,
		Example: `  portcullis audit
  portcullis audit -n shop -o json
  portcullis audit -o html > audit.html
  portcullis audit --what-if restricted`,
		Args: arguments(0, 0, "no arguments: it judges the cluster that the kubeconfig names. For manifests there is portcullis check"),
		RunE: func(command *cobra.Command, _ []string) error { return p.audit(command.Context(), o) },
	}
	choice(command, &o.failOn, "fail-on", "", "deny", "what makes the exit code 1: deny, or warn for both", "deny", "warn")
	choice(command, &o.output, "output", "o", "text", either(formatNames()...), formatNames()...)
	choice(command, &o.whatIf, "what-if", "", "", "say which namespaces could enforce this `LEVEL` today (baseline, restricted); -o text or json", "baseline", "restricted")
	flags := command.Flags()
	flags.StringSliceVarP(&o.namespaces, "namespace", "n", nil, "judge only this `NAMESPACE`; repeat it for several")
	flags.StringVar(&o.config, "config", "", "configuration `FILE`; the defaults without it")
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig `FILE`; as for kubectl without it")
	flags.StringVar(&o.context, "context", "", "`NAME` of the kubeconfig's context; its current one without it")
	return command
}

func (p program) audit(ctx context.Context, o auditOptions) error {
	allowed := formatNames()
	if o.whatIf != "" {
		allowed = []string{"text", "json"}
	}
	if err := errors.Join(oneOf("output", o.output, allowed...), oneOf("fail-on", o.failOn, "deny", "warn")); err != nil {
		return usageError{err}
	}
	if o.whatIf != "" {
		if err := oneOf("what-if", o.whatIf, "baseline", "restricted"); err != nil {
			return err
		}
	}
	o.live = true
	done := p.progressing("reading and judging the cluster")
	defer done()
	in, err := p.read(ctx, nil, o.inputOptions, "audit", "")
	if err != nil {
		return err
	}
	for _, name := range o.namespaces {
		if in.snapshot.Namespace(name) == nil {
			return usageError{fmt.Errorf("there is no namespace %q in the cluster: kubectl get namespaces lists all", name)}
		}
	}
	decided, err := p.standing(ctx, in, o)
	if err != nil {
		return err
	}
	if o.output == "html" {
		if in.connectivity, err = reach.Connect(ctx, in.snapshot); err != nil {
			return err
		}
	}
	done()
	if o.whatIf != "" {
		return p.whatIf(in, decided, o)
	}
	return p.finish(report.FromDecided(scopeOf(in.snapshot, o.namespaces), decided, nil), in, o.checkOptions)
}

// standing judges the cluster, or some of its namespaces.
func (p program) standing(ctx context.Context, in *input, o auditOptions) ([]verdict.Decided, error) {
	var enforced *finding.Level
	if o.whatIf != "" {
		level := finding.Restricted
		enforced = &level
	}
	j := p.newJudge(in.config, enforced)
	j.Adjust = audit.OverdueByAge(in.config.Object.Claims.GracePeriod.Duration, j.Now)
	changes := j.Whole(in.snapshot)
	if len(o.namespaces) > 0 {
		changes = nil
		for _, name := range o.namespaces {
			changes = append(changes, j.InNamespace(in.snapshot.Namespace(name))...)
		}
	}
	return j.All(ctx, in.snapshot, changes)
}

// scopeOf counts what is in the snapshot, or in some of its namespaces.
func scopeOf(s *model.Snapshot, namespaces []string) report.Scope {
	if len(namespaces) == 0 {
		return report.ScopeOf(s)
	}
	var out report.Scope
	for _, name := range namespaces {
		out.Add(s.Namespace(name))
	}
	return out
}

func (p program) whatIf(in *input, decided []verdict.Decided, o auditOptions) error {
	level, err := finding.ParseLevel(o.whatIf)
	if err != nil {
		return err
	}
	w := report.NewWhatIf(level)
	for ns := range in.snapshot.Namespaces() {
		name := ns.Meta.Name
		if len(o.namespaces) > 0 && !slices.Contains(o.namespaces, name) {
			continue
		}
		w.Namespace(name, verdict.LevelsOf(ns.Meta.Labels, in.config.Levels).Enforce, in.config.Exemptions.Reason(name, "", nil) != "")
	}
	for i := range decided {
		w.Finding(&decided[i])
	}
	if o.output == "json" {
		err = w.JSON(p.out)
	} else {
		err = w.Text(p.out)
	}
	switch {
	case err != nil:
		return fmt.Errorf("writing the report: %w", err)
	case !w.Clean():
		return exit(exitFindings)
	}
	return nil
}
