package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/server"
)

// authority is a CA that signs clients' certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "clients"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return authority{certificate, key}
}

func (a authority) client(t *testing.T, name string, usage x509.ExtKeyUsage) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{usage}, KeyUsage: x509.KeyUsageDigitalSignature,
	}, a.certificate, key.Public(), a.key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a authority) write(t *testing.T, path string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw}), 0o600))
}

// connects says whether a client with these certificates gets through the handshake. With TLS 1.3 it learns of a refusal when it reads.
func (f *fixture) connects(certificates ...tls.Certificate) bool {
	connection, err := tls.Dial("tcp", f.options.BindAddress, &tls.Config{InsecureSkipVerify: true, Certificates: certificates, MaxVersion: tls.VersionTLS12})
	if err != nil {
		return false
	}
	return connection.Close() == nil
}

func TestWithAClientCAOnlyItsHoldersAreAnswered(t *testing.T) {
	f := newFixture(t)
	ours, theirs := newAuthority(t), newAuthority(t)
	f.options.ClientCAFile = filepath.Join(t.TempDir(), "ca.crt")
	f.options.ClientNames = []string{"kube-apiserver"}
	ours.write(t, f.options.ClientCAFile)
	f.run()
	assert.True(t, f.connects(ours.client(t, "kube-apiserver", x509.ExtKeyUsageClientAuth)))
	assert.False(t, f.connects(), "nobody without a certificate")
	assert.False(t, f.connects(ours.client(t, "kubelet", x509.ExtKeyUsageClientAuth)), "nobody of another name")
	assert.False(t, f.connects(ours.client(t, "kube-apiserver", x509.ExtKeyUsageServerAuth)), "nobody with a server's certificate")
	assert.False(t, f.connects(theirs.client(t, "kube-apiserver", x509.ExtKeyUsageClientAuth)), "nobody of another CA")

	theirs.write(t, f.options.ClientCAFile)
	f.eventually("the CA is read again", func() bool { return f.connects(theirs.client(t, "kube-apiserver", x509.ExtKeyUsageClientAuth)) })
	assert.False(t, f.connects(ours.client(t, "kube-apiserver", x509.ExtKeyUsageClientAuth)))
}

func TestAClientCAThatCannotBeUsedIsNamed(t *testing.T) {
	f := newFixture(t)
	f.options.ClientCAFile = filepath.Join(t.TempDir(), "ca.crt")
	assert.ErrorContains(t, server.Run(t.Context(), f.options), "cannot use --client-ca-file "+f.options.ClientCAFile+", which has to have certificates of CAs in PEM")
	require.NoError(t, os.WriteFile(f.options.ClientCAFile, []byte("no CA"), 0o600))
	assert.ErrorContains(t, server.Run(t.Context(), f.options), "cannot use --client-ca-file "+f.options.ClientCAFile)
}

func TestSuitesWithoutForwardSecrecyOrAuthenticatedEncryptionAreRefused(t *testing.T) {
	f := newFixture(t)
	f.run()
	for _, suite := range []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_128_GCM_SHA256} {
		_, err := tls.Dial("tcp", f.options.BindAddress, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}})
		assert.ErrorContains(t, err, "handshake failure", tls.CipherSuiteName(suite))
	}
	connection, err := tls.Dial("tcp", f.options.BindAddress, &tls.Config{InsecureSkipVerify: true})
	require.NoError(t, err)
	assert.EqualValues(t, tls.VersionTLS13, connection.ConnectionState().Version)
	require.NoError(t, connection.Close())
}

func TestHTTP2IsServedUnlessItIsSwitchedOff(t *testing.T) {
	for name, c := range map[string]struct {
		off  bool
		want string
	}{"on": {false, "h2"}, "off": {true, "http/1.1"}} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.options.DisableHTTP2 = c.off
			f.run()
			connection, err := tls.Dial("tcp", f.options.BindAddress, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
			require.NoError(t, err)
			assert.Equal(t, c.want, connection.ConnectionState().NegotiatedProtocol)
			require.NoError(t, connection.Close())
		})
	}
}

func TestCertManagerNeedsACluster(t *testing.T) {
	f := newFixture(t)
	f.options.Certificates = server.Certificates{Source: server.CertManager, Namespace: "portcullis"}
	assert.ErrorContains(t, server.Run(t.Context(), f.options), "--cert-source cert-manager needs a cluster and the namespace of the Secret")
}
