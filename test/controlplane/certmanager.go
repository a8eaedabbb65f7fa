package controlplane

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/portcullis-dev/portcullis/test/controlplane/process"
)

// BuildCertManager builds test/certmanager of the repository at root, and
// returns its path. The first time takes minutes. Out gets what Go prints.
func BuildCertManager(ctx context.Context, root string, out io.Writer) (string, error) {
	path := filepath.Join(root, "bin", "certmanager")
	command := exec.CommandContext(ctx, "go", "build", "-C", filepath.Join(root, "test", "certmanager"), "-o", path, ".")
	command.Stdout, command.Stderr = out, out
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("building cert-manager: %w", err)
	}
	return path, nil
}

// CertManager is what runs of cert-manager: see test/certmanager.
type CertManager struct {
	cp      *ControlPlane
	kinds   []string // files of CustomResourceDefinitions
	process *process.Process
}

// certManagerEnds is what cert-manager gets to end.
const certManagerEnds = 10 * time.Second

// StartCertManager makes cert-manager's kinds, and starts its controllers from
// what BuildCertManager built of the same root.
func (cp *ControlPlane) StartCertManager(ctx context.Context, root, program string) (*CertManager, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-C", filepath.Join(root, "test", "certmanager"), "-m", "-f", "{{.Dir}}", "github.com/cert-manager/cert-manager").Output()
	if err != nil {
		return nil, fmt.Errorf("looking for cert-manager's module: %w", err)
	}
	c := &CertManager{cp: cp}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "deploy", "crds", "*.yaml"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("cert-manager's module has no CustomResourceDefinitions in %s", strings.TrimSpace(string(out)))
	}
	for _, file := range files {
		c.kinds = append(c.kinds, "--filename="+file)
	}
	if err := c.kubectl(ctx, append([]string{"apply", "--server-side"}, c.kinds...)...); err != nil {
		return nil, err
	}
	err = c.kubectl(ctx, append([]string{"wait", "--for=condition=Established", "--timeout=1m"}, c.kinds...)...)
	if err != nil {
		return nil, err
	}
	c.process, err = process.Start(process.Spec{Path: program, Args: []string{"--kubeconfig=" + cp.Admin.Kubeconfig}, Log: cp.LogFile("certmanager")})
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (c *CertManager) kubectl(ctx context.Context, args ...string) error {
	if out, err := c.cp.Kubectl(ctx, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl %s: %w\n%s", args[0], err, out)
	}
	return nil
}

// LogTail is the end of its log.
func (c *CertManager) LogTail() string { return c.process.LogTail(30) }

// Stop ends the controllers. The kinds stay, and what is of them.
func (c *CertManager) Stop() { c.process.Stop(certManagerEnds) }

// Remove ends the controllers and takes the kinds away, and with them all that
// is of these kinds.
func (c *CertManager) Remove(ctx context.Context) error {
	c.Stop()
	return c.kubectl(ctx, append([]string{"delete", "--ignore-not-found", "--timeout=1m"}, c.kinds...)...)
}
