package main

import (
	"context"
	"time"

	"github.com/portcullis-dev/portcullis/pkg/report"
	"github.com/portcullis-dev/portcullis/pkg/report/graph"
	htmlpage "github.com/portcullis-dev/portcullis/pkg/report/page"
)

// page is the HTML page of a report that the command of that name makes. The state of a cluster has a
// time.
func (p program) page(command string, in *input, r *report.Report) htmlpage.Page {
	out := htmlpage.Page{Title: command + " of " + in.from, Report: r, Line: in.Lookup()}
	for _, c := range in.config.Rules {
		out.Rules = append(out.Rules, c.Rule)
	}
	if in.connectivity != nil {
		out.Graph, out.Outlook = &htmlpage.Graph{Connectivity: in.connectivity, World: in.snapshot}, true
	}
	if !in.onlyManifests {
		out.Made = p.now().UTC().Format(time.RFC3339)
	}
	return out
}

// graphPage writes the page of who may connect to whom, with what check finds in the same input.
func (p program) graphPage(ctx context.Context, g *graph.Graph, in *input) error {
	decided, err := in.decide(ctx, p.newJudge(in.config, nil))
	if err != nil {
		return err
	}
	in.connectivity = g.Connectivity
	out := p.page("reach", in, report.FromDecided(report.ScopeOf(in.snapshot), decided, in.problems))
	out.Graph.First, out.Outlook = true, false
	return out.Write(p.out)
}
