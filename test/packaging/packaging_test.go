// Package packaging tests the ways by which people come to Portcullis, by the real program: the GitHub Action, the pre-commit
// hook, the plugin of kubectl, and the completion of shells; and what CONTRIBUTING.md says.
package packaging

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/portcullis-dev/portcullis/test/guard"
)

// root is the repository, and bin a folder with the program alone. They are set before the first test.
var root, bin string

func TestMain(m *testing.M) {
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "packaging:", err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M) (int, error) {
	var err error
	if root, err = guard.Root(); err != nil {
		return 0, err
	}
	if bin, err = os.MkdirTemp("", "portcullis-packaging-"); err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(bin) }()
	build := exec.Command("go", "build", "-o", filepath.Join(bin, "portcullis"), "./cmd/portcullis")
	build.Dir, build.Stdout, build.Stderr = root, os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return 0, fmt.Errorf("building portcullis: %w", err)
	}
	return m.Run(), nil
}

// script is something to run.
type script struct {
	dir  string
	env  []string // beside that of the tests
	path []string // folders before those of PATH
	args []string
}

type result struct {
	code     int
	out, err string
}

func (s script) run(t *testing.T) result {
	t.Helper()
	path := strings.Join(append(s.path, os.Getenv("PATH")), string(filepath.ListSeparator))
	program := s.args[0]
	for _, dir := range s.path {
		if found, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			program = found
			break
		}
	}
	c := exec.CommandContext(context.Background(), program, s.args[1:]...)
	var out, errOut bytes.Buffer
	c.Dir, c.Stdout, c.Stderr = s.dir, &out, &errOut
	c.Env = append(append(os.Environ(), "PATH="+path), s.env...)
	err := c.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		require.NoError(t, err, s.args)
	}
	return result{c.ProcessState.ExitCode(), out.String(), errOut.String()}
}

// workspace is a folder with the examples in deploy/ and a good policy in good/.
func workspace(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	copyFile(t, filepath.Join(root, "examples", "1-open-to-the-internet.yaml"), filepath.Join(dir, "deploy", "open.yaml"))
	copyFile(t, filepath.Join(root, "examples", "2-behind-a-load-balancer.yaml"), filepath.Join(dir, "good", "closed.yaml"))
	return dir
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
	require.NoError(t, os.WriteFile(to, data, 0o644))
}

// readYAML reads a file of the repository strictly.
func readYAML(t *testing.T, name string, into any) {
	t.Helper()
	f, err := os.Open(filepath.Join(root, name))
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	decoder := yaml.NewDecoder(f)
	decoder.KnownFields(true)
	require.NoError(t, decoder.Decode(into), name)
}
