package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/server/registration"
)

// registrar writes the webhook configurations, and removes them again.
type registrar struct {
	client kubernetes.Interface
	url    string // of the webhook, without a path
	bundle func() ([]byte, error)
	config func() *config.Config
}

// free says whether the webhook configurations may be written, and removed in the end: not those of an installation, which name a Service.
// What a process before has left names a URL.
func (r *registrar) free(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, registerTime)
	defer cancel()
	api := r.client.AdmissionregistrationV1()
	var services []*admissionregistrationv1.ServiceReference
	// What cannot be read is told when it is to be written.
	if c, err := api.ValidatingWebhookConfigurations().Get(ctx, registration.Name, metav1.GetOptions{}); err == nil {
		for i := range c.Webhooks {
			services = append(services, c.Webhooks[i].ClientConfig.Service)
		}
	}
	if c, err := api.MutatingWebhookConfigurations().Get(ctx, registration.Name, metav1.GetOptions{}); err == nil {
		for i := range c.Webhooks {
			services = append(services, c.Webhooks[i].ClientConfig.Service)
		}
	}
	for _, s := range services {
		if s != nil {
			return fmt.Errorf("portcullis is installed in this cluster, in the namespace %s, and --register would take it out of service: "+
				"uninstall it before, or leave --register out", s.Namespace)
		}
	}
	return nil
}

// registerTime bounds one writing of the webhook configurations, or their removal.
const registerTime = 10 * time.Second

// register writes them by server-side apply, as the configuration and the certificate in force ask for. The validating one is
// first: nothing is to be repaired that is not judged.
func (r *registrar) register(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, registerTime)
	defer cancel()
	bundle, err := r.bundle()
	if err != nil {
		return fmt.Errorf("cannot register the webhooks: %w", err)
	}
	cfg := r.config()
	options := registration.Options{
		Client: func(path string) admissionregistrationv1.WebhookClientConfig {
			return admissionregistrationv1.WebhookClientConfig{URL: ptr.To(strings.TrimSuffix(r.url, "/") + path), CABundle: bundle}
		},
		ExemptNamespaces: cfg.Exemptions.Namespaces,
		ExemptUsers:      cfg.Exemptions.Users,
		Mutations:        cfg.Mutations,
	}
	api := r.client.AdmissionregistrationV1()
	apply := metav1.PatchOptions{FieldManager: registration.Name, Force: ptr.To(true)}
	return errors.Join(
		written(registration.Validating(options), func(text []byte) error {
			_, err := api.ValidatingWebhookConfigurations().Patch(ctx, registration.Name, types.ApplyPatchType, text, apply)
			return err
		}),
		written(registration.Mutating(options), func(text []byte) error {
			_, err := api.MutatingWebhookConfigurations().Patch(ctx, registration.Name, types.ApplyPatchType, text, apply)
			return err
		}),
	)
}

func written(object runtime.Object, write func([]byte) error) error {
	kind := object.GetObjectKind().GroupVersionKind().Kind
	text, err := json.Marshal(object)
	if err == nil {
		err = write(text)
	}
	switch {
	case apierrors.IsForbidden(err):
		return fmt.Errorf("no right to write the %s %s: --register needs the verbs get, create, patch and delete on it, or write it by other means and leave --register out: %w",
			kind, registration.Name, err)
	case err != nil:
		return fmt.Errorf("cannot write the %s %s: %w", kind, registration.Name, err)
	}
	return nil
}

// unregister removes the webhook configurations. The API server asks nobody then.
func (r *registrar) unregister(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, registerTime)
	defer cancel()
	api := r.client.AdmissionregistrationV1()
	return errors.Join(
		gone(api.MutatingWebhookConfigurations().Delete(ctx, registration.Name, metav1.DeleteOptions{})),
		gone(api.ValidatingWebhookConfigurations().Delete(ctx, registration.Name, metav1.DeleteOptions{})),
	)
}

func gone(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
