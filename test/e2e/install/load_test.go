package install

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// load is people who write NetworkPolicies all the time, each of them right. None of their writes may ever be refused.
type load struct {
	namespace string
	client    kubernetes.Interface
	cancel    context.CancelFunc
	writers   sync.WaitGroup
	written   atomic.Int64

	mu       sync.Mutex
	failures []string
}

// startLoad begins to write in a new namespace.
func startLoad(t *testing.T) *load {
	t.Helper()
	ns, err := shared.cluster.CreateNamespace(within(t), "load-", nil)
	require.NoError(t, err)
	quiet := rest.CopyConfig(shared.cluster.Admin.Config)
	quiet.WarningHandler = rest.NoWarnings{}
	client, err := kubernetes.NewForConfig(quiet)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	l := &load{namespace: ns.Name, client: client, cancel: cancel}
	for i := range 4 {
		l.writers.Go(func() { l.write(ctx, fmt.Sprintf("writer-%d", i)) })
	}
	t.Cleanup(l.stop)
	return l
}

func (l *load) stop() {
	l.cancel()
	l.writers.Wait()
}

// right is a policy that nothing is found in at the level that is enforced.
func right(name string, port int32) *networkingv1.NetworkPolicy {
	target := intstr.FromInt32(port)
	return &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "api"}},
			Ingress: []networkingv1.NetworkPolicyIngressRule{{
				From:  []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "client"}}}},
				Ports: []networkingv1.NetworkPolicyPort{{Port: &target}},
			}},
		},
	}
}

// wrong is one that is denied in every namespace.
func wrong(name string) *networkingv1.NetworkPolicy {
	np := right(name, 9090)
	np.Spec.Ingress[0].From = []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0"}}}
	return np
}

// write creates, changes and deletes a policy, over and over, at the pace of a busy pipeline.
func (l *load) write(ctx context.Context, name string) {
	api := l.client.NetworkingV1().NetworkPolicies(l.namespace)
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	steps := []struct {
		name string
		do   func() error
	}{
		{"create", func() error { _, err := api.Create(ctx, right(name, 8080), metav1.CreateOptions{}); return err }},
		{"update", func() error { _, err := api.Update(ctx, right(name, 8081), metav1.UpdateOptions{}); return err }},
		{"delete", func() error { return api.Delete(ctx, name, metav1.DeleteOptions{}) }},
	}
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-pace.C:
		}
		step := steps[n%len(steps)]
		err := step.do()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil, apierrors.IsAlreadyExists(err), apierrors.IsNotFound(err): // the latter two after a failure alone
			l.written.Add(1)
		default:
			l.fail(fmt.Sprintf("%s %s: %v", time.Now().Format("15:04:05.000"), step.name, err))
		}
	}
}

func (l *load) fail(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = append(l.failures, what)
}

// flowed waits for some more writes, and checks that none has failed.
func (l *load) flowed(t *testing.T, while string) {
	t.Helper()
	before := l.written.Load()
	eventually(t, "writes go on "+while, func(context.Context) bool { return l.written.Load() > before+50 || l.failed() })
	l.mu.Lock()
	defer l.mu.Unlock()
	if !assert.Empty(t, l.failures, "while %s\n%s", while, shared.kubelet.LogTail()) {
		l.failures = nil
	}
}

func (l *load) failed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.failures) > 0
}

// asked waits until the API server has Portcullis judge what is written.
func (l *load) asked(t *testing.T) {
	t.Helper()
	eventually(t, "Portcullis refuses what is wrong", func(ctx context.Context) bool {
		_, err := l.client.NetworkingV1().NetworkPolicies(l.namespace).Create(ctx, wrong("wrong"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return apierrors.IsForbidden(err)
	})
}

// unasked waits until it does not any more.
func (l *load) unasked(t *testing.T) {
	t.Helper()
	eventually(t, "nobody refuses what is wrong", func(ctx context.Context) bool {
		_, err := l.client.NetworkingV1().NetworkPolicies(l.namespace).Create(ctx, wrong("wrong"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err == nil
	})
}
