package metrics

import (
	"errors"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portcullis-dev/portcullis/pkg/finding"
)

// The values of the label mode of portcullis_denials_total.
const (
	modeEnforce = "enforce" // denied
	modeAudit   = "audit"   // would have been
)

const other = "other"

// Prometheus is a Recorder whose metrics a Prometheus server scrapes.
type Prometheus struct {
	withNamespace atomic.Bool

	reviews   *prometheus.CounterVec
	denials   *prometheus.CounterVec
	findings  *prometheus.CounterVec
	mutations *prometheus.CounterVec
	durations *prometheus.HistogramVec
	reloads   *prometheus.CounterVec
	objects   *prometheus.GaugeVec
	notAfter  prometheus.Gauge
	audit     *auditMetrics
}

var _ Recorder = (*Prometheus)(nil)

// NewPrometheus registers the metrics with registry and returns their Recorder. version is Portcullis's own, for
// portcullis_build_info. It fails if registry already has one of the metrics.
func NewPrometheus(registry prometheus.Registerer, version string) (*Prometheus, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	p := &Prometheus{
		reviews: counter("portcullis_admission_reviews_total",
			"Admission reviews answered, by what was decided.",
			"webhook", "resource", "operation", "decision", "dry_run"),
		denials: counter("portcullis_denials_total",
			"Writes that a rule denied (mode enforce), or would have denied (mode audit). Dry-run requests are not counted.",
			"rule", "namespace", "mode"),
		findings: counter("portcullis_findings_total",
			"Findings at admission, by what was done about them. Dry-run requests are not counted.",
			"rule", "level", "action"),
		mutations: counter("portcullis_mutations_total",
			"Repairs made at admission. Dry-run requests are not counted.",
			"mutation"),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "portcullis_review_duration_seconds",
			Help: "How long it took to answer an admission review, from the request's last byte to the answer's first.",
			// From 100 µs to 5 s, the longest that an API server waits for the webhook.
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"webhook"}),
		reloads: counter("portcullis_config_reloads_total",
			"Attempts to take over a changed configuration: success, or failure, when the old one stays.",
			"result"),
		objects: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "portcullis_snapshot_objects",
			Help: "Objects that the state of the cluster is made of.",
		}, []string{"kind"}),
		notAfter: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "portcullis_certificate_not_after_timestamp_seconds",
			Help: "When the serving certificate expires, in seconds since 1970-01-01 UTC.",
		}),
	}
	p.withNamespace.Store(true)
	p.audit = newAuditMetrics()
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "portcullis_build_info",
		Help: "Always 1; the labels tell the version of Portcullis and of Go.",
	}, []string{"version", "go_version"})
	build.WithLabelValues(version, runtime.Version()).Set(1)
	// Both results are there from the start, so that an alert on an increase sees the first failure.
	for _, result := range []string{"success", "failure"} {
		p.reloads.WithLabelValues(result)
	}

	var errs []error
	for _, c := range []prometheus.Collector{
		p.reviews, p.denials, p.findings, p.mutations, p.durations, p.reloads, p.objects, p.notAfter, build, p.audit,
	} {
		errs = append(errs, registry.Register(c))
	}
	return p, errors.Join(errs...)
}

// LabelNamespaces says whether the label namespace carries names (metrics.namespaceLabel in the configuration, true by
// default) or is left empty. What was counted under the other setting is dropped.
func (p *Prometheus) LabelNamespaces(on bool) {
	if p.withNamespace.Swap(on) != on {
		p.denials.Reset()
	}
}

// Review implements Recorder.
func (p *Prometheus) Review(r Review) {
	webhook := oneOf(r.Webhook, WebhookValidate, WebhookMutate)
	p.reviews.WithLabelValues(
		webhook,
		oneOf(r.Resource, "networkpolicies", "namespaces"),
		oneOf(r.Operation, "CREATE", "UPDATE", "DELETE"),
		oneOf(string(r.Decision), string(Allowed), string(Denied), string(Warned), string(Exempt), string(Skipped), string(Error)),
		strconv.FormatBool(r.DryRun),
	).Inc()
	p.durations.WithLabelValues(webhook).Observe(r.Duration.Seconds())
}

// Denial implements Recorder.
func (p *Prometheus) Denial(d Denial) {
	mode := modeEnforce
	if d.WouldBe {
		mode = modeAudit
	}
	namespace := d.Namespace
	if !p.withNamespace.Load() {
		namespace = ""
	}
	p.denials.WithLabelValues(d.Rule, namespace, mode).Inc()
}

// Finding implements Recorder.
func (p *Prometheus) Finding(rule string, level finding.Level, action string) {
	p.findings.WithLabelValues(rule, level.String(),
		oneOf(action, "deny", "warn", "audit", "exempt", "provisional", "undetermined")).Inc()
}

// Mutation implements Recorder.
func (p *Prometheus) Mutation(name string) {
	p.mutations.WithLabelValues(
		oneOf(name, "policyTypes", "namespaceNameLabel", "namespaceLabels", "copyNamespaceLabels", "dnsEgress")).Inc()
}

// ConfigReload implements Recorder.
func (p *Prometheus) ConfigReload(ok bool) {
	result := "failure"
	if ok {
		result = "success"
	}
	p.reloads.WithLabelValues(result).Inc()
}

// CertificateNotAfter implements Recorder.
func (p *Prometheus) CertificateNotAfter(t time.Time) { p.notAfter.Set(float64(t.Unix())) }

// SnapshotObjects implements Recorder.
func (p *Prometheus) SnapshotObjects(kind string, n int) {
	p.objects.WithLabelValues(kind).Set(float64(n))
}

// ForgetNamespace implements Recorder.
func (p *Prometheus) ForgetNamespace(name string) {
	if name != "" {
		p.denials.DeletePartialMatch(prometheus.Labels{"namespace": name})
	}
}

// oneOf keeps label values within a fixed set: what is not in it counts as "other".
func oneOf(value string, allowed ...string) string {
	for _, a := range allowed {
		if value == a {
			return a
		}
	}
	return other
}
