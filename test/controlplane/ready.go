package controlplane

import (
	"context"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	pollInterval = 50 * time.Millisecond
	probeTimeout = 5 * time.Second
	tailLines    = 15
)

// await asks ready until it answers without an error. If the component ends
// before, or the time is over, the error has the end of its log.
func await(ctx context.Context, c component, ready func(context.Context) error) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		probe, cancel := context.WithTimeout(ctx, probeTimeout)
		err := ready(probe)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-c.process.Done():
			return fmt.Errorf("%s ended before it was ready: %v; the end of its log:\n%s", c.name, c.process.Err(), c.process.LogTail(tailLines))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w: %w; the end of its log:\n%s", c.name, ctx.Err(), err, c.process.LogTail(tailLines))
		case <-tick.C:
		}
	}
}

func (cp *ControlPlane) etcdReady(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, cp.etcdURL()+"/readyz", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET /readyz answers %s", response.Status)
	}
	return nil
}

// apiServerReady asks for readiness, and for the namespaces that the API server
// makes soon after.
func (cp *ControlPlane) apiServerReady(ctx context.Context) error {
	if err := cp.Client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error(); err != nil {
		return err
	}
	for _, name := range []string{corev1.NamespaceDefault, metav1.NamespaceSystem} {
		if _, err := cp.Client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// controllersReady holds once the controller manager has made the account that
// the namespace controller acts as, which it does when it starts it, and what
// every namespace gets from controllers.
func (cp *ControlPlane) controllersReady(ctx context.Context) error {
	core := cp.Client.CoreV1()
	if _, err := core.ServiceAccounts(metav1.NamespaceSystem).Get(ctx, "namespace-controller", metav1.GetOptions{}); err != nil {
		return err
	}
	if _, err := core.ServiceAccounts(corev1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{}); err != nil {
		return err
	}
	_, err := core.ConfigMaps(corev1.NamespaceDefault).Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
	return err
}

func (cp *ControlPlane) namespaceGone(ctx context.Context, name string) error {
	return until(ctx, func() error {
		_, err := cp.Client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
		switch {
		case err == nil:
			return fmt.Errorf("namespace %s is still there", name)
		case apierrors.IsNotFound(err):
			return nil
		default:
			return err
		}
	})
}

// until calls try until it returns nil; when ctx ends, what try said last is the
// error.
func until(ctx context.Context, try func() error) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-tick.C:
		}
	}
}
