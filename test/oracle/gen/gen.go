// Package gen draws random clusters for the oracle: with every form of selector, peer and port that the API has, from
// universes so small that they meet often.
//
// A cluster has up to three namespaces, seven pods and six policies. Everything drawn is what a current API server would
// store.
package gen

import (
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/portcullis-dev/portcullis/test/oracle"
)

const maxPods = 7

// names are those of the namespaces.
func names() []string { return []string{"a", "b", "c"} }

// universe is the keys, and their values, that labels and selectors are drawn from.
type universe []struct {
	key    string
	values []string
}

func podLabels() universe {
	return universe{{"app", []string{"web", "db"}}, {"tier", []string{"x", ""}}}
}

func namespaceLabels() universe {
	return universe{{"team", []string{"x", "y"}}, {"env", []string{"prod"}}, {corev1.LabelMetadataName, names()}}
}

// Cluster draws a cluster.
func Cluster(t *rapid.T) *oracle.Cluster {
	c := &oracle.Cluster{Cilium: oneIn(t, 6, "cilium")}
	for _, name := range names() {
		ns := corev1.Namespace{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels(t, namespaceLabels()[:2])},
		}
		if !oneIn(t, 8, "namespace not described") {
			c.Namespaces = append(c.Namespaces, ns)
		}
	}
	for i := range rapid.IntRange(2, maxPods).Draw(t, "pods") {
		if i > 0 && oneIn(t, 3, "replica") {
			p := *c.Pods[i-1].DeepCopy()
			if oneIn(t, 4, "the other network") {
				p.Spec.HostNetwork = !p.Spec.HostNetwork
			}
			setName(t, &p, i)
			c.Pods = append(c.Pods, p)
			continue
		}
		c.Pods = append(c.Pods, pod(t, i))
	}
	for i := range pick(t, "policies", []int{1, 4, 3, 6, 5, 4, 2, 5, 6, 0}) {
		c.Policies = append(c.Policies, policy(t, i))
	}
	return c
}

// namespace draws the namespace of a pod or policy: most are in one.
func namespace(t *rapid.T) string { return pick(t, "namespace", []string{"a", "b", "a", "c", "a"}) }

// pod draws the pod of the number.
func pod(t *rapid.T, number int) corev1.Pod {
	p := corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace(t), Labels: labels(t, podLabels())},
		Spec:       corev1.PodSpec{HostNetwork: oneIn(t, 9, "hostNetwork"), DNSPolicy: corev1.DNSClusterFirstWithHostNet},
	}
	p.Spec.Containers, p.Spec.InitContainers = containers(t)
	setName(t, &p, number)
	return p
}

// setName gives the pod the name and the addresses of its number, so that no two pods have the same, or on the host's network
// the addresses of a node.
func setName(t *rapid.T, p *corev1.Pod, number int) {
	p.Name = fmt.Sprintf("p%d", number)
	four, six := podAddrs(number)
	if p.Spec.HostNetwork {
		four, six = nodeAddrs(upTo(t, 2, "node"))
	}
	p.Status.PodIPs = nil
	for _, ip := range pick(t, "families", [][]netip.Addr{{four}, {four, six}, {six}}) {
		p.Status.PodIPs = append(p.Status.PodIPs, corev1.PodIP{IP: ip.String()})
	}
}

// containers draws containers whose named ports are unique by name and protocol, as a name means one number in a pod. The
// same name for another protocol may mean another.
func containers(t *rapid.T) (ordinary, initial []corev1.Container) {
	always := corev1.ContainerRestartPolicyAlways
	main, sidecar, setup := corev1.Container{Name: "main"}, corev1.Container{Name: "sidecar", RestartPolicy: &always}, corev1.Container{Name: "setup"}
	for _, name := range portNames() {
		declared := pick(t, "protocols of "+name, [][]corev1.Protocol{{}, {""}, {corev1.ProtocolTCP}, {corev1.ProtocolUDP}, {corev1.ProtocolSCTP}, {corev1.ProtocolTCP, corev1.ProtocolUDP}})
		for i, protocol := range declared {
			port := corev1.ContainerPort{Name: name, Protocol: protocol, ContainerPort: pick(t, "number", portNumbers())}
			in := pick(t, "container", []*corev1.Container{&main, &sidecar, &setup})
			if i > 0 {
				in = &sidecar // names are unique within a container
			}
			in.Ports = append(in.Ports, port)
		}
	}
	for _, c := range []corev1.Container{sidecar, setup} {
		if len(c.Ports) > 0 {
			initial = append(initial, c)
		}
	}
	return []corev1.Container{main}, initial
}

func labels(t *rapid.T, from universe) map[string]string {
	out := map[string]string{}
	for _, u := range from {
		if !oneIn(t, 4, "without "+u.key) {
			out[u.key] = pick(t, u.key, u.values)
		}
	}
	return out
}

// upTo draws from 0 to n-1.
func upTo(t *rapid.T, n int, label string) int { return rapid.IntRange(0, n-1).Draw(t, label) }

func oneIn(t *rapid.T, n int, label string) bool { return upTo(t, n, label) == n-1 }

func pick[T any](t *rapid.T, label string, from []T) T { return from[upTo(t, len(from), label)] }
