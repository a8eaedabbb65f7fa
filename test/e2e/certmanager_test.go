package e2e

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portcullis-dev/portcullis/test/controlplane/process"
)

// goBuildTime bounds the build of cert-manager, which takes minutes the first time.
const goBuildTime = 20 * time.Minute

// buildCertManager builds test/certmanager, and yields its path.
func buildCertManager(ctx context.Context) (string, error) {
	path := filepath.Join(shared.root, "bin", "certmanager")
	command := exec.CommandContext(ctx, "go", "build", "-C", filepath.Join(shared.root, "test", "certmanager"), "-o", path, ".")
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("building cert-manager: %w", err)
	}
	return path, nil
}

// installCertManager makes cert-manager's kinds, and starts its controllers.
func (r *replicas) installCertManager(binary string) {
	r.t.Helper()
	dir, err := exec.Command("go", "list", "-C", filepath.Join(shared.root, "test", "certmanager"), "-m", "-f", "{{.Dir}}", "github.com/cert-manager/cert-manager").Output()
	require.NoError(r.t, err)
	crds, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "deploy", "crds", "*.yaml"))
	require.NoError(r.t, err)
	require.NotEmpty(r.t, crds)
	args := []string{"apply", "--server-side"}
	for _, crd := range crds {
		args = append(args, "--filename="+crd)
	}
	r.admitted("", args)
	r.admitted("", []string{"wait", "--for=condition=Established", "crd/certificates.cert-manager.io", "crd/issuers.cert-manager.io", "crd/certificaterequests.cert-manager.io"})
	log := filepath.Join(shared.dir, "certmanager.log")
	controllers, err := process.Start(process.Spec{Path: binary, Args: []string{"--kubeconfig=" + shared.cluster.Admin.Kubeconfig}, Log: log})
	require.NoError(r.t, err)
	r.t.Cleanup(func() {
		if r.t.Failed() {
			r.t.Log("the end of cert-manager's log:\n", controllers.LogTail(30))
		}
		controllers.Stop(10 * time.Second)
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
	binary, err := buildCertManager(building)
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

	r.installCertManager(binary)
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
