// Command build makes the programs of a real Kubernetes control plane from Go
// modules: etcd, kube-apiserver, kube-controller-manager and kubectl, and those
// that install and watch what runs there: Helm and promtool. They go to the
// directory bin/control-plane of the repository. Nothing but Go and a module
// proxy is needed.
//
// The tool directives of the go.mod here, and of those in the directories below,
// are the list of programs, and the require directives are their versions. Each
// project has a module of its own, as they do not agree about the versions of
// what they have in common. A program that is already there in
// the pinned version, and for this platform, is left alone; what it is, is read
// from the program itself. Only one build runs at a time, a second one waits.
//
//	go run -C test/controlplane/build .
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// modules are the directories with a go.mod that pins programs.
var modules = []string{".", "helm", "promtool"}

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
	moduleDir, err := os.Getwd()
	if err != nil {
		return err
	}
	programs, err := all(moduleDir)
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
		b := builder{moduleDir: filepath.Join(moduleDir, p.dir), target: target, out: out, label: fmt.Sprintf("%s %s (%d of %d)", p.name, p.version, i+1, len(todo))}
		if err := b.build(ctx, p); err != nil {
			return err
		}
	}
	return os.RemoveAll(filepath.Join(target, partialDir))
}

// all are the programs that the modules pin.
func all(moduleDir string) ([]program, error) {
	var out []program
	for _, dir := range modules {
		text, err := os.ReadFile(filepath.Join(moduleDir, dir, "go.mod"))
		if err != nil {
			return nil, err
		}
		programs, err := pinned(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
		for _, p := range programs {
			p.dir = dir
			out = append(out, p)
		}
	}
	return out, nil
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
