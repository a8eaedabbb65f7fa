package install

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portcullis-dev/portcullis/certs/rotation"
	"github.com/portcullis-dev/portcullis/test/controlplane"
	"github.com/portcullis-dev/portcullis/test/kubelet"
)

// goBuildTime bounds the build of cert-manager, which takes minutes the first time.
const goBuildTime = 20 * time.Minute

// certManager runs cert-manager until the test ends.
func certManager(t *testing.T) {
	t.Helper()
	building, cancel := context.WithTimeout(t.Context(), goBuildTime)
	defer cancel()
	program, err := controlplane.BuildCertManager(building, shared.root, os.Stderr)
	require.NoError(t, err)
	controllers, err := shared.cluster.StartCertManager(within(t), shared.root, program)
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("the end of cert-manager's log:\n", controllers.LogTail())
		}
		assert.NoError(t, controllers.Remove(within(t)))
	})
}

// bundle is the caBundle; nil if there is none, or not of all webhooks the same.
func bundle(ctx context.Context) []byte {
	found, err := shared.cluster.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, "portcullis", metav1.GetOptions{})
	if err != nil {
		return nil
	}
	for _, w := range found.Webhooks {
		if string(w.ClientConfig.CABundle) != string(found.Webhooks[0].ClientConfig.CABundle) {
			return nil
		}
	}
	return found.Webhooks[0].ClientConfig.CABundle
}

// served waits until all pods show the same certificate, which the caBundle verifies for the Service and which is not the one of before.
func served(t *testing.T, before *x509.Certificate) *x509.Certificate {
	t.Helper()
	var now *x509.Certificate
	eventually(t, "all pods show another certificate", func(ctx context.Context) bool {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(bundle(ctx))
		pods, err := shared.cluster.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err != nil || len(pods.Items) == 0 {
			return false
		}
		now = nil
		dialer := &tls.Dialer{Config: &tls.Config{RootCAs: pool, ServerName: service}}
		for i := range pods.Items {
			if pods.Items[i].Status.PodIP == "" {
				return false
			}
			connection, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(kubelet.Local(pods.Items[i].Status.PodIP), "9443"))
			if err != nil {
				return false
			}
			leaf := connection.(*tls.Conn).ConnectionState().PeerCertificates[0]
			_ = connection.Close()
			if before != nil && leaf.Equal(before) || now != nil && !leaf.Equal(now) {
				return false
			}
			now = leaf
		}
		return true
	})
	return now
}

func TestWithCertManagerTheChartIsInstalledRenewedAndTakenAwayWithoutOneRefusedWrite(t *testing.T) {
	started := time.Now()
	certManager(t)
	routeAPIs(t)
	l := startLoad(t)
	makeNamespace(t)
	helm(t, "install", "portcullis", chart(), "--values", valuesFile(t, ""), "--set", "certificates.source=cert-manager",
		"--set", "webhooks.networkPolicies.failurePolicy=Ignore", "--wait")
	kubectl(t, "wait", "--for=jsonpath={.webhooks[0].clientConfig.caBundle}", "validatingwebhookconfiguration", "portcullis")
	l.flowed(t, "it is installed")
	l.asked(t)
	helm(t, "upgrade", "portcullis", chart(), "--reset-then-reuse-values", "--set", "webhooks.networkPolicies.failurePolicy=Fail", "--wait")
	l.flowed(t, "its failurePolicy becomes Fail")
	first := served(t, nil)

	// It is renewed ten seconds after it was made, again and again.
	kubectl(t, "--namespace", namespace, "patch", "certificate", "portcullis-tls", "--type=merge", `--patch={"spec":{"renewBefore":"2159h59m50s"}}`)
	second := served(t, first)
	l.flowed(t, "it is renewed")
	third := served(t, second)
	l.flowed(t, "it is renewed again")
	assert.True(t, third.NotAfter.After(first.NotAfter))
	kubectl(t, "--namespace", namespace, "rollout", "restart", "deployment", "portcullis")
	kubectl(t, "--namespace", namespace, "rollout", "status", "deployment", "portcullis", "--timeout=2m")
	l.flowed(t, "it is restarted")
	l.asked(t)
	t.Run("what it asks for", func(t *testing.T) { verbsAreUsed(t, started, elsewhere...) })

	helm(t, "uninstall", "portcullis", "--wait")
	l.flowed(t, "it is uninstalled")
	l.unasked(t)
	l.stop()
	kubectl(t, "delete", "namespace", namespace)
	nothingIsLeft(t)
	t.Logf("%d writes, none refused", l.written.Load())
}

// corporate is a CA that is there before Portcullis.
const corporate = `
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: root}
spec: {selfSigned: {}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: corporate}
spec: {isCA: true, commonName: corporate CA, secretName: corporate, issuerRef: {name: root}}
---
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: corporate}
spec: {ca: {secretName: corporate}}
`

func TestWithAnIssuerThatIsThereTheChartHasItSignAndMakesNoCA(t *testing.T) {
	started := time.Now()
	certManager(t)
	routeAPIs(t)
	l := startLoad(t)
	makeNamespace(t)
	file := filepath.Join(t.TempDir(), "corporate.yaml")
	require.NoError(t, os.WriteFile(file, []byte(corporate), 0o600))
	kubectl(t, "--namespace", namespace, "apply", "--filename", file)
	helm(t, "install", "portcullis", chart(), "--values", valuesFile(t, ""), "--set", "certificates.source=cert-manager",
		"--set", "certificates.issuer=Issuer/corporate", "--set", "webhooks.networkPolicies.failurePolicy=Ignore", "--wait")
	kubectl(t, "wait", "--for=jsonpath={.webhooks[0].clientConfig.caBundle}", "validatingwebhookconfiguration", "portcullis")
	l.flowed(t, "it is installed")
	l.asked(t)
	assert.Equal(t, "corporate CA", served(t, nil).Issuer.CommonName)
	assert.NotContains(t, kubectl(t, "--namespace", namespace, "get", "issuers,certificates", "--output=name"), "portcullis-ca")
	t.Run("what it asks for", func(t *testing.T) { verbsAreUsed(t, started, elsewhere...) })

	helm(t, "uninstall", "portcullis", "--wait")
	l.flowed(t, "it is uninstalled")
	l.stop()
	kubectl(t, "delete", "namespace", namespace)
	nothingIsLeft(t)
}

// TestFromASelfSignedCertificateToCertManagerAndBack does what docs/certificates.md says.
func TestFromASelfSignedCertificateToCertManagerAndBack(t *testing.T) {
	certManager(t)
	l := startLoad(t)
	makeNamespace(t)
	install(t, l)
	own := served(t, nil)
	upgrade := func(source, policy string) {
		helm(t, "upgrade", "portcullis", chart(), "--reset-then-reuse-values", "--wait",
			"--set", "certificates.source="+source, "--set", "webhooks.networkPolicies.failurePolicy="+policy)
	}
	upgrade("cert-manager", "Ignore")
	kubectl(t, "--namespace", namespace, "wait", "--for=create", "certificate/portcullis-tls", "--timeout=2m")
	kubectl(t, "--namespace", namespace, "wait", "--for=condition=Ready", "certificate/portcullis-tls", "--timeout=2m")
	issued := served(t, own)
	l.flowed(t, "it goes over to cert-manager")
	upgrade("cert-manager", "Fail")
	kubectl(t, "--namespace", namespace, "patch", "secret", "portcullis-tls", "--type=json", `--patch=[{"op":"remove","path":"/data/ca.key"}]`)
	l.flowed(t, "it has gone over to cert-manager")
	l.asked(t)

	upgrade("self-signed", "Fail")
	kubectl(t, "--namespace", namespace, "delete", "certificate/portcullis-tls", "certificate/portcullis-ca", "issuer/portcullis-ca",
		"issuer/portcullis-selfsigned", "secret/portcullis-ca")
	l.flowed(t, "it goes back")
	again := served(t, issued)
	l.flowed(t, "it has gone back")
	l.asked(t)
	assert.NotEqual(t, issued.Issuer, again.Issuer)
	webhooks, err := shared.cluster.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(within(t), "portcullis", metav1.GetOptions{})
	require.NoError(t, err)
	assert.NotContains(t, webhooks.Annotations, "cert-manager.io/inject-ca-from")

	helm(t, "uninstall", "portcullis", "--wait")
	l.flowed(t, "it is uninstalled")
	l.stop()
	kubectl(t, "delete", "namespace", namespace)
	nothingIsLeft(t)
	t.Logf("%d writes, none refused", l.written.Load())
}

// pair is a certificate as files of a folder, as `kubectl create` takes them.
type pair struct{ dir string }

func newPair(t *testing.T, by rotation.Authority) pair {
	t.Helper()
	leaf, err := by.Issue([]string{service}, time.Now(), 24*time.Hour)
	require.NoError(t, err)
	made := rotation.Material{Authorities: []rotation.Authority{by}, Leaf: leaf}
	data, _, err := made.Encode()
	require.NoError(t, err)
	p := pair{t.TempDir()}
	for name, text := range data {
		require.NoError(t, os.WriteFile(p.file(name), text, 0o600))
	}
	return p
}

func (p pair) file(name string) string { return filepath.Join(p.dir, name) }

// mount has the Secret hold the pair.
func (p pair) mount(t *testing.T) {
	t.Helper()
	secret := kubectl(t, "--namespace", namespace, "create", "secret", "tls", "serving", "--cert="+p.file("tls.crt"), "--key="+p.file("tls.key"), "--dry-run=client", "--output=yaml")
	file := filepath.Join(p.dir, "secret.yaml")
	require.NoError(t, os.WriteFile(file, []byte(secret), 0o600))
	kubectl(t, "--namespace", namespace, "apply", "--filename", file)
}

// TestACertificateOfYourOwnAndClientsThatShowOne does what docs/operations.md says for such a certificate, and docs/certificates.md for
// API servers that show one.
func TestACertificateOfYourOwnAndClientsThatShowOne(t *testing.T) {
	l := startLoad(t)
	makeNamespace(t)
	authority := func() rotation.Authority {
		a, err := rotation.NewAuthority(time.Now(), 48*time.Hour)
		require.NoError(t, err)
		return a
	}
	old := authority()
	first := newPair(t, old)
	first.mount(t)
	kubectl(t, "--namespace", namespace, "create", "configmap", "api-servers", "--from-file=ca.crt="+shared.shows.Authority)
	helm(t, "install", "portcullis", chart(), "--values", valuesFile(t, ""), "--wait", "--set", "certificates.source=files",
		"--set", "certificates.secretName=serving", "--set-file", "webhooks.caBundle="+first.file("ca.crt"),
		"--set", "certificates.clientCA.configMapName=api-servers", "--set", "certificates.clientCA.names={"+shared.shows.Name+"}",
		"--set", "webhooks.networkPolicies.failurePolicy=Ignore")
	l.flowed(t, "it is installed")
	l.asked(t)
	helm(t, "upgrade", "portcullis", chart(), "--reset-then-reuse-values", "--wait", "--set", "webhooks.networkPolicies.failurePolicy=Fail")
	before := served(t, nil)
	strangersAreRefused(t)

	newPair(t, old).mount(t)
	before = served(t, before)
	l.flowed(t, "the certificate is renewed")

	// Another CA: it is trusted first, then it signs, and then the old one is trusted no more.
	other := newPair(t, authority())
	trust := func(files ...string) {
		var texts []byte
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			texts = append(texts, text...)
		}
		both := filepath.Join(t.TempDir(), "ca.crt")
		require.NoError(t, os.WriteFile(both, texts, 0o600))
		helm(t, "upgrade", "portcullis", chart(), "--reset-then-reuse-values", "--wait", "--set-file", "webhooks.caBundle="+both)
	}
	trust(first.file("ca.crt"), other.file("ca.crt"))
	l.flowed(t, "both CAs are trusted")
	other.mount(t)
	served(t, before)
	trust(other.file("ca.crt"))
	l.flowed(t, "the new CA alone is trusted")
	l.asked(t)

	helm(t, "uninstall", "portcullis", "--wait")
	l.flowed(t, "it is uninstalled")
	l.stop()
	kubectl(t, "delete", "namespace", namespace)
	nothingIsLeft(t)
	t.Logf("%d writes, none refused", l.written.Load())
}

// strangersAreRefused connects to a pod without a certificate.
func strangersAreRefused(t *testing.T) {
	t.Helper()
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(bundle(within(t))))
	connection, err := tls.Dial("tcp", net.JoinHostPort(running(t), "9443"), &tls.Config{RootCAs: pool, ServerName: service})
	require.NoError(t, err, "it is the server that refuses")
	defer func() { _ = connection.Close() }()
	_, err = connection.Read(make([]byte, 1))
	assert.ErrorContains(t, err, "certificate required")
}

// TestFromASelfSignedCertificateToOneOfYourOwnAndBack does what docs/certificates.md says.
func TestFromASelfSignedCertificateToOneOfYourOwnAndBack(t *testing.T) {
	l := startLoad(t)
	makeNamespace(t)
	install(t, l)
	before := served(t, nil)
	upgrade := func(args ...string) {
		helm(t, append([]string{"upgrade", "portcullis", chart(), "--reset-then-reuse-values", "--wait"}, args...)...)
	}
	authority, err := rotation.NewAuthority(time.Now(), 48*time.Hour)
	require.NoError(t, err)
	own := newPair(t, authority)
	own.mount(t)
	ca, err := os.ReadFile(own.file("ca.crt"))
	require.NoError(t, err)
	both := own.file("both.crt")
	require.NoError(t, os.WriteFile(both, append(bundle(within(t)), ca...), 0o600))
	upgrade("--set", "certificates.source=files", "--set", "certificates.secretName=serving", "--set-file", "webhooks.caBundle="+both, "--force-conflicts")
	l.flowed(t, "it goes over")
	before = served(t, before)
	upgrade("--set-file", "webhooks.caBundle="+own.file("ca.crt"))
	l.flowed(t, "it has gone over")
	l.asked(t)

	upgrade("--set", "certificates.source=self-signed", "--set", "webhooks.caBundle=", "--set", "webhooks.networkPolicies.failurePolicy=Ignore")
	kubectl(t, "wait", "--for=jsonpath={.webhooks[0].clientConfig.caBundle}", "validatingwebhookconfiguration", "portcullis")
	l.flowed(t, "it goes back")
	served(t, before)
	upgrade("--set", "webhooks.networkPolicies.failurePolicy=Fail")
	l.flowed(t, "it has gone back")
	l.asked(t)

	helm(t, "uninstall", "portcullis", "--wait")
	l.flowed(t, "it is uninstalled")
	l.stop()
	kubectl(t, "delete", "namespace", namespace)
	nothingIsLeft(t)
	t.Logf("%d writes, none refused", l.written.Load())
}
