package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/rule"
	"github.com/portcullis-dev/portcullis/pkg/server"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// fixture is a server on manifests, in a folder of its own.
type fixture struct {
	t       *testing.T
	options server.Options
	log     *buffer
	begun   chan struct{} // gets a value when the rule begins to judge a policy labelled hang
	hung    chan struct{} // closed to let it end
	stop    func()
	ended   chan error
}

// buffer is a log that can be read while it is written.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

const shop = `apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec: {containers: [{name: web}]}
`

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, log: &buffer{}, begun: make(chan struct{}, 1), hung: make(chan struct{}), ended: make(chan error, 1)}
	dir := t.TempDir()
	f.options = server.Options{
		Version: "v0.0.0-test", Catalogue: f.catalogue(), Log: slog.New(slog.NewTextHandler(f.log, nil)), Snapshot: filepath.Join(dir, "state"),
		BindAddress: free(t), HealthAddress: free(t), MetricsAddress: free(t), ConfigFile: filepath.Join(dir, "guard.yaml"),
		Certificates: server.Certificates{Source: server.SelfSigned},
	}
	require.NoError(t, os.Mkdir(f.options.Snapshot, 0o755))
	f.state(shop)
	f.configure("")
	return f
}

// catalogue has one rule, which denies policies in namespaces with pods.
func (f *fixture) catalogue() *rule.Catalogue {
	doc := rule.Doc{Title: "A title", Why: "Why.", Finds: "What.", Remedy: "How.", Bad: "bad: {}", Good: "good: {}", References: []rule.Reference{{Title: "Docs", URL: "https://kubernetes.io"}}}
	c, err := rule.NewCatalogue(&rule.Rule{
		ID: "no-policies", Level: finding.Baseline, Severity: finding.High, Subjects: []string{finding.KindNetworkPolicy}, Doc: doc,
		Run: func(p *rule.Pass) {
			if p.Change.Policy().Labels["hang"] != "" {
				f.begun <- struct{}{}
				<-f.hung
			}
			if len(p.Prior.NamespaceOrImplied(p.Change.Policy().Namespace).Classes) > 0 {
				p.Report(nil, finding.Witness{}, "This is a policy.")
			}
		},
	})
	require.NoError(f.t, err)
	return c
}

// free is an address that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().String()
}

func (f *fixture) state(manifests string) {
	require.NoError(f.t, os.WriteFile(filepath.Join(f.options.Snapshot, "all.yaml"), []byte(manifests), 0o600))
}

func (f *fixture) configure(text string) {
	require.NoError(f.t, os.WriteFile(f.options.ConfigFile, []byte(text), 0o600))
}

// run runs the server until the test ends, and waits until it is ready.
func (f *fixture) run() {
	f.t.Helper()
	ctx, cancel := context.WithCancel(f.t.Context())
	f.stop = cancel
	go func() { f.ended <- server.Run(ctx, f.options) }()
	f.t.Cleanup(func() {
		cancel()
		select {
		case err := <-f.ended:
			assert.NoError(f.t, err)
		case <-time.After(time.Minute):
			assert.Fail(f.t, "the server does not end")
		}
	})
	f.eventually("ready", func() bool { status, _ := f.get(f.options.HealthAddress, "/readyz"); return status == http.StatusOK })
}

func (f *fixture) eventually(what string, is func() bool) {
	f.t.Helper()
	require.Eventually(f.t, is, time.Minute, 5*time.Millisecond, "%s\n%s", what, f.log)
}

func (f *fixture) get(address, path string) (status int, body string) {
	response, err := http.Get("http://" + address + path)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	require.NoError(f.t, err)
	return response.StatusCode, string(text)
}

func (f *fixture) metrics() string {
	_, text := f.get(f.options.MetricsAddress, "/metrics")
	return text
}

// create asks whether a policy with these labels may be created.
func (f *fixture) create(labels string) (*admissionv1.AdmissionResponse, error) {
	body, err := json.Marshal(map[string]any{
		"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
		"request": map[string]any{
			"uid": "1", "operation": "CREATE", "namespace": "shop", "name": "web",
			"resource": map[string]string{"group": "networking.k8s.io", "version": "v1", "resource": "networkpolicies"},
			"object": runtime.RawExtension{Raw: []byte(
				`{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"web","labels":` + labels + `},"spec":{"podSelector":{},"policyTypes":["Ingress"]}}`)},
		},
	})
	require.NoError(f.t, err)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	response, err := client.Post("https://"+f.options.BindAddress+"/validate?timeout=30s", "application/json", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	var review admissionv1.AdmissionReview
	err = json.NewDecoder(response.Body).Decode(&review)
	return review.Response, err
}

func (f *fixture) allowed() bool {
	response, err := f.create("{}")
	require.NoError(f.t, err)
	return response.Allowed
}

func TestReviewsAreAnsweredFromManifests(t *testing.T) {
	f := newFixture(t)
	f.run()
	response, err := f.create("{}")
	require.NoError(t, err)
	assert.False(t, response.Allowed)
	assert.Contains(t, response.Result.Message, "no-policies: This is a policy.")
	metrics := f.metrics()
	for _, want := range []string{
		`portcullis_denials_total{mode="enforce",namespace="shop",rule="no-policies"} 1`,
		`portcullis_snapshot_objects{kind="Pod"} 1`,
		`portcullis_snapshot_objects{kind="Namespace"} 1`,
		`version="v0.0.0-test"} 1`,
		"portcullis_certificate_not_after_timestamp_seconds ",
		"go_goroutines ",
		"process_resident_memory_bytes ",
	} {
		assert.Contains(t, metrics, want)
	}
}

func TestManifestsAreReadAgainWhenTheyChangeAndBadOnesAreRefused(t *testing.T) {
	f := newFixture(t)
	f.run()
	require.False(t, f.allowed())
	f.state("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")
	f.eventually("the pod is gone", f.allowed)
	f.state(shop)
	f.eventually("the pod is there again", func() bool { return !f.allowed() })
	f.state("kind: [")
	f.eventually("the bad state is told", func() bool {
		return strings.Contains(f.log.String(), "the manifests are refused, and the old state stays")
	})
	assert.Contains(t, f.log.String(), "all.yaml:1")
	assert.False(t, f.allowed(), "the old state stays")

	deeper := filepath.Join(f.options.Snapshot, "more", "deep")
	require.NoError(t, os.MkdirAll(deeper, 0o755))
	f.state("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")
	f.eventually("the pod is gone", f.allowed)
	require.NoError(t, os.WriteFile(filepath.Join(deeper, "pod.yaml"), []byte(shop), 0o600))
	f.eventually("folders within are seen", func() bool { return !f.allowed() })
}

func TestTheConfigurationIsReadAgainWhenItChangesAndABadOneIsRefused(t *testing.T) {
	f := newFixture(t)
	f.run()
	require.False(t, f.allowed())
	f.configure("mode: audit")
	f.eventually("nothing is denied", f.allowed)
	assert.Contains(t, f.metrics(), `portcullis_config_reloads_total{result="success"} 1`)
	assert.Contains(t, f.metrics(), `portcullis_denials_total{mode="audit",namespace="shop",rule="no-policies"} 1`)
	f.configure("mode: asleep")
	f.eventually("the bad one is counted", func() bool {
		return strings.Contains(f.metrics(), `portcullis_config_reloads_total{result="failure"} 1`)
	})
	assert.Contains(t, f.log.String(), "the new configuration is refused, and the old one stays")
	assert.Contains(t, f.log.String(), "guard.yaml:1: mode:")
	assert.True(t, f.allowed(), "the old one stays")
}

func TestTheModeOfTheCommandLineHoldsWhateverTheConfigurationSays(t *testing.T) {
	f := newFixture(t)
	f.options.Mode = verdict.ModeAudit
	f.configure("mode: enforce")
	f.run()
	assert.True(t, f.allowed())
}

func TestReviewsThatAreOpenAtTheEndAreAnsweredWhileItIsNoLongerReady(t *testing.T) {
	f := newFixture(t)
	f.run()
	type answer struct {
		response *admissionv1.AdmissionResponse
		err      error
	}
	answers := make(chan answer, 1)
	go func() {
		response, err := f.create(`{"hang":"yes"}`)
		answers <- answer{response, err}
	}()
	<-f.begun
	f.stop()
	f.eventually("no longer ready", func() bool {
		status, body := f.get(f.options.HealthAddress, "/readyz")
		return status == 500 && strings.Contains(body, "[-]shutdown")
	})
	status, _ := f.get(f.options.HealthAddress, "/healthz")
	assert.Equal(t, http.StatusOK, status, "it is alive while it ends")
	f.eventually("no new review is taken while the open one is not answered yet", func() bool { _, err := f.create("{}"); return err != nil })
	close(f.hung)
	got := <-answers
	require.NoError(t, got.err)
	assert.False(t, got.response.Allowed)
	_, err := f.create("{}")
	assert.Error(t, err, "no new review is taken")
}

func TestReviewsAreStillAnsweredForAWhileAfterTheEndIsAskedFor(t *testing.T) {
	f := newFixture(t)
	f.options.ShutdownDelay = 5 * time.Second
	f.run()
	f.stop()
	f.eventually("no longer ready", func() bool { status, _ := f.get(f.options.HealthAddress, "/readyz"); return status == 500 })
	response, err := f.create("{}")
	require.NoError(t, err, "a review is answered on a new connection")
	assert.False(t, response.Allowed)
}

func TestAStartThatCannotBeSaysWhatToDo(t *testing.T) {
	for name, c := range map[string]struct {
		given func(f *fixture)
		want  string
	}{
		"if the webhook's port is taken, then the flag is named": {
			func(f *fixture) { f.options.BindAddress = taken(f.t) }, "is in use: stop what uses it, or choose another with --bind-address"},
		"if the port of the probes is taken, then the flag is named": {
			func(f *fixture) { f.options.HealthAddress = taken(f.t) }, "choose another with --health-bind-address"},
		"if the port of the metrics is taken, then the flag is named": {
			func(f *fixture) { f.options.MetricsAddress = taken(f.t) }, "choose another with --metrics-bind-address"},
		"if the address has no port, then it is shown how": {
			func(f *fixture) { f.options.BindAddress = "localhost" }, "as in :9443 or 127.0.0.1:9443"},
		"if the configuration is bad, then file and line are told": {
			func(f *fixture) { f.configure("mode: asleep") }, "guard.yaml:1: mode:"},
		"if there is no configuration, then that is told": {
			func(f *fixture) { f.options.ConfigFile = "nowhere.yaml" }, "nowhere.yaml: there is no such file"},
		"if the manifests are bad, then file and line are told": {
			func(f *fixture) { f.state("kind: [") }, "all.yaml:1"},
		"if there is no certificate in the folder, then that is told": {
			func(f *fixture) {
				f.options.Certificates = server.Certificates{Source: server.Files, Dir: f.t.TempDir()}
			}, "there is no tls.crt in "},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			c.given(f)
			assert.ErrorContains(t, server.Run(t.Context(), f.options), c.want)
		})
	}
}

// taken is an address that somebody listens on until the test ends.
func taken(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

func TestOldVersionsOfTLSAreRefused(t *testing.T) {
	f := newFixture(t)
	f.run()
	_, err := tls.Dial("tcp", f.options.BindAddress, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	assert.ErrorContains(t, err, "protocol version")
	connection, err := tls.Dial("tcp", f.options.BindAddress, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
	require.NoError(t, err)
	require.NoError(t, connection.Close())
}

func TestEndpointsThatAreSwitchedOffAreNotThere(t *testing.T) {
	f := newFixture(t)
	metrics := f.options.MetricsAddress
	f.options.MetricsAddress = "0"
	f.run()
	status, _ := f.get(metrics, "/metrics")
	assert.Zero(t, status)
}
