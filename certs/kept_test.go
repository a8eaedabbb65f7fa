package certs_test

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/portcullis-dev/portcullis/certs"
	"github.com/portcullis-dev/portcullis/certs/rotation"
)

// cluster is a fake API server with both webhook configurations, and a source that keeps its certificate there.
type cluster struct {
	t      *testing.T
	client *fake.Clientset
	source *certs.Kept
	log    *bytes.Buffer
	now    time.Time
	step   func() (time.Time, error)
}

func newCluster(t *testing.T, objects ...runtime.Object) *cluster {
	t.Helper()
	meta := metav1.ObjectMeta{Name: "portcullis", ResourceVersion: "1"}
	objects = append(objects,
		&admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: meta, Webhooks: []admissionregistrationv1.ValidatingWebhook{{Name: "a"}, {Name: "b"}}},
		&admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: meta, Webhooks: []admissionregistrationv1.MutatingWebhook{{Name: "a"}}})
	c := &cluster{t: t, client: fake.NewClientset(objects...), log: &bytes.Buffer{}, now: now}
	var err error
	c.source, err = certs.NewKept(certs.InCluster{
		Client: c.client, Log: slog.New(slog.NewTextHandler(c.log, nil)), Namespace: "portcullis", Secret: "portcullis-tls", Lease: "portcullis-certificates",
		Webhooks: "portcullis", Hosts: certs.ServiceHosts("portcullis", "portcullis"), CALifetime: rotation.DefaultCA, LeafLifetime: rotation.DefaultLeaf,
	})
	require.NoError(t, err)
	c.step = c.source.Step(t.Context(), func() time.Time { return c.now })
	return c
}

// settle steps until there is nothing to do before some time has passed, and yields that time.
func (c *cluster) settle() time.Time {
	c.t.Helper()
	for range 10 {
		until, err := c.step()
		require.NoError(c.t, err)
		if until.After(c.now) {
			return until
		}
	}
	require.Fail(c.t, "there is no end to it")
	return time.Time{}
}

func (c *cluster) secret() *corev1.Secret {
	c.t.Helper()
	found, err := c.client.CoreV1().Secrets("portcullis").Get(c.t.Context(), "portcullis-tls", metav1.GetOptions{})
	require.NoError(c.t, err)
	return found
}

// bundles are the caBundles of all webhooks.
func (c *cluster) bundles() (out [][]byte) {
	c.t.Helper()
	api := c.client.AdmissionregistrationV1()
	validating, err := api.ValidatingWebhookConfigurations().Get(c.t.Context(), "portcullis", metav1.GetOptions{})
	require.NoError(c.t, err)
	mutating, err := api.MutatingWebhookConfigurations().Get(c.t.Context(), "portcullis", metav1.GetOptions{})
	require.NoError(c.t, err)
	for _, w := range validating.Webhooks {
		out = append(out, w.ClientConfig.CABundle)
	}
	for _, w := range mutating.Webhooks {
		out = append(out, w.ClientConfig.CABundle)
	}
	return out
}

// writes are the verbs of the requests so far that write.
func (c *cluster) writes() (out []string) {
	for _, a := range c.client.Actions() {
		if a.GetVerb() != "get" {
			out = append(out, a.GetVerb()+" "+a.GetResource().Resource)
		}
	}
	return out
}

// run has the source follow the Secret until the test ends.
func (c *cluster) run() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.source.Run(ctx, func() {}) }()
	c.t.Cleanup(func() {
		cancel()
		assert.NoError(c.t, <-ended)
	})
}

func TestTheElectedReplicaWritesTheSecretAndAllCaBundlesAndThenNothing(t *testing.T) {
	c := newCluster(t)
	assert.Equal(t, now.Add(60*24*time.Hour), c.settle())
	secret := c.secret()
	assert.Equal(t, corev1.SecretTypeTLS, secret.Type)
	assert.Equal(t, "portcullis", secret.Labels["app.kubernetes.io/managed-by"])
	for _, bundle := range c.bundles() {
		assert.Equal(t, string(secret.Data["ca.crt"]), string(bundle))
	}
	assert.Equal(t, []string{
		"create secrets", "patch validatingwebhookconfigurations", "patch mutatingwebhookconfigurations", "update secrets",
	}, c.writes())
	c.client.ClearActions()
	c.now = c.now.Add(24 * time.Hour)
	c.settle()
	assert.Empty(t, c.writes())
}

func TestWhatElseIsAtTheSecretStays(t *testing.T) {
	c := newCluster(t)
	c.settle()
	secret := c.secret()
	secret.Labels["team"], secret.Annotations = "security", map[string]string{"note": "ours"}
	_, err := c.client.CoreV1().Secrets("portcullis").Update(t.Context(), secret, metav1.UpdateOptions{})
	require.NoError(t, err)
	c.now = c.now.Add(61 * 24 * time.Hour)
	c.settle()
	renewed := c.secret()
	assert.NotEqual(t, secret.Data["tls.crt"], renewed.Data["tls.crt"])
	assert.Equal(t, secret.Labels, renewed.Labels)
	assert.Equal(t, "ours", renewed.Annotations["note"])
}

func TestTheAnnotationThatHasCertManagerWriteAnotherCaBundleIsTakenAway(t *testing.T) {
	c := newCluster(t)
	api := c.client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	found, err := api.Get(t.Context(), "portcullis", metav1.GetOptions{})
	require.NoError(t, err)
	found.Annotations = map[string]string{"cert-manager.io/inject-ca-from": "portcullis/portcullis-tls", "kept": "yes"}
	_, err = api.Update(t.Context(), found, metav1.UpdateOptions{})
	require.NoError(t, err)
	c.settle()
	found, err = api.Get(t.Context(), "portcullis", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"kept": "yes"}, found.Annotations)
}

func TestASecretOfSomebodyElseIsToldOnceAndLeftAlone(t *testing.T) {
	c := newCluster(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "portcullis", Name: "portcullis-tls"}, Data: map[string][]byte{"tls.crt": []byte("theirs")}})
	c.settle()
	c.settle()
	assert.Empty(t, c.writes())
	assert.Equal(t, 1, bytes.Count(c.log.Bytes(), []byte("the Secret is left alone")))
	for _, bundle := range c.bundles() {
		assert.Empty(t, bundle)
	}
}

func TestAMissingRightIsNamed(t *testing.T) {
	for name, c := range map[string]struct{ verb, resource, want string }{
		"to read the webhook configurations":  {"get", "validatingwebhookconfigurations", "no right to get the ValidatingWebhookConfiguration portcullis: grant the verbs that docs/certificates.md lists"},
		"to write the webhook configurations": {"patch", "mutatingwebhookconfigurations", "no right to patch the MutatingWebhookConfiguration portcullis"},
		"to read the Secret":                  {"get", "secrets", "no right to get the Secret portcullis-tls"},
		"to make the Secret":                  {"create", "secrets", "no right to create the Secret portcullis-tls"},
		"to change the Secret":                {"update", "secrets", "no right to update the Secret portcullis-tls"},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := newCluster(t)
			cluster.client.PrependReactor(c.verb, c.resource, func(k8stesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: c.resource}, "portcullis", nil)
			})
			var err error
			for range 4 {
				if _, err = cluster.step(); err != nil {
					break
				}
			}
			assert.ErrorContains(t, err, c.want)
		})
	}
}

func TestWithoutTheRightToWriteCaBundlesTheCertificateIsRenewedNevertheless(t *testing.T) {
	c := newCluster(t)
	c.settle()
	before := c.secret().Data["tls.crt"]
	c.client.PrependReactor("patch", "*", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "webhooks"}, "portcullis", nil)
	})
	c.now = c.now.Add(61 * 24 * time.Hour)
	_, err := c.step()
	require.NoError(t, err)
	assert.NotEqual(t, before, c.secret().Data["tls.crt"])
}

func TestReplicasServeWhatIsInTheSecretAndKeepItWhenTheSecretIsGone(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("a cluster", func(t *testing.T) {
		c := newCluster(t)
		_, err := c.source.GetCertificate(nil)
		assert.ErrorContains(t, err, "there is no serving certificate yet: the Secret portcullis/portcullis-tls has not been read yet")
		assert.True(t, c.source.NotAfter().IsZero())
		c.now = time.Now()
		c.run()
		require.Eventually(t, func() bool { return !c.source.NotAfter().IsZero() }, time.Minute, 5*time.Millisecond)
		assert.NoError(t, verify(t, c.source, "portcullis.portcullis.svc", time.Now()))
		served, err := c.source.GetCertificate(nil)
		require.NoError(t, err)

		require.NoError(t, c.client.CoreV1().Secrets("portcullis").Delete(t.Context(), "portcullis-tls", metav1.DeleteOptions{}))
		require.Eventually(t, func() bool {
			_, err := c.client.CoreV1().Secrets("portcullis").Get(t.Context(), "portcullis-tls", metav1.GetOptions{})
			return err == nil
		}, time.Minute, 5*time.Millisecond, "the elected replica makes it again")
		still, err := c.source.GetCertificate(nil)
		require.NoError(t, err)
		assert.Equal(t, served, still)
	})
}
