package certs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// configuration is what of a webhook configuration matters here.
type configuration struct {
	kind            string
	resourceVersion string
	annotations     map[string]string
	webhooks        []webhook
	patch           func(ctx context.Context, kind types.PatchType, patch []byte) error
}

type webhook struct {
	name     string
	caBundle []byte
}

// fieldManager is who owns the fields that are written here.
const fieldManager = "portcullis-certificates"

// configurations are the webhook configurations of the name, of both kinds, as far as they are there.
func configurations(ctx context.Context, client kubernetes.Interface, name string) ([]configuration, error) {
	api := client.AdmissionregistrationV1()
	var out []configuration
	options := metav1.PatchOptions{FieldManager: fieldManager}
	validating, err := api.ValidatingWebhookConfigurations().Get(ctx, name, metav1.GetOptions{})
	if err == nil {
		c := configuration{
			kind: "ValidatingWebhookConfiguration", resourceVersion: validating.ResourceVersion, annotations: validating.Annotations,
			patch: func(ctx context.Context, kind types.PatchType, patch []byte) error {
				_, err := api.ValidatingWebhookConfigurations().Patch(ctx, name, kind, patch, options)
				return err
			},
		}
		for _, w := range validating.Webhooks {
			c.webhooks = append(c.webhooks, webhook{w.Name, w.ClientConfig.CABundle})
		}
		out = append(out, c)
	} else if !apierrors.IsNotFound(err) {
		return nil, rights(err, "get", "ValidatingWebhookConfiguration", name)
	}
	mutating, err := api.MutatingWebhookConfigurations().Get(ctx, name, metav1.GetOptions{})
	if err == nil {
		c := configuration{
			kind: "MutatingWebhookConfiguration", resourceVersion: mutating.ResourceVersion, annotations: mutating.Annotations,
			patch: func(ctx context.Context, kind types.PatchType, patch []byte) error {
				_, err := api.MutatingWebhookConfigurations().Patch(ctx, name, kind, patch, options)
				return err
			},
		}
		for _, w := range mutating.Webhooks {
			c.webhooks = append(c.webhooks, webhook{w.Name, w.ClientConfig.CABundle})
		}
		out = append(out, c)
	} else if !apierrors.IsNotFound(err) {
		return nil, rights(err, "get", "MutatingWebhookConfiguration", name)
	}
	return out, nil
}

// setBundle gives all webhooks the caBundle, unless the configuration has changed since it was read, and takes the annotation away that has
// cert-manager write another one.
func (c *configuration) setBundle(ctx context.Context, name string, bundle []byte) error {
	type clientConfig struct {
		CABundle []byte `json:"caBundle"`
	}
	type patched struct {
		Name         string       `json:"name"`
		ClientConfig clientConfig `json:"clientConfig"`
	}
	var webhooks []patched
	for _, w := range c.webhooks {
		if !bytes.Equal(w.caBundle, bundle) {
			webhooks = append(webhooks, patched{w.name, clientConfig{bundle}})
		}
	}
	if len(webhooks) == 0 {
		return nil
	}
	meta := map[string]any{"resourceVersion": c.resourceVersion}
	if _, injected := c.annotations[injectFrom]; injected {
		meta["annotations"] = map[string]any{injectFrom: nil}
	}
	patch, err := json.Marshal(map[string]any{"metadata": meta, "webhooks": webhooks})
	if err != nil {
		return err
	}
	return rights(c.patch(ctx, types.StrategicMergePatchType, patch), "patch", c.kind, name)
}

// injectFrom has cert-manager's cainjector write the caBundle (https://cert-manager.io/docs/concepts/ca-injector/).
const injectFrom = "cert-manager.io/inject-ca-from"

// rights says of an error which verb on which object is missing, if that is the matter.
func rights(err error, verb, kind, name string) error {
	switch {
	case apierrors.IsForbidden(err):
		return fmt.Errorf("no right to %s the %s %s: grant the verbs that docs/certificates.md lists: %w", verb, kind, name, err)
	case err != nil && !apierrors.IsConflict(err):
		return fmt.Errorf("cannot %s the %s %s: %w", verb, kind, name, err)
	}
	return err
}
