package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/portcullis-dev/portcullis/test/controlplane"
	"github.com/portcullis-dev/portcullis/test/guard"
)

// stage is what the story is told on.
type stage struct {
	root, dir string // the repository's, and of temporary files
	binary    string
	config    string // the configuration's file
	cluster   *controlplane.ControlPlane
	guard     *guard.Guard
	color     bool
}

// patience bounds every single wait.
const patience = 2 * time.Minute

// build makes the programs that are missing.
func build(ctx context.Context) (*stage, error) {
	root, err := guard.Root()
	if err != nil {
		return nil, err
	}
	// kubectl is given the files of the story by paths as a reader in the repository would give them.
	if err := os.Chdir(root); err != nil {
		return nil, err
	}
	s := &stage{root: root, color: isTerminal(os.Stdout) && os.Getenv("NO_COLOR") == ""}
	s.say("Building what is missing (the control plane takes some minutes, once).")
	builder := exec.CommandContext(ctx, "go", "run", "-C", filepath.Join("test", "controlplane", "build"), ".")
	builder.Stdout, builder.Stderr = os.Stdout, os.Stderr
	builder.Cancel = func() error { return builder.Process.Signal(os.Interrupt) }
	if err := builder.Run(); err != nil {
		return nil, fmt.Errorf("building the control plane: %w", err)
	}
	if s.binary, err = guard.Build(ctx, root, os.Stderr); err != nil {
		return nil, err
	}
	s.dir, err = os.MkdirTemp("", "portcullis-demo-")
	return s, err
}

// start starts the control plane and Portcullis, and returns once the one asks the other.
func (s *stage) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	began := time.Now()
	var err error
	// The control plane outlives the time that it may take to start: stop ends it.
	if s.cluster, err = controlplane.Start(context.WithoutCancel(ctx), controlplane.Options{}); err != nil {
		return err
	}
	s.say("etcd, kube-apiserver and kube-controller-manager are up (%s).", time.Since(began).Round(100*time.Millisecond))
	if err := s.dns(ctx); err != nil {
		return err
	}
	s.config = filepath.Join(s.dir, "guard.yaml")
	if err := s.configure("enforce"); err != nil {
		return err
	}
	began = time.Now()
	s.guard, err = guard.Start(guard.Options{
		Binary: s.binary, Log: s.log(),
		Args: []string{"--kubeconfig=" + s.cluster.Admin.Kubeconfig, "--register", "--config=" + s.config, "--log-format=text"},
	})
	if err != nil {
		return err
	}
	if err := s.guard.AwaitReady(ctx); err != nil {
		return err
	}
	if err := s.guard.AwaitAsked(ctx, s.cluster.Admin.Config); err != nil {
		return err
	}
	s.say("portcullis serve is up and registered (%s).", time.Since(began).Round(100*time.Millisecond))
	return nil
}

// dns makes the pod that stands for the cluster's DNS, which no kubelet will run here.
func (s *stage) dns(ctx context.Context) error {
	if err := serviceAccount("kube-system")(ctx, s); err != nil {
		return err
	}
	if text, err := s.cluster.Kubectl(ctx, "apply", "-f", files+"coredns.yaml").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, text)
	}
	return nil
}

func (s *stage) log() string { return filepath.Join(s.dir, "portcullis.log") }

// configure writes the configuration.
func (s *stage) configure(mode string) error {
	return os.WriteFile(s.config, []byte("mode: "+mode+"\n"), 0o600)
}

// stop ends what was started, and removes its files.
func (s *stage) stop() {
	if s.guard != nil {
		s.guard.Stop()
	}
	if s.cluster != nil {
		s.cluster.Stop()
	}
	_ = os.RemoveAll(s.dir)
}

// invite tells what to try.
func (s *stage) invite() {
	s.say("\nNow it is your turn. In another terminal:\n")
	fmt.Printf("  cd %s\n", s.root)
	fmt.Printf("  export KUBECONFIG=%s PATH=%s:$PATH\n\n", s.cluster.Admin.Kubeconfig, filepath.Join(s.root, "bin", "control-plane"))
	fmt.Println("  kubectl label namespace shop portcullis.dev/enforce=restricted")
	fmt.Println("  kubectl apply -f examples/3-no-dns.yaml")
	fmt.Println("  bin/portcullis rules dns-blocked")
	fmt.Printf("\nThe configuration is %s, read again when it changes; the log is %s.\nCtrl-C stops everything.\n", s.config, s.log())
}

// say prints a line of the demo's own.
func (s *stage) say(format string, args ...any) {
	fmt.Println(s.paint("1", fmt.Sprintf(format, args...)))
}

// paint colours a text on a terminal, by an ANSI code.
func (s *stage) paint(code, text string) string {
	if !s.color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
