package admission_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/portcullis-dev/portcullis/pkg/metrics"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

func TestADenialSaysWhichRuleWhereAndWhatToDo(t *testing.T) {
	f := newFixture(t)
	got := f.review("/validate", request(t, admissionv1.Create, policy("internet-ingress", violation, "all-ports", violation), nil))
	require.False(t, got.Allowed)
	assert.EqualValues(t, http.StatusForbidden, got.Result.Code)
	assert.Equal(t, metav1.StatusReasonForbidden, got.Result.Reason)
	assert.Equal(t, `NetworkPolicy shop/web violates 1 rule of level "baseline":
- internet-ingress: 3 pods accept TCP/9090 from the internet (8.8.8.8 -> shop/web-6d4:9090). Fix: allow only TCP/8443. See: portcullis rules internet-ingress`,
		got.Result.Message)
	require.Len(t, got.Result.Details.Causes, 1)
	assert.EqualValues(t, "internet-ingress", got.Result.Details.Causes[0].Type)
	assert.Equal(t, "networkpolicies", got.Result.Details.Kind)
	assert.Equal(t, "networking.k8s.io", got.Result.Details.Group)
	assert.Equal(t, "web", got.Result.Details.Name)
	assert.Empty(t, got.Warnings, "no warnings beside a denial")
	assert.Equal(t, map[string]string{"decision": "denied", "level": "baseline", "mode": "enforce", "rules": "internet-ingress"}, got.AuditAnnotations)

	assert.Equal(t, metrics.Review{Webhook: "validate", Resource: "networkpolicies", Operation: "CREATE", Decision: metrics.Denied}, f.counts.last())
	assert.Equal(t, []metrics.Denial{{Rule: "internet-ingress", Namespace: "shop"}}, f.counts.denials)
	assert.Equal(t, []string{"all-ports restricted warn", "internet-ingress baseline deny"}, f.counts.findings)
	assert.Contains(t, f.log.String(), `msg=denied rule=internet-ingress subject=shop/web`)
	assert.Contains(t, f.log.String(), `user=jane`)
	assert.Contains(t, f.log.String(), `witness="8.8.8.8 -> shop/web-6d4:9090"`)
}

func TestVerdicts(t *testing.T) {
	violating := func() *networkingv1.NetworkPolicy { return policy("internet-ingress", violation) }
	going := func(np *networkingv1.NetworkPolicy, finalizers ...string) *networkingv1.NetworkPolicy {
		np.DeletionTimestamp, np.Finalizers = &metav1.Time{Time: time.Unix(1_700_000_000, 0)}, finalizers
		return np
	}
	noDecision := func(*fixture) {}
	for name, c := range map[string]struct {
		given    func(*fixture)
		request  func(*testing.T) *admissionv1.AdmissionRequest
		decision metrics.Decision
		warnings int
		counted  []string
	}{
		"if nothing is found, then it is allowed": {
			noDecision, func(t *testing.T) *admissionv1.AdmissionRequest { return request(t, admissionv1.Create, policy(), nil) },
			metrics.Allowed, 0, nil},
		"if a rule of the warn level is violated, then it is allowed with a warning": {
			noDecision, func(t *testing.T) *admissionv1.AdmissionRequest {
				return request(t, admissionv1.Create, policy("all-ports", violation), nil)
			}, metrics.Warned, 1, []string{"all-ports restricted warn"}},
		"if a finding is provisional, then it is allowed with a warning": {
			noDecision, func(t *testing.T) *admissionv1.AdmissionRequest {
				return request(t, admissionv1.Create, policy("internet-ingress", provisional), nil)
			}, metrics.Warned, 1, []string{"internet-ingress baseline provisional"}},
		"if it cannot be determined, then it is allowed with a warning": {
			noDecision, func(t *testing.T) *admissionv1.AdmissionRequest {
				return request(t, admissionv1.Create, policy("internet-ingress", undetermined), nil)
			}, metrics.Warned, 1, []string{"internet-ingress baseline undetermined"}},
		"if the mode is audit, then what would be denied is a warning": {
			func(f *fixture) { f.config.Mode = verdict.ModeAudit }, func(t *testing.T) *admissionv1.AdmissionRequest {
				return request(t, admissionv1.Create, violating(), nil)
			}, metrics.Warned, 1, []string{"internet-ingress baseline warn"}},
		"if the Namespace is privileged, then a baseline violation only warns": {
			func(f *fixture) { f.namespace("shop", map[string]string{model.LabelEnforce: "privileged"}) }, func(t *testing.T) *admissionv1.AdmissionRequest {
				return request(t, admissionv1.Create, violating(), nil)
			}, metrics.Warned, 1, []string{"internet-ingress baseline warn"}},
		"if the Namespace is restricted, then a restricted violation is denied": {
			func(f *fixture) { f.namespace("shop", map[string]string{model.LabelEnforce: "restricted"}) }, func(t *testing.T) *admissionv1.AdmissionRequest {
				return request(t, admissionv1.Create, policy("all-ports", violation), nil)
			}, metrics.Denied, 0, []string{"all-ports restricted deny"}},
		"if the enforce label cannot be read, then restricted is enforced": {
			func(f *fixture) { f.namespace("shop", map[string]string{model.LabelEnforce: "Baseline"}) }, func(t *testing.T) *admissionv1.AdmissionRequest {
				return request(t, admissionv1.Create, policy("all-ports", violation), nil)
			}, metrics.Denied, 0, []string{"all-ports restricted deny"}},
		"if the Namespace is not known yet, then the defaults hold": {
			noDecision, func(t *testing.T) *admissionv1.AdmissionRequest {
				np := violating()
				np.Namespace = "new"
				return request(t, admissionv1.Create, np, nil)
			}, metrics.Denied, 0, []string{"internet-ingress baseline deny"}},
		"if the name is yet to be made, then it is judged all the same": {
			noDecision, func(t *testing.T) *admissionv1.AdmissionRequest {
				np := violating()
				np.Name, np.GenerateName = "", "web-"
				return request(t, admissionv1.Create, np, nil)
			}, metrics.Denied, 0, []string{"internet-ingress baseline deny"}},
		"if an update brings a violation, then it is denied": {
			noDecision, func(t *testing.T) *admissionv1.AdmissionRequest {
				return request(t, admissionv1.Update, violating(), policy())
			}, metrics.Denied, 0, []string{"internet-ingress baseline deny"}},
		"if the old object had the violation already, then the update is let through with a warning": {
			noDecision, func(t *testing.T) *admissionv1.AdmissionRequest {
				return request(t, admissionv1.Update, policy("internet-ingress", violation, "a", "b"), violating())
			}, metrics.Warned, 1, []string{"internet-ingress baseline warn"}},
		"if the ratchet is off, then what was violated before is denied": {
			func(f *fixture) { f.config.Ratchet = false }, func(t *testing.T) *admissionv1.AdmissionRequest {
				return request(t, admissionv1.Update, policy("internet-ingress", violation, "a", "b"), violating())
			}, metrics.Denied, 0, []string{"internet-ingress baseline deny"}},
		"if a deletion breaks something, then it is denied": {
			noDecision, func(t *testing.T) *admissionv1.AdmissionRequest {
				return request(t, admissionv1.Delete, nil, policy("dns-blocked", violation))
			}, metrics.Denied, 0, []string{"dns-blocked baseline deny"}},
		"if only a finalizer is removed, then it is not evaluated": {
			noDecision, func(t *testing.T) *admissionv1.AdmissionRequest {
				old := violating()
				old.Finalizers = []string{"example.org/keep"}
				return request(t, admissionv1.Update, violating(), old)
			}, metrics.Skipped, 0, nil},
		"if only annotations of others change, then it is not evaluated": {
			noDecision, func(t *testing.T) *admissionv1.AdmissionRequest {
				np := violating()
				np.Annotations["example.org/seen"] = "today"
				return request(t, admissionv1.Update, np, violating())
			}, metrics.Skipped, 0, nil},
		"if an annotation of ours changes, then it is evaluated": {
			func(f *fixture) { f.config.Ratchet = false }, func(t *testing.T) *admissionv1.AdmissionRequest {
				np := violating()
				np.Annotations[model.AnnotationExposedBy] = "service/web"
				return request(t, admissionv1.Update, np, violating())
			}, metrics.Denied, 0, []string{"internet-ingress baseline deny"}},
		"if the object is being deleted, then it is not evaluated": {
			noDecision, func(t *testing.T) *admissionv1.AdmissionRequest {
				np := violating()
				np.DeletionTimestamp = &metav1.Time{Time: time.Unix(1_700_000_000, 0)}
				return request(t, admissionv1.Update, np, policy())
			}, metrics.Skipped, 0, nil},
		"if the object is being deleted, and a finalizer is removed, then it is not evaluated": {
			noDecision, func(t *testing.T) *admissionv1.AdmissionRequest {
				return request(t, admissionv1.Update, going(violating(), "example.org/a"), going(violating(), "example.org/a", "example.org/b"))
			}, metrics.Skipped, 0, nil},
		"if the object is being deleted, and its last finalizer is removed, then it is not evaluated": {
			noDecision, func(t *testing.T) *admissionv1.AdmissionRequest {
				return request(t, admissionv1.Update, going(violating()), going(policy(), "example.org/a"))
			}, metrics.Skipped, 0, nil},
		"if the object is being deleted, kept by a finalizer, and opens more, then it is evaluated": {
			func(f *fixture) { f.config.Ratchet = false }, func(t *testing.T) *admissionv1.AdmissionRequest {
				np := going(violating(), "example.org/a")
				np.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{}}
				return request(t, admissionv1.Update, np, going(policy(), "example.org/a"))
			}, metrics.Denied, 0, []string{"internet-ingress baseline deny"}},
		"if the Namespace is terminating, then it is not evaluated": {
			func(f *fixture) {
				ns := space("shop", nil)
				ns.Status.Phase = corev1.NamespaceTerminating
				f.store.SetNamespace(model.NewNamespaceMeta(ns))
			}, func(t *testing.T) *admissionv1.AdmissionRequest {
				return request(t, admissionv1.Delete, nil, policy("dns-blocked", violation))
			}, metrics.Skipped, 0, nil},
		"if the Namespace is exempt, then it is let through": {
			func(f *fixture) { f.config.Exemptions.Namespaces = []string{"shop"} }, func(t *testing.T) *admissionv1.AdmissionRequest {
				return request(t, admissionv1.Create, violating(), nil)
			}, metrics.Exempt, 0, []string{"internet-ingress baseline exempt"}},
		"if the user is exempt, then it is let through": {
			func(f *fixture) { f.config.Exemptions.Users = []string{"jane"} }, func(t *testing.T) *admissionv1.AdmissionRequest {
				return request(t, admissionv1.Create, violating(), nil)
			}, metrics.Exempt, 0, []string{"internet-ingress baseline exempt"}},
		"if a group of the user's is exempt, then it is let through, though the state is not known": {
			func(f *fixture) {
				f.config.Exemptions.Groups = []string{"developers"}
				f.synced = false
			}, func(t *testing.T) *admissionv1.AdmissionRequest {
				return request(t, admissionv1.Create, violating(), nil)
			}, metrics.Exempt, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			c.given(f)
			r := c.request(t)
			got := f.review("/validate", r)
			assert.Equal(t, c.decision != metrics.Denied, got.Allowed)
			assert.Equal(t, string(c.decision), got.AuditAnnotations["decision"])
			assert.Equal(t, c.decision, f.counts.last().Decision)
			assert.Len(t, got.Warnings, c.warnings)
			assert.Equal(t, c.counted, f.counts.findings)
			assert.Equal(t, string(f.config.Mode), got.AuditAnnotations["mode"])

			t.Run("and a dry run of it counts nothing but the review", func(t *testing.T) {
				f.counts = &counts{}
				dry := true
				r.DryRun = &dry
				again := f.review("/validate", r)
				assert.Equal(t, got.Allowed, again.Allowed)
				assert.Equal(t, got.Warnings, again.Warnings)
				assert.True(t, f.counts.last().DryRun)
				assert.Empty(t, f.counts.denials)
				assert.Empty(t, f.counts.findings)
			})
		})
	}
}

func TestIfTheModeIsAuditThenWhatWouldBeDeniedIsCountedAndLogged(t *testing.T) {
	f := newFixture(t)
	f.config.Mode = verdict.ModeAudit
	got := f.review("/validate", request(t, admissionv1.Create, policy("internet-ingress", violation), nil))
	assert.True(t, got.Allowed)
	assert.Equal(t, "internet-ingress", got.AuditAnnotations["would-deny"])
	assert.Equal(t, []metrics.Denial{{Rule: "internet-ingress", Namespace: "shop", WouldBe: true}}, f.counts.denials)
	assert.Contains(t, f.log.String(), `msg="would be denied" rule=internet-ingress`)
}

func TestExemptionsByAnnotation(t *testing.T) {
	exempted := func(rules string) *networkingv1.NetworkPolicy {
		np := policy("internet-ingress", violation)
		np.Annotations[model.AnnotationExempt], np.Annotations[model.AnnotationExemptReason] = rules, "a demo"
		return np
	}
	yes := func(authenticationv1.UserInfo, string, string) (bool, error) { return true, nil }
	no := func(authenticationv1.UserInfo, string, string) (bool, error) { return false, nil }
	t.Run("if the requester may exempt, then it is honoured", func(t *testing.T) {
		f := newFixture(t)
		f.authorize = func(user authenticationv1.UserInfo, namespace, name string) (bool, error) {
			assert.Equal(t, "jane", user.Username)
			assert.Equal(t, "shop/web", namespace+"/"+name)
			return true, nil
		}
		got := f.review("/validate", request(t, admissionv1.Create, exempted("all-ports , internet-ingress"), nil))
		assert.True(t, got.Allowed)
		assert.Equal(t, "exempt", got.AuditAnnotations["decision"])
		assert.Contains(t, got.AuditAnnotations["exempt"], "a demo")
		assert.Equal(t, 1, f.asked)
	})
	t.Run("if the requester may not exempt, then it is denied, and the message says so", func(t *testing.T) {
		f := newFixture(t)
		f.authorize = no
		got := f.review("/validate", request(t, admissionv1.Create, exempted("internet-ingress"), nil))
		assert.False(t, got.Allowed)
		assert.Contains(t, got.Result.Message, "jane may not exempt networkpolicies in the API group portcullis.dev")
	})
	t.Run("if the exemption is from another rule, then nobody is asked and it is denied", func(t *testing.T) {
		f := newFixture(t)
		f.authorize = yes
		got := f.review("/validate", request(t, admissionv1.Create, exempted("all-ports"), nil))
		assert.False(t, got.Allowed)
		assert.Zero(t, f.asked)
	})
	t.Run("if nothing is found, then nobody is asked", func(t *testing.T) {
		f := newFixture(t)
		np := exempted("internet-ingress")
		np.Labels = nil
		assert.True(t, f.review("/validate", request(t, admissionv1.Create, np, nil)).Allowed)
		assert.Zero(t, f.asked)
	})
	t.Run("if the exemption has expired, then it is denied", func(t *testing.T) {
		f := newFixture(t)
		f.authorize = yes
		np := exempted("internet-ingress")
		np.Annotations[model.AnnotationExemptUntil] = "2026-11-20"
		assert.False(t, f.review("/validate", request(t, admissionv1.Create, np, nil)).Allowed)
		np.Annotations[model.AnnotationExemptUntil] = "2026-11-21"
		assert.True(t, f.review("/validate", request(t, admissionv1.Create, np, nil)).Allowed)
	})
	t.Run("if it cannot be told whether the requester may, and it would be denied, then that is an error", func(t *testing.T) {
		f := newFixture(t)
		f.authorize = func(authenticationv1.UserInfo, string, string) (bool, error) { return false, errors.New("no answer") }
		w := f.post("/validate", body(t, request(t, admissionv1.Create, exempted("internet-ingress"), nil)))
		assert.Equal(t, http.StatusInternalServerError, w.Code)
		assert.Equal(t, metrics.Error, f.counts.last().Decision)
	})
	t.Run("if it cannot be told, and nothing would be denied, then it is allowed with a warning that says so", func(t *testing.T) {
		f := newFixture(t)
		f.authorize = func(authenticationv1.UserInfo, string, string) (bool, error) { return false, errors.New("no answer") }
		np := exempted("all-ports")
		np.Labels = map[string]string{"all-ports": violation}
		got := f.review("/validate", request(t, admissionv1.Create, np, nil))
		assert.True(t, got.Allowed)
		require.Len(t, got.Warnings, 2)
		assert.Contains(t, got.Warnings[1], "could not be told")
	})
}

func TestIfAUserNameHasLineBreaksThenTheLogHasOneLineForTheDenial(t *testing.T) {
	f := newFixture(t)
	r := request(t, admissionv1.Create, policy("internet-ingress", violation), nil)
	r.UserInfo.Username = "jane\nlevel=ERROR msg=forged"
	assert.False(t, f.review("/validate", r).Allowed)
	assert.Equal(t, 1, strings.Count(f.log.String(), "\n"))
}

func TestANewConfigurationTakesEffectAtOnce(t *testing.T) {
	f := newFixture(t)
	h := f.handler()
	review := body(t, request(t, admissionv1.Create, policy("internet-ingress", violation), nil))
	decision := func() string {
		r := httptest.NewRequest(http.MethodPost, "/validate", bytes.NewReader(review))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		var answer admissionv1.AdmissionReview
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
		return answer.Response.AuditAnnotations["decision"]
	}
	assert.Equal(t, "denied", decision())
	changed := *f.config
	changed.Rules = nil
	f.config = &changed
	assert.Equal(t, "allowed", decision())
}

func TestIfAPolicyIsTooIntricateToBeJudgedThenThatIsAnErrorWhereItCouldBeDenied(t *testing.T) {
	intricate := policy()
	for i := range 1200 {
		first, last := intstr.FromInt32(int32(1+i)), int32(65535-i)
		intricate.Spec.Ingress = append(intricate.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{
			From:  []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: fmt.Sprintf("9.0.%d.%d/32", i>>7, i&127<<1)}}},
			Ports: []networkingv1.NetworkPolicyPort{{Port: &first, EndPort: &last}},
		})
	}
	for name, c := range map[string]struct {
		given   func(*fixture)
		request *admissionv1.AdmissionRequest
		allowed bool
	}{
		"it is made":                            {func(*fixture) {}, request(t, admissionv1.Create, intricate, nil), false},
		"it is deleted":                         {func(*fixture) {}, request(t, admissionv1.Delete, nil, intricate), true},
		"it is replaced":                        {func(*fixture) {}, request(t, admissionv1.Update, policy(), intricate), true},
		"the mode is audit":                     {func(f *fixture) { f.config.Mode = verdict.ModeAudit }, request(t, admissionv1.Create, intricate, nil), true},
		"the namespace enforces nothing":        {func(f *fixture) { f.namespace("shop", map[string]string{model.LabelEnforce: "privileged"}) }, request(t, admissionv1.Create, intricate, nil), true},
		"everything in the namespace is exempt": {func(f *fixture) { f.config.Exemptions.Namespaces = []string{"shop"} }, request(t, admissionv1.Create, intricate, nil), true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			c.given(f)
			if c.allowed {
				assert.True(t, f.review("/validate", c.request).Allowed)
				return
			}
			w := f.post("/validate", body(t, c.request))
			assert.Equal(t, http.StatusInternalServerError, w.Code)
			assert.Contains(t, w.Body.String(), "NetworkPolicy shop/web is not judged. The rules about addresses")
		})
	}
}
