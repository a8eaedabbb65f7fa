package controlplane

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"k8s.io/client-go/util/keyutil"
)

// The address ranges of the control plane. Pods get theirs from SetRunning.
const (
	PodCIDR     = "10.244.0.0/16"
	ServiceCIDR = "10.96.0.0/16"
)

// auditPolicy records writes of what Portcullis guards, without their bodies.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  verbs: [get, list, watch]
- level: Metadata
  resources:
  - group: networking.k8s.io
    resources: [networkpolicies]
  - group: ""
    resources: [namespaces, namespaces/finalize]
- level: None
`

func (cp *ControlPlane) file(name string) string { return filepath.Join(cp.dir, name) }

func (cp *ControlPlane) url() string { return "https://" + loopback(cp.apiPort) }

func (cp *ControlPlane) etcdURL() string { return "http://" + loopback(cp.etcdPort) }

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// writeFiles writes what the components read at their start.
func (cp *ControlPlane) writeFiles() error {
	server, err := cp.authority.serving(apiServer)
	if err != nil {
		return err
	}
	tokenKey, err := keyutil.MakeEllipticPrivateKeyPEM()
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"ca.crt":             cp.authority.pem,
		"apiserver.crt":      server.certificate,
		"apiserver.key":      server.key,
		"serviceaccount.key": tokenKey,
		"audit-policy.yaml":  []byte(auditPolicy),
	} {
		if err := os.WriteFile(cp.file(name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// etcdArgs let the only member elect itself after a tenth of the usual second.
func (cp *ControlPlane) etcdArgs() ([]string, error) {
	return []string{
		"--data-dir=" + cp.file("etcd"),
		"--unsafe-no-fsync",
		"--heartbeat-interval=10",
		"--election-timeout=100",
		"--listen-client-urls=" + cp.etcdURL(),
		"--advertise-client-urls=" + cp.etcdURL(),
		"--listen-peer-urls=http://127.0.0.1:0",
	}, nil
}

func (cp *ControlPlane) apiServerArgs() ([]string, error) {
	return append([]string{
		"--etcd-servers=" + cp.etcdURL(),
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		"--endpoint-reconciler-type=none",
		"--secure-port=" + strconv.Itoa(cp.apiPort),
		"--tls-cert-file=" + cp.file("apiserver.crt"),
		"--tls-private-key-file=" + cp.file("apiserver.key"),
		"--client-ca-file=" + cp.file("ca.crt"),
		"--authorization-mode=RBAC",
		"--service-cluster-ip-range=" + ServiceCIDR,
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + cp.file("serviceaccount.key"),
		"--service-account-signing-key-file=" + cp.file("serviceaccount.key"),
		"--audit-policy-file=" + cp.file("audit-policy.yaml"),
		"--audit-log-path=" + cp.AuditLog(),
	}, cp.options.APIServerFlags...), nil
}

// controllerManagerArgs leave out the controllers that act on what nodes report,
// as no node reports: they would taint Nodes that tests make, evict their Pods
// and collect those as orphans. Each controller has its own ServiceAccount, so
// that webhooks see the users that they see in a cluster.
func (cp *ControlPlane) controllerManagerArgs() ([]string, error) {
	user, err := cp.User("system:" + controllerManager)
	if err != nil {
		return nil, err
	}
	return append([]string{
		"--kubeconfig=" + user.Kubeconfig,
		"--use-service-account-credentials",
		"--service-account-private-key-file=" + cp.file("serviceaccount.key"),
		"--root-ca-file=" + cp.file("ca.crt"),
		"--controllers=*,-node-lifecycle-controller,-taint-eviction-controller,-device-taint-eviction-controller,-pod-garbage-collector-controller",
		"--leader-elect=false",
		"--secure-port=0",
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
	}, cp.options.ControllerManagerFlags...), nil
}

func twoFreePorts() (int, int, error) {
	first, err := listenAnywhere()
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = first.Close() }()
	second, err := listenAnywhere()
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = second.Close() }()
	return first.Addr().(*net.TCPAddr).Port, second.Addr().(*net.TCPAddr).Port, nil
}

// listenAnywhere takes a free port. It lies below the range from which Linux
// takes the local ports of connections, so that none of those takes the API
// server's while it restarts.
func listenAnywhere() (net.Listener, error) {
	const first, count, tries = 20000, 10000, 100
	var failure error
	for range tries {
		l, err := net.Listen("tcp", loopback(first+rand.IntN(count)))
		if err == nil {
			return l, nil
		}
		failure = err
	}
	return nil, fmt.Errorf("find a free port on 127.0.0.1: %d tries failed, the last with: %w", tries, failure)
}
