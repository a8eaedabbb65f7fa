package controlplane

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// User is somebody known to the API server, by a client certificate.
type User struct {
	Name   string
	Groups []string
	// Config connects as this user, without a limit on requests per second.
	Config *rest.Config
	// Kubeconfig is a file that kubectl, or any other client, can use.
	Kubeconfig string

	home, kubectl string
}

// User makes a user with the given name and groups, who may do what RBAC allows
// them: nothing much, unless a binding says otherwise.
func (cp *ControlPlane) User(name string, groups ...string) (*User, error) {
	p, err := cp.authority.client(name, groups)
	if err != nil {
		return nil, fmt.Errorf("make user %s: %w", name, err)
	}
	home, err := os.MkdirTemp(cp.dir, "user-")
	if err != nil {
		return nil, fmt.Errorf("make user %s: %w", name, err)
	}
	u := &User{
		Name:       name,
		Groups:     groups,
		Kubeconfig: filepath.Join(home, "kubeconfig"),
		home:       home,
		kubectl:    filepath.Join(cp.binDir, kubectl),
	}
	kubeconfig := clientcmdapi.NewConfig()
	kubeconfig.Clusters["control-plane"] = &clientcmdapi.Cluster{Server: cp.url(), CertificateAuthorityData: cp.authority.pem}
	kubeconfig.AuthInfos[name] = &clientcmdapi.AuthInfo{ClientCertificateData: p.certificate, ClientKeyData: p.key}
	kubeconfig.Contexts["control-plane"] = &clientcmdapi.Context{Cluster: "control-plane", AuthInfo: name}
	kubeconfig.CurrentContext = "control-plane"
	if err := clientcmd.WriteToFile(*kubeconfig, u.Kubeconfig); err != nil {
		return nil, fmt.Errorf("make user %s: %w", name, err)
	}
	u.Config, err = clientcmd.NewDefaultClientConfig(*kubeconfig, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("make user %s: %w", name, err)
	}
	u.Config.QPS = -1
	return u, nil
}

// Kubectl is the kubectl command of this user with the given arguments, to be
// run by the caller, who may set its input and outputs. It depends on nothing of
// the environment that it is run in, such as the caller's own kubeconfig.
func (u *User) Kubectl(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, u.kubectl, args...)
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "KUBE") {
			cmd.Env = append(cmd.Env, entry)
		}
	}
	cmd.Env = append(cmd.Env,
		"KUBECONFIG="+u.Kubeconfig,
		"KUBERC=off",
		"KUBECACHEDIR="+filepath.Join(u.home, "cache"))
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}
