// Package e2e tests what users see: the real program, asked by a real API server, with kubectl.
//
// One control plane and one `portcullis serve` are shared by all tests; each test has a namespace of its own. Tests that stop,
// restart or reconfigure something run one after the other; those that call t.Parallel run after them.
package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/portcullis-dev/portcullis/test/controlplane"
	"github.com/portcullis-dev/portcullis/test/guard"
)

// shared is what all tests use. It is set before the first one, and only tests that do not run in parallel replace guard.
var shared struct {
	root, dir, binary string
	cluster           *controlplane.ControlPlane
	guard             *guard.Guard
	mutual            mutual
}

// startTime bounds the start of the control plane, and of Portcullis.
const startTime = 3 * time.Minute

func TestMain(m *testing.M) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := runAll(ctx, m)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func runAll(ctx context.Context, m *testing.M) (int, error) {
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	root, err := guard.Root()
	if err != nil {
		return 0, err
	}
	builder := exec.CommandContext(ctx, "go", "run", "-C", filepath.Join(root, "test", "controlplane", "build"), ".")
	builder.Stdout, builder.Stderr = os.Stderr, os.Stderr
	if err := builder.Run(); err != nil {
		return 0, fmt.Errorf("building the control plane: %w", err)
	}
	shared.root = root
	if shared.binary, err = guard.Build(ctx, root, os.Stderr); err != nil {
		return 0, err
	}
	if shared.dir, err = os.MkdirTemp("", "portcullis-e2e-"); err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(shared.dir) }()
	if shared.mutual, err = prepareMutual(shared.dir); err != nil {
		return 0, err
	}
	if shared.cluster, err = controlplane.Start(ctx, controlplane.Options{APIServerFlags: []string{shared.mutual.Flag}}); err != nil {
		return 0, err
	}
	defer shared.cluster.Stop()
	if err := configure("ratchet: true"); err != nil {
		return 0, err
	}
	starting, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	if shared.guard, err = startGuard(starting, guard.Addresses{}); err != nil {
		return 0, err
	}
	defer func() { shared.guard.Stop() }()
	return m.Run(), nil
}

func configFile() string { return filepath.Join(shared.dir, "guard.yaml") }

// configure writes the configuration.
func configure(text string) error {
	return os.WriteFile(configFile(), []byte(text+"\n"), 0o600)
}

func logFile() string { return filepath.Join(shared.dir, "portcullis.log") }

// startGuard starts Portcullis and returns once the API server asks it.
func startGuard(ctx context.Context, addresses guard.Addresses, args ...string) (*guard.Guard, error) {
	g, err := guard.Start(guard.Options{
		Binary: shared.binary, Log: logFile(), Addresses: addresses,
		Args: append([]string{"--kubeconfig=" + shared.cluster.Admin.Kubeconfig, "--register", "--config=" + configFile()}, args...),
	})
	if err != nil {
		return nil, err
	}
	if err := g.AwaitReady(ctx); err != nil {
		return nil, err
	}
	return g, g.AwaitAsked(ctx, shared.cluster.Admin.Config)
}
