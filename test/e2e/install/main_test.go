// Package install tests Portcullis as a cluster's owner has it: installed by Helm or kubectl on a real control plane, with the rights of
// its own ServiceAccount, reached by its Service, upgraded and taken away while others write NetworkPolicies.
//
// Each test installs it anew, and leaves nothing behind.
package install

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"

	"github.com/portcullis-dev/portcullis/test/controlplane"
	"github.com/portcullis-dev/portcullis/test/guard"
	"github.com/portcullis-dev/portcullis/test/kubelet"
)

// namespace is where Portcullis is installed, and service the host that the API server asks.
const (
	namespace = "portcullis-system"
	service   = "portcullis." + namespace + ".svc"
)

// shared is what all tests use.
var shared struct {
	root, dir string
	cluster   *controlplane.ControlPlane
	kubelet   *kubelet.Kubelet
	shows     controlplane.WebhookClient // what the API server shows to Portcullis's Service, if it asks
}

// auditPolicy records everything that Portcullis asks for.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: ["system:serviceaccount:portcullis-system:portcullis"]
- level: None
`

func TestMain(m *testing.M) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := runAll(ctx, m)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "install:", err)
		code = 1
	}
	os.Exit(code)
}

func runAll(ctx context.Context, m *testing.M) (int, error) {
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	var err error
	if shared.root, err = guard.Root(); err != nil {
		return 0, err
	}
	builder := exec.CommandContext(ctx, "go", "run", "-C", filepath.Join(shared.root, "test", "controlplane", "build"), ".")
	builder.Stdout, builder.Stderr = os.Stderr, os.Stderr
	if err := builder.Run(); err != nil {
		return 0, fmt.Errorf("building the control plane: %w", err)
	}
	program, err := guard.BuildStatic(ctx, shared.root, os.Stderr)
	if err != nil {
		return 0, err
	}
	if shared.dir, err = os.MkdirTemp("", "portcullis-install-"); err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(shared.dir) }()
	if err := os.Chmod(shared.dir, 0o755); err != nil { // pods run as other users
		return 0, err
	}
	services, egress, err := kubelet.NewServices(shared.dir)
	if err != nil {
		return 0, err
	}
	policy := filepath.Join(shared.dir, "audit.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return 0, err
	}
	if shared.shows, err = controlplane.NewWebhookClient(shared.dir, service); err != nil {
		return 0, err
	}
	shared.cluster, err = controlplane.Start(ctx, controlplane.Options{APIServerFlags: []string{egress, "--audit-policy-file=" + policy, shared.shows.Flag}})
	if err != nil {
		return 0, err
	}
	defer shared.cluster.Stop()
	if err := services.Start(shared.cluster.Client); err != nil {
		return 0, err
	}
	defer services.Stop()
	pods := filepath.Join(shared.dir, "pods")
	if err := os.Mkdir(pods, 0o755); err != nil {
		return 0, err
	}
	shared.kubelet, err = kubelet.Start(ctx, kubelet.Options{
		Cluster: shared.cluster, Namespace: namespace, Program: program, Dir: pods, Nodes: []string{"node-a", "node-b"},
	})
	if err != nil {
		return 0, err
	}
	defer shared.kubelet.Stop()
	return m.Run(), nil
}

// limit bounds every single wait, and poll is the time between two looks.
const (
	limit = 3 * time.Minute
	poll  = 50 * time.Millisecond
)

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), limit)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until is is true.
func eventually(t *testing.T, what string, is func(context.Context) bool) {
	t.Helper()
	err := wait.PollUntilContextCancel(within(t), poll, true, func(ctx context.Context) (bool, error) { return is(ctx), nil })
	if err != nil {
		require.Fail(t, what+": "+err.Error(), shared.kubelet.LogTail())
	}
}

// helm runs Helm as the cluster's owner. The chart is the last argument but those of values.
func helm(t *testing.T, args ...string) string {
	t.Helper()
	command := exec.CommandContext(within(t), filepath.Join(shared.root, "bin", "control-plane", "helm"), append(args, "--namespace", namespace)...)
	command.Env = append(os.Environ(), "KUBECONFIG="+shared.cluster.Admin.Kubeconfig, "HELM_CACHE_HOME="+shared.dir, "HELM_CONFIG_HOME="+shared.dir, "HELM_DATA_HOME="+shared.dir)
	out, err := command.CombinedOutput()
	require.NoError(t, err, "helm %s\n%s\n%s", strings.Join(args, " "), out, shared.kubelet.LogTail())
	return string(out)
}

func chart() string { return filepath.Join(shared.root, "deploy", "chart") }

// kubectl runs kubectl as the cluster's owner.
func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := tryKubectl(t, args...)
	require.NoError(t, err, "kubectl %s\n%s\n%s", strings.Join(args, " "), out, shared.kubelet.LogTail())
	return out
}

func tryKubectl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	command := shared.cluster.Kubectl(within(t), args...)
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	err := command.Run()
	return out.String(), err
}
