package netset

import (
	"net/netip"
	"sync"
)

// notPublic4 is the IANA IPv4 Special-Purpose Address Registry (RFC 6890 and successors), with multicast.
var notPublic4 = []string{
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
	"192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
	"198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
}

// notPublic6 is the part of the IANA IPv6 Special-Purpose Address Registry that lies in 2000::/3.
var notPublic6 = []string{"2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"}

func mustAddrs(cidrs ...string) Addrs {
	prefixes := make([]netip.Prefix, len(cidrs))
	for i, s := range cidrs {
		prefixes[i] = netip.MustParsePrefix(s)
	}
	return AddrsOf(prefixes...)
}

var (
	public = sync.OnceValue(func() Addrs {
		unicast := AllIPv4().Union(mustAddrs("2000::/3"))
		return unicast.Minus(mustAddrs(notPublic4...)).Minus(mustAddrs(notPublic6...))
	})
	private  = sync.OnceValue(func() Addrs { return mustAddrs("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16") })
	nat64    = sync.OnceValue(func() Addrs { return mustAddrs("64:ff9b::/96") })
	metadata = sync.OnceValue(func() []NamedAddr {
		return []NamedAddr{
			{netip.MustParseAddr("169.254.169.254"), "the metadata service of AWS, GCP, Azure and others"},
			{netip.MustParseAddr("fd00:ec2::254"), "the metadata service of AWS over IPv6"},
			{netip.MustParseAddr("169.254.170.2"), "the credentials endpoint of AWS ECS"},
			{netip.MustParseAddr("169.254.170.23"), "the credentials endpoint of AWS EKS Pod Identity"},
			{netip.MustParseAddr("100.100.100.200"), "the metadata service of Alibaba Cloud"},
			{netip.MustParseAddr("168.63.129.16"), "the Azure WireServer"},
		}
	})
	metadataAddrs = sync.OnceValue(func() Addrs {
		var addrs []netip.Addr
		for _, m := range metadata() {
			addrs = append(addrs, m.Addr)
		}
		return AddrsOfAddr(addrs...)
	})
)

// NamedAddr is an address with what answers there.
type NamedAddr struct {
	Addr netip.Addr
	Name string
}

// PublicInternet is the global unicast addresses outside the special-purpose registries: IPv4 less every entry of its
// registry, and 2000::/3 less every entry of the IPv6 one.
func PublicInternet() Addrs { return public() }

// Canonical64 is a with the IPv4 addresses that its NAT64 addresses (64:ff9b::/96, RFC 6052) stand for.
func Canonical64(a Addrs) Addrs {
	if !a.Overlaps(nat64()) {
		return a
	}
	part := a.Intersect(nat64())
	mapped := make([]span, len(part.s))
	for i, x := range part.s {
		mapped[i] = span{num{0, first4.lo | x.lo.lo}, num{0, first4.lo | x.hi.lo}}
	}
	return a.Union(Addrs{mapped})
}

// Public is the part of a on the public internet, where a NAT64 address counts as the IPv4 address that it stands for.
func Public(a Addrs) Addrs { return Canonical64(a).Intersect(PublicInternet()) }

// PrivateRanges is the private IPv4 ranges of RFC 1918.
func PrivateRanges() Addrs { return private() }

// MetadataAddrs is the addresses of cloud metadata and credential services.
func MetadataAddrs() Addrs { return metadataAddrs() }

// Metadata is MetadataAddrs with their names. The caller must not change it.
func Metadata() []NamedAddr { return metadata() }
