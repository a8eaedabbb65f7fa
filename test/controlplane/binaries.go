package controlplane

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	etcd              = "etcd"
	apiServer         = "kube-apiserver"
	controllerManager = "kube-controller-manager"
	kubectl           = "kubectl"
)

const modulePath = "github.com/portcullis-dev/portcullis"

// Binaries is the directory of the control plane's programs: bin/control-plane
// of the repository that the current directory is in. If they are not there, the
// error is one line that says what to run.
func Binaries() (string, error) {
	root, err := repositoryRoot()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "bin", "control-plane")
	return dir, checkBinaries(dir)
}

func checkBinaries(dir string) error {
	var missing []string
	for _, name := range []string{etcd, apiServer, controllerManager, kubectl} {
		if _, err := exec.LookPath(filepath.Join(dir, name)); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("no %s in %s: run make control-plane", strings.Join(missing, ", "), dir)
	}
	return nil
}

// repositoryRoot is the nearest directory above with this module's go.mod.
func repositoryRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		gomod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		switch {
		case err == nil && declares(string(gomod), modulePath):
			return dir, nil
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return "", err
		case dir == filepath.Dir(dir):
			return "", fmt.Errorf("%s is not inside the repository of %s: start from there, or set Options.BinDir", start, modulePath)
		}
	}
}

func declares(gomod, module string) bool {
	for line := range strings.Lines(gomod) {
		if strings.TrimSpace(line) == "module "+module {
			return true
		}
	}
	return false
}
