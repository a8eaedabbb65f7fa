package server

import (
	"testing"

	"github.com/stretchr/testify/assert"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"
)

func TestWhoRegistersDoesNotTakeAnInstallationOutOfService(t *testing.T) {
	meta := metav1.ObjectMeta{Name: "portcullis"}
	service := admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: "portcullis-system", Name: "portcullis"}}
	url := admissionregistrationv1.WebhookClientConfig{URL: ptr.To("https://127.0.0.1:9443/validate")}
	for name, c := range map[string]struct {
		there []runtime.Object
		free  bool
	}{
		"if there are no webhooks, then they may be written": {nil, true},
		"if a process before has left some, then they may be written": {[]runtime.Object{
			&admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: meta, Webhooks: []admissionregistrationv1.ValidatingWebhook{{ClientConfig: url}}},
			&admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: meta, Webhooks: []admissionregistrationv1.MutatingWebhook{{ClientConfig: url}}},
		}, true},
		"if the validating ones are an installation's, then they may not": {[]runtime.Object{
			&admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: meta, Webhooks: []admissionregistrationv1.ValidatingWebhook{{ClientConfig: service}}},
		}, false},
		"if the mutating ones are an installation's, then they may not": {[]runtime.Object{
			&admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: meta, Webhooks: []admissionregistrationv1.MutatingWebhook{{ClientConfig: service}}},
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := (&registrar{client: fake.NewClientset(c.there...)}).free(t.Context())
			if c.free {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, "installed in this cluster, in the namespace portcullis-system")
		})
	}
}
