// Package publish writes into the cluster what the audit has found: Events about the objects, and policy reports that belong to
// them.
package publish

import (
	"context"
	"log/slog"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"github.com/portcullis-dev/portcullis/pkg/audit"
	"github.com/portcullis-dev/portcullis/pkg/finding"
)

// Options say where to write. All are required.
type Options struct {
	Client  kubernetes.Interface
	Dynamic dynamic.Interface
	Clock   clock.Clock
	Log     *slog.Logger
	// Instance is the name of this process, for Events.
	Instance string
}

// Publisher writes results. It is not safe for concurrent use.
type Publisher struct {
	options Options

	events  events
	reports reports
	told    map[string]time.Time // failures that were logged, and when
}

// New makes a publisher. What was written before, by this or another process, it finds, and does not write again.
func New(o Options) *Publisher {
	return &Publisher{options: o, events: newEvents(), reports: newReports(), told: map[string]time.Time{}}
}

// mostOfRule is how much of one rule is written about one object. A policy of thousands of rules has as many findings, and neither
// floods Events, nor makes a report larger than an API server takes, nor holds up what there is to say of other objects.
const mostOfRule = 10

// ofRule is what mostOfRule counts.
type ofRule struct {
	subject finding.Subject
	rule    string
}

// Publish writes what is new in the results, and removes what is not in them any more. What fails is logged, and tried again the
// next time.
func (p *Publisher) Publish(ctx context.Context, r *audit.Results) {
	p.writeEvents(ctx, r)
	if r.Config.Object.Audit.Reports {
		p.writeReports(ctx, r)
	}
}

// quiet is how long a failure that repeats is not told again.
const quiet = 10 * time.Minute

// failed logs a failure, and says whether going on is of no use: nothing of the kind may be written at all.
func (p *Publisher) failed(ctx context.Context, what string, err error) (hopeless bool) {
	if ctx.Err() != nil {
		return true
	}
	now := p.options.Clock.Now()
	if last, told := p.told[what]; !told || now.Sub(last) >= quiet {
		p.told[what] = now
		p.options.Log.Error("the audit cannot write "+what, "error", err.Error())
	}
	return apierrors.IsForbidden(err) || apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err)
}
