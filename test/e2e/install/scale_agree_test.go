package install

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/report"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
	"github.com/portcullis-dev/portcullis/test/kubelet"
)

// run runs a program, whose messages go to the test's log if it fails to start.
func run(t *testing.T, path string, args ...string) (out string, code int) {
	t.Helper()
	command := exec.CommandContext(within(t), path, args...)
	var text, messages strings.Builder
	command.Stdout, command.Stderr = &text, &messages
	if err := command.Run(); err != nil {
		require.IsType(t, &exec.ExitError{}, err)
	}
	if command.ProcessState.ExitCode() > 1 {
		t.Log(messages.String())
	}
	return text.String(), command.ProcessState.ExitCode()
}

// fetch reads a path of the metrics port of a pod.
func (f *full) fetch(t *testing.T, address, path string) (code int, body string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	request, err := http.NewRequestWithContext(within(t), http.MethodGet, "https://"+net.JoinHostPort(address, "8443")+path, http.NoBody)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+f.token)
	response, err := client.Do(request)
	if err != nil {
		return 0, err.Error() // a pod on its way out
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(text)
}

// auditing is the pod that audits, and what it answers to a path; none while there is none.
func (f *full) auditing(t *testing.T, path string) (pod, body string) {
	t.Helper()
	pods, err := shared.cluster.Client.CoreV1().Pods(namespace).List(within(t), metav1.ListOptions{})
	require.NoError(t, err)
	for i := range pods.Items {
		p := &pods.Items[i]
		if p.Status.PodIP == "" {
			continue
		}
		if code, _ := f.fetch(t, kubelet.Local(p.Status.PodIP), "/report"); code != http.StatusOK {
			continue
		}
		if code, text := f.fetch(t, kubelet.Local(p.Status.PodIP), path); code == http.StatusOK {
			return p.Name, text
		}
	}
	return "", ""
}

// judged are the findings as lines, sorted, and how many there are of each action by object.
func judged(findings []report.Finding) (lines []string, count map[finding.Subject]reportSummary) {
	count = map[finding.Subject]reportSummary{}
	for i := range findings {
		x := &findings[i]
		lines = append(lines, line(x.Subject, x.Rule, x.Action))
		sum := count[x.Subject]
		switch x.Action {
		case verdict.ActionDeny:
			sum.Fail++
		case verdict.ActionExempt:
			sum.Skip++
		case verdict.ActionUndetermined:
			sum.Error++
		default:
			sum.Warn++
		}
		count[x.Subject] = sum
	}
	slices.Sort(lines)
	return lines, count
}

// agree compares what all say who tell what the audit has found: the reports as kubectl reads them, as JSON and as a table, GET /report,
// portcullis audit, and the gauges.
func (f *full) agree(t *testing.T) {
	var served, once report.Report
	_, text := f.auditing(t, "/report")
	decode(t, text, &served)
	assert.GreaterOrEqual(t, served.Summary.Namespaces, manyNamespaces)
	assert.GreaterOrEqual(t, served.Summary.Policies, 1000)
	assert.GreaterOrEqual(t, served.Summary.Pods, 5000)
	lines, count := judged(served.Findings)
	assert.Equal(t, f.found, slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return !strings.HasPrefix(l, "scale-") }))
	assert.Contains(t, lines, "kube-system namespace-not-isolated exempt")
	assert.Contains(t, lines, "cluster cni-not-enforcing undetermined")

	text, code := program(t, "audit", "--output=json")
	assert.Equal(t, 1, code)
	decode(t, text, &once)
	again, _ := judged(once.Findings)
	assert.Equal(t, lines, again, "portcullis audit finds the same")
	own := func(x report.Finding) bool { return x.Subject.Space() == namespace } // whose pods come and go here
	assert.Equal(t, slices.DeleteFunc(slices.Clone(served.Findings), own), slices.DeleteFunc(once.Findings, own), "and says the same")

	var inReports []string
	summaries, shown := map[finding.Subject]reportSummary{}, summariesShown(t)
	for _, r := range reportsRead(t) {
		inReports = append(inReports, r.lines()...)
		summaries[r.subject()] = r.Summary
		if r.Kind == "Report" {
			assert.Equal(t, r.Summary, shown[r.Metadata.Namespace+"/"+r.Metadata.Name], "the table shows the same of %s", r.subject())
			delete(shown, r.Metadata.Namespace+"/"+r.Metadata.Name)
		}
	}
	slices.Sort(inReports)
	assert.Equal(t, lines, inReports)
	assert.Equal(t, count, summaries)
	assert.Empty(t, shown)
	f.gauges(t, served.Findings)
}

// gauges compares them with the findings.
func (f *full) gauges(t *testing.T, findings []report.Finding) {
	want := map[string]int{}
	for i := range findings {
		switch x := &findings[i]; x.Action {
		case verdict.ActionDeny, verdict.ActionWarn, verdict.ActionAudit:
			want[`portcullis_violations{level="`+x.Level.String()+`",namespace="`+x.Subject.Space()+`",rule="`+x.Rule+`"}`] += 1 + x.More
		}
	}
	_, metrics := f.auditing(t, "/metrics")
	have := map[string]int{}
	for l := range strings.Lines(metrics) {
		name, value, _ := strings.Cut(strings.TrimSpace(l), " ")
		switch {
		case strings.HasPrefix(name, "portcullis_violations{"):
			n, err := strconv.Atoi(value)
			require.NoError(t, err, l)
			have[name] = n
		case name == "portcullis_audit_duration_seconds":
			t.Log(strings.TrimSpace(l))
		}
	}
	assert.Equal(t, want, have)
}

// events looks whether each violation has one, and no more than that. What was found only until there was a default deny has one, too.
func (f *full) events(t *testing.T) {
	list, err := shared.cluster.Client.EventsV1().Events("").List(within(t), metav1.ListOptions{})
	require.NoError(t, err)
	told := map[string]int{}
	for i := range list.Items {
		e := &list.Items[i]
		space := e.Regarding.Namespace
		if e.Regarding.Kind == finding.KindNamespace {
			space = e.Regarding.Name
		}
		if e.ReportingController == "portcullis.dev/audit" && ofCrowd(space) {
			told[eventLine(e)]++
		}
	}
	for _, l := range f.found {
		subject, rest, _ := strings.Cut(l, " ")
		rule, action, _ := strings.Cut(rest, " ")
		at := subject + " " + rule
		if action == "deny" || action == "warn" {
			assert.Equal(t, 1, told[at], "Events of %s", l)
		} else {
			assert.Zero(t, told[at], "Events of %s", l)
		}
		delete(told, at)
	}
	for l := range told {
		assert.Contains(t, l, " namespace-not-isolated", "an Event of what is not to be found")
	}
}

func eventLine(e *eventsv1.Event) string {
	subject := finding.Subject{Kind: e.Regarding.Kind, Namespace: e.Regarding.Namespace, Name: e.Regarding.Name}
	return subject.String() + " " + e.Reason
}

// whatIf runs the commands that portcullis audit --what-if restricted prints, three of them for good.
func (f *full) whatIf(t *testing.T) {
	out, code := program(t, "audit", "--what-if", "restricted")
	assert.Equal(t, 1, code, "not all could enforce it")
	commands := map[string][]string{}
	for l := range strings.Lines(out) {
		words := strings.Fields(l)
		if len(words) > 3 && words[0] == "kubectl" && ofCrowd(words[3]) {
			commands[words[3]] = words[1:]
		}
	}
	labelled, already := 0, 0
	for _, c := range f.crowds {
		if c.labels["portcullis.dev/enforce"] == "restricted" {
			already++
		}
		command, offered := commands[c.namespace()]
		if !assert.Equal(t, !c.violated(), offered, "%s: %s", c.namespace(), c.name) || !offered {
			continue
		}
		if labelled++; labelled > 3 {
			continue
		}
		kubectl(t, append(slices.Clone(command), "--dry-run=server")...)
		kubectl(t, command...)
	}
	again, _ := program(t, "audit", "--what-if", "restricted")
	assert.Contains(t, again, "; "+strconv.Itoa(already+3)+" already enforce restricted.")
	f.awaitFound(t, "three namespaces enforce restricted")
}
