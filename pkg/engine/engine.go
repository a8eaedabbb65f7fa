// Package engine runs the rules over a change. It is pure: the same input gives the same findings.
package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// Engine holds the rules as configured. It is immutable and safe for concurrent use.
type Engine struct {
	rules  []rule.Configured
	custom []string // ids of custom rules
}

// New makes an engine of the rules.
func New(rules []rule.Configured) *Engine {
	e := &Engine{rules: slices.Clone(rules)}
	for i := range rules {
		if rules[i].Custom {
			e.custom = append(e.custom, rules[i].ID)
		}
	}
	return e
}

// Review is what is found of one change. It is not safe for concurrent use.
type Review struct {
	// Findings are sorted, and none is there twice.
	Findings []finding.Finding
	// Unjudged is why a policy is not judged that is to be stored; empty if it is. The findings say then that it is not known
	// whether it violates anything.
	Unjudged string

	change        model.Change
	before, after *reach.View
}

// Evaluate yields the findings of Review.
func (e *Engine) Evaluate(prior *model.Snapshot, c model.Change) []finding.Finding {
	return e.Review(prior, c).Findings
}

// unjudged is why a policy is not judged.
const unjudged = "The rules about addresses, with those of other policies for the same pods, overlap in more ways than can be compared: " +
	"give one rule to all addresses that have the same ports"

// Review judges the change to the cluster prior. A policy that is too intricate to be judged (see reach.Intricate) can always be
// deleted, and be replaced by one that is not.
func (e *Engine) Review(prior *model.Snapshot, c model.Change) *Review {
	return e.review(func() bool { return false }, prior, c)
}

// ReviewWithin is Review as long as ctx lasts: it stops before the next rule, and in the rules that can take long. The error is that of
// ctx. What Diff tells is for the caller to drop if ctx has ended meanwhile.
func (e *Engine) ReviewWithin(ctx context.Context, prior *model.Snapshot, c model.Change) (*Review, error) {
	r := e.review(func() bool { return ctx.Err() != nil }, prior, c)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return r, nil
}

// review judges until stop, and then yields anything.
func (e *Engine) review(stop func() bool, prior *model.Snapshot, c model.Change) *Review {
	before := reach.NewView(prior)
	before.Until(stop)
	after := before
	if c.Operation != model.Exists {
		after = reach.NewView(prior.With(c))
		after.Until(stop)
	}
	if !reach.Intricate(before, after, c) {
		return &Review{Findings: e.find(before, after, c), change: c, before: before, after: after}
	}
	if c.Operation == model.Update && c.OldPolicy != nil {
		without := prior.With(model.Change{Operation: model.Delete, OldPolicy: c.OldPolicy})
		c.Operation, c.OldPolicy = model.Create, nil
		out := e.review(stop, without, c)
		out.change = model.Change{} // the Diff would be that of a policy that is new
		return out
	}
	out := &Review{Findings: e.unknown(before, after, c)}
	if c.Operation != model.Delete {
		out.Unjudged = unjudged
	}
	return out
}

// unknown says of the rules of the strictest level that what they find is not known.
func (e *Engine) unknown(before, after *reach.View, c model.Change) []finding.Finding {
	strictest := finding.Restricted
	for i := range e.rules {
		strictest = min(strictest, e.rules[i].Level)
	}
	pass := rule.NewPass(c, before, after)
	for i := range e.rules {
		if r := &e.rules[i]; r.Level == strictest && slices.Contains(r.Subjects, finding.KindNetworkPolicy) {
			pass.Start(*r)
			pass.Undetermined("%s", unjudged)
		}
	}
	out := located(pass.Findings(), c)
	finding.Sort(out)
	return out
}

// find runs the rules.
func (e *Engine) find(before, after *reach.View, c model.Change) []finding.Finding {
	kind := subjectKind(c)
	var memo *any
	if len(e.custom) > 0 {
		memo = new(any)
	}
	pass := rule.NewPass(c, before, after)
	pass.CustomRules, pass.Memo = e.custom, memo
	for i := range e.rules {
		if pass.Stopped() {
			return nil
		}
		if slices.Contains(e.rules[i].Subjects, kind) {
			pass.Start(e.rules[i])
			e.rules[i].Run(pass)
		}
	}
	out := e.yield(located(pass.Findings(), c))
	finding.Sort(out)
	out = slices.CompactFunc(out, func(a, b finding.Finding) bool { return finding.Compare(a, b) == 0 })
	return out
}

// yield leaves out the findings of rules that yield to another rule's.
func (e *Engine) yield(all []finding.Finding) []finding.Finding {
	found := func(id string) bool {
		return slices.ContainsFunc(all, func(f finding.Finding) bool { return f.Rule == id && f.Outcome != finding.Undetermined })
	}
	out := all
	for i := range e.rules {
		if slices.ContainsFunc(e.rules[i].YieldsTo, found) {
			id := e.rules[i].ID
			out = slices.DeleteFunc(slices.Clone(out), func(f finding.Finding) bool { return f.Rule == id })
		}
	}
	return out
}

func subjectKind(c model.Change) string {
	switch {
	case c.Policy() != nil:
		return finding.KindNetworkPolicy
	case c.Namespace() != nil:
		return finding.KindNamespace
	}
	return finding.KindCluster
}

// located adds to findings where in its manifest the subject's field stands.
func located(fs []finding.Finding, c model.Change) []finding.Finding {
	var source finding.Source
	var lines map[string]int
	if p := c.Policy(); p != nil {
		source, lines = p.Source, p.Lines
	} else if ns := c.Namespace(); ns != nil {
		source, lines = ns.Source, ns.Lines
	}
	if source.File == "" {
		return fs
	}
	for i := range fs {
		fs[i].Source = source
		for path := fs[i].Path; path != ""; path = parent(path) {
			if line, there := lines[path]; there {
				fs[i].Source.Line = line
				break
			}
		}
	}
	return fs
}

// parent is the field path without its last step: "spec.ingress[0].from" of "spec.ingress[0].from[0]".
func parent(path string) string {
	for i := len(path) - 1; i > 0; i-- {
		if path[i] == '.' || path[i] == '[' {
			return path[:i]
		}
	}
	return ""
}

// mostDeltas is how many lines Diff has at most.
const mostDeltas = 3

// Diff tells what a change of a policy opens and closes among the pods that there are and addresses outside, in at most
// three lines, the largest first: "opens: shop/* → shop/db TCP/5432 (3 pods)". Of a policy that is too intricate, before or
// after the change, nothing is told.
func (r *Review) Diff() []string {
	if r.change.Operation == model.Exists || r.change.Policy() == nil {
		return nil
	}
	deltas, more := reach.Deltas(r.before, r.after, r.change, mostDeltas)
	var out []string
	for _, d := range deltas {
		out = append(out, d.String())
	}
	if more > 0 {
		out[len(out)-1] += fmt.Sprintf(", and %d more", more)
	}
	return out
}
