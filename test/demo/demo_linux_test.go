package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// patienceOfTests bounds a whole run of the demo: on a busy machine it takes a while.
const patienceOfTests = 5 * time.Minute

// demo is the program, built, and to be run with a folder for temporary files of its own.
func demo(t *testing.T, environment ...string) (command *exec.Cmd, temporary string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patienceOfTests)
	t.Cleanup(cancel)
	binary := filepath.Join(t.TempDir(), "demo")
	text, err := exec.CommandContext(ctx, "go", "build", "-o", binary, ".").CombinedOutput()
	require.NoError(t, err, "%s", text)
	command = exec.CommandContext(ctx, binary)
	temporary = t.TempDir()
	command.Env = append(append(os.Environ(), "TMPDIR="+temporary), environment...)
	return command, temporary
}

func TestTheStoryTurnsOutAsTold(t *testing.T) {
	t.Parallel()
	command, temporary := demo(t, "DEMO_ONCE=1")
	text, err := command.CombinedOutput()
	require.NoError(t, err, "%s", text)
	for i := range story() {
		assert.Contains(t, string(text), fmt.Sprintf("\n%d. ", i+1))
	}
	assert.NotContains(t, string(text), "\x1b[", "there are no colours where there is no terminal")
	left, err := os.ReadDir(temporary)
	require.NoError(t, err)
	assert.Empty(t, left, "its files are removed")
}

func TestHoweverItEndsNothingIsLeftRunning(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		signal syscall.Signal
		clean  bool // its files are removed, and the exit code is 0
	}{
		"by Ctrl-C":                       {syscall.SIGINT, true},
		"by SIGTERM":                      {syscall.SIGTERM, true},
		"by SIGKILL, which nobody evades": {syscall.SIGKILL, false},
	} {
		t.Run(name, func(t *testing.T) {
			command, temporary := demo(t)
			out, err := command.StdoutPipe()
			require.NoError(t, err)
			var log bytes.Buffer
			command.Stderr = &log
			require.NoError(t, command.Start())
			lines, invited := bufio.NewScanner(out), false
			for !invited && lines.Scan() {
				invited = strings.HasPrefix(lines.Text(), "Ctrl-C stops everything")
			}
			require.True(t, invited, "%s", &log)
			children := childrenOf(t, command.Process.Pid)
			require.Len(t, children, 4, "etcd, kube-apiserver, kube-controller-manager and portcullis")

			require.NoError(t, command.Process.Signal(c.signal))
			for lines.Scan() {
			}
			err = command.Wait()
			assert.Equal(t, c.clean, err == nil, "%v", err)
			for _, pid := range children {
				require.Eventually(t, func() bool { return !running(pid) }, time.Minute, 10*time.Millisecond)
			}
			if c.clean {
				left, err := os.ReadDir(temporary)
				require.NoError(t, err)
				assert.Empty(t, left, "its files are removed")
			}
		})
	}
}

// childrenOf are the processes that the process has started.
func childrenOf(t *testing.T, parent int) []int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	var out []int
	for _, path := range stats {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		require.NoError(t, err)
		if fields := stat(pid); len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			out = append(out, pid)
		}
	}
	return out
}

// stat is what /proc tells of a process after its name: its state and its parent first.
func stat(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
}

// running says whether the process runs: one that has ended and that nobody has waited for yet does not.
func running(pid int) bool {
	fields := stat(pid)
	return len(fields) > 0 && fields[0] != "Z"
}
