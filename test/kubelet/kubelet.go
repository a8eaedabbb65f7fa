// Package kubelet stands in for the nodes of a test's cluster: it runs the pods of one namespace as local processes, and leads
// connections to Services to them.
//
// A process gets what its pod's container has, and nothing else: the arguments, the environment, the user and group, the mounted
// ConfigMaps, Secrets and downward API, and the token of its ServiceAccount, bound to the pod, as the API server hands it out. What the
// container mounts read-only cannot be written, and neither can the rest of its root. Probes decide about readiness; a process that ends
// is started again; a pod that is deleted gets SIGTERM and its grace period. Images are programs of this machine.
//
// What is not as on a node: the addresses. The pod 10.244.1.2 listens on 127.244.1.2, and so is told that this is its address; and the
// API server is at its own address rather than at that of the Service kubernetes. NetworkPolicies do not hold, as there is no CNI, and
// resources are not limited.
package kubelet

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/portcullis-dev/portcullis/test/controlplane"
)

// Options say what to run.
type Options struct {
	Cluster   *controlplane.ControlPlane
	Namespace string
	// Program is what stands in for every image, at the path /portcullis.
	Program string
	// Dir gets the root directories and the logs of pods, and stays.
	Dir string
	// Nodes are the names of the nodes to make.
	Nodes []string
}

// Kubelet runs pods until it is stopped.
type Kubelet struct {
	options Options
	client  kubernetes.Interface
	ctx     context.Context
	stop    context.CancelFunc
	ended   chan struct{}

	mu   sync.Mutex
	pods map[types.UID]*pod
	next int // of the nodes, and of the addresses
}

// look is the time between two looks at the pods of the API server, and at what they mount.
const look = 100 * time.Millisecond

// Start makes the nodes and begins to run pods.
func Start(ctx context.Context, o Options) (*Kubelet, error) {
	k := &Kubelet{options: o, client: o.Cluster.Client, ended: make(chan struct{}), pods: map[types.UID]*pod{}}
	for _, name := range o.Nodes {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}}}
		if _, err := k.client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return nil, fmt.Errorf("making the node %s: %w", name, err)
		}
	}
	k.ctx, k.stop = context.WithCancel(context.WithoutCancel(ctx))
	go k.run()
	return k, nil
}

// Stop ends all processes.
func (k *Kubelet) Stop() {
	k.stop()
	<-k.ended
}

// run looks at the pods again and again, and has each worked on by a goroutine of its own until it is gone.
func (k *Kubelet) run() {
	defer close(k.ended)
	var workers sync.WaitGroup
	defer workers.Wait()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		list, err := k.client.CoreV1().Pods(k.options.Namespace).List(k.ctx, metav1.ListOptions{})
		if err == nil {
			k.sync(list.Items, &workers)
		}
		select {
		case <-k.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (k *Kubelet) sync(items []corev1.Pod, workers *sync.WaitGroup) {
	k.mu.Lock()
	defer k.mu.Unlock()
	present := map[types.UID]bool{}
	for i := range items {
		object := &items[i]
		present[object.UID] = true
		p := k.pods[object.UID]
		if p == nil {
			if object.DeletionTimestamp != nil && object.Spec.NodeName == "" {
				continue
			}
			k.next++
			p = newPod(k, object, k.next)
			k.pods[object.UID] = p
			workers.Go(p.work)
		}
		p.update(object)
	}
	for uid, p := range k.pods {
		if !present[uid] {
			p.gone()
			delete(k.pods, uid)
		}
	}
}

// Logs are the files of what the pods have logged, those that are gone included, oldest first.
func (k *Kubelet) Logs() []string {
	found, _ := filepath.Glob(filepath.Join(k.options.Dir, "*.log"))
	slices.Sort(found)
	return found
}

// LogTail is the end of each log, for messages.
func (k *Kubelet) LogTail() string {
	out := ""
	for _, name := range k.Logs() {
		text, err := os.ReadFile(name)
		if err == nil {
			out += filepath.Base(name) + ":\n" + string(text[max(0, len(text)-2048):]) + "\n"
		}
	}
	return out
}
