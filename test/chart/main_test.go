// Package chart tests what the Helm chart in deploy/chart renders, without a cluster: by the real helm, promtool and portcullis.
package chart

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

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/portcullis-dev/portcullis/test/guard"
)

// shared is what all tests use, and none changes.
var shared struct{ root, binary string }

func TestMain(m *testing.M) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := runAll(ctx, m)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		code = 1
	}
	os.Exit(code)
}

func runAll(ctx context.Context, m *testing.M) (int, error) {
	var err error
	if shared.root, err = guard.Root(); err != nil {
		return 0, err
	}
	builder := exec.CommandContext(ctx, "go", "run", "-C", filepath.Join(shared.root, "test", "controlplane", "build"), ".")
	builder.Stdout, builder.Stderr = os.Stderr, os.Stderr
	if err := builder.Run(); err != nil {
		return 0, fmt.Errorf("building helm and promtool: %w", err)
	}
	if shared.binary, err = guard.Build(ctx, shared.root, os.Stderr); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

func path(parts ...string) string { return filepath.Join(append([]string{shared.root}, parts...)...) }

// run runs a program with an input, and yields both outputs.
func run(t *testing.T, input, program string, args ...string) (string, error) {
	t.Helper()
	command := exec.Command(program, args...)
	var out bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(input), &out, &out
	err := command.Run()
	return out.String(), err
}

func helm(t *testing.T, values string, args ...string) (string, error) {
	t.Helper()
	args = append(args, "portcullis", path("deploy", "chart"), "--namespace", "guards", "--values", "-")
	return run(t, values, path("bin", "control-plane", "helm"), args...)
}

// rendered is the chart with the values, given in YAML.
func rendered(t *testing.T, values string) string {
	t.Helper()
	out, err := helm(t, values, "template")
	require.NoError(t, err, out)
	return out
}

// objects are those of manifests, by kind and name, as in Service/portcullis.
func objects(t *testing.T, manifests string) map[string]*unstructured.Unstructured {
	t.Helper()
	out := map[string]*unstructured.Unstructured{}
	for _, document := range strings.Split("\n"+manifests, "\n---") {
		var object map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(document), &object), document)
		if object == nil {
			continue
		}
		o := &unstructured.Unstructured{Object: object}
		require.NotContains(t, out, o.GetKind()+"/"+o.GetName())
		out[o.GetKind()+"/"+o.GetName()] = o
	}
	return out
}

// read converts the object of that kind and name into what into points to.
func read(t *testing.T, all map[string]*unstructured.Unstructured, name string, into any) {
	t.Helper()
	require.Contains(t, all, name)
	require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(all[name].Object, into, true))
}
