package admission

import (
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/engine"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/mutate"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// Guard is the configuration in force, compiled. It is immutable.
type Guard struct {
	Engine *engine.Engine
	// RuleIDs are all rules that an annotation may name, those that are switched off included.
	RuleIDs []string
	// Defaults are the levels of Namespaces without labels.
	Defaults  verdict.Levels
	Mode      verdict.Mode
	Ratchet   bool
	Exempt    verdict.ExemptNames
	Mutations mutate.Config
}

// judged is a change and what is decided of it.
type judged struct {
	verdict.Verdict
	findings, old []finding.Finding
	policy        verdict.Policy
}

// judge evaluates the change and decides, with no exemption but that of names (all, which may be empty).
func (g *Guard) judge(prior *model.Snapshot, change model.Change, levels verdict.Levels, all string) *judged {
	j := &judged{
		findings: g.Engine.Evaluate(prior, change),
		policy:   verdict.Policy{Levels: levels, Mode: g.Mode, Ratchet: g.Ratchet},
	}
	j.decide(verdict.Exemptions{All: all})
	if change.Operation == model.Update && g.Ratchet && j.refuses() {
		j.old = g.Engine.Evaluate(before(prior, change))
		j.decide(verdict.Exemptions{All: all})
	}
	return j
}

// refuses says whether anything denies, or would with the mode enforce.
func (j *judged) refuses() bool {
	return j.Denied || slices.ContainsFunc(j.Decided, func(d verdict.Decided) bool { return d.WouldDeny })
}

func (j *judged) decide(e verdict.Exemptions) {
	j.Verdict = verdict.Decide(j.policy, e, j.findings, j.old)
}

// before is the old object as it stood. The snapshot may hold an earlier version of it.
func before(prior *model.Snapshot, c model.Change) (*model.Snapshot, model.Change) {
	c.NewPolicy, c.NewNS = c.OldPolicy, c.OldNS
	world := prior.With(c)
	c.Operation = model.Exists
	return world, c
}
