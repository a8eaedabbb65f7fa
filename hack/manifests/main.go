// Command manifests writes what is made of the chart in deploy/chart: the configuration's part of the schema of its values, the list of
// values in its README, deploy/install.yaml, and deploy/monitoring. With -verify it writes nothing, and fails if something is stale.
//
// It runs helm, which make control-plane builds.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	verify := flag.Bool("verify", false, "write nothing, and fail if something is stale")
	flag.Parse()
	if err := run(".", *verify); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const (
	chart     = "deploy/chart"
	namespace = "portcullis-system"
)

// output is one file that is made.
type output struct {
	path string
	made func(root string) ([]byte, error)
}

// outputs are all, in the order in which one is made of another.
var outputs = []output{
	{chart + "/values.schema.json", valuesSchema},
	{chart + "/README.md", readme},
	{"deploy/install.yaml", install},
	{"deploy/monitoring/servicemonitor.yaml", shown("servicemonitor.yaml", "metrics.serviceMonitor.enabled=true")},
	{"deploy/monitoring/prometheusrule.yaml", shown("prometheusrule.yaml", "metrics.prometheusRule.enabled=true")},
	{"deploy/monitoring/dashboard.json", func(root string) ([]byte, error) {
		return os.ReadFile(filepath.Join(root, chart, "files", "dashboard.json"))
	}},
}

// run writes or verifies everything below root.
func run(root string, verify bool) error {
	var problems []error
	for _, o := range outputs {
		content, err := o.made(root)
		if err != nil {
			return fmt.Errorf("%s: %w", o.path, err)
		}
		if err := apply(filepath.Join(root, filepath.FromSlash(o.path)), content, verify); err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// apply writes a file if it differs; with verify, that is an error.
func apply(path string, content []byte, verify bool) error {
	old, err := os.ReadFile(path)
	switch {
	case err == nil && bytes.Equal(old, content):
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case verify:
		return fmt.Errorf("%s is stale: run make manifests", path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o644)
}

// helm renders the chart.
func helm(root string, args ...string) ([]byte, error) {
	program, err := filepath.Abs(filepath.Join(root, "bin", "control-plane", "helm"))
	if err != nil {
		return nil, err
	}
	if _, err := exec.LookPath(program); err != nil {
		return nil, fmt.Errorf("there is no helm: run make control-plane: %w", err)
	}
	command := exec.Command(program, append([]string{"template", "portcullis", filepath.Join(root, chart), "--namespace", namespace}, args...)...)
	var complaint bytes.Buffer
	command.Stderr = &complaint
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("helm template: %w: %s", err, complaint.String())
	}
	return out, nil
}

const installHeader = `# Portcullis, as the chart in deploy/chart has it with its defaults. Made by make manifests; change the chart instead.
#
# On a cluster that is in use, let writes pass until it answers:
#   sed 's/failurePolicy: Fail/failurePolicy: Ignore/' install.yaml | kubectl apply -f -
#   kubectl -n portcullis-system rollout status deployment portcullis
#   kubectl wait --for=jsonpath='{.webhooks[0].clientConfig.caBundle}' validatingwebhookconfiguration portcullis
#   kubectl apply -f install.yaml
# To take it away, the webhooks first:
#   kubectl delete -f install.yaml -l app.kubernetes.io/component=webhook-configuration
#   kubectl delete -f install.yaml --ignore-not-found
`

// install is the chart with its defaults, without what Helm notes of its templates.
func install(root string) ([]byte, error) {
	rendered, err := helm(root, "--set", "namespace.create=true")
	if err != nil {
		return nil, err
	}
	return append([]byte(installHeader), withoutSources(rendered)...), nil
}

// shown makes a file of one template.
func shown(template string, set ...string) func(string) ([]byte, error) {
	return func(root string) ([]byte, error) {
		args := []string{"--show-only", "templates/" + template}
		for _, s := range set {
			args = append(args, "--set", s)
		}
		rendered, err := helm(root, args...)
		if err != nil {
			return nil, err
		}
		return append([]byte("# Made by make manifests of deploy/chart; change the chart instead.\n"), withoutSources(rendered)...), nil
	}
}

func withoutSources(rendered []byte) []byte {
	var out strings.Builder
	for line := range strings.Lines(string(rendered)) {
		if !strings.HasPrefix(line, "# Source: ") {
			out.WriteString(line)
		}
	}
	return []byte(out.String())
}
