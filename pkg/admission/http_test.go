package admission_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/portcullis-dev/portcullis/pkg/admission"
	"github.com/portcullis-dev/portcullis/pkg/metrics"
)

var endpoints = []string{admission.ValidatePath, admission.MutatePath}

func TestBadInput(t *testing.T) {
	changed := func(change func(*admissionv1.AdmissionRequest)) func(*testing.T) []byte {
		return func(t *testing.T) []byte {
			r := request(t, admissionv1.Create, policy(), nil)
			change(r)
			return body(t, r)
		}
	}
	replaced := func(old, with string) func(*testing.T) []byte {
		return func(t *testing.T) []byte {
			out := bytes.Replace(changed(func(*admissionv1.AdmissionRequest) {})(t), []byte(old), []byte(with), 1)
			require.Contains(t, string(out), with)
			return out
		}
	}
	text := func(s string) func(*testing.T) []byte { return func(*testing.T) []byte { return []byte(s) } }
	const typed = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"`
	for name, c := range map[string]struct {
		body   func(*testing.T) []byte
		status int
		says   string
	}{
		"an empty body":             {text(""), 400, "not an AdmissionReview"},
		"no JSON":                   {text("kind: AdmissionReview"), 400, "not an AdmissionReview"},
		"JSON that ends too early":  {text(typed), 400, "not an AdmissionReview"},
		"two reviews":               {text(typed + `}` + typed + `}`), 400, "not an AdmissionReview"},
		"null":                      {text("null"), 400, "send an AdmissionReview of admission.k8s.io/v1"},
		"a list":                    {text("[]"), 400, "not an AdmissionReview"},
		"another kind":              {text(`{"apiVersion":"v1","kind":"Pod"}`), 400, "send an AdmissionReview of admission.k8s.io/v1"},
		"the version before":        {replaced("admission.k8s.io/v1", "admission.k8s.io/v1beta1"), 400, "send an AdmissionReview of admission.k8s.io/v1"},
		"no request":                {text(typed + `}`), 400, "has no request"},
		"a null request":            {text(typed + `,"request":null}`), 400, "has no request"},
		"a request that is a text":  {text(typed + `,"request":"x"}`), 400, "not an AdmissionReview"},
		"no uid":                    {changed(func(r *admissionv1.AdmissionRequest) { r.UID = "" }), 400, "has no uid"},
		"keys in another case":      {replaced(`"uid"`, `"UID"`), 400, "has no uid"},
		"a key that is there twice": {replaced(`"uid"`, `"uid":"other","uid"`), 400, "not an AdmissionReview"},
		"text that is not UTF-8":    {replaced("jane", "ja\xffne"), 400, "not an AdmissionReview"},
		"an operation that is none": {changed(func(r *admissionv1.AdmissionRequest) { r.Operation = "PATCH" }), 400, `"PATCH"`},
		"no object":                 {changed(func(r *admissionv1.AdmissionRequest) { r.Object = runtime.RawExtension{} }), 400, "request.object is missing"},
		"a null object":             {changed(func(r *admissionv1.AdmissionRequest) { r.Object = runtime.RawExtension{Raw: []byte("null")} }), 400, "request.object is missing"},
		"an object that is a list":  {changed(func(r *admissionv1.AdmissionRequest) { r.Object = runtime.RawExtension{Raw: []byte("[]")} }), 400, "not an AdmissionReview"},
		"an object of another kind": {replaced(`"kind":"NetworkPolicy","apiVersion"`, `"kind":"Pod","apiVersion"`), 400, `request.object is "Pod"`},
		"an object without spec": {changed(func(r *admissionv1.AdmissionRequest) {
			r.Object = runtime.RawExtension{Raw: []byte(`{"metadata":{"name":"web"}}`)}
		}), 400, "request.object has no spec"},
		"a field of a wrong type":           {replaced(`"policyTypes":["Ingress"]`, `"policyTypes":"Ingress"`), 400, "not an AdmissionReview"},
		"ten thousand brackets":             {text(strings.Repeat("[", 100_000)), 400, "not an AdmissionReview"},
		"more bytes than a review can have": {func(*testing.T) []byte { return make([]byte, admission.MaxBody+1) }, 413, "more than 7340032 bytes"},
	} {
		for _, endpoint := range endpoints {
			t.Run(name+" at "+endpoint, func(t *testing.T) {
				f := newFixture(t)
				w := f.post(endpoint, c.body(t))
				assert.Equal(t, c.status, w.Code)
				assert.Contains(t, w.Body.String(), c.says)
				assert.Less(t, w.Body.Len(), 1000)
				assert.Equal(t, metrics.Error, f.counts.last().Decision)
			})
		}
	}
}

func TestRulesThatCannotBeReadAreRefusedWhereTheyAreJudged(t *testing.T) {
	f := newFixture(t)
	text := bytes.Replace(body(t, request(t, admissionv1.Create, policy(), nil)), []byte(`"policyTypes"`), []byte(`"ingress":[{"ports":[{"port":99999999999}]}],"policyTypes"`), 1)
	w := f.post("/validate", text)
	assert.Equal(t, http.StatusBadRequest, w.Code)
	assert.Contains(t, w.Body.String(), "/request/object/spec/ingress/0/ports/0/port is not a number of 32 bits")
	assert.Equal(t, http.StatusOK, f.post("/mutate", text).Code, "what no mutation needs is not read")
}

func TestUpdateAndDeleteNeedTheOldObject(t *testing.T) {
	for _, operation := range []admissionv1.Operation{admissionv1.Update, admissionv1.Delete} {
		r := request(t, operation, policy(), policy())
		r.OldObject = runtime.RawExtension{}
		w := newFixture(t).post("/validate", body(t, r))
		assert.Equal(t, http.StatusBadRequest, w.Code)
		assert.Contains(t, w.Body.String(), "request.oldObject is missing")
	}
}

func TestLargeObjectsAreJudged(t *testing.T) {
	peers := func(n int) *networkingv1.NetworkPolicy {
		np := policy("internet-ingress", violation)
		for i := range n {
			np.Spec.Ingress = append(np.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: []networkingv1.NetworkPolicyPeer{
				{IPBlock: &networkingv1.IPBlock{CIDR: fmt.Sprintf("10.%d.%d.0/24", i/250, i%250)}},
			}})
		}
		return np
	}
	large := policy("internet-ingress", violation)
	large.Annotations["example.org/blob"] = strings.Repeat("x", 3<<20)
	for name, np := range map[string]*networkingv1.NetworkPolicy{"an object of 3 MB": large, "a thousand peers": peers(1_000)} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			assert.False(t, f.review("/validate", request(t, admissionv1.Create, np, nil)).Allowed)
			assert.False(t, f.review("/validate", request(t, admissionv1.Update, np, policy())).Allowed)
			assert.True(t, f.review("/mutate", request(t, admissionv1.Update, np, policy())).Allowed)
		})
	}
}

func TestAnotherResourceIsAllowedWithAWarning(t *testing.T) {
	for _, endpoint := range endpoints {
		f := newFixture(t)
		r := request(t, admissionv1.Create, policy(), nil)
		r.Resource.Group, r.Resource.Resource = "", "pods"
		r.Object = runtime.RawExtension{Raw: []byte(`{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","labels":7},"spec":{"ingress":"no policy"}}`)}
		got := f.review(endpoint, r)
		assert.True(t, got.Allowed)
		require.Len(t, got.Warnings, 1)
		assert.Contains(t, got.Warnings[0], "take pods (v1) off the rules of this webhook")
		assert.Equal(t, metrics.Skipped, f.counts.last().Decision)

		sub := request(t, admissionv1.Update, policy(), policy())
		sub.SubResource = "status"
		assert.Len(t, f.review(endpoint, sub).Warnings, 1, "a subresource is another resource")
	}
}

func TestMethodsPathsAndContentTypes(t *testing.T) {
	f := newFixture(t)
	good := body(t, request(t, admissionv1.Create, policy(), nil))
	contentType := func(s string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Content-Type", s) }
	}
	for _, endpoint := range endpoints {
		assert.Equal(t, 200, f.post(endpoint, good).Code)
		assert.Equal(t, 200, f.post(endpoint, good, contentType("application/json; charset=utf-8")).Code)
		assert.Equal(t, 415, f.post(endpoint, good, contentType("text/plain")).Code)
		assert.Equal(t, 415, f.post(endpoint, good, contentType("")).Code)
		for _, method := range []string{"GET", "PUT", "HEAD", "DELETE"} {
			w := f.post(endpoint, good, func(r *http.Request) { r.Method = method })
			assert.Equal(t, 405, w.Code)
			assert.Equal(t, "POST", w.Header().Get("Allow"))
		}
	}
	assert.Equal(t, 404, f.post("/validate/", good).Code)
	assert.Equal(t, "application/json", f.post("/validate", good).Header().Get("Content-Type"))
	w := f.post("/validate", nil, func(r *http.Request) {
		r.ContentLength = -1
		r.Body = io.NopCloser(io.LimitReader(zeros{}, admission.MaxBody+1))
	})
	assert.Equal(t, 413, w.Code, "without an announced length, too")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestIfTheStateIsNotKnownThenNothingIsJudged(t *testing.T) {
	f := newFixture(t)
	f.synced = false
	w := f.post("/validate", body(t, request(t, admissionv1.Create, policy(), nil)))
	assert.Equal(t, 500, w.Code)
	assert.Contains(t, w.Body.String(), "try again")
	assert.Equal(t, metrics.Review{Webhook: "validate", Resource: "networkpolicies", Operation: "CREATE", Decision: metrics.Error}, f.counts.last())

	old := policy()
	old.Finalizers = []string{"example.org/keep"}
	assert.True(t, f.review("/validate", request(t, admissionv1.Update, policy(), old)).Allowed, "what is not evaluated needs no state")
}

func TestAPanicIsAnErrorThatIsCountedAndLogged(t *testing.T) {
	f := newFixture(t)
	w := f.post("/validate", body(t, request(t, admissionv1.Create, policy("internet-ingress", crash), nil)))
	assert.Equal(t, 500, w.Code)
	assert.NotContains(t, w.Body.String(), "a fault in the rule", "its details are for the log")
	assert.Contains(t, f.log.String(), "a fault in the rule")
	assert.Contains(t, f.log.String(), "harness_test.go", "with the stack")
	assert.Equal(t, metrics.Error, f.counts.last().Decision)
	assert.True(t, f.review("/validate", request(t, admissionv1.Create, policy(), nil)).Allowed, "and the next review is answered")
}

func TestIfTheTimeIsUpThenItIsAnErrorBeforeTheAPIServerGivesUp(t *testing.T) {
	f := newFixture(t)
	server := httptest.NewServer(f.handler())
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(f.hung) })
	r := request(t, admissionv1.Create, policy("internet-ingress", hang), nil)
	response, err := server.Client().Post(server.URL+"/validate?timeout=200ms", "application/json", bytes.NewReader(body(t, r)))
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	assert.Equal(t, 500, response.StatusCode)
	assert.Contains(t, string(text), "within the time")
}

func TestABodyThatDoesNotArriveIsAnErrorWhenTheTimeIsUp(t *testing.T) {
	f := newFixture(t)
	server := httptest.NewServer(f.handler())
	t.Cleanup(server.Close)
	reader, writer := io.Pipe()
	t.Cleanup(func() { writer.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/validate?timeout=200ms", reader)
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	response, err := server.Client().Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	assert.Equal(t, 500, response.StatusCode)
}
