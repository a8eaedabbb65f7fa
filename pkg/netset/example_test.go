package netset_test

import (
	"fmt"
	"net/netip"

	"github.com/portcullis-dev/portcullis/pkg/netset"
)

func mustAddrs(cidrs ...string) netset.Addrs {
	var prefixes []netip.Prefix
	for _, s := range cidrs {
		prefixes = append(prefixes, netip.MustParsePrefix(s))
	}
	return netset.AddrsOf(prefixes...)
}

// Two halves are the whole, however they are written.
func ExampleAddrs_Equal() {
	fmt.Println(mustAddrs("0.0.0.0/1", "128.0.0.0/1").Equal(netset.AllIPv4()))
	// Output: true
}

func ExampleAddrs_Short() {
	open := netset.AllAddrs().Minus(netset.PrivateRanges())
	fmt.Println(open.Short(3))
	// Output: 0.0.0.0/0 except 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16; ::/0
}

// Whether a set is as wide as an IPv4 /8 or an IPv6 /16 is counted over all of its public addresses.
func ExampleAddrs_HasAtLeast() {
	fmt.Println(netset.Public(mustAddrs("11.0.0.0/9", "45.0.0.0/9")).HasAtLeast(8, 16))
	fmt.Println(netset.Public(mustAddrs("10.0.0.0/8", "192.0.2.0/24")).HasAtLeast(8, 16))
	// Output:
	// true
	// false
}

func ExampleParseCIDR() {
	prefix, deviations, err := netset.ParseCIDR("010.0.0.1/8")
	fmt.Println(prefix, err)
	for _, d := range deviations {
		fmt.Println("-", d)
	}
	// Output:
	// 10.0.0.0/8 <nil>
	// - must not have leading zeros
	// - must not have bits set beyond the prefix length
}

func ExampleParsePorts() {
	ports, err := netset.ParsePorts("UDP/53 TCP/8000-8999,443,80")
	fmt.Println(ports, err)
	// Output: TCP/80,443,8000-8999 UDP/53 <nil>
}

func ExampleUnionConns() {
	https := netset.PortsOf(netset.Port{Protocol: netset.TCP, Number: 443})
	dns := netset.PortsOf(netset.Port{Protocol: netset.UDP, Number: 53})
	allowed := netset.UnionConns(
		netset.ConnsOf(mustAddrs("10.0.0.0/9"), https.Union(dns)),
		netset.ConnsOf(mustAddrs("10.128.0.0/9"), https),
	)
	fmt.Println(allowed)
	addr, port, _ := allowed.Witness()
	fmt.Println(addr, port)
	// Output:
	// TCP/443 of 10.0.0.0/8; UDP/53 of 10.0.0.0/9
	// 10.0.0.1 TCP/443
}
