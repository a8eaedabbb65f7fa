package controlplane

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
)

// ReportDefinitions is the directory of the CustomResourceDefinitions of
// OpenReports, which come from the Go module of its types. kubectl applies them.
func ReportDefinitions(ctx context.Context) (string, error) {
	root, err := repositoryRoot()
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, "go", "mod", "-C", filepath.Join(root, "test", "reports"),
		"download", "-json", "github.com/openreports/reports-api").Output()
	if err != nil {
		return "", fmt.Errorf("download the definitions of reports: %w", err)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		return "", fmt.Errorf("download the definitions of reports: %w", err)
	}
	return filepath.Join(module.Dir, "config", "crd"), nil
}
