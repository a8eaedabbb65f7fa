// Package audit judges what stands in a cluster, not only what enters it: policies from before, objects around them that have
// changed since, claims that are not kept, exemptions that have expired.
//
// A full pass judges everything, at the start and at intervals. In between, only the namespaces are judged again that have
// changed, or that a change elsewhere concerns. It never holds anybody up: it works on a snapshot, on one processor, and rests as long as it works.
package audit

import (
	"context"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"

	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/judge"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/report"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// Item is something found of an object that stands in the cluster.
type Item struct {
	verdict.Decided
	// FirstSeen is when this audit has found it first.
	FirstSeen time.Time
	// Overdue is whether it was provisional for longer than claims.gracePeriod, and so counts as a violation.
	Overdue bool
}

// MostAlike is how many items of one rule, object and action are kept. A policy of thousands of rules has as many findings, and its author must
// not fill the memory of all replicas with them. More than these are counted: see verdict.Decided.More.
const MostAlike = 10

// Violation says whether the item is one, and neither exempt, nor still open.
func (i *Item) Violation() bool {
	switch i.Action {
	case verdict.ActionDeny, verdict.ActionWarn, verdict.ActionAudit:
		return true
	}
	return false
}

// Results are what one pass has found. They are immutable.
type Results struct {
	// Finished is when the pass ended, and Took how long a full pass has taken, rests included.
	Finished time.Time
	Took     time.Duration
	Scope    report.Scope
	// Items are sorted as in a report. Of one rule, object and action there are at most MostAlike, of which the last tells of the rest.
	Items []Item
	// Full is whether everything was judged, and not only what has changed.
	Full bool
	// FullPasses is how many full passes there were, this one included. Who does not see all results learns by it that there was one.
	FullPasses int

	Snapshot *model.Snapshot
	Config   *config.Config
}

// Report is the results as a document.
func (r *Results) Report() *report.Report {
	decided := make([]verdict.Decided, len(r.Items))
	for i := range r.Items {
		decided[i] = r.Items[i].Decided
	}
	return report.FromDecided(r.Scope, decided, nil)
}

// Options say what is audited. All but Publish are required.
type Options struct {
	// Snapshot is the cluster as last heard of, and whether all of it has been read.
	Snapshot func() (*model.Snapshot, bool)
	// Changed has a value whenever the cluster has changed since the last one was taken.
	Changed <-chan struct{}
	Config  func() *config.Config
	Clock   clock.WithTicker
	Log     *slog.Logger
	// Publish is told of the results of each pass, one after the other.
	Publish func(context.Context, *Results)
}

// Auditor audits in the background.
type Auditor struct {
	options Options
	results atomic.Pointer[Results]

	// What follows belongs to Run.
	config   *config.Config
	snapshot *model.Snapshot // as audited last
	spaces   map[string]*space
	cluster  []Item
	full     time.Time // when the last full pass ended
	fullTook time.Duration
	// fullPasses counts them, for as long as there is the auditor.
	fullPasses int
}

// space is what was found in one namespace.
type space struct {
	namespace *model.Namespace
	items     []Item
}

// New makes an auditor.
func New(o Options) *Auditor {
	return &Auditor{options: o}
}

// Results are those of the last pass; nil before the first one.
func (a *Auditor) Results() *Results { return a.results.Load() }

// calm is how long the audit waits for more changes after one, and how long between two looks at what has changed.
const calm = 2 * time.Second

// Run audits until the context ends. What it has found is forgotten then.
func (a *Auditor) Run(ctx context.Context) {
	defer a.results.Store(nil)
	a.spaces, a.cluster, a.snapshot, a.config = map[string]*space{}, nil, nil, nil
	if !a.awaitState(ctx) {
		return
	}
	a.pass(ctx, true)
	for ctx.Err() == nil {
		full := a.options.Clock.NewTimer(a.untilFull())
		select {
		case <-ctx.Done():
		case <-full.C():
			a.pass(ctx, true)
		case <-a.options.Changed:
			if a.rest(ctx, calm) {
				a.pass(ctx, false)
			}
		}
		full.Stop()
	}
}

// awaitState waits until all of the cluster has been read.
func (a *Auditor) awaitState(ctx context.Context) bool {
	for {
		if _, synced := a.options.Snapshot(); synced {
			return true
		}
		if !a.rest(ctx, time.Second) {
			return false
		}
	}
}

// untilFull is how long it is until the next full pass, whatever was judged since the last one. Items that are provisional are looked at when their time is up.
func (a *Auditor) untilFull() time.Duration {
	last := a.results.Load()
	if last == nil {
		return calm
	}
	c := a.options.Config()
	next := a.full.Add(c.Object.Audit.Interval.Duration)
	for i := range last.Items {
		if item := &last.Items[i]; item.Action == verdict.ActionProvisional {
			if due := item.FirstSeen.Add(c.Object.Claims.GracePeriod.Duration); due.Before(next) {
				next = due
			}
		}
	}
	return max(next.Sub(a.options.Clock.Now()), calm)
}

// rest waits; false if the context ends.
func (a *Auditor) rest(ctx context.Context, d time.Duration) bool {
	timer := a.options.Clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C():
		return true
	}
}

// slice is how long the audit works before it rests as long.
const slice = 5 * time.Millisecond

// pass judges everything, or the namespaces that have changed.
func (a *Auditor) pass(ctx context.Context, full bool) {
	started := a.options.Clock.Now()
	s, _ := a.options.Snapshot()
	c := a.options.Config()
	full = full || c != a.config || a.snapshot == nil || !reflect.DeepEqual(a.snapshot.Facts(), s.Facts())
	if !full && s == a.snapshot {
		return
	}
	p := &pass{auditor: a, judge: judge.New(c, started), grace: c.Object.Claims.GracePeriod.Duration, since: started}
	cluster := p.items(s, a.cluster, []model.Change{p.judge.Cluster()})
	spaces := make(map[string]*space, len(a.spaces))
	var others touched
	if !full {
		others = touchedBy(a.snapshot, s)
	}
	for ns := range s.Namespaces() {
		old := a.spaces[ns.Meta.Name]
		if !full && old != nil && old.namespace == ns && !others.concerns(ns) {
			spaces[ns.Meta.Name] = old
			continue
		}
		var before []Item
		if old != nil {
			before = old.items
		}
		spaces[ns.Meta.Name] = &space{namespace: ns, items: p.items(s, before, p.judge.InNamespace(ns))}
		if !p.pause(ctx) {
			return
		}
	}
	a.cluster, a.spaces, a.snapshot, a.config = cluster, spaces, s, c
	finished := a.options.Clock.Now()
	if full {
		a.full, a.fullTook = finished, finished.Sub(started)
		a.fullPasses++
		a.options.Log.Info("the audit has judged all of the cluster", "namespaces", len(spaces), "took", a.fullTook.String())
	}
	results := &Results{Finished: finished, Took: a.fullTook, Full: full, FullPasses: a.fullPasses, Scope: report.ScopeOf(s), Items: a.gather(), Snapshot: s, Config: c}
	a.results.Store(results)
	if a.options.Publish != nil {
		a.options.Publish(ctx, results)
	}
}

// gather are all items, sorted.
func (a *Auditor) gather() []Item {
	items := slices.Clone(a.cluster)
	for _, name := range slices.Sorted(maps.Keys(a.spaces)) {
		items = append(items, a.spaces[name].items...)
	}
	return judge.Sort(items, func(i *Item) *finding.Finding { return &i.Finding })
}
