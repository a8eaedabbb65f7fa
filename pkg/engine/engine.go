// Package engine runs the rules over a change. It is pure: the same input gives the same findings.
package engine

import (
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// Engine holds the rules as configured. It is immutable and safe for concurrent use.
type Engine struct{ rules []rule.Configured }

// New makes an engine of the rules.
func New(rules []rule.Configured) *Engine { return &Engine{rules: rules} }

// Evaluate judges the change to the cluster prior. The findings are sorted and never repeat.
func (e *Engine) Evaluate(prior *model.Snapshot, c model.Change) []finding.Finding {
	before, after := views(prior, c)
	return e.run(before, after, c)
}

func views(prior *model.Snapshot, c model.Change) (before, after *reach.View) {
	before = reach.NewView(prior)
	if c.Operation == model.Exists {
		return before, before
	}
	return before, reach.NewView(prior.With(c))
}
