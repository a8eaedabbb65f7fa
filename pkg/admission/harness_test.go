package admission_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/portcullis-dev/portcullis/pkg/admission"
	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/metrics"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rule"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// The handler is tested with rules that find what the labels of the policy say: label "internet-ingress: violation" makes the
// rule internet-ingress report one. What real rules find is their own business.
const (
	violation    = "violation"
	provisional  = "provisional"
	undetermined = "undetermined"
	crash        = "crash"
	hang         = "hang"
	spin         = "spin" // until the time is up
)

// fixture is a handler and its surroundings.
type fixture struct {
	t         *testing.T
	config    *config.Config
	store     *model.Store
	synced    bool
	authorize func(user authenticationv1.UserInfo, namespace, name string) (bool, error)
	asked     int // how often authorize was
	confirm   func(ctx context.Context, namespace string) (*model.Snapshot, error)
	counts    *counts
	log       bytes.Buffer
	now       time.Time
	hung      chan struct{} // closed to end rules that hang
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, store: model.NewStore(), synced: true, counts: &counts{}, now: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC), hung: make(chan struct{})}
	f.config = &config.Config{
		Rules: []rule.Configured{
			f.labelled("all-ports", finding.Restricted), f.labelled("dns-blocked", finding.Baseline), f.labelled("internet-ingress", finding.Baseline), f.settings(),
		},
		Levels:  verdict.Levels{Enforce: finding.Baseline, Warn: finding.Restricted, Audit: finding.Restricted},
		Mode:    verdict.ModeEnforce,
		Ratchet: true,
		RuleIDs: []string{"all-ports", "dns-blocked", "internet-ingress", "invalid-setting"},
	}
	f.namespace("shop", nil)
	return f
}

func (f *fixture) labelled(id string, level finding.Level) rule.Configured {
	r := &rule.Rule{ID: id, Level: level, Severity: finding.High, Subjects: []string{finding.KindNetworkPolicy}}
	r.Run = func(p *rule.Pass) {
		witness := finding.Witness{From: "8.8.8.8", To: "shop/web-6d4", Port: "TCP/9090"}
		switch p.Change.Policy().Labels[id] {
		case violation:
			p.Report(nil, witness, "3 pods accept TCP/9090 from the internet").Fix("Allow only TCP/8443")
		case provisional:
			p.Report(nil, witness, "3 pods accept TCP/9090").Provisional("the Service may follow")
		case undetermined:
			p.Undetermined("the CNI is not known")
		case crash:
			panic("a fault in the rule")
		case hang:
			<-f.hung
		case spin:
			endless(p)
			p.Report(nil, witness, "Half of it is known")
		}
	}
	return rule.Configured{Rule: r, Level: level}
}

func (f *fixture) settings() rule.Configured {
	r := &rule.Rule{ID: "invalid-setting", Subjects: []string{finding.KindNamespace}, Run: func(p *rule.Pass) {
		ns := p.Change.Namespace()
		for _, problem := range model.ReadNamespaceSettings(ns.Labels, nil).Problems {
			p.Report(problem.Path(), finding.Witness{}, "%s", problem.Message)
		}
	}}
	return rule.Configured{Rule: r, Level: finding.Baseline}
}

func (f *fixture) namespace(name string, labels map[string]string) {
	f.store.SetNamespace(model.NewNamespaceMeta(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}))
}

// handler is a new one for every call.
func (f *fixture) handler() *admission.Handler {
	snapshot := f.store.Snapshot(model.Facts{Live: true})
	return admission.New(admission.Options{
		State:    func() (*model.Snapshot, bool) { return snapshot, f.synced },
		Confirm:  f.confirm,
		Config:   func() *config.Config { return f.config },
		Recorder: f.counts,
		Log:      slog.New(slog.NewTextHandler(&f.log, nil)),
		Now:      func() time.Time { return f.now },
		Authorize: func(_ context.Context, user authenticationv1.UserInfo, namespace, name string) (bool, error) {
			f.asked++
			return f.authorize(user, namespace, name)
		},
	})
}

// post sends a body as the API server does, and yields what comes back.
func (f *fixture) post(url string, body []byte, change ...func(*http.Request)) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	for _, c := range change {
		c(request)
	}
	w := httptest.NewRecorder()
	f.handler().ServeHTTP(w, request)
	return w
}

// review sends a request, and demands a proper answer to it.
func (f *fixture) review(path string, request *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	f.t.Helper()
	w := f.post(path+"?timeout=10s", body(f.t, request))
	require.Equal(f.t, http.StatusOK, w.Code, w.Body)
	return answer(f.t, w, request)
}

func answer(t *testing.T, w *httptest.ResponseRecorder, request *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	t.Helper()
	var review admissionv1.AdmissionReview
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &review))
	require.Equal(t, "AdmissionReview", review.Kind)
	require.Equal(t, "admission.k8s.io/v1", review.APIVersion)
	require.NotNil(t, review.Response)
	require.Equal(t, request.UID, review.Response.UID)
	return review.Response
}

func body(t testing.TB, request *admissionv1.AdmissionRequest) []byte {
	t.Helper()
	out, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Request: request,
	})
	require.NoError(t, err)
	return out
}

// policy is a NetworkPolicy with the labels that the rules look at.
func policy(labels ...string) *networkingv1.NetworkPolicy {
	np := &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", Labels: map[string]string{}, Annotations: map[string]string{}},
		Spec:       networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{"Ingress"}},
	}
	for i := 0; i < len(labels); i += 2 {
		np.Labels[labels[i]] = labels[i+1]
	}
	return np
}

func space(name string, labels map[string]string) *corev1.Namespace {
	return &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}

// request is what the API server asks about writing the object.
func request(t testing.TB, operation admissionv1.Operation, object, old metav1.Object) *admissionv1.AdmissionRequest {
	t.Helper()
	r := &admissionv1.AdmissionRequest{
		UID: "705ab4f5-6393-11e8-b7cc-42010a800002", Operation: operation,
		UserInfo: authenticationv1.UserInfo{Username: "jane", Groups: []string{"developers", "system:authenticated"}},
	}
	some := object
	if operation == admissionv1.Delete {
		some = old
	}
	r.Name, r.Namespace = some.GetName(), some.GetNamespace()
	switch some.(type) {
	case *networkingv1.NetworkPolicy:
		r.Kind = metav1.GroupVersionKind{Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy"}
		r.Resource = metav1.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"}
	case *corev1.Namespace:
		r.Kind = metav1.GroupVersionKind{Version: "v1", Kind: "Namespace"}
		r.Resource = metav1.GroupVersionResource{Version: "v1", Resource: "namespaces"}
		r.Namespace = r.Name
	}
	encode := func(o metav1.Object) runtime.RawExtension {
		raw, err := json.Marshal(o)
		require.NoError(t, err)
		return runtime.RawExtension{Raw: raw}
	}
	if operation != admissionv1.Delete {
		r.Object = encode(object)
	}
	if operation != admissionv1.Create {
		r.OldObject = encode(old)
	}
	return r
}

// counts keeps what was recorded.
type counts struct {
	metrics.Discard
	mu        sync.Mutex
	reviews   []metrics.Review
	denials   []metrics.Denial
	findings  []string
	mutations []string
}

func (c *counts) Review(r metrics.Review) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reviews = append(c.reviews, r)
}

func (c *counts) Denial(d metrics.Denial) { c.denials = append(c.denials, d) }

func (c *counts) Finding(rule string, level finding.Level, action string) {
	c.findings = append(c.findings, rule+" "+level.String()+" "+action)
}

func (c *counts) Mutation(name string) { c.mutations = append(c.mutations, name) }

// last is the last review that was counted, without its duration.
func (c *counts) last() metrics.Review {
	r := c.reviews[len(c.reviews)-1]
	r.Duration = 0
	return r
}
