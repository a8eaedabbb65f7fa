package certs_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/certs"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// verify checks the certificate as a client does that trusts the bundle, at the time given.
func verify(t *testing.T, source certs.Source, host string, at time.Time) error {
	t.Helper()
	bundle, err := source.CABundle()
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(bundle))
	certificate, err := source.GetCertificate(&tls.ClientHelloInfo{ServerName: host})
	require.NoError(t, err)
	_, err = certificate.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: pool, CurrentTime: at})
	return err
}

func selfSigned(t *testing.T, hosts ...string) *certs.SelfSigned {
	t.Helper()
	source, err := certs.NewSelfSigned(hosts, now)
	require.NoError(t, err)
	return source
}

func TestASelfSignedCertificateIsTrustedForItsHostsAlone(t *testing.T) {
	source := selfSigned(t, "portcullis.example.svc", "127.0.0.1", "::1")
	for _, host := range []string{"portcullis.example.svc", "127.0.0.1", "::1"} {
		assert.NoError(t, verify(t, source, host, now), host)
	}
	for _, host := range []string{"other.example.svc", "127.0.0.2"} {
		assert.Error(t, verify(t, source, host, now), host)
	}
}

func TestASelfSignedCertificateHoldsFromFiveMinutesBeforeItIsMade(t *testing.T) {
	source := selfSigned(t, "localhost")
	assert.NoError(t, verify(t, source, "localhost", now.Add(-5*time.Minute)))
	assert.Error(t, verify(t, source, "localhost", now.Add(-5*time.Minute-time.Second)))
	assert.NoError(t, verify(t, source, "localhost", source.NotAfter()))
	assert.Error(t, verify(t, source, "localhost", source.NotAfter().Add(time.Second)))
}

func TestBothSelfSignedKeysAreECDSAOnP256(t *testing.T) {
	source := selfSigned(t, "localhost")
	bundle, err := source.CABundle()
	require.NoError(t, err)
	block, rest := pem.Decode(bundle)
	require.Empty(t, rest)
	authority, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	leaf, err := source.GetCertificate(nil)
	require.NoError(t, err)
	for _, key := range []any{authority.PublicKey, leaf.Leaf.PublicKey} {
		require.IsType(t, &ecdsa.PublicKey{}, key)
		assert.Equal(t, elliptic.P256(), key.(*ecdsa.PublicKey).Curve)
	}
	assert.True(t, authority.IsCA)
	assert.False(t, leaf.Leaf.IsCA)
}

func TestACertificateWithoutHostsIsRefused(t *testing.T) {
	_, err := certs.NewSelfSigned(nil, now)
	assert.ErrorContains(t, err, "needs the name or address of a server")
}

// write puts a new pair for the host into the folder.
func write(t *testing.T, dir, host string) *certs.SelfSigned {
	t.Helper()
	source := selfSigned(t, host)
	pair, err := source.GetCertificate(nil)
	require.NoError(t, err)
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	require.NoError(t, err)
	for name, block := range map[string]*pem.Block{
		"tls.key": {Type: "PRIVATE KEY", Bytes: key}, "tls.crt": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]},
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
	return source
}

func TestFilesAreReadAgainWhenTheyChange(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "first")
	source, err := certs.NewFiles(dir)
	require.NoError(t, err)
	assert.NoError(t, verify(t, source, "first", now), "without ca.crt the certificate itself is trusted")

	ctx, cancel := context.WithCancel(t.Context())
	changed, done := make(chan struct{}, 10), make(chan error, 1)
	go func() { done <- source.Run(ctx, func() { changed <- struct{}{} }) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-done)
	})
	second := write(t, dir, "second")
	bundle, err := second.CABundle()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ca.crt"), bundle, 0o600))
	select {
	case <-changed:
	case <-time.After(time.Minute):
		require.Fail(t, "the change is not told")
	}
	assert.NoError(t, verify(t, source, "second", now))
	assert.Equal(t, second.NotAfter(), source.NotAfter())
}

func TestFilesAreReadAgainWhenKubeletSwapsTheVolume(t *testing.T) {
	// A mounted Secret is a folder ..data, a symbolic link, that the files are in; kubelet swaps the link, then deletes the folder before
	// (https://kubernetes.io/docs/concepts/configuration/secret/#mounted-secrets-are-updated-automatically).
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "..first"), 0o755))
	write(t, filepath.Join(dir, "..first"), "first")
	require.NoError(t, os.Symlink("..first", filepath.Join(dir, "..data")))
	for _, name := range []string{"tls.crt", "tls.key"} {
		require.NoError(t, os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)))
	}
	source, err := certs.NewFiles(dir)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	changed, done := make(chan struct{}, 10), make(chan error, 1)
	go func() { done <- source.Run(ctx, func() { changed <- struct{}{} }) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-done)
	})

	require.NoError(t, os.Mkdir(filepath.Join(dir, "..second"), 0o755))
	second := write(t, filepath.Join(dir, "..second"), "second")
	require.NoError(t, os.Symlink("..second", filepath.Join(dir, "..data_tmp")))
	require.NoError(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "..first")))
	select {
	case <-changed:
	case <-time.After(time.Minute):
		require.Fail(t, "the change is not told")
	}
	assert.Equal(t, second.NotAfter(), source.NotAfter())
	assert.NoError(t, verify(t, source, "second", now))
}

func TestFilesThatCannotBeUsedAreAnErrorThatSaysWhich(t *testing.T) {
	dir := t.TempDir()
	_, err := certs.NewFiles(dir)
	assert.ErrorContains(t, err, "there is no tls.crt in "+dir)
	write(t, dir, "first")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tls.key"), []byte("no key"), 0o600))
	_, err = certs.NewFiles(dir)
	assert.ErrorContains(t, err, "reading tls.crt and tls.key in "+dir)
}

func TestTheCertificateServes(t *testing.T) {
	source := selfSigned(t, "localhost")
	server, client := net.Pipe()
	go func() {
		connection := tls.Server(server, &tls.Config{GetCertificate: source.GetCertificate})
		_ = connection.Handshake()
	}()
	bundle, err := source.CABundle()
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(bundle))
	connection := tls.Client(client, &tls.Config{ServerName: "localhost", RootCAs: pool, Time: func() time.Time { return now }})
	assert.NoError(t, connection.Handshake())
	require.NoError(t, client.Close())
}
