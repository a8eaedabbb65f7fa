package chart

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/portcullis-dev/portcullis/pkg/metrics"
)

// ruleFile is a file of Prometheus rules.
type ruleFile struct {
	Groups []struct {
		Name  string `json:"name"`
		Rules []rule `json:"rules"`
	} `json:"groups"`
}

type rule struct {
	Alert  string `json:"alert,omitempty"`
	Record string `json:"record,omitempty"`
	Expr   string `json:"expr"`
}

func promtool(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return run(t, "", path("bin", "control-plane", "promtool"), args...)
}

func alerts(t *testing.T) []rule {
	t.Helper()
	var file ruleFile
	text, err := os.ReadFile(path("deploy", "chart", "files", "alerts.yaml"))
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, &file))
	require.Len(t, file.Groups, 1)
	return file.Groups[0].Rules
}

// panels are the expressions of the dashboard, by title, with Grafana's variables replaced.
func panels(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(path("deploy", "monitoring", "dashboard.json"))
	require.NoError(t, err)
	var dashboard struct {
		Panels []struct {
			Title       string
			Description string
			Targets     []struct{ Expr string }
		}
	}
	require.NoError(t, json.Unmarshal(text, &dashboard))
	out := map[string][]string{}
	for _, p := range dashboard.Panels {
		assert.NotEmpty(t, p.Description, p.Title)
		assert.NotEmpty(t, p.Targets, p.Title)
		for _, target := range p.Targets {
			out[p.Title] = append(out[p.Title], strings.NewReplacer("$__rate_interval", "5m", "$__interval", "1m").Replace(target.Expr))
		}
	}
	require.Greater(t, len(out), 10)
	return out
}

func TestTheAlertsFireWhenTheyAreTo(t *testing.T) {
	out, err := promtool(t, "check", "rules", path("deploy", "chart", "files", "alerts.yaml"))
	require.NoError(t, err, out)
	tests := filepath.Join("testdata", "alerts_test.yaml")
	out, err = promtool(t, "test", "rules", tests)
	require.NoError(t, err, out)

	text, err := os.ReadFile(tests)
	require.NoError(t, err)
	var file struct {
		Tests []struct {
			AlertRuleTest []struct {
				Alertname string `json:"alertname"`
				ExpAlerts []any  `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		} `json:"tests"`
	}
	require.NoError(t, yaml.Unmarshal(text, &file))
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		for _, a := range test.AlertRuleTest {
			if len(a.ExpAlerts) > 0 {
				fires[a.Alertname] = true
			} else {
				silent[a.Alertname] = true
			}
		}
	}
	for _, a := range alerts(t) {
		assert.True(t, fires[a.Alert] && silent[a.Alert], "%s is not tested both ways", a.Alert)
	}
}

func TestEveryAlertIsInTheDocsWithWhatToDo(t *testing.T) {
	text, err := os.ReadFile(path("docs", "operations.md"))
	require.NoError(t, err)
	for _, a := range alerts(t) {
		assert.Contains(t, string(text), "| `"+a.Alert+"` |")
	}
}

func TestTheExpressionsOfTheDashboardAreValid(t *testing.T) {
	var rules []rule
	for _, expressions := range panels(t) {
		for _, e := range expressions {
			rules = append(rules, rule{Record: "a", Expr: e})
		}
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "rules.yaml")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	out, err := promtool(t, "check", "rules", "--lint=none", file)
	require.NoError(t, err, out)
}

// registered is a registry that remembers what was registered, for its descriptions.
type registered struct {
	prometheus.Registerer
	collectors []prometheus.Collector
}

func (r *registered) Register(c prometheus.Collector) error {
	r.collectors = append(r.collectors, c)
	return r.Registerer.Register(c)
}

// existing are the metrics of the program, with their labels.
func existing(t *testing.T) map[string][]string {
	t.Helper()
	r := &registered{Registerer: prometheus.NewRegistry()}
	_, err := metrics.NewPrometheus(r, "v0")
	require.NoError(t, err)
	r.collectors = append(r.collectors, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	described := regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`)
	out := map[string][]string{}
	for _, c := range r.collectors {
		descriptions := make(chan *prometheus.Desc, 100)
		c.Describe(descriptions)
		close(descriptions)
		for d := range descriptions {
			found := described.FindStringSubmatch(d.String())
			require.NotNil(t, found, d.String())
			out[found[1]] = strings.Split(found[2], ",")
		}
	}
	return out
}

var (
	names     = regexp.MustCompile(`\b(?:portcullis|process|go)_[a-z_]+`)
	selectors = regexp.MustCompile(`(portcullis_[a-z_]+)\{([a-z_]+)=`)
)

func TestEveryMetricOfTheDashboardAndTheAlertsExists(t *testing.T) {
	known, used := existing(t), map[string]bool{}
	check := func(where, expression string) {
		for _, name := range names.FindAllString(expression, -1) {
			name = strings.TrimSuffix(name, "_bucket")
			used[name] = true
			assert.Contains(t, known, name, where)
		}
		for _, selector := range selectors.FindAllStringSubmatch(expression, -1) {
			assert.Contains(t, known[selector[1]], selector[2], "%s: %s has no such label", where, selector[1])
		}
	}
	for _, a := range alerts(t) {
		check(a.Alert, a.Expr)
	}
	for title, expressions := range panels(t) {
		for _, e := range expressions {
			check(title, e)
		}
	}
	for name := range known {
		if strings.HasPrefix(name, "portcullis_") {
			assert.True(t, used[name], "%s is on no panel and in no alert", name)
		}
	}
}

func TestMonitoringIsWhatTheChartRenders(t *testing.T) {
	all := objects(t, rendered(t, everything))
	spec, err := yaml.Marshal(all["PrometheusRule/portcullis"].Object["spec"])
	require.NoError(t, err)
	var inChart ruleFile
	require.NoError(t, yaml.Unmarshal(spec, &inChart))
	assert.Equal(t, alerts(t), inChart.Groups[0].Rules)
	dashboard, err := os.ReadFile(path("deploy", "monitoring", "dashboard.json"))
	require.NoError(t, err)
	data, _ := all["ConfigMap/portcullis-dashboard"].Object["data"].(map[string]any)
	assert.JSONEq(t, string(dashboard), data["portcullis.json"].(string))
}
