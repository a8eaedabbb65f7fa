package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// heartbeat is how often a build that still runs says so.
const heartbeat = 30 * time.Second

// partialDir is where programs are linked before they are moved into place.
const partialDir = ".partial"

type builder struct {
	moduleDir string // where the pinning go.mod is
	target    string // where the program goes
	out       io.Writer
	label     string
}

// build compiles p and moves it into place at once: a program in the target
// directory is always whole.
func (b builder) build(ctx context.Context, p program) error {
	partial := filepath.Join(b.target, partialDir, p.name)
	cmd := exec.CommandContext(ctx, "go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", p.ldflags(), "-o", partial, p.pkg)
	cmd.Dir = b.moduleDir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output

	fmt.Fprintf(b.out, "control-plane: %s: building\n", b.label)
	start := time.Now()
	elapsed := func() time.Duration { return time.Since(start).Round(100 * time.Millisecond) }
	done := make(chan error, 1)
	go func() { done <- cmd.Run() }()
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			fmt.Fprintf(b.out, "control-plane: %s: still building, %s\n", b.label, time.Since(start).Round(time.Second))
		case err := <-done:
			if ctx.Err() != nil {
				return fmt.Errorf("%s: interrupted after %s; what is compiled is cached, so the next run goes on from there", b.label, elapsed())
			}
			if err != nil {
				return fmt.Errorf("%s: go build failed after %s: %w\n%s", b.label, elapsed(), err, tail(output.String(), 30))
			}
			if err := os.Rename(partial, filepath.Join(b.target, p.name)); err != nil {
				return err
			}
			fmt.Fprintf(b.out, "control-plane: %s: built in %s\n", b.label, elapsed())
			return nil
		}
	}
}

// tail is the last n lines of s.
func tail(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
