package controlplane_test

import (
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestAWebhookOnALoopbackURLIsAskedAndItsAnnotationsAreInTheAuditLog(t *testing.T) {
	t.Parallel()
	ns := namespace(t, shared, "hooked-")
	hook := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		review.Response = &admissionv1.AdmissionResponse{
			UID:              review.Request.UID,
			Allowed:          review.Request.Name != "bad",
			Result:           &metav1.Status{Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: "not this one"},
			AuditAnnotations: map[string]string{"decision": "looked at " + review.Request.Name},
		}
		review.Request = nil
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(hook.Close)
	url := hook.URL + "/validate"
	noSideEffects := admissionregistrationv1.SideEffectClassNone
	configuration := &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "hook-"},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "hook.example.org",
			ClientConfig: admissionregistrationv1.WebhookClientConfig{
				URL:      &url,
				CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hook.Certificate().Raw}),
			},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": ns}},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{"networking.k8s.io"}, APIVersions: []string{"v1"}, Resources: []string{"networkpolicies"}},
			}},
			SideEffects:             &noSideEffects,
			AdmissionReviewVersions: []string{"v1"},
		}},
	}
	_, err := shared.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(within(t), configuration, metav1.CreateOptions{})
	require.NoError(t, err)

	create := func(name string, options metav1.CreateOptions) error {
		policy := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
		_, err := shared.Client.NetworkingV1().NetworkPolicies(ns).Create(within(t), policy, options)
		return err
	}
	dryRun := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	require.Eventually(t, func() bool { return apierrors.IsForbidden(create("bad", dryRun)) }, time.Minute, 50*time.Millisecond)
	assert.ErrorContains(t, create("bad", metav1.CreateOptions{}), "not this one")
	require.NoError(t, create("good", metav1.CreateOptions{}))
	require.Eventually(t, func() bool {
		audit, err := os.ReadFile(shared.AuditLog())
		return err == nil && strings.Contains(string(audit), `"hook.example.org/decision":"looked at good"`)
	}, time.Minute, 50*time.Millisecond)
}
