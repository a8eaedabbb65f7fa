// Package controlplane runs a real Kubernetes control plane for tests and for
// the demo: etcd, kube-apiserver and kube-controller-manager, built by
// make control-plane, on free ports of the loopback address.
//
// What is real: storage, defaulting, validation, admission with webhooks (a
// url: of 127.0.0.1 works), RBAC, client certificates, audit, and the built-in
// controllers, so that Deployments make Pods and Namespaces terminate. What is
// not there: nodes. No scheduler and no kubelet run, Pods stay Pending until
// SetRunning says otherwise, and nothing enforces a NetworkPolicy.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/portcullis-dev/portcullis/test/controlplane/process"
)

// Options say how a control plane differs from the usual one.
type Options struct {
	// BinDir holds the programs. Empty: what Binaries finds.
	BinDir string
	// LogDir gets a log file per program, and the audit log; it is made if
	// absent, and stays. Empty: a directory that Stop removes.
	LogDir string
	// StartTimeout bounds Start and RestartAPIServer. Zero: two minutes.
	StartTimeout time.Duration
	// APIServerFlags and ControllerManagerFlags are added to the usual ones.
	APIServerFlags, ControllerManagerFlags []string
}

// ControlPlane is a control plane that runs until Stop. Its methods may be
// called by several goroutines at once.
type ControlPlane struct {
	// Admin is a member of system:masters: every request of theirs is authorized.
	Admin *User
	// Client is a client of Admin.
	Client kubernetes.Interface

	options   Options
	dir       string // of everything that Stop removes
	binDir    string
	logDir    string
	authority *authority
	etcdPort  int
	apiPort   int

	alive    context.Context // until Stop begins
	end      context.CancelFunc
	stopOnce sync.Once

	restarting sync.Mutex // one restart at a time
	mu         sync.Mutex // guards running
	running    []component

	lastPod atomic.Uint32
}

type component struct {
	name    string
	process *process.Process
}

// Start starts a control plane and returns when it is usable: the API server is
// ready, the namespaces that it makes are there, and the controllers work. It is
// stopped by Stop, by the end of ctx, and on Linux by the death of this process.
func Start(ctx context.Context, options Options) (*ControlPlane, error) {
	cp, err := prepare(options)
	if err != nil {
		return nil, fmt.Errorf("control plane: %w", err)
	}
	cp.alive, cp.end = context.WithCancel(ctx)
	context.AfterFunc(cp.alive, cp.Stop)
	if err := cp.up(); err != nil {
		cp.Stop()
		return nil, fmt.Errorf("control plane: %w", err)
	}
	return cp, nil
}

// prepare makes all files and picks the ports, and starts nothing.
func prepare(options Options) (_ *ControlPlane, err error) {
	if options.StartTimeout == 0 {
		options.StartTimeout = 2 * time.Minute
	}
	cp := &ControlPlane{options: options, binDir: options.BinDir, logDir: options.LogDir}
	if cp.binDir == "" {
		cp.binDir, err = Binaries()
	} else {
		err = checkBinaries(cp.binDir)
	}
	if err != nil {
		return nil, err
	}
	if cp.dir, err = os.MkdirTemp("", "portcullis-control-plane-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(cp.dir))
		}
	}()
	if cp.logDir == "" {
		cp.logDir = filepath.Join(cp.dir, "logs")
	}
	if err := os.MkdirAll(cp.logDir, 0o755); err != nil {
		return nil, err
	}
	if cp.etcdPort, cp.apiPort, err = twoFreePorts(); err != nil {
		return nil, err
	}
	if cp.authority, err = newAuthority(); err != nil {
		return nil, err
	}
	if err := cp.writeFiles(); err != nil {
		return nil, err
	}
	if cp.Admin, err = cp.User("admin", "system:masters"); err != nil {
		return nil, err
	}
	if cp.Client, err = kubernetes.NewForConfig(cp.Admin.Config); err != nil {
		return nil, err
	}
	return cp, nil
}

// up starts the components, each when what it needs is there.
func (cp *ControlPlane) up() error {
	ctx, cancel := context.WithTimeout(cp.alive, cp.options.StartTimeout)
	defer cancel()
	for _, step := range []struct {
		name  string
		args  func() ([]string, error)
		ready func(context.Context) error
	}{
		{etcd, cp.etcdArgs, cp.etcdReady},
		{apiServer, cp.apiServerArgs, cp.apiServerReady},
		{controllerManager, cp.controllerManagerArgs, cp.controllersReady},
	} {
		args, err := step.args()
		if err != nil {
			return err
		}
		if err := cp.launch(ctx, step.name, args, step.ready); err != nil {
			return err
		}
	}
	return nil
}

// launch starts a component and waits until it is ready.
func (cp *ControlPlane) launch(ctx context.Context, name string, args []string, ready func(context.Context) error) error {
	c, err := cp.spawn(name, args)
	if err != nil {
		return err
	}
	return await(ctx, c, ready)
}

func (cp *ControlPlane) spawn(name string, args []string) (component, error) {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	if cp.alive.Err() != nil {
		return component{}, fmt.Errorf("start %s: the control plane is stopped", name)
	}
	p, err := process.Start(process.Spec{
		Path: filepath.Join(cp.binDir, name),
		Args: args,
		Dir:  cp.dir,
		Log:  cp.LogFile(name),
	})
	if err != nil {
		return component{}, err
	}
	c := component{name: name, process: p}
	cp.running = append(cp.running, c)
	return c, nil
}

// Stop ends what Start started and removes its files. It returns when all of it
// has ended. Nothing is saved, so nothing is waited for. Further calls wait for
// the first and do nothing.
func (cp *ControlPlane) Stop() {
	cp.stopOnce.Do(func() {
		cp.end()
		cp.mu.Lock()
		defer cp.mu.Unlock()
		for len(cp.running) > 0 {
			last := len(cp.running) - 1
			cp.running[last].process.Stop(0)
			cp.running = cp.running[:last]
		}
		_ = os.RemoveAll(cp.dir)
	})
}

// drainTime is what the API server gets to answer the requests it has. It stops
// to listen at once, but would hold its watches for a minute.
const drainTime = time.Second

// RestartAPIServer stops the API server, starts it again on the same port and
// with the same data, and returns when it is ready. Watches end and connections
// are refused in between, as in a cluster with one API server.
func (cp *ControlPlane) RestartAPIServer(ctx context.Context) error {
	cp.restarting.Lock()
	defer cp.restarting.Unlock()
	ctx, cancel := context.WithTimeout(ctx, cp.options.StartTimeout)
	defer cancel()
	defer context.AfterFunc(cp.alive, cancel)()

	cp.stopComponent(apiServer, drainTime)
	args, err := cp.apiServerArgs()
	if err != nil {
		return fmt.Errorf("control plane: %w", err)
	}
	if err := cp.launch(ctx, apiServer, args, cp.apiServerReady); err != nil {
		return fmt.Errorf("control plane: %w", err)
	}
	return nil
}

func (cp *ControlPlane) stopComponent(name string, grace time.Duration) {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	for i, c := range cp.running {
		if c.name == name {
			c.process.Stop(grace)
			cp.running = slices.Delete(cp.running, i, i+1)
			return
		}
	}
}

// Kubectl is a kubectl command of Admin. See User.Kubectl.
func (cp *ControlPlane) Kubectl(ctx context.Context, args ...string) *exec.Cmd {
	return cp.Admin.Kubectl(ctx, args...)
}

// LogFile is the log of etcd, kube-apiserver or kube-controller-manager.
func (cp *ControlPlane) LogFile(name string) string {
	return filepath.Join(cp.logDir, name+".log")
}

// AuditLog is the API server's audit log: one JSON object of the kind Event of
// audit.k8s.io/v1 per line, for each write of a NetworkPolicy or a Namespace,
// with the annotations that admission webhooks gave it.
func (cp *ControlPlane) AuditLog() string { return filepath.Join(cp.logDir, "audit.log") }

// PIDs are the process ids of the running components, by name.
func (cp *ControlPlane) PIDs() map[string]int {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	pids := make(map[string]int, len(cp.running))
	for _, c := range cp.running {
		pids[c.name] = c.process.PID()
	}
	return pids
}
