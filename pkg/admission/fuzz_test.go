package admission_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/portcullis-dev/portcullis/pkg/admission"
	"github.com/portcullis-dev/portcullis/pkg/mutate"
)

// Whatever is sent, the answer is an AdmissionReview for the uid that was sent, or an error that is the sender's (4xx). No
// rule panics here, and the state is known, so nothing is an error of ours.
func FuzzAdmissionReview(f *testing.F) {
	repairable := lastApplied(policy("internet-ingress", violation), `{"podSelector":{},"egress":[]}`)
	reviews := []*admissionv1.AdmissionRequest{
		request(f, admissionv1.Create, repairable, nil),
		request(f, admissionv1.Update, policy("all-ports", provisional), repairable),
		request(f, admissionv1.Delete, nil, policy("dns-blocked", violation)),
		request(f, admissionv1.Create, space("new", map[string]string{"portcullis.dev/enforce": "strict"}), nil),
		request(f, admissionv1.Update, space("shop", map[string]string{"portcullis.dev/enforce": "restricted"}), space("shop", nil)),
	}
	for _, r := range reviews {
		f.Add(body(f, r))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		fix := newFixture(t)
		fix.config.Mutations = mutate.Config{
			PolicyTypes: true, NamespaceNameLabel: "networking/namespace", NamespaceLabels: map[string]string{"team": "none"},
			CopyNamespaceLabels: []string{"kubernetes.io/metadata.name"}, DNSEgress: true,
		}
		fix.authorize = func(authenticationv1.UserInfo, string, string) (bool, error) { return false, nil }
		for _, endpoint := range []string{admission.ValidatePath, admission.MutatePath} {
			w := fix.post(endpoint, text)
			if w.Code >= 400 && w.Code < 500 {
				continue
			}
			require.Equal(t, http.StatusOK, w.Code, w.Body)
			var sent, got admissionv1.AdmissionReview
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
			require.NotNil(t, got.Response)
			require.NotEmpty(t, got.Response.UID)
			if json.Unmarshal(text, &sent) == nil && sent.Request != nil {
				require.Equal(t, sent.Request.UID, got.Response.UID)
			}
			require.Equal(t, got.Response.Allowed, got.Response.Result == nil, "a reason stands beside a denial, and only there")
			for _, warning := range got.Response.Warnings {
				require.NotContains(t, warning, "\n")
			}
		}
	})
}
