package e2e

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/portcullis-dev/portcullis/certs/rotation"
)

func TestCertificateAndCAAreRotatedUnderLoadWithoutAFailedRequest(t *testing.T) {
	t.Parallel()
	r := newReplicas(t, "--cert-lifetime=20s", "--cert-ca-lifetime=60s")
	r.aged(time.Minute, 30*time.Second)
	r.startBoth(0, 1)
	first := r.renewed(nil)
	stop := r.load(0, 1)

	renewed, rotated := false, false
	for before := first; !renewed || !rotated; {
		now := r.renewed(before.Leaf)
		ca, last := now.Authorities[0].Certificate, before.Authorities[0].Certificate
		if ca.Equal(last) {
			renewed = true
		} else {
			rotated = true
			require.NotEmpty(t, now.Old)
			assert.True(t, now.Old[0].Equal(last), "the old CA is still trusted")
			assert.NoError(t, now.Leaf.Leaf.CheckSignatureFrom(ca))
		}
		before = now
	}
	stop()
	for _, g := range r.guards {
		text, err := g.Metrics(within(t))
		require.NoError(t, err)
		assert.Contains(t, string(text), "portcullis_certificate_not_after_timestamp_seconds ")
	}
}

func TestALostSecretIsMadeAgainAndNoRequestFails(t *testing.T) {
	t.Parallel()
	r := newReplicas(t)
	r.startBoth(0, 1)
	before := r.renewed(nil)
	stop := r.load(0, 1)
	require.NoError(t, shared.cluster.Client.CoreV1().Secrets(r.namespace).Delete(within(t), secretName, metav1.DeleteOptions{}))
	after := r.renewed(before.Leaf)
	require.NotEmpty(t, after.Old)
	assert.True(t, after.Old[0].Equal(before.Authorities[0].Certificate))
	r.admitted("", []string{"annotate", "--overwrite", "secret", secretName, rotation.OldUntilAnnotation + "=2000-01-01T00:00:00Z"})
	r.eventually("the old CA is trusted no more", func(ctx context.Context) bool {
		in, err := rotation.Certificates(r.bundle(ctx))
		return err == nil && len(in) == 1 && in[0].Equal(after.Authorities[0].Certificate)
	})
	stop()

	_, err := shared.cluster.Client.AdmissionregistrationV1().MutatingWebhookConfigurations().Patch(within(t), r.namespace, types.JSONPatchType,
		[]byte(`[{"op":"remove","path":"/webhooks/0/clientConfig/caBundle"}]`), metav1.PatchOptions{})
	require.NoError(t, err)
	r.eventually("an emptied caBundle is written again", func(ctx context.Context) bool {
		found, err := shared.cluster.Client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, r.namespace, metav1.GetOptions{})
		return err == nil && bytes.Equal(found.Webhooks[0].ClientConfig.CABundle, r.bundle(ctx))
	})
	r.eventually("policies are written again", func(ctx context.Context) bool { return r.write(ctx) == nil })
}

func TestIfTheElectedReplicaDiesDuringARotationThenTheOtherEndsIt(t *testing.T) {
	t.Parallel()
	const lifetime = 10 * time.Minute
	r := newReplicas(t, "--cert-lifetime=2m", "--cert-ca-lifetime="+lifetime.String())
	r.aged(lifetime, lifetime*4/5)
	elected := r.start()
	var m rotation.Material
	r.eventually("the new CA is there and the old one signs", func(ctx context.Context) (is bool) {
		var err error
		m, err = r.material(ctx)
		return err == nil && len(m.Authorities) == 2 && m.Leaf != nil
	})
	elected.Kill()
	old := m.Authorities[0].Certificate
	m, err := r.material(within(t))
	require.NoError(t, err)
	require.Len(t, m.Authorities, 2, "the rotation has not ended")

	other := r.start()
	r.register(1)
	require.NoError(t, other.AwaitReady(within(t)))
	r.awaitAsked(1)
	stop := r.load(1)
	r.eventually("the other replica ends it", func(ctx context.Context) bool {
		m, err = r.material(ctx)
		return err == nil && len(m.Old) == 1 && m.Old[0].Equal(old) && m.Leaf.Leaf.CheckSignatureFrom(old) != nil
	})
	r.eventually("the other replica serves it", func(ctx context.Context) bool {
		leaf, err := r.served(ctx, 1, r.bundle(ctx))
		return err == nil && leaf.Equal(m.Leaf.Leaf)
	})
	stop()
}

func TestASecretOfSomebodyElseIsNeitherServedNorReplaced(t *testing.T) {
	t.Parallel()
	r := newReplicas(t)
	foreign, err := shared.cluster.Client.CoreV1().Secrets(r.namespace).Create(within(t), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: secretName}, StringData: map[string]string{"tls.crt": "theirs"},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	g := r.start()
	const told = "it is somebody else's, as it has no label app.kubernetes.io/managed-by=portcullis: delete it"
	r.eventually("the log tells", func(context.Context) bool { return r.logged(0, told) })
	r.eventually("an Event tells", func(ctx context.Context) bool {
		events, err := shared.cluster.Client.EventsV1().Events(r.namespace).List(ctx, metav1.ListOptions{})
		require.NoError(t, err)
		return len(events.Items) == 1 && events.Items[0].Reason == "ForeignSecret" && strings.Contains(events.Items[0].Note, told)
	})
	assert.Contains(t, r.ready(0), told)
	now, err := shared.cluster.Client.CoreV1().Secrets(r.namespace).Get(within(t), secretName, metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, foreign.ResourceVersion, now.ResourceVersion)

	require.NoError(t, shared.cluster.Client.CoreV1().Secrets(r.namespace).Delete(within(t), secretName, metav1.DeleteOptions{}))
	require.NoError(t, g.AwaitReady(within(t)))
	mine, err := r.material(within(t))
	require.NoError(t, err)
	assert.NotNil(t, mine.Leaf)
}
