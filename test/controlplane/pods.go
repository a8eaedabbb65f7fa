package controlplane

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
)

// CreateNamespace makes a namespace with the given labels and returns once Pods
// can be made in it: they are refused until the controller manager has made the
// namespace's default ServiceAccount. A name that ends in a dash gets a suffix
// that makes it unique.
func (cp *ControlPlane) CreateNamespace(ctx context.Context, name string, labels map[string]string) (*corev1.Namespace, error) {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	if strings.HasSuffix(name, "-") {
		namespace.Name, namespace.GenerateName = "", name
	}
	namespace, err := cp.Client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	return namespace, cp.awaitServiceAccount(ctx, namespace.Name)
}

func (cp *ControlPlane) awaitServiceAccount(ctx context.Context, namespace string) error {
	return until(ctx, func() error {
		_, err := cp.Client.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

// CreateRunningPod makes a Pod and has it run, as SetRunning does. A Pod without
// containers gets one. Leave spec.nodeName empty: a Pod that is on a node waits
// for the node's kubelet when it is deleted, and there is none.
func (cp *ControlPlane) CreateRunningPod(ctx context.Context, pod *corev1.Pod, ips ...string) (*corev1.Pod, error) {
	pod = pod.DeepCopy()
	if pod.Namespace == "" {
		pod.Namespace = corev1.NamespaceDefault
	}
	if len(pod.Spec.Containers) == 0 {
		pod.Spec.Containers = []corev1.Container{{Name: "main", Image: "registry.invalid/main"}}
	}
	if err := cp.awaitServiceAccount(ctx, pod.Namespace); err != nil {
		return nil, err
	}
	created, err := cp.Client.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	return cp.SetRunning(ctx, created.Namespace, created.Name, ips...)
}

// SetRunning writes the status that a kubelet would: the Pod runs, is ready, and
// has the given addresses, at most one of each family. Without addresses it gets
// the next free one of PodCIDR.
func (cp *ControlPlane) SetRunning(ctx context.Context, namespace, name string, ips ...string) (*corev1.Pod, error) {
	if len(ips) == 0 {
		ips = []string{cp.nextPodIP()}
	}
	pods := cp.Client.CoreV1().Pods(namespace)
	var updated *corev1.Pod
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		pod, err := pods.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		now := metav1.Now()
		pod.Status.Phase = corev1.PodRunning
		pod.Status.StartTime = &now
		pod.Status.PodIP = ips[0]
		pod.Status.PodIPs = nil
		for _, ip := range ips {
			pod.Status.PodIPs = append(pod.Status.PodIPs, corev1.PodIP{IP: ip})
		}
		pod.Status.Conditions = nil
		for _, condition := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
			pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: condition, Status: corev1.ConditionTrue, LastTransitionTime: now})
		}
		updated, err = pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("set pod %s/%s running: %w", namespace, name, err)
	}
	return updated, nil
}

func (cp *ControlPlane) nextPodIP() string {
	network := netip.MustParsePrefix(PodCIDR).Addr().As4()
	n := cp.lastPod.Add(1)
	network[2], network[3] = byte(n/250), byte(n%250+1)
	return netip.AddrFrom4(network).String()
}

// DeleteNamespace deletes a namespace and returns once the namespace controller
// has removed it, with all that was in it. That controller waits for five seconds
// before it begins.
func (cp *ControlPlane) DeleteNamespace(ctx context.Context, name string) error {
	if err := cp.Client.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return err
	}
	return cp.namespaceGone(ctx, name)
}
