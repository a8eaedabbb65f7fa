package gen

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/portcullis-dev/portcullis/test/oracle"
)

// Connection is one question to the oracle. At least one end is a pod, and both are of one address family.
type Connection struct {
	From, To oracle.Endpoint
	Port
}

// String is the connection for people to read: "a/p1 (10.0.0.2) → 8.8.8.8 TCP/80".
func (x Connection) String() string {
	return fmt.Sprintf("%s → %s %s", describe(x.From), describe(x.To), x.Port)
}

func (p Port) String() string { return fmt.Sprintf("%s/%d", p.Protocol, p.Number) }

func describe(e oracle.Endpoint) string {
	if e.Pod == nil {
		return e.IP.String()
	}
	return fmt.Sprintf("%s/%s (%s)", e.Pod.Namespace, e.Pod.Name, e.IP)
}

// Connections samples n connections of the cluster, most of them between pods and half of them to declared ports; none if
// the cluster has no pods.
func Connections(c *oracle.Cluster, random *rand.Rand, n int) []Connection {
	pods, others := Endpoints(c)
	if len(pods) == 0 {
		return nil
	}
	ports := Ports()
	out := make([]Connection, 0, n)
	for len(out) < n {
		x := Connection{From: one(random, pods), To: one(random, pods), Port: one(random, ports)}
		if declared := declaredPorts(x.To.Pod); len(declared) > 0 && random.IntN(2) == 0 {
			x.Port = one(random, declared)
		}
		switch random.IntN(6) {
		case 0:
			x.From = one(random, others)
		case 1:
			x.To = one(random, others)
		}
		toItself := x.From.Pod != nil && x.From.Pod == x.To.Pod
		if x.From.IP.Is4() == x.To.IP.Is4() && (!toItself || random.IntN(8) == 0) {
			out = append(out, x)
		}
	}
	return out
}

func declaredPorts(pod *corev1.Pod) []Port {
	var out []Port
	for _, container := range slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers) {
		for _, p := range container.Ports {
			out = append(out, Port{cmp.Or(p.Protocol, corev1.ProtocolTCP), p.ContainerPort})
		}
	}
	return out
}

func one[T any](random *rand.Rand, from []T) T { return from[random.IntN(len(from))] }

// AllConnections are all connections of the cluster between its endpoints, to its ports.
func AllConnections(c *oracle.Cluster) []Connection {
	pods, others := Endpoints(c)
	ends := append(pods[:len(pods):len(pods)], others...)
	var out []Connection
	for _, from := range ends {
		for _, to := range ends {
			if from.Pod == nil && to.Pod == nil || from.IP.Is4() != to.IP.Is4() {
				continue
			}
			for _, port := range Ports() {
				out = append(out, Connection{from, to, port})
			}
		}
	}
	return out
}
