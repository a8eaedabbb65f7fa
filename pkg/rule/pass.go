package rule

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/reach"
)

// Pass is one run over one change, of one rule after the other.
type Pass struct {
	// Change is what is about to happen; for an object as it stands, Old and New are the same.
	Change model.Change
	// Prior and World are the cluster before and after the change.
	Prior, World *model.Snapshot
	// Reach answers who may connect to whom in World, and remembers its answers for the other rules.
	Reach *reach.View
	// Before answers the same in Prior.
	Before *reach.View
	// CustomRules are the ids of the configuration's own rules.
	CustomRules []string
	// Memo is where custom rules keep what all of them look at in one review; nil if there are none.
	Memo *any

	rule  Configured // the one that runs
	found []*Builder
}

// NewPass is for the engine, and for tests of a single rule.
func NewPass(change model.Change, before, after *reach.View) *Pass {
	return &Pass{Change: change, Prior: before.World(), World: after.World(), Before: before, Reach: after}
}

// Stopped says whether the time for the review is up, and what would still be reported is dropped. Rules ask where they look at every
// rule of a policy, or longer.
func (p *Pass) Stopped() bool { return p.Reach.Stopped() }

// Start says whose turn it is: what is reported from now on is the rule's.
func (p *Pass) Start(c Configured) { p.rule = c }

// Settings are the rule's parameters as configured. T is what the rule's NewSettings returns.
func Settings[T any](p *Pass) T { return p.rule.Settings.(T) }

// Report adds a finding at the field; nil stands for the whole object. The format is the message: what is the case, in a
// sentence, without the fix.
func (p *Pass) Report(at *field.Path, w finding.Witness, format string, args ...any) *Builder {
	return p.add(finding.Violation, at, w, format, args...)
}

// Undetermined says that the rule cannot tell, and what is missing. It is said once for a rule and a subject.
func (p *Pass) Undetermined(format string, args ...any) *Builder {
	return p.add(finding.Undetermined, nil, finding.Witness{}, format, args...)
}

func (p *Pass) add(outcome finding.Outcome, at *field.Path, w finding.Witness, format string, args ...any) *Builder {
	b := &Builder{f: finding.Finding{
		Rule: p.rule.ID, Level: p.rule.Level, Severity: p.rule.Severity, Custom: p.rule.Custom, Outcome: outcome,
		Subject: p.subject(), Witness: w, Message: fmt.Sprintf(format, args...),
	}}
	if at != nil {
		b.f.Path = at.String()
	}
	p.found = append(p.found, b)
	return b
}

func (p *Pass) subject() finding.Subject {
	if policy := p.Change.Policy(); policy != nil {
		return policy.Subject()
	}
	if ns := p.Change.Namespace(); ns != nil {
		return ns.Subject()
	}
	return finding.Subject{Kind: finding.KindCluster, Name: "cluster"}
}

// Findings are what the rules have reported, in their order.
func (p *Pass) Findings() []finding.Finding {
	if len(p.found) == 0 {
		return nil
	}
	out := make([]finding.Finding, len(p.found))
	for i, b := range p.found {
		out[i] = b.f
	}
	return out
}

// Builder adds to a finding what not every finding has.
type Builder struct{ f finding.Finding }

// Fix says what to do, as a sentence in the imperative, and optionally how, as a JSON Patch on the subject.
func (b *Builder) Fix(text string, patch ...finding.PatchOp) *Builder {
	b.f.Fix, b.f.Patch = text, patch
	return b
}

// Pods is how many pods are concerned.
func (b *Builder) Pods(n int) *Builder { b.f.Pods = n; return b }

// Severity replaces the rule's.
func (b *Builder) Severity(s finding.Severity) *Builder { b.f.Severity = s; return b }

// Provisional says that the finding may mend itself, and why.
func (b *Builder) Provisional(why string) *Builder {
	b.f.Outcome = finding.Provisional
	b.f.Message += " (provisional: " + why + ")"
	return b
}

// Covers adds to what the finding covers, for the ratchet.
func (b *Builder) Covers(parts ...finding.Part) *Builder {
	b.f.Extent = append(b.f.Extent, parts...)
	return b
}
