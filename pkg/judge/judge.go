// Package judge decides about objects as they stand, rather than about a write: for manifests before they are applied, and
// for what is in a cluster already.
package judge

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

// Judge decides by a configuration. It is safe for concurrent use.
type Judge struct {
	// Now is the time that dates are compared with.
	Now time.Time
	// Enforced replaces the level that every namespace enforces; nil for none.
	Enforced *finding.Level
	// Adjust may change what was found before it is decided upon; nil for nothing.
	Adjust func(c model.Change, findings []finding.Finding)

	engine  *engine.Engine
	policy  verdict.Policy // with the default levels
	exempt  verdict.ExemptNames
	ruleIDs []string
}

// New makes a judge.
func New(c *config.Config, now time.Time) *Judge {
	return &Judge{
		Now: now, engine: engine.New(c.Rules), policy: verdict.Policy{Levels: c.Levels, Mode: c.Mode, Ratchet: c.Ratchet},
		exempt: c.Exemptions, ruleIDs: c.RuleIDs,
	}
}

// Policy is the question about a policy as it stands.
func (j *Judge) Policy(p *model.Policy) model.Change {
	return model.Change{Time: j.Now, OldPolicy: p, NewPolicy: p}
}

// Namespace is the question about a Namespace as it stands.
func (j *Judge) Namespace(meta *model.NamespaceMeta) model.Change {
	return model.Change{Time: j.Now, OldNS: meta, NewNS: meta}
}

// Cluster is the question about the cluster.
func (j *Judge) Cluster() model.Change { return model.Change{Time: j.Now} }

// Whole are the questions about all that is in the snapshot.
func (j *Judge) Whole(s *model.Snapshot) []model.Change {
	out := []model.Change{j.Cluster()}
	for ns := range s.Namespaces() {
		out = append(out, j.InNamespace(ns)...)
	}
	return out
}

// InNamespace are the questions about a Namespace and its policies.
func (j *Judge) InNamespace(ns *model.Namespace) []model.Change {
	out := []model.Change{j.Namespace(&ns.Meta)}
	for _, p := range ns.Policies {
		out = append(out, j.Policy(p))
	}
	return out
}

// All answers the questions, on as many processors as there are. The findings are sorted, and what cannot be told is said once
// for a rule. The error is that of the context.
func (j *Judge) All(ctx context.Context, s *model.Snapshot, changes []model.Change) ([]verdict.Decided, error) {
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
				decided[i] = j.One(s, changes[i])
			}
		})
	}
	group.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return Sort(slices.Concat(decided...), func(d *verdict.Decided) *finding.Finding { return &d.Finding }), nil
}

// Sort sorts findings, whatever else is known of them, and says once for a rule what cannot be told.
func Sort[T any](items []T, of func(*T) *finding.Finding) []T {
	slices.SortStableFunc(items, func(a, b T) int { return finding.Compare(*of(&a), *of(&b)) })
	told := map[string]bool{}
	return slices.DeleteFunc(items, func(item T) bool {
		f := of(&item)
		again := f.Outcome == finding.Undetermined && told[f.Rule]
		told[f.Rule] = told[f.Rule] || f.Outcome == finding.Undetermined
		return again
	})
}

// One answers one question.
func (j *Judge) One(s *model.Snapshot, c model.Change) []verdict.Decided {
	findings := j.engine.Evaluate(s, c)
	if len(findings) == 0 {
		return nil
	}
	if j.Adjust != nil {
		j.Adjust(c, findings)
	}
	policy := j.policy
	var exempt verdict.Exemptions
	namespace := ""
	switch {
	case c.NewPolicy != nil:
		namespace = c.NewPolicy.Namespace
		exempt.Annotated, _ = model.ParseExemption(c.NewPolicy.Annotations, j.ruleIDs, j.Now)
	case c.NewNS != nil:
		namespace = c.NewNS.Name
	}
	if namespace != "" {
		policy.Levels = verdict.LevelsOf(s.NamespaceOrImplied(namespace).Meta.Labels, policy.Levels)
		exempt.All = j.exempt.Reason(namespace, "", nil)
	}
	if j.Enforced != nil {
		policy.Levels.Enforce = *j.Enforced
	}
	return verdict.Decide(policy, exempt, findings, nil).Decided
}
