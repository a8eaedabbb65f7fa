package repair

import (
	"fmt"
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// proof is what a new judgement says of fixes.
type proof struct {
	reason  string // why they do not hold; empty if they do
	effects map[finding.Subject][]string
}

// group is a rule's findings in one object.
type group struct {
	rule    string
	subject finding.Subject
}

// grouped are the findings by rule and subject; those that cannot be told are left out.
func grouped(decided []verdict.Decided) map[group][]finding.Finding {
	out := map[group][]finding.Finding{}
	for i := range decided {
		if f := &decided[i].Finding; f.Outcome != finding.Undetermined {
			key := group{f.Rule, f.Subject}
			out[key] = append(out[key], *f)
		}
	}
	return out
}

func (r *run) prove(old state, batch []verdict.Decided, changed []pair) proof {
	was, is := grouped(old.decided), grouped(r.decided)
	for i := range batch {
		key := group{batch[i].Rule, batch[i].Subject}
		if len(is[key]) >= len(was[key]) {
			return proof{reason: "it would not help: " + is[key][0].Message}
		}
	}
	for i := range r.decided {
		if d := &r.decided[i]; isNew(d, was, is, batch[0].Level) {
			return proof{reason: fmt.Sprintf("it would bring %s in %s %s: %s", d.Rule, d.Subject.Kind, d.Subject, d.Message)}
		}
	}
	return r.proveClosed(old, batch, changed)
}

// isNew is whether a finding is a violation of that level, or of a stricter one, that goes further than those before.
func isNew(d *verdict.Decided, was, is map[group][]finding.Finding, level finding.Level) bool {
	if d.Outcome != finding.Violation || d.Level > level || d.Action == verdict.ActionExempt {
		return false
	}
	key := group{d.Rule, d.Subject}
	violation := func(fs []finding.Finding) []finding.Finding {
		return slices.DeleteFunc(slices.Clone(fs), func(f finding.Finding) bool { return f.Outcome != finding.Violation })
	}
	old := violation(was[key])
	return len(violation(is[key])) > len(old) || len(d.Extent) > 0 && !d.Within(old)
}

// proveClosed looks at what the changed policies allow.
func (r *run) proveClosed(old state, batch []verdict.Decided, changed []pair) proof {
	before, after := reach.NewView(old.snapshot), reach.NewView(r.snapshot)
	out := proof{effects: map[finding.Subject][]string{}}
	bySubject := map[finding.Subject]pair{}
	for _, p := range changed {
		bySubject[p.now.Subject()] = p
	}
	for i := range batch {
		d := &batch[i]
		p, found := bySubject[d.Subject]
		if !found {
			return proof{reason: errMoved.Error()}
		}
		if !r.MayOpen(d.Rule) {
			if opened := reach.Opened(before, after, p.old, p.now); opened != "" {
				return proof{reason: "it would open " + opened}
			}
		}
		deltas, more := reach.Deltas(before, after, model.Change{Operation: model.Update, OldPolicy: p.old, NewPolicy: p.now}, mostEffects)
		for i, one := range deltas {
			text := one.String()
			if i == len(deltas)-1 && more > 0 {
				text += fmt.Sprintf(", and %d more", more)
			}
			out.effects[d.Subject] = append(out.effects[d.Subject], text)
		}
	}
	return out
}

// mostEffects is how many lines tell what a fix closes and opens.
const mostEffects = 3
