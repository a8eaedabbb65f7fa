package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portcullis-dev/portcullis/pkg/finding"
)

// Violation is what the audit counts: violations of one rule in one namespace.
type Violation struct {
	Rule, Namespace string
	Level           finding.Level
}

// AuditPass is what one pass of the audit has found.
type AuditPass struct {
	// Violations counts what neither is exempt nor may still come right.
	Violations map[Violation]int
	// Overdue counts, by namespace, the violations among them that were provisional for too long, claims among them.
	Overdue map[string]int
	// Took is how long the last full pass has taken, and Finished when this one ended.
	Took     time.Duration
	Finished time.Time
}

// auditMetrics are the metrics of the last pass; none on a replica that does not audit.
type auditMetrics struct {
	violations, overdue, duration, success *prometheus.Desc

	last atomic.Pointer[AuditPass]
}

func newAuditMetrics() *auditMetrics {
	return &auditMetrics{
		violations: prometheus.NewDesc("portcullis_violations",
			"Violations that stand in the cluster, as the audit has found them last.", []string{"rule", "level", "namespace"}, nil),
		overdue: prometheus.NewDesc("portcullis_audit_overdue",
			"Violations among them that were provisional for longer than claims.gracePeriod.", []string{"namespace"}, nil),
		duration: prometheus.NewDesc("portcullis_audit_duration_seconds",
			"How long the last pass of the audit over all of the cluster has taken, rests included.", nil, nil),
		success: prometheus.NewDesc("portcullis_audit_last_success_timestamp_seconds",
			"When the audit has finished a pass last, in seconds since 1970-01-01 UTC.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (a *auditMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{a.violations, a.overdue, a.duration, a.success} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (a *auditMetrics) Collect(to chan<- prometheus.Metric) {
	last := a.last.Load()
	if last == nil {
		return
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for v, n := range last.Violations {
		gauge(a.violations, float64(n), v.Rule, v.Level.String(), v.Namespace)
	}
	for namespace, n := range last.Overdue {
		gauge(a.overdue, float64(n), namespace)
	}
	gauge(a.duration, last.Took.Seconds())
	gauge(a.success, float64(last.Finished.UnixNano())/1e9)
}

// Audit tells what a pass has found, in place of what the one before has; nil that this replica does not audit any more.
func (p *Prometheus) Audit(pass *AuditPass) {
	if pass != nil && !p.withNamespace.Load() {
		violations, overdue := map[Violation]int{}, map[string]int{}
		for v, n := range pass.Violations {
			v.Namespace = ""
			violations[v] += n
		}
		for _, n := range pass.Overdue {
			overdue[""] += n
		}
		pass = &AuditPass{Violations: violations, Overdue: overdue, Took: pass.Took, Finished: pass.Finished}
	}
	p.audit.last.Store(pass)
}
