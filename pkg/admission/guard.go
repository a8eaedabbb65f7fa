package admission

import (
	"context"
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/engine"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// guard is the configuration in force, with its engine. It is immutable.
type guard struct {
	*config.Config
	engine *engine.Engine
}

// guard is that of the configuration in force; its engine is made anew when the configuration is another one.
func (h *Handler) guard() *guard {
	cfg := h.options.Config()
	if g := h.current.Load(); g != nil && g.Config == cfg {
		return g
	}
	g := &guard{Config: cfg, engine: engine.New(cfg.Rules)}
	h.current.Store(g)
	return g
}

// judged is a change and what is decided of it.
type judged struct {
	verdict.Verdict
	*engine.Review
	old    []finding.Finding
	policy verdict.Policy
}

// judge evaluates the change and decides, with no exemption but that of names (all, which may be empty). The error is that of ctx.
func (g *guard) judge(ctx context.Context, prior *model.Snapshot, change model.Change, levels verdict.Levels, all string) (*judged, error) {
	review, err := g.engine.ReviewWithin(ctx, prior, change)
	if err != nil {
		return nil, err
	}
	j := &judged{
		Review: review,
		policy: verdict.Policy{Levels: levels, Mode: g.Mode, Ratchet: g.Ratchet},
	}
	j.decide(verdict.Exemptions{All: all})
	if change.Operation == model.Update && g.Ratchet && j.refuses() {
		prior, change = before(prior, change)
		was, err := g.engine.ReviewWithin(ctx, prior, change)
		if err != nil {
			return nil, err
		}
		j.old = was.Findings
		j.decide(verdict.Exemptions{All: all})
	}
	return j, nil
}

// refuses says whether anything denies, or would with the mode enforce.
func (j *judged) refuses() bool {
	return j.Denied || slices.ContainsFunc(j.Decided, func(d verdict.Decided) bool { return d.WouldDeny })
}

func (j *judged) decide(e verdict.Exemptions) {
	j.Verdict = verdict.Decide(j.policy, e, j.Findings, j.old)
}

// before is the old object as it stood. The snapshot may hold an earlier version of it.
func before(prior *model.Snapshot, c model.Change) (*model.Snapshot, model.Change) {
	c.NewPolicy, c.NewNS = c.OldPolicy, c.OldNS
	world := prior.With(c)
	c.Operation = model.Exists
	return world, c
}
