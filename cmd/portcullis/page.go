package main

import (
	"time"

	"github.com/portcullis-dev/portcullis/pkg/report"
	htmlpage "github.com/portcullis-dev/portcullis/pkg/report/page"
)

// page is the HTML page of a report that the command of that name makes. The state of a cluster has a time.
func (p program) page(command string, in *input, r *report.Report) htmlpage.Page {
	out := htmlpage.Page{Title: command + " of " + in.from, Report: r, Line: in.Lookup()}
	for _, c := range in.config.Rules {
		out.Rules = append(out.Rules, c.Rule)
	}
	if !in.onlyManifests {
		out.Made = p.now().UTC().Format(time.RFC3339)
	}
	return out
}
