package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/report/graph"
)

type reachOptions struct {
	inputOptions
	exposure bool
	output   string
}

func (p program) reachCommand() *cobra.Command {
	var o reachOptions
	command := &cobra.Command{
		Use:   "reach [PATH|-]...",
		Short: "List every connection that the policies allow",
		Long: `Lists who may connect to whom: workloads and address ranges, with the ports. Both sides count: between pods, a line says
that egress of the one and ingress of the other allow it.

In text, workloads with the same connections are one line: shop/* is every workload of the namespace shop, and */* every one
there is. JSON and CSV list each pair.

Exit code 0, or 2 for bad input.`,
		Example: `  portcullis reach manifests/
  helm template my-chart | portcullis reach -
  portcullis reach --live -o dot | dot -Tsvg > reach.svg`,
		RunE: func(command *cobra.Command, paths []string) error { return p.reach(command.Context(), paths, o) },
	}
	flags := command.Flags()
	choice(command, &o.output, "output", "o", "text", either(graphNames()...), graphNames()...)
	flags.BoolVar(&o.exposure, "exposure", false, "add what pods that do not exist yet could do")
	o.flags(flags)
	return command
}

func (p program) reach(ctx context.Context, paths []string, o reachOptions) error {
	if err := oneOf("output", o.output, graphNames()...); err != nil {
		return err
	}
	done := p.progressing("reading, and computing all connections")
	defer done()
	in, err := p.read(ctx, paths, o.inputOptions, "look at", examples("portcullis reach manifests/", "helm template my-chart | portcullis reach -", "portcullis reach --live"))
	if err != nil {
		return err
	}
	if in.unread() && o.output == "text" {
		return exit(exitBadInput)
	}
	connectivity, err := reach.Connect(ctx, in.snapshot)
	if err != nil {
		return err
	}
	g := &graph.Graph{Connectivity: connectivity}
	if o.exposure {
		g.Potentials = append([]reach.Potential{}, connectivity.Potentials(in.snapshot)...)
	}
	done()
	for _, f := range graphFormats() {
		if f.name == o.output {
			err = f.write(ctx, p, g, in)
		}
	}
	switch {
	case err != nil:
		return fmt.Errorf("writing the connections: %w", err)
	case len(in.problems) > 0:
		return exit(exitBadInput)
	}
	return nil
}

// graphFormat is one way to show who may connect to whom.
type graphFormat struct {
	name  string // as a value of --output
	write func(ctx context.Context, p program, g *graph.Graph, in *input) error
}

// graphFormats are all ways, in the order of the help.
func graphFormats() []graphFormat {
	return []graphFormat{
		{"text", func(_ context.Context, p program, g *graph.Graph, _ *input) error { return g.Text(p.out) }},
		{"json", func(_ context.Context, p program, g *graph.Graph, in *input) error { return g.JSON(p.out, in.problems) }},
		{"csv", func(_ context.Context, p program, g *graph.Graph, _ *input) error { return g.CSV(p.out) }},
		{"dot", func(_ context.Context, p program, g *graph.Graph, _ *input) error { return g.DOT(p.out) }},
		{"html", func(ctx context.Context, p program, g *graph.Graph, in *input) error { return p.graphPage(ctx, g, in) }},
	}
}

func graphNames() []string {
	var names []string
	for _, f := range graphFormats() {
		names = append(names, f.name)
	}
	return names
}
