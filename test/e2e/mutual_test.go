package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/certs/rotation"
	"github.com/portcullis-dev/portcullis/test/guard"
)

// mutual is what makes the API server show a certificate to one webhook: the addresses of that webhook, and the file with the CA.
type mutual struct {
	addresses guard.Addresses
	authority string
}

// The common name of the API server's certificate for webhooks.
const apiServerName = "kube-apiserver-webhooks"

// prepareMutual writes what docs/certificates.md says into the folder, and yields the flag for the API server.
func prepareMutual(dir string) (m mutual, flag string, err error) {
	if m.addresses, err = guard.FreeAddresses(); err != nil {
		return m, "", err
	}
	certificate, key, authority, err := clientCertificate(apiServerName)
	if err != nil {
		return m, "", err
	}
	path := func(name string) string { return filepath.Join(dir, name) }
	m.authority = path("clients-ca.crt")
	for name, content := range map[string][]byte{
		"clients-ca.crt": authority, "client.crt": certificate, "client.key": key,
		"webhooks.kubeconfig": fmt.Appendf(nil, `apiVersion: v1
kind: Config
users:
- name: %s
  user:
    client-certificate: %s
    client-key: %s
`, m.addresses.Webhook, path("client.crt"), path("client.key")),
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
			return m, "", err
		}
	}
	return m, "--admission-control-config-file=" + path("admission.yaml"), nil
}

// clientCertificate is a client's certificate, its key, and the CA that has signed it, in PEM.
func clientCertificate(name string) (certificate, key, authority []byte, err error) {
	now := time.Now()
	ca, err := rotation.NewAuthority(now, 24*time.Hour)
	if err != nil {
		return nil, nil, nil, err
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Minute), NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, ca.Certificate, private.Public(), ca.Key)
	if err != nil {
		return nil, nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, nil, err
	}
	text := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	return text("CERTIFICATE", der), text("PRIVATE KEY", pkcs8), text("CERTIFICATE", ca.Certificate.Raw), nil
}

func TestOnlyTheAPIServerIsAnsweredIfItShowsACertificate(t *testing.T) {
	t.Parallel()
	r := newReplicas(t, "--client-ca-file="+shared.mutual.authority, "--client-ca-names="+apiServerName)
	g, err := guard.Start(guard.Options{Binary: shared.binary, Log: r.log(0), Addresses: shared.mutual.addresses, Args: r.args})
	require.NoError(t, err)
	t.Cleanup(g.Stop)
	r.guards = append(r.guards, g)
	r.register(0)
	require.NoError(t, g.AwaitReady(within(t)))
	r.awaitAsked(0)

	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(r.bundle(within(t))))
	connection, err := tls.Dial("tcp", g.Webhook, &tls.Config{RootCAs: pool})
	require.NoError(t, err, "it is the server that refuses")
	defer func() { _ = connection.Close() }()
	_, err = connection.Read(make([]byte, 1))
	assert.ErrorContains(t, err, "certificate required")
}
