package server

import (
	"context"
	"net/http"

	"k8s.io/utils/clock"

	"github.com/portcullis-dev/portcullis/pkg/audit"
	"github.com/portcullis-dev/portcullis/pkg/election"
	"github.com/portcullis-dev/portcullis/pkg/metrics"
)

// AuditLease is the name of the Lease by which the replica that audits is elected.
const AuditLease = "portcullis-audit"

func (s *server) newAuditor() *audit.Auditor {
	return audit.New(audit.Options{
		Snapshot: s.state.Snapshot, Changed: s.state.Changed(), Config: s.config, Clock: clock.RealClock{}, Log: s.log, Publish: s.audited,
	})
}

// audit audits the cluster until ctx ends, on one of the replicas. A process outside of the cluster has no others.
func (s *server) audit(ctx context.Context) error {
	lead := func(ctx context.Context) {
		defer s.recorder.Audit(nil)
		s.auditor.Run(ctx)
	}
	if s.client == nil || s.options.OwnNamespace == "" {
		lead(ctx)
		return nil
	}
	return election.Election{
		Client: s.client, Namespace: s.options.OwnNamespace, Lease: AuditLease, Task: "audits the cluster", Log: s.log,
	}.Run(ctx, lead)
}

// audited is told what each pass has found.
func (s *server) audited(_ context.Context, r *audit.Results) {
	pass := &metrics.AuditPass{Violations: map[metrics.Violation]int{}, Overdue: map[string]int{}, Took: r.Took, Finished: r.Finished}
	for i := range r.Items {
		item := &r.Items[i]
		if !item.Violation() {
			continue
		}
		namespace := item.Subject.Space()
		pass.Violations[metrics.Violation{Rule: item.Rule, Level: item.Level, Namespace: namespace}]++
		if item.Overdue {
			pass.Overdue[namespace]++
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
