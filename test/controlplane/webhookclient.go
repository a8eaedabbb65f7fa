package controlplane

import (
	"fmt"
	"os"
	"path/filepath"
)

// WebhookClient is what an API server shows to the webhooks that ask it for a
// certificate (https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#authenticate-apiservers).
type WebhookClient struct {
	// Name is the common name of the certificate, and Authority a file with
	// the CA that has signed it.
	Name, Authority string
	// Flag of the API server makes it so.
	Flag string
}

// NewWebhookClient writes into dir what docs/certificates.md says, for webhooks
// that are asked at host, which has its port unless that is 443.
func NewWebhookClient(dir, host string) (WebhookClient, error) {
	path := func(name string) string { return filepath.Join(dir, name) }
	w := WebhookClient{
		Name: "kube-apiserver-webhooks", Authority: path("clients-ca.crt"), Flag: "--admission-control-config-file=" + path("admission.yaml"),
	}
	a, err := newAuthority()
	if err != nil {
		return w, err
	}
	shown, err := a.client(w.Name, nil)
	if err != nil {
		return w, err
	}
	for name, content := range map[string][]byte{
		"clients-ca.crt": a.pem, "client.crt": shown.certificate, "client.key": shown.key,
		"webhooks.kubeconfig": fmt.Appendf(nil, `apiVersion: v1
kind: Config
users:
- name: %s
  user:
    client-certificate: %s
    client-key: %s
`, host, path("client.crt"), path("client.key")),
		"admission.yaml": fmt.Appendf(nil, `apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: ValidatingAdmissionWebhook
  configuration:
    apiVersion: apiserver.config.k8s.io/v1
    kind: WebhookAdmissionConfiguration
    kubeConfigFile: %[1]s
- name: MutatingAdmissionWebhook
  configuration:
    apiVersion: apiserver.config.k8s.io/v1
    kind: WebhookAdmissionConfiguration
    kubeConfigFile: %[1]s
`, path("webhooks.kubeconfig")),
	} {
		if err := os.WriteFile(path(name), content, 0o600); err != nil {
			return w, err
		}
	}
	return w, nil
}
