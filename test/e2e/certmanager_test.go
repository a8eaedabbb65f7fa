package e2e

import (
	"context"
	"crypto/x509"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portcullis-dev/portcullis/test/controlplane"
)

// goBuildTime bounds the build of cert-manager, which takes minutes the first time.
const goBuildTime = 20 * time.Minute

// installCertManager makes cert-manager's kinds, and starts its controllers.
func (r *replicas) installCertManager(program string) {
	r.t.Helper()
	controllers, err := shared.cluster.StartCertManager(within(r.t), shared.root, program)
	require.NoError(r.t, err)
	r.t.Cleanup(func() {
		if r.t.Failed() {
			r.t.Log("the end of cert-manager's log:\n", controllers.LogTail())
		}
		controllers.Stop()
	})
}

// shown waits until all replicas serve another certificate than the one before, and the same.
func (r *replicas) shown(before *x509.Certificate) *x509.Certificate {
	r.t.Helper()
	var now *x509.Certificate
	r.eventually("all replicas serve another certificate", func(ctx context.Context) bool {
		now = nil
		for i := range r.guards {
			leaf, err := r.served(ctx, i, r.bundle(ctx))
			if err != nil || before != nil && leaf.Equal(before) || now != nil && !leaf.Equal(now) {
				return false
			}
			now = leaf
		}
		return true
	})
	return now
}

func TestCertManagerIssuesAndRenewsUnderLoadWithoutAFailedRequest(t *testing.T) {
	t.Parallel()
	building, cancel := context.WithTimeout(t.Context(), goBuildTime)
	defer cancel()
	program, err := controlplane.BuildCertManager(building, shared.root, os.Stderr)
	require.NoError(t, err)

	r := newReplicas(t, "--cert-source=cert-manager", "--cert-lifetime=1h")
	rule := func(resource string, verbs []string, names ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{"cert-manager.io"}, Resources: []string{resource}, Verbs: verbs, ResourceNames: names}
	}
	r.mayDo(r.user, "cert-manager",
		rule("issuers", []string{"create"}), rule("issuers", []string{"patch"}, "portcullis-selfsigned", "portcullis-ca"),
		rule("certificates", []string{"create"}), rule("certificates", []string{"patch"}, "portcullis-ca", secretName),
		rule("certificates", []string{"get", "list", "watch"}, secretName))
	for range 2 {
		r.start()
	}
	r.register(0, 1)
	const absent = "cert-manager's CustomResourceDefinitions are not there: install cert-manager, or choose another --cert-source"
	r.eventually("the log tells that cert-manager is not there", func(context.Context) bool { return r.logged(0, absent) || r.logged(1, absent) })
	r.eventually("readiness tells that cert-manager is not there", func(context.Context) bool {
		return strings.Contains(r.ready(0), absent)
	})

	r.installCertManager(program)
	for _, g := range r.guards {
		require.NoError(t, g.AwaitReady(within(t)))
	}
	r.awaitAsked(0, 1)
	stop := r.load(0, 1)
	first := r.shown(nil)
	assert.NoError(t, first.VerifyHostname("portcullis."+r.namespace+".svc"))
	r.admitted("", []string{"patch", "certificate", secretName, "--type=merge", `--patch={"spec":{"renewBefore":"59m54s"}}`})
	second := r.shown(first)
	third := r.shown(second)
	stop()
	assert.True(t, third.NotAfter.After(first.NotAfter))
	for _, g := range r.guards {
		text, err := g.Metrics(within(t))
		require.NoError(t, err)
		assert.Contains(t, string(text), "portcullis_certificate_not_after_timestamp_seconds ")
	}
	r.eventually("an Event tells that the Certificate is ready", func(ctx context.Context) bool {
		events, err := shared.cluster.Client.EventsV1().Events(r.namespace).List(ctx, metav1.ListOptions{})
		require.NoError(t, err)
		for _, e := range events.Items {
			if e.Reason == "CertificateReady" && e.Regarding.Kind == "Certificate" {
				return true
			}
		}
		return false
	})
}
