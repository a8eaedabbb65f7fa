package netset

import (
	"fmt"
	"net/netip"
	"testing"

	"go4.org/netipx"
)

// scattered is n IPv4 prefixes of /16, and none adjacent to another.
func scattered(n, offset int) []netip.Prefix {
	out := make([]netip.Prefix, n)
	for i := range out {
		out[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(20 + 8*(i%20)), byte(4*offset + 2*(i/20)), 0, 0}), 16)
	}
	return out
}

var (
	sinkAddrs Addrs
	sinkPorts Ports
	sinkConns Conns
	sinkBool  bool
)

func BenchmarkAddrs(b *testing.B) {
	for _, n := range []int{1, 5, 20} {
		x, y := AddrsOf(scattered(n, 0)...), AddrsOf(scattered(n, 1)...)
		within := AddrsOf(scattered(max(n/2, 1), 0)...)
		for name, op := range map[string]func(){
			"Union":             func() { sinkAddrs = x.Union(y) },
			"Union of a subset": func() { sinkAddrs = x.Union(within) },
			"Intersect public":  func() { sinkAddrs = x.Intersect(PublicInternet()) },
			"Minus":             func() { sinkAddrs = AllIPv4().Minus(x) },
			"Overlaps":          func() { sinkBool = x.Overlaps(y) },
			"ContainsAll":       func() { sinkBool = x.ContainsAll(within) },
			"Public HasAtLeast": func() { sinkBool = Public(x).HasAtLeast(8, 16) },
			"AddrsOf":           func() { sinkAddrs = AddrsOf(scattered(n, 0)...) },
		} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					op()
				}
			})
		}
	}
}

// BenchmarkReference is what the same union costs with netipx's builder.
func BenchmarkReference(b *testing.B) {
	for _, n := range []int{1, 5, 20} {
		x, y := scattered(n, 0), scattered(n, 1)
		b.Run(fmt.Sprintf("netipx union/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var builder netipx.IPSetBuilder
				for _, p := range x {
					builder.AddPrefix(p)
				}
				for _, p := range y {
					builder.AddPrefix(p)
				}
				_, err := builder.IPSet()
				sinkBool = err == nil
			}
		})
	}
}

func BenchmarkPorts(b *testing.B) {
	x := PortsOf(Port{TCP, 80}, Port{TCP, 443}, Port{UDP, 53})
	y := PortRange(TCP, 8000, 8999)
	b.Run("Union", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sinkPorts = x.Union(y)
		}
	})
	b.Run("Intersect all", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sinkPorts = x.Intersect(AllPorts())
		}
	})
	b.Run("Overlaps", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sinkBool = x.Overlaps(y)
		}
	})
}

func BenchmarkConns(b *testing.B) {
	for _, n := range []int{2, 10, 50} {
		samePort, ownPort := make([]Conns, n), make([]Conns, n)
		for i, p := range scattered(n, 0) {
			samePort[i] = ConnsOf(AddrsOf(p), PortsOf(Port{TCP, 443}))
			ownPort[i] = ConnsOf(AddrsOf(p), PortsOf(Port{TCP, uint16(1000 + 2*i)}, Port{UDP, 53}))
		}
		wide := UnionConns(ownPort...)
		other := ConnsOf(AllIPv4(), PortRange(TCP, 1, 1000+uint16(n)))
		for name, op := range map[string]func(){
			"UnionConns, one port":  func() { sinkConns = UnionConns(samePort...) },
			"UnionConns, own ports": func() { sinkConns = UnionConns(ownPort...) },
			"Intersect":             func() { sinkConns = wide.Intersect(other) },
			"Minus":                 func() { sinkConns = wide.Minus(other) },
			"Union":                 func() { sinkConns = wide.Union(other) },
			"Equal":                 func() { sinkBool = wide.Equal(other) },
		} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					op()
				}
			})
		}
	}
}
