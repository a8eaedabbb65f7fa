package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/portcullis-dev/portcullis/pkg/explain"
	"github.com/portcullis-dev/portcullis/pkg/report"
)

type explainOptions struct {
	inputOptions
	explain.Question
	output string
}

func (p program) explainCommand() *cobra.Command {
	var o explainOptions
	command := &cobra.Command{
		Use:   "explain --from END --to END [--port PORT] [PATH|-]...",
		Short: "Tell whether one connection is allowed, and which rule says so",
		Long: `Tells whether one end may connect to another: for each end which policies isolate it, what each of their rules says and why,
with file and line, and, if the connection is blocked, the smallest change that would allow it, proven by evaluating again.

An END is NAMESPACE/NAME of a pod or workload, KIND/NAME or NAMESPACE/KIND/NAME as kubectl takes them (deploy, sts, ds, job,
cronjob, rs, rc, pod, svc), an IPv4 or IPv6 address, or "internet" for 8.8.8.8. A Service as --to stands for the pods behind
it, and --port is then a port of the Service.

A PORT is TCP/8080, 8080 (TCP), http (a name) or UDP/dns. Without --port, all ports are summarised.

Exit code 0 if it is allowed (without --port: on some port), 1 if it is not, not for all of the pods, or not known to be, and 2
for bad input.`,
		Example: `  portcullis explain --from shop/web --to svc/db --port 5432 -n shop manifests/
  portcullis explain --from internet --to shop/deploy/web --port https manifests/
  portcullis explain --from shop/web-6d4 --to 10.20.0.5 --port UDP/53 --live -o json`,
		RunE: func(command *cobra.Command, paths []string) error {
			return p.explain(command.Context(), paths, o)
		},
		ValidArgsFunction: completeManifests,
	}
	flags := command.Flags()
	flags.StringVar(&o.From, "from", "", "who connects: the `END` described above")
	flags.StringVar(&o.To, "to", "", "what it connects to: the `END` described above")
	flags.StringVar(&o.Port, "port", "", "the `PORT` described above; all ports without it")
	flags.StringVarP(&o.Namespace, "namespace", "n", "default", "`NAMESPACE` of names that tell none")
	choice(command, &o.output, "output", "o", "text", "text or json", "text", "json")
	o.flags(flags)
	return command
}

func (p program) explain(ctx context.Context, paths []string, o explainOptions) error {
	if err := oneOf("output", o.output, "text", "json"); err != nil {
		return err
	}
	if o.From == "" || o.To == "" {
		return usageError{errors.New("--from and --to are both needed, as in\n" + examples("portcullis explain --from shop/web --to shop/db --port 5432 manifests/"))}
	}
	done := p.progressing("reading")
	defer done()
	in, err := p.read(ctx, paths, o.inputOptions, "explain", examples("portcullis explain --from shop/web --to shop/db --port 5432 manifests/"))
	if err != nil {
		return err
	}
	if in.unread() {
		return exit(exitBadInput)
	}
	answer, err := explain.Explain(in.snapshot, o.Question)
	if err != nil {
		return err
	}
	done()
	if o.output == "json" {
		err = report.ExplanationJSON(p.out, answer, in.problems)
	} else {
		err = report.ExplanationText(p.out, answer, report.TextOptions{Color: p.color, Width: p.width})
	}
	switch {
	case err != nil:
		return fmt.Errorf("writing the explanation: %w", err)
	case len(in.problems) > 0:
		return exit(exitBadInput)
	case answer.Verdict != explain.Allowed:
		return exit(exitFindings)
	}
	return nil
}
