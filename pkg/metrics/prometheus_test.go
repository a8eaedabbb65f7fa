package metrics_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/metrics"
)

func newPrometheus(t *testing.T) (*metrics.Prometheus, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	recorder, err := metrics.NewPrometheus(registry, "v1.2.3")
	require.NoError(t, err)
	return recorder, registry
}

// everything tells the recorder of each thing it knows once.
func everything(r metrics.Recorder) {
	r.Review(metrics.Review{
		Webhook: metrics.WebhookValidate, Resource: "networkpolicies", Operation: "CREATE", Decision: metrics.Denied,
		Duration: 300 * time.Microsecond,
	})
	r.Denial(metrics.Denial{Rule: "internet-ingress", Namespace: "shop"})
	r.Finding("internet-ingress", finding.Baseline, "deny")
	r.Mutation("policyTypes")
	r.ConfigReload(true)
	r.CertificateNotAfter(time.Unix(1_800_000_000, 0))
	r.SnapshotObjects("Pod", 42)
}

func TestPrometheus(t *testing.T) {
	t.Run("the names and labels are those of the contract", func(t *testing.T) {
		r, registry := newPrometheus(t)
		everything(r)
		want := map[string][]string{
			"portcullis_admission_reviews_total":                 {"decision", "dry_run", "operation", "resource", "webhook"},
			"portcullis_denials_total":                           {"mode", "namespace", "rule"},
			"portcullis_findings_total":                          {"action", "level", "rule"},
			"portcullis_mutations_total":                         {"mutation"},
			"portcullis_review_duration_seconds":                 {"webhook"},
			"portcullis_config_reloads_total":                    {"result"},
			"portcullis_snapshot_objects":                        {"kind"},
			"portcullis_certificate_not_after_timestamp_seconds": nil,
			"portcullis_build_info":                              {"go_version", "version"},
		}
		families, err := registry.Gather()
		require.NoError(t, err)
		got := map[string][]string{}
		for _, f := range families {
			var labels []string
			for _, pair := range f.GetMetric()[0].GetLabel() {
				labels = append(labels, pair.GetName())
			}
			got[f.GetName()] = labels
		}
		assert.Equal(t, want, got)
	})

	t.Run("promlint has nothing to say", func(t *testing.T) {
		r, registry := newPrometheus(t)
		everything(r)
		problems, err := testutil.GatherAndLint(registry)
		require.NoError(t, err)
		assert.Empty(t, problems)
	})

	t.Run("a review counts by webhook, resource, operation, decision and dry run", func(t *testing.T) {
		r, registry := newPrometheus(t)
		everything(r)
		r.Review(metrics.Review{
			Webhook: metrics.WebhookMutate, Resource: "namespaces", Operation: "UPDATE", Decision: metrics.Allowed, DryRun: true,
		})
		require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP portcullis_admission_reviews_total Admission reviews answered, by what was decided.
# TYPE portcullis_admission_reviews_total counter
portcullis_admission_reviews_total{decision="allowed",dry_run="true",operation="UPDATE",resource="namespaces",webhook="mutate"} 1
portcullis_admission_reviews_total{decision="denied",dry_run="false",operation="CREATE",resource="networkpolicies",webhook="validate"} 1
`), "portcullis_admission_reviews_total"))
	})

	t.Run("what a client makes up counts as other", func(t *testing.T) {
		r, registry := newPrometheus(t)
		for _, made := range []string{"a", "b", "c"} {
			r.Review(metrics.Review{Webhook: made, Resource: made, Operation: made, Decision: metrics.Decision(made)})
			r.Mutation(made)
			r.Finding("internet-ingress", finding.Baseline, made)
		}
		for _, name := range []string{
			"portcullis_admission_reviews_total", "portcullis_mutations_total", "portcullis_findings_total",
			"portcullis_review_duration_seconds",
		} {
			series, err := testutil.GatherAndCount(registry, name)
			require.NoError(t, err)
			assert.Equal(t, 1, series, name)
		}
	})

	t.Run("a denial in mode audit counts as would have been", func(t *testing.T) {
		r, registry := newPrometheus(t)
		r.Denial(metrics.Denial{Rule: "dns-blocked", Namespace: "shop"})
		r.Denial(metrics.Denial{Rule: "dns-blocked", Namespace: "shop", WouldBe: true})
		r.Denial(metrics.Denial{Rule: "dns-blocked", Namespace: "shop", WouldBe: true})
		require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(denials(
			`{mode="audit",namespace="shop",rule="dns-blocked"} 2`,
			`{mode="enforce",namespace="shop",rule="dns-blocked"} 1`,
		)), "portcullis_denials_total"))
	})

	t.Run("if namespaceLabel is switched off, then the namespace is empty and the names counted before are dropped", func(t *testing.T) {
		r, registry := newPrometheus(t)
		r.Denial(metrics.Denial{Rule: "dns-blocked", Namespace: "shop"})
		r.LabelNamespaces(false)
		r.Denial(metrics.Denial{Rule: "dns-blocked", Namespace: "shop"})
		r.Denial(metrics.Denial{Rule: "dns-blocked", Namespace: "pay"})
		r.LabelNamespaces(false)
		require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(denials(
			`{mode="enforce",namespace="",rule="dns-blocked"} 2`,
		)), "portcullis_denials_total"))
	})

	t.Run("if a namespace is gone, then so are its series and no others", func(t *testing.T) {
		r, registry := newPrometheus(t)
		r.Denial(metrics.Denial{Rule: "dns-blocked", Namespace: "shop"})
		r.Denial(metrics.Denial{Rule: "dns-blocked", Namespace: "pay"})
		r.ForgetNamespace("shop")
		r.ForgetNamespace("")
		require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(denials(
			`{mode="enforce",namespace="pay",rule="dns-blocked"} 1`,
		)), "portcullis_denials_total"))
	})

	t.Run("reloads count from zero, both results", func(t *testing.T) {
		r, registry := newPrometheus(t)
		r.ConfigReload(false)
		require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP portcullis_config_reloads_total Attempts to take over a changed configuration: success, or failure, when the old one stays.
# TYPE portcullis_config_reloads_total counter
portcullis_config_reloads_total{result="failure"} 1
portcullis_config_reloads_total{result="success"} 0
`), "portcullis_config_reloads_total"))
	})

	t.Run("the build is told with its versions", func(t *testing.T) {
		_, registry := newPrometheus(t)
		require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP portcullis_build_info Always 1; the labels tell the version of Portcullis and of Go.
# TYPE portcullis_build_info gauge
portcullis_build_info{go_version="`+runtime.Version()+`",version="v1.2.3"} 1
`), "portcullis_build_info"))
	})

	t.Run("if the registry has the metrics already, then that is an error", func(t *testing.T) {
		_, registry := newPrometheus(t)
		_, err := metrics.NewPrometheus(registry, "v1.2.3")
		assert.Error(t, err)
	})
}

func denials(series ...string) string {
	return "# HELP portcullis_denials_total Writes that a rule denied (mode enforce), or would have denied (mode audit). " +
		"Dry-run requests are not counted.\n# TYPE portcullis_denials_total counter\n" +
		"portcullis_denials_total" + strings.Join(series, "\nportcullis_denials_total") + "\n"
}
