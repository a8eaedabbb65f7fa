package audit

import (
	"context"
	"time"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/judge"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
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

// memory is what a pass knows of the one before it: when what stands was found first.
type memory struct {
	seen map[identity]time.Time
	// rest holds this of what was counted and not kept, by rule and subject.
	rest map[identity]time.Time
}

func remember(before []Item) memory {
	m := memory{seen: make(map[identity]time.Time, len(before)), rest: map[identity]time.Time{}}
	for i := range before {
		item := &before[i]
		m.seen[identityOf(&item.Finding)] = item.FirstSeen
		if item.More > 0 {
			m.rest[identity{rule: item.Rule, subject: item.Subject}] = item.FirstSeen
		}
	}
	return m
}

// first is when the finding was found first, and whether it was found before. What was not kept is as old as the item that counts it.
func (m memory) first(f *finding.Finding) (time.Time, bool) {
	first, known := m.seen[identityOf(f)]
	if !known {
		first, known = m.rest[identity{rule: f.Rule, subject: f.Subject}]
	}
	return first, known
}

// alike is what MostAlike bounds.
type alike struct {
	rule    string
	action  verdict.Action
	overdue bool
}

// items judges, and remembers of what was found before when that was first.
func (p *pass) items(s *model.Snapshot, before []Item, changes []model.Change) []Item {
	known := remember(before)
	now := p.judge.Now
	overdue := map[identity]bool{}
	p.judge.Adjust = func(_ model.Change, findings []finding.Finding) {
		for i := range findings {
			f := &findings[i]
			first, before := known.first(f)
			if f.Outcome == finding.Provisional && before && !first.Add(p.grace).After(now) {
				f.Outcome = finding.Violation
				overdue[identityOf(f)] = true
			}
		}
	}
	var out []Item
	for _, c := range changes {
		count := map[alike]int{}
		last := map[alike]int{} // the place of the one that counts the rest
		for _, d := range p.judge.One(s, c) {
			late := overdue[identityOf(&d.Finding)]
			kind := alike{d.Rule, d.Action, late}
			if count[kind]++; count[kind] > MostAlike {
				out[last[kind]].More++
				continue
			}
			last[kind] = len(out)
			first, before := known.first(&d.Finding)
			if !before {
				first = now
			}
			d.Extent = nil // has served to decide
			out = append(out, Item{Decided: d, FirstSeen: first, Overdue: late})
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
