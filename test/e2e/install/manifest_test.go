package install

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const onlyWebhooks = "app.kubernetes.io/component=webhook-configuration"

// TestTheManifestIsAppliedAndDeletedWithoutOneRefusedWrite does what the head of deploy/install.yaml says.
func TestTheManifestIsAppliedAndDeletedWithoutOneRefusedWrite(t *testing.T) {
	l := startLoad(t)
	makeNamespace(t)
	file := filepath.Join(shared.root, "deploy", "install.yaml")
	out := kubectl(t, "apply", "--server-side", "--dry-run=server", "--filename", file)
	assert.Contains(t, out, "deployment.apps/portcullis serverside-applied (server dry run)")
	assert.NotContains(t, out, "Warning", "nothing of it is deprecated, or against Pod Security")

	// All pods are on one machine here, and so cannot all listen on the same ports of all addresses.
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	text = regexp.MustCompile(`bind-address=:(\d+)`).ReplaceAll(text, []byte("bind-address=$$(POD_IP):$1"))
	dir := t.TempDir()
	file = filepath.Join(dir, "install.yaml")
	lenient := filepath.Join(dir, "lenient.yaml")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	require.NoError(t, os.WriteFile(lenient, bytes.ReplaceAll(text, []byte("failurePolicy: Fail"), []byte("failurePolicy: Ignore")), 0o600))

	kubectl(t, "apply", "--filename", lenient)
	kubectl(t, "--namespace", namespace, "rollout", "status", "deployment", "portcullis", "--timeout=2m")
	kubectl(t, "wait", "--for=jsonpath={.webhooks[0].clientConfig.caBundle}", "validatingwebhookconfiguration", "portcullis")
	l.flowed(t, "it comes")
	l.asked(t)
	kubectl(t, "apply", "--filename", file)
	l.flowed(t, "its failurePolicy becomes Fail")

	kubectl(t, "delete", "--filename", file, "--selector", onlyWebhooks)
	l.unasked(t)
	kubectl(t, "delete", "--filename", file, "--ignore-not-found")
	l.flowed(t, "it goes")
	l.stop()
	nothingIsLeft(t)
}

// TestOneCommandTakesItOutOfTheWay is the way out where nothing else helps.
func TestOneCommandTakesItOutOfTheWay(t *testing.T) {
	l := startLoad(t)
	makeNamespace(t)
	install(t, l)
	kubectl(t, "delete", "validatingwebhookconfiguration,mutatingwebhookconfiguration", "portcullis")
	l.unasked(t)
	l.flowed(t, "it is out of the way")
	// The chart puts them back, and the replicas the CA.
	for _, policy := range []string{"Ignore", "Fail"} {
		helm(t, "upgrade", "portcullis", chart(), "--reset-then-reuse-values", "--set", "webhooks.networkPolicies.failurePolicy="+policy)
		kubectl(t, "wait", "--for=jsonpath={.webhooks[0].clientConfig.caBundle}", "validatingwebhookconfiguration", "portcullis")
		l.asked(t)
	}
	l.flowed(t, "it is back")
	l.stop()
	helm(t, "uninstall", "portcullis", "--wait")
	kubectl(t, "delete", "namespace", namespace)
	nothingIsLeft(t)
}
