package server

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"sync"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/utils/clock"

	"github.com/portcullis-dev/portcullis/pkg/audit"
	"github.com/portcullis-dev/portcullis/pkg/audit/publish"
	"github.com/portcullis-dev/portcullis/pkg/election"
	"github.com/portcullis-dev/portcullis/pkg/isolate"
	"github.com/portcullis-dev/portcullis/pkg/metrics"
)

// AuditLease is the name of the Lease by which the replica that audits is elected.
const AuditLease = "portcullis-audit"

// writer is what the audit writes with. Its rates are limited, as it shares the API server with all others. Default denies have
// their own: no number of findings to tell of holds one up.
type writer struct {
	findings kubernetes.Interface
	reports  dynamic.Interface
	denies   kubernetes.Interface
}

// limiter makes the limit of one client.
type limiter func(perSecond float32, atOnce int) flowcontrol.RateLimiter

func newWriter(config *rest.Config, limit limiter) (*writer, error) {
	told, kept := rest.CopyConfig(config), rest.CopyConfig(config)
	told.RateLimiter, kept.RateLimiter = limit(20, 50), limit(50, 100)
	var w writer
	var err error
	if w.findings, err = kubernetes.NewForConfig(told); err != nil {
		return nil, err
	}
	if w.reports, err = dynamic.NewForConfig(told); err != nil {
		return nil, err
	}
	w.denies, err = kubernetes.NewForConfig(kept)
	return &w, err
}

func (w *writer) publisher(log *slog.Logger) *publish.Publisher {
	host, err := os.Hostname()
	if err != nil {
		host = "portcullis"
	}
	return publish.New(publish.Options{Client: w.findings, Dynamic: w.reports, Clock: clock.RealClock{}, Log: log, Instance: host})
}

func (w *writer) keeper(log *slog.Logger) *isolate.Keeper {
	return &isolate.Keeper{Client: w.denies.NetworkingV1(), Log: log}
}

func (s *server) newAuditor() *audit.Auditor {
	return audit.New(audit.Options{
		Snapshot: s.state.Snapshot, Changed: s.state.Changed(), Config: s.config, Clock: clock.RealClock{}, Log: s.log, Publish: s.audited,
	})
}

// audit audits the cluster until ctx ends, on one of the replicas. A process outside of the cluster has no others.
func (s *server) audit(ctx context.Context) error {
	if s.client == nil || s.options.OwnNamespace == "" {
		s.lead(ctx)
		return nil
	}
	return election.Election{
		Client: s.client, Namespace: s.options.OwnNamespace, Lease: AuditLease, Task: "audits the cluster", Log: s.log,
	}.Run(ctx, s.lead)
}

// lead audits, and does what follows from it in the cluster.
func (s *server) lead(ctx context.Context) {
	defer s.recorder.Audit(nil)
	var followers sync.WaitGroup
	defer followers.Wait()
	s.results.Store(nil)
	for _, follow := range s.followers() {
		results := make(chan struct{}, 1)
		s.followed = append(s.followed, results)
		followers.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-results:
				}
				follow(ctx, s.results.Load())
			}
		})
	}
	defer func() { s.followed = nil }()
	s.auditor.Run(ctx)
}

// followers write into the cluster what follows from results. Each has a goroutine of its own, so that the audit does not wait for the
// API server; if it is slow, it sees the newest results alone.
func (s *server) followers() []func(context.Context, *audit.Results) {
	if s.writer == nil {
		return nil
	}
	publisher, keeper := s.writer.publisher(s.log), s.writer.keeper(s.log)
	return []func(context.Context, *audit.Results){
		publisher.Publish,
		func(ctx context.Context, r *audit.Results) { keeper.Keep(ctx, r.Snapshot, r.Config, r.FullPasses) },
	}
}

// audited is told what each pass has found.
func (s *server) audited(_ context.Context, r *audit.Results) {
	s.results.Store(r)
	for _, results := range s.followed {
		select {
		case results <- struct{}{}:
		default:
		}
	}
	pass := &metrics.AuditPass{Violations: map[metrics.Violation]int{}, Overdue: map[string]int{}, Took: r.Took, Finished: r.Finished}
	for i := range r.Items {
		item := &r.Items[i]
		if !item.Violation() {
			continue
		}
		namespace := item.Subject.Space()
		pass.Violations[metrics.Violation{Rule: item.Rule, Level: item.Level, Namespace: namespace}] += 1 + item.More
		if item.Overdue {
			pass.Overdue[namespace] += 1 + item.More
		}
	}
	s.recorder.Audit(pass)
}

// report answers with what the audit has found, as the JSON document that check prints.
func (s *server) report(w http.ResponseWriter, _ *http.Request) {
	results := s.auditor.Results()
	if results == nil {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "This replica has no report: either the audit has not finished its first pass, or another replica audits (see the Lease "+AuditLease+").",
			http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Last-Modified", results.Finished.UTC().Format(http.TimeFormat))
	if err := results.Report().JSON(w); err != nil {
		s.log.Warn("the report could not be sent", "error", err.Error())
	}
}
