package gen

import (
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"

	"github.com/portcullis-dev/portcullis/test/oracle"
)

func podAddrs(number int) (four, six netip.Addr) {
	return netip.MustParseAddr(fmt.Sprintf("10.0.0.%d", number+1)), netip.MustParseAddr(fmt.Sprintf("fd00::%d", number+1))
}

func nodeAddrs(number int) (four, six netip.Addr) {
	return netip.MustParseAddr(fmt.Sprintf("172.16.0.%d", number+1)), netip.MustParseAddr(fmt.Sprintf("fd01::%d", number+1))
}

// outside are addresses that are no pod's: some beside the pods', public ones, and the ends of both families.
func outside() []netip.Addr {
	var out []netip.Addr
	for _, text := range []string{
		"10.0.0.0", "10.0.0.8", "10.0.0.9", "172.16.0.0", "172.16.0.3", "8.8.8.8", "8.8.8.9", "127.255.255.255", "128.0.0.0", "0.0.0.0", "255.255.255.255",
		"fd00::", "fd00::8", "fd00::9", "fd01::3", "2600::1", "2600::2", "7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "8000::", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	} {
		out = append(out, netip.MustParseAddr(text))
	}
	return out
}

// anyAddrs are the addresses that ipBlocks are drawn around: mostly the pods'.
func anyAddrs() []netip.Addr {
	var out []netip.Addr
	for i := range maxPods {
		four, six := podAddrs(i)
		out = append(out, four, six)
	}
	four, six := nodeAddrs(0)
	return append(append(out, four, six), outside()...)
}

func portNames() []string { return []string{"http", "dns"} }

func portNumbers() []int32 { return []int32{80, 53} }

func protocols() []corev1.Protocol {
	return []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}
}

// Endpoints are all ends of connections worth asking for: each pod at each of its addresses, and addresses outside.
func Endpoints(c *oracle.Cluster) (pods, others []oracle.Endpoint) {
	for i := range c.Pods {
		pods = append(pods, EndpointsOf(&c.Pods[i])...)
	}
	for _, ip := range outside() {
		others = append(others, oracle.Endpoint{IP: ip})
	}
	return pods, others
}

// EndpointsOf are the pod at each of its addresses.
func EndpointsOf(pod *corev1.Pod) []oracle.Endpoint {
	var out []oracle.Endpoint
	for _, ip := range pod.Status.PodIPs {
		out = append(out, oracle.Endpoint{Pod: pod, IP: netip.MustParseAddr(ip.IP)})
	}
	return out
}

// Port is a port to connect to.
type Port struct {
	Protocol corev1.Protocol
	Number   int32
}

// Ports are all ports worth asking for: those that rules name, their neighbours, and the ends.
func Ports() []Port {
	var out []Port
	for _, protocol := range protocols() {
		for _, number := range []int32{80, 53, 52, 54, 79, 81, 1, 65535} {
			out = append(out, Port{protocol, number})
		}
	}
	return out
}

// LabelKeys are all keys that labels and selectors are drawn with.
func LabelKeys() []string {
	var out []string
	for _, u := range append(podLabels(), namespaceLabels()...) {
		out = append(out, u.key)
	}
	return out
}
