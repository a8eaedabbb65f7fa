package kubelet

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

// Services leads the API server's connections to Services to their pods: to a ready one, by the EndpointSlices. Connections that are
// open stay with their pod, as they do in a cluster.
type Services struct {
	socket string
	server *http.Server
	open   sync.WaitGroup
}

// egress has an API server connect to whatever is in the cluster by a proxy
// (https://kubernetes.io/docs/tasks/extend-kubernetes/setup-konnectivity/).
const egress = `apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
- name: cluster
  connection:
    proxyProtocol: HTTPConnect
    transport: {uds: {udsName: %s}}
`

// NewServices prepares the proxy, and yields the flag with which the API server uses it.
func NewServices(dir string) (*Services, string, error) {
	s := &Services{socket: filepath.Join(dir, "services.sock")}
	config := filepath.Join(dir, "egress.yaml")
	return s, "--egress-selector-config-file=" + config, os.WriteFile(config, fmt.Appendf(nil, egress, s.socket), 0o600)
}

// Start begins to lead connections.
func (s *Services) Start(client kubernetes.Interface) error {
	l, err := net.Listen("unix", s.socket)
	if err != nil {
		return err
	}
	s.server = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		target, err := destination(r.Context(), client, r.Host)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		s.tunnel(w, target)
	})}
	go func() { _ = s.server.Serve(l) }()
	return nil
}

// Stop ends all connections to come; those that are open end with their pods.
func (s *Services) Stop() { _ = s.server.Close() }

// destination is where on this machine to connect to for an address of the cluster.
func destination(ctx context.Context, client kubernetes.Interface, address string) (string, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	port, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return "", err
	}
	services, err := client.CoreV1().Services("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	for i := range services.Items {
		service := &services.Items[i]
		if service.Spec.ClusterIP != host {
			continue
		}
		for _, p := range service.Spec.Ports {
			if int64(p.Port) == port {
				return endpoint(ctx, client, service.Namespace, service.Name, p.Name)
			}
		}
	}
	return "", fmt.Errorf("no Service has the address %s", address)
}

// endpoint is a ready one of a Service's port, chosen at random.
func endpoint(ctx context.Context, client kubernetes.Interface, namespace, service, port string) (string, error) {
	slices, err := client.DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service})
	if err != nil {
		return "", err
	}
	var found []string
	for _, slice := range slices.Items {
		for _, p := range slice.Ports {
			if ptr.Deref(p.Name, "") != port {
				continue
			}
			for _, e := range slice.Endpoints {
				if ptr.Deref(e.Conditions.Ready, true) {
					found = append(found, net.JoinHostPort(Local(e.Addresses[0]), strconv.Itoa(int(*p.Port))))
				}
			}
		}
	}
	if len(found) == 0 {
		return "", fmt.Errorf("no endpoint of Service %s/%s is ready", namespace, service)
	}
	return found[rand.IntN(len(found))], nil
}

// tunnel joins the request's connection with one to target.
func (s *Services) tunnel(w http.ResponseWriter, target string) {
	there, err := net.Dial("tcp", target)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	here, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = there.Close()
		return
	}
	_, _ = io.WriteString(here, "HTTP/1.1 200 Connection established\r\n\r\n")
	s.open.Go(func() {
		defer func() { _ = there.Close() }()
		_, _ = io.Copy(there, buffered)
	})
	s.open.Go(func() {
		defer func() { _ = here.Close() }()
		_, _ = io.Copy(here, there)
	})
}
