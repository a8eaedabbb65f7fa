package certs_test

import (
	"crypto/tls"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/portcullis-dev/portcullis/certs"
)

func managed(t *testing.T, issuer string) *certs.Managed {
	t.Helper()
	reference, err := certs.ParseIssuer(issuer)
	require.NoError(t, err)
	return certs.NewManaged(certs.InCluster{
		Client: fake.NewClientset(), Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Namespace: "portcullis", Secret: "portcullis-tls",
		Hosts: append(certs.ServiceHosts("portcullis", "portcullis"), "127.0.0.1"), CALifetime: 100 * time.Hour, LeafLifetime: 10 * time.Hour,
	}, nil, reference)
}

func wanted(t *testing.T, issuer string) map[string]*unstructured.Unstructured {
	t.Helper()
	list, err := managed(t, issuer).Wanted()
	require.NoError(t, err)
	out := map[string]*unstructured.Unstructured{}
	for _, o := range list {
		out[o.GetKind()+"/"+o.GetName()] = o
	}
	return out
}

func field(t *testing.T, o *unstructured.Unstructured, path ...string) any {
	t.Helper()
	require.NotNil(t, o)
	value, found, err := unstructured.NestedFieldNoCopy(o.Object, path...)
	require.NoError(t, err)
	require.True(t, found, "%v", path)
	return value
}

func TestWithoutAnIssuerTheCertificateIsOfACAOfItsOwnThatKeepsItsKey(t *testing.T) {
	all := wanted(t, "")
	assert.Len(t, all, 4)
	leaf, ca := all["Certificate/portcullis-tls"], all["Certificate/portcullis-ca"]
	assert.Equal(t, []any{"portcullis.portcullis.svc", "portcullis.portcullis.svc.cluster.local"}, field(t, leaf, "spec", "dnsNames"))
	assert.Equal(t, []any{"127.0.0.1"}, field(t, leaf, "spec", "ipAddresses"))
	assert.Equal(t, "10h0m0s", field(t, leaf, "spec", "duration"))
	assert.Equal(t, "portcullis-ca", field(t, leaf, "spec", "issuerRef", "name"))
	assert.Equal(t, "Always", field(t, leaf, "spec", "privateKey", "rotationPolicy"))
	assert.Equal(t, true, field(t, ca, "spec", "isCA"))
	assert.Equal(t, "100h0m0s", field(t, ca, "spec", "duration"))
	assert.Equal(t, "portcullis-selfsigned", field(t, ca, "spec", "issuerRef", "name"))
	assert.Equal(t, "Never", field(t, ca, "spec", "privateKey", "rotationPolicy"))
	assert.Equal(t, "portcullis-ca", field(t, all["Issuer/portcullis-ca"], "spec", "ca", "secretName"))
	assert.Equal(t, map[string]any{}, field(t, all["Issuer/portcullis-selfsigned"], "spec", "selfSigned"))
	for _, c := range []*unstructured.Unstructured{leaf, ca} {
		assert.Equal(t, c.GetName(), field(t, c, "spec", "secretName"))
		assert.Equal(t, "ECDSA", field(t, c, "spec", "privateKey", "algorithm"))
		_, given, err := unstructured.NestedFieldNoCopy(c.Object, "spec", "renewBefore")
		require.NoError(t, err)
		assert.False(t, given, "renewBefore is for others to set")
	}
}

func TestAnIssuerThatIsNamedSignsAndNoCAIsMade(t *testing.T) {
	all := wanted(t, "AWSPCAClusterIssuer.awspca.cert-manager.io/corporate")
	require.Len(t, all, 1)
	assert.Equal(t, map[string]any{"name": "corporate", "kind": "AWSPCAClusterIssuer", "group": "awspca.cert-manager.io"},
		field(t, all["Certificate/portcullis-tls"], "spec", "issuerRef"))
	assert.Equal(t, map[string]any{"name": "corporate", "kind": "ClusterIssuer", "group": "cert-manager.io"},
		field(t, wanted(t, "ClusterIssuer/corporate")["Certificate/portcullis-tls"], "spec", "issuerRef"))
}

func TestIssuersThatAreNoneAreRefused(t *testing.T) {
	for _, text := range []string{"corporate", "/corporate", "Issuer/", "Isuer/corporate", "Issuer/a/b", "Kind./a"} {
		_, err := certs.ParseIssuer(text)
		assert.ErrorContains(t, err, "name it as in Issuer/NAME, ClusterIssuer/NAME or KIND.GROUP/NAME", text)
	}
}

func TestUntilThereIsACertificateOfCertManagerItIsSaidWhy(t *testing.T) {
	_, err := managed(t, "").GetCertificate(&tls.ClientHelloInfo{})
	assert.ErrorContains(t, err, "the Secret portcullis/portcullis-tls has not been read yet; the Certificate has not been read yet")
}
