package main

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/engine"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// judge decides about objects as they stand in a snapshot.
type judge struct {
	engine   *engine.Engine
	policy   verdict.Policy // with the default levels
	exempt   verdict.ExemptNames
	ruleIDs  []string
	now      time.Time
	enforced *finding.Level // replaces the enforce level of every namespace; nil for none
}

// newJudge makes a judge by the configuration. enforced replaces the enforce level of every namespace; nil for none.
func (p program) newJudge(c *config.Config, enforced *finding.Level) *judge {
	return &judge{
		engine: engine.New(c.Rules), policy: verdict.Policy{Levels: c.Levels, Mode: c.Mode, Ratchet: c.Ratchet},
		exempt: c.Exemptions, ruleIDs: c.RuleIDs, now: p.now(), enforced: enforced,
	}
}

// all judges what the input asks about: its policies, their namespaces and, unless single manifests are judged by a
// cluster, every namespace and the cluster. The findings are sorted, and what cannot be told is said once for a rule.
func (j *judge) all(ctx context.Context, in *input) ([]verdict.Decided, error) {
	s := in.snapshot
	var changes []model.Change
	if in.onlyManifests || in.onlyCluster {
		changes = append(changes, model.Change{Time: j.now})
		for ns := range s.Namespaces() {
			changes = append(changes, model.Change{Time: j.now, OldNS: &ns.Meta, NewNS: &ns.Meta})
		}
	} else {
		for _, meta := range in.Namespaces {
			changes = append(changes, model.Change{Time: j.now, OldNS: meta, NewNS: meta})
		}
	}
	for _, p := range in.judged() {
		changes = append(changes, model.Change{Time: j.now, OldPolicy: p, NewPolicy: p})
	}
	decided := make([][]verdict.Decided, len(changes))
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(len(changes), runtime.GOMAXPROCS(0)) {
		group.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(changes) {
					return
				}
				decided[i] = j.one(s, changes[i])
			}
		})
	}
	group.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	out := slices.Concat(decided...)
	slices.SortStableFunc(out, func(a, b verdict.Decided) int { return finding.Compare(a.Finding, b.Finding) })
	told := map[string]bool{}
	return slices.DeleteFunc(out, func(d verdict.Decided) bool {
		again := d.Outcome == finding.Undetermined && told[d.Rule]
		told[d.Rule] = told[d.Rule] || d.Outcome == finding.Undetermined
		return again
	}), nil
}

// one judges one object.
func (j *judge) one(s *model.Snapshot, c model.Change) []verdict.Decided {
	findings := j.engine.Evaluate(s, c)
	if len(findings) == 0 {
		return nil
	}
	policy := j.policy
	var exempt verdict.Exemptions
	namespace := ""
	switch {
	case c.NewPolicy != nil:
		namespace = c.NewPolicy.Namespace
		exempt.Annotated, _ = model.ParseExemption(c.NewPolicy.Annotations, j.ruleIDs, j.now)
	case c.NewNS != nil:
		namespace = c.NewNS.Name
	}
	if namespace != "" {
		policy.Levels = verdict.LevelsOf(s.NamespaceOrImplied(namespace).Meta.Labels, policy.Levels)
		exempt.All = j.exempt.Reason(namespace, "", nil)
	}
	if j.enforced != nil {
		policy.Levels.Enforce = *j.enforced
	}
	return verdict.Decide(policy, exempt, findings, nil).Decided
}
