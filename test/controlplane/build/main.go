// Command build makes the programs of a real Kubernetes control plane from Go
// modules: etcd, kube-apiserver, kube-controller-manager and kubectl, in the
// directory bin/control-plane of the repository. Nothing but Go and a module
// proxy is needed.
//
// The tool directives of this directory's go.mod are the list of programs, and
// its require directives are their versions. A program that is already there in
// the pinned version, and for this platform, is left alone; what it is, is read
// from the program itself. Only one build runs at a time, a second one waits.
//
//	go run -C test/controlplane/build .
package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

//go:embed go.mod
var goMod []byte

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "control-plane:", err)
		os.Exit(1)
	}
}

// run brings bin/control-plane up to date and tells its progress on out.
func run(ctx context.Context, out io.Writer) error {
	programs, err := pinned(goMod)
	if err != nil {
		return err
	}
	moduleDir, err := os.Getwd()
	if err != nil {
		return err
	}
	target, err := targetDir(moduleDir)
	if err != nil {
		return err
	}
	if len(missing(target, programs)) == 0 {
		return nil
	}

	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	unlock, err := lock(ctx, filepath.Join(target, ".lock"), func() {
		fmt.Fprintln(out, "control-plane: another build is running, waiting for it")
	})
	if err != nil {
		return err
	}
	defer unlock()

	todo := missing(target, programs)
	for i, p := range todo {
		b := builder{moduleDir: moduleDir, target: target, out: out, label: fmt.Sprintf("%s %s (%d of %d)", p.name, p.version, i+1, len(todo))}
		if err := b.build(ctx, p); err != nil {
			return err
		}
	}
	return os.RemoveAll(filepath.Join(target, partialDir))
}

// targetDir is bin/control-plane at the root of the repository that moduleDir
// is the test/controlplane/build of.
func targetDir(moduleDir string) (string, error) {
	root := filepath.Join(moduleDir, "..", "..", "..")
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil || filepath.Base(moduleDir) != "build" {
		return "", fmt.Errorf("run it as: go run -C test/controlplane/build . (the current directory is %s)", moduleDir)
	}
	return filepath.Join(root, "bin", "control-plane"), nil
}
