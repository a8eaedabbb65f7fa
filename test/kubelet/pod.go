package kubelet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/ptr"

	"github.com/portcullis-dev/portcullis/test/controlplane/process"
)

// pod is one pod and the process that stands in for its container.
type pod struct {
	k       *Kubelet
	name    string
	node    string
	ip      string // as the cluster knows it
	dir     string // root of the process
	log     string
	object  atomic.Pointer[corev1.Pod] // as last seen
	deleted chan struct{}              // closed when it is to end
	over    chan struct{}              // closed when the API server does not have it any more
	asked   bool                       // whether deleted is closed; of sync alone

	process *process.Process
	ready   bool
	tokens  map[string]time.Time // when to ask for a new one, by volume
}

func newPod(k *Kubelet, object *corev1.Pod, n int) *pod {
	p := &pod{
		k: k, name: object.Name, node: k.options.Nodes[n%len(k.options.Nodes)], ip: fmt.Sprintf("10.244.%d.%d", n/200, n%200+1),
		dir: filepath.Join(k.options.Dir, object.Name), deleted: make(chan struct{}), over: make(chan struct{}), tokens: map[string]time.Time{},
	}
	p.log = filepath.Join(k.options.Dir, fmt.Sprintf("%03d-%s.log", n, object.Name))
	p.object.Store(object)
	return p
}

// update is told of the pod as it is now.
func (p *pod) update(object *corev1.Pod) {
	p.object.Store(object)
	if object.DeletionTimestamp != nil && !p.asked {
		p.asked = true
		close(p.deleted)
	}
}

func (p *pod) gone() { close(p.over) }

// Local is where on this machine a pod of that address listens.
func Local(podIP string) string { return "127." + strings.SplitN(podIP, ".", 2)[1] }

// work runs the pod until it is gone. Whatever fails is tried again.
func (p *pod) work() {
	ctx := p.k.ctx
	for p.bind(ctx) != nil {
		if !p.pause(time.Second) {
			return
		}
	}
	failures := 0
	for {
		err := p.start(ctx)
		if err == nil {
			p.report(ctx)
			err = p.attend(ctx)
		}
		if p.process != nil {
			p.end(ctx, err)
		}
		select {
		case <-ctx.Done():
			return
		case <-p.over:
			return
		case <-p.deleted:
			p.remove(ctx)
			return
		default:
		}
		failures++
		p.note("restart %d: %v", failures, err)
		if !p.pause(time.Second) {
			return
		}
	}
}

// pause waits; false if there is nothing more to do.
func (p *pod) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.k.ctx.Done():
	case <-p.over:
	}
	return false
}

func (p *pod) bind(ctx context.Context) error {
	if p.object.Load().Spec.NodeName != "" {
		return nil
	}
	return p.k.client.CoreV1().Pods(p.k.options.Namespace).Bind(ctx, &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: p.name}, Target: corev1.ObjectReference{Kind: "Node", Name: p.node},
	}, metav1.CreateOptions{})
}

// start makes the root directory anew and starts the process.
func (p *pod) start(ctx context.Context) error {
	object := p.object.Load()
	container := &object.Spec.Containers[0]
	if err := p.makeRoot(ctx, object, container); err != nil {
		return err
	}
	env, err := p.environment(object, container)
	if err != nil {
		return err
	}
	security := object.Spec.SecurityContext
	if security == nil || security.RunAsUser == nil || security.RunAsGroup == nil {
		return errors.New("the pod does not say as which user and group it runs")
	}
	p.process, err = process.Start(process.Spec{
		Path: "/portcullis", Args: expanded(container.Args, env), Env: env, Dir: "/", Log: p.log,
		Jail: &process.Jail{Root: p.dir, UID: int(*security.RunAsUser), GID: int(*security.RunAsGroup)},
	})
	return err
}

// environment is that of the container.
func (p *pod) environment(object *corev1.Pod, container *corev1.Container) ([]string, error) {
	host, port, err := net.SplitHostPort(strings.TrimPrefix(p.k.options.Cluster.Admin.Config.Host, "https://"))
	if err != nil {
		return nil, err
	}
	env := []string{"KUBERNETES_SERVICE_HOST=" + host, "KUBERNETES_SERVICE_PORT=" + port, "HOSTNAME=" + p.name, "PATH=/"}
	for _, e := range container.Env {
		value := e.Value
		if e.ValueFrom != nil {
			if value, err = p.field(object, e.ValueFrom.FieldRef); err != nil {
				return nil, fmt.Errorf("environment variable %s: %w", e.Name, err)
			}
		}
		env = append(env, e.Name+"="+value)
	}
	return env, nil
}

// field is what the downward API tells.
func (p *pod) field(object *corev1.Pod, ref *corev1.ObjectFieldSelector) (string, error) {
	if ref != nil {
		switch ref.FieldPath {
		case "status.podIP":
			return Local(p.ip), nil
		case "metadata.namespace":
			return object.Namespace, nil
		case "metadata.name":
			return object.Name, nil
		case "spec.nodeName":
			return p.node, nil
		}
	}
	return "", fmt.Errorf("this kubelet does not know %v", ref)
}

// expanded replaces $(NAME) by the value of the variable.
func expanded(args, env []string) []string {
	out := make([]string, len(args))
	for i, arg := range args {
		for _, e := range env {
			name, value, _ := strings.Cut(e, "=")
			arg = strings.ReplaceAll(arg, "$("+name+")", value)
		}
		out[i] = arg
	}
	return out
}

// attend probes the process and renews what it mounts, until it ends or is to.
func (p *pod) attend(ctx context.Context) error {
	container := &p.object.Load().Spec.Containers[0]
	probe := time.NewTicker(time.Duration(container.ReadinessProbe.PeriodSeconds) * time.Second)
	defer probe.Stop()
	mounts := time.NewTicker(10 * look)
	defer mounts.Stop()
	first := time.NewTicker(look) // as a kubelet probes sooner after a start
	defer first.Stop()
	failures := int32(0)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.over:
			return nil
		case <-p.deleted:
			return nil
		case <-p.process.Done():
			return fmt.Errorf("the process has ended: %v", p.process.Err())
		case <-mounts.C:
			if err := p.refresh(ctx); err != nil {
				p.note("mounts: %v", err)
			}
			continue
		case <-first.C:
			if p.ready {
				continue
			}
		case <-probe.C:
		}
		healthy := p.probe(ctx, container, container.ReadinessProbe)
		if healthy {
			failures = 0
		} else {
			failures++
		}
		if ready := healthy || p.ready && failures < container.ReadinessProbe.FailureThreshold; ready != p.ready {
			p.ready = ready
			p.report(ctx)
		}
	}
}

func (p *pod) probe(ctx context.Context, container *corev1.Container, probe *corev1.Probe) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(probe.TimeoutSeconds)*time.Second)
	defer cancel()
	port := probe.HTTPGet.Port
	for _, named := range container.Ports {
		if port.Type == intstr.String && named.Name == port.StrVal {
			port = intstr.FromInt32(named.ContainerPort)
		}
	}
	url := "http://" + net.JoinHostPort(Local(p.ip), strconv.Itoa(port.IntValue())) + probe.HTTPGet.Path
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode < http.StatusBadRequest
}

// end stops the process within the pod's grace period.
func (p *pod) end(ctx context.Context, why error) {
	grace := time.Duration(0)
	if why == nil {
		grace = time.Duration(ptr.Deref(p.object.Load().Spec.TerminationGracePeriodSeconds, 30)) * time.Second
		if ctx.Err() != nil {
			grace = 0
		}
	}
	started := time.Now()
	p.process.Stop(grace)
	if why == nil && ctx.Err() == nil {
		p.note("ended after %s of %s: %v", time.Since(started).Round(time.Millisecond), grace, p.process.Err())
	}
	p.ready = false
	p.process = nil
}

// note writes a line of this kubelet's into the pod's log.
func (p *pod) note(format string, args ...any) {
	f, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err == nil {
		fmt.Fprintf(f, "kubelet: "+format+"\n", args...)
		_ = f.Close()
	}
}

// report writes the pod's status.
func (p *pod) report(ctx context.Context) {
	pods := p.k.client.CoreV1().Pods(p.k.options.Namespace)
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		current, err := pods.Get(ctx, p.name, metav1.GetOptions{})
		if err != nil || current.UID != p.object.Load().UID {
			return err
		}
		now := metav1.Now()
		status := &current.Status
		status.Phase, status.PodIP, status.PodIPs = corev1.PodRunning, p.ip, []corev1.PodIP{{IP: p.ip}}
		if status.StartTime == nil {
			status.StartTime = &now
		}
		ready := corev1.ConditionFalse
		if p.ready {
			ready = corev1.ConditionTrue
		}
		status.Conditions = nil
		for condition, value := range map[corev1.PodConditionType]corev1.ConditionStatus{
			corev1.PodScheduled: corev1.ConditionTrue, corev1.PodInitialized: corev1.ConditionTrue,
			corev1.ContainersReady: ready, corev1.PodReady: ready,
		} {
			status.Conditions = append(status.Conditions, corev1.PodCondition{Type: condition, Status: value, LastTransitionTime: now})
		}
		status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: current.Spec.Containers[0].Name, Image: current.Spec.Containers[0].Image, Ready: p.ready, Started: ptr.To(true),
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}},
		}}
		_, err = pods.UpdateStatus(ctx, current, metav1.UpdateOptions{})
		return err
	})
	if err != nil && ctx.Err() == nil {
		p.note("status: %v", err)
	}
}

// remove has the API server forget the pod, as a kubelet does once nothing of it runs.
func (p *pod) remove(ctx context.Context) {
	uid := p.object.Load().UID
	err := p.k.client.CoreV1().Pods(p.k.options.Namespace).Delete(ctx, p.name, metav1.DeleteOptions{
		GracePeriodSeconds: ptr.To[int64](0), Preconditions: &metav1.Preconditions{UID: &uid},
	})
	if err != nil {
		p.note("removing the pod: %v", err)
	}
}
