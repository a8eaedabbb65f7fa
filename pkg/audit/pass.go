package audit

import (
	"context"
	"time"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/judge"
	"github.com/portcullis-dev/portcullis/pkg/model"
)

// pass is one pass under way.
type pass struct {
	auditor *Auditor
	judge   *judge.Judge
	grace   time.Duration
	since   time.Time // when it began to work, after the last rest
}

// identity is what makes an item the same as one that was found before.
type identity struct {
	rule, path string
	subject    finding.Subject
}

func identityOf(f *finding.Finding) identity { return identity{f.Rule, f.Path, f.Subject} }

// items judges, and remembers of what was found before when that was first.
func (p *pass) items(s *model.Snapshot, before []Item, changes []model.Change) []Item {
	seen := make(map[identity]time.Time, len(before))
	for i := range before {
		seen[identityOf(&before[i].Finding)] = before[i].FirstSeen
	}
	now := p.judge.Now
	overdue := map[identity]bool{}
	p.judge.Adjust = func(_ model.Change, findings []finding.Finding) {
		for i := range findings {
			f := &findings[i]
			first, known := seen[identityOf(f)]
			if f.Outcome == finding.Provisional && known && !first.Add(p.grace).After(now) {
				f.Outcome = finding.Violation
				overdue[identityOf(f)] = true
			}
		}
	}
	var out []Item
	for _, c := range changes {
		for _, d := range p.judge.One(s, c) {
			id := identityOf(&d.Finding)
			first, known := seen[id]
			if !known {
				first = now
			}
			out = append(out, Item{Decided: d, FirstSeen: first, Overdue: overdue[id]})
		}
	}
	return out
}

// pause rests as long as it has worked; false if the context ends.
func (p *pass) pause(ctx context.Context) bool {
	clock := p.auditor.options.Clock
	worked := clock.Since(p.since)
	if worked < slice {
		return ctx.Err() == nil
	}
	ok := p.auditor.rest(ctx, worked)
	p.since = clock.Now()
	return ok
}

// OverdueByAge is for a single pass, which cannot tell since when something is provisional: what is so on a policy that is older than
// grace counts as a violation.
func OverdueByAge(grace time.Duration, now time.Time) func(model.Change, []finding.Finding) {
	return func(c model.Change, findings []finding.Finding) {
		if c.NewPolicy == nil || c.NewPolicy.Created.IsZero() || c.NewPolicy.Created.Add(grace).After(now) {
			return
		}
		for i := range findings {
			if findings[i].Outcome == finding.Provisional {
				findings[i].Outcome = finding.Violation
			}
		}
	}
}
