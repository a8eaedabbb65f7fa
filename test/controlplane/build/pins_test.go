package main

import (
	"context"
	"debug/buildinfo"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTheModulesHereNameTheProgramsOfAControlPlane(t *testing.T) {
	programs, err := all(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kubectl", "helm", "promtool"} {
		if !slices.ContainsFunc(programs, func(p program) bool { return p.name == name && p.version != "" }) {
			t.Errorf("%s is not among %v", name, programs)
		}
	}
}

const gomod = `module example.org/build
tool example.org/k8s/cmd/kube-apiserver
tool k8s.io/kubernetes/cmd/kubectl
require example.org/k8s v1.36.3
require k8s.io/kubernetes v1.36.4
replace k8s.io/api => k8s.io/api v0.36.3
`

func TestIfAStagingModuleIsReplacedByAnotherVersionThanThatOfKubernetesItIsAnError(t *testing.T) {
	_, err := pinned([]byte(gomod))
	if err == nil || !strings.Contains(err.Error(), "needs v0.36.4") {
		t.Fatalf("want an error that names v0.36.4, got %v", err)
	}
	if _, err := pinned([]byte(strings.ReplaceAll(gomod, "v0.36.3", "v0.36.4"))); err != nil {
		t.Fatalf("want no error once they match, got %v", err)
	}
}

func TestIfAToolHasNoRequiredModuleItIsAnError(t *testing.T) {
	_, err := pinned([]byte("module m\ntool example.org/other/cmd/x\n"))
	if err == nil || !strings.Contains(err.Error(), "example.org/other/cmd/x") {
		t.Fatalf("want an error that names the tool, got %v", err)
	}
}

func TestKubernetesProgramsAreLinkedWithTheirVersionAndOthersAreNot(t *testing.T) {
	flags := program{module: kubernetes, version: "v1.36.3"}.ldflags()
	for _, want := range []string{"component-base/version.gitVersion=v1.36.3", "component-base/version.gitMajor=1", "component-base/version.gitMinor=36"} {
		if !strings.Contains(flags, want) {
			t.Errorf("%q lacks %q", flags, want)
		}
	}
	if got := (program{module: "go.etcd.io/etcd/server/v3", version: "v3.6.8"}).ldflags(); got != "-s -w" {
		t.Errorf("etcd: %q", got)
	}
}

func TestIfAFileIsAbsentOrAnotherProgramOrAnotherVersionThenItIsMissing(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	info, err := buildinfo.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	here := program{name: "here", pkg: info.Path, module: info.Main.Path, version: info.Main.Version}
	newer := here
	newer.version = "v1.0.0"
	other := here
	other.pkg = "example.org/other"
	if got := missing(dir, []program{here}); len(got) != 1 {
		t.Fatalf("absent: %v", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "here"), binary, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := missing(dir, []program{here}); len(got) != 0 {
		t.Errorf("present in the pinned version, but missing: %v", got)
	}
	if got := missing(dir, []program{newer, other}); len(got) != 2 {
		t.Errorf("another version and another program are missing, got only %v", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "here"), binary[:len(binary)/8], 0o755); err != nil {
		t.Fatal(err)
	}
	if got := missing(dir, []program{here}); len(got) != 1 {
		t.Errorf("a cut file counts as present")
	}
}

func TestIfABuildRunsThenAnotherWaitsUntilItIsDone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(t.Context(), path, func() { t.Error("nobody else holds the lock") })
	if err != nil {
		t.Fatal(err)
	}
	waited := make(chan struct{})
	second := make(chan error, 1)
	go func() {
		unlock2, err := lock(t.Context(), path, func() { close(waited) })
		if err == nil {
			unlock2()
		}
		second <- err
	}()
	select {
	case <-waited:
	case err := <-second:
		t.Fatalf("the second did not wait: %v", err)
	case <-time.After(30 * time.Second):
		t.Fatal("the second never said that it waits")
	}
	unlock()
	if err := <-second; err != nil {
		t.Fatal(err)
	}
}

func TestIfTheWaitIsInterruptedThenTheLockIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(t.Context(), path, func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := lock(ctx, path, cancel); err == nil {
		t.Fatal("got the lock that somebody else holds")
	}
}

func TestIfTheBuildFailsThenTheErrorShowsWhatTheCompilerSaid(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.org/broken\n\ngo 1.26.0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n\nfunc main() { unknownName() }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	b := builder{moduleDir: dir, target: dir, out: &out, label: "broken v1"}
	err := b.build(t.Context(), program{name: "broken", pkg: "example.org/broken"})
	if err == nil || !strings.Contains(err.Error(), "unknownName") || !strings.Contains(err.Error(), "broken v1") {
		t.Fatalf("want an error with the program and the compiler's words, got %v", err)
	}
	if !strings.Contains(out.String(), "broken v1: building") {
		t.Fatalf("no progress line: %q", out.String())
	}
}
