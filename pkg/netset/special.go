package netset

import (
	"net/netip"
	"slices"
	"sync"
)

// Block is an entry of a registry of addresses that are not public.
type Block struct {
	CIDR   string
	Name   string
	Source string // the document that reserves it
}

// special is what is not public: every entry of the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890, as
// updated by RFC 8190), the globally reachable ones included, less those that lie within another entry; multicast; and,
// as IPv6 global unicast is 2000::/3 (RFC 4291, RFC 3587), of IPv6 only what lies therein.
var special = []Block{
	{"0.0.0.0/8", "this network", "RFC 791"},
	{"10.0.0.0/8", "private use", "RFC 1918"},
	{"100.64.0.0/10", "shared address space (CGNAT)", "RFC 6598"},
	{"127.0.0.0/8", "loopback", "RFC 1122"},
	{"169.254.0.0/16", "link local", "RFC 3927"},
	{"172.16.0.0/12", "private use", "RFC 1918"},
	{"192.0.0.0/24", "IETF protocol assignments", "RFC 6890"},
	{"192.0.2.0/24", "documentation (TEST-NET-1)", "RFC 5737"},
	{"192.31.196.0/24", "AS112", "RFC 7535"},
	{"192.52.193.0/24", "AMT", "RFC 7450"},
	{"192.88.99.0/24", "6to4 relay anycast (deprecated)", "RFC 7526"},
	{"192.168.0.0/16", "private use", "RFC 1918"},
	{"192.175.48.0/24", "direct delegation AS112 service", "RFC 7534"},
	{"198.18.0.0/15", "benchmarking", "RFC 2544"},
	{"198.51.100.0/24", "documentation (TEST-NET-2)", "RFC 5737"},
	{"203.0.113.0/24", "documentation (TEST-NET-3)", "RFC 5737"},
	{"224.0.0.0/4", "multicast", "RFC 5771"},
	{"240.0.0.0/4", "reserved, with limited broadcast", "RFC 1112"},
	{"2001::/23", "IETF protocol assignments (Teredo, ORCHID, benchmarking and others)", "RFC 2928"},
	{"2001:db8::/32", "documentation", "RFC 3849"},
	{"2002::/16", "6to4", "RFC 3056"},
	{"2620:4f:8000::/48", "direct delegation AS112 service", "RFC 7534"},
	{"3fff::/20", "documentation", "RFC 9637"},
}

// SpecialPurpose is the blocks that PublicInternet leaves out of IPv4 and of 2000::/3.
func SpecialPurpose() []Block { return slices.Clone(special) }

var public = sync.OnceValue(func() Addrs {
	reserved := make([]netip.Prefix, len(special))
	for i, b := range special {
		reserved[i] = netip.MustParsePrefix(b.CIDR)
	}
	unicast6 := AddrsOf(netip.MustParsePrefix("2000::/3"))
	return AllIPv4().Union(unicast6).Minus(AddrsOf(reserved...))
})

// PublicInternet is the public internet: the global unicast addresses outside the special-purpose registries. See
// Public for the addresses that reach it through NAT64.
func PublicInternet() Addrs { return public() }

// nat64 is 64:ff9b::/96, the well-known prefix of RFC 6052: its last 32 bits are an IPv4 address.
var nat64 = span{num{0x64ff9b << 32, 0}, num{0x64ff9b << 32, 0xffffffff}}

// Canonical64 is a, and the IPv4 addresses that its NAT64 addresses (64:ff9b::/96, RFC 6052) stand for.
func Canonical64(a Addrs) Addrs {
	part := a.s.within(nat64)
	if len(part) == 0 {
		return a
	}
	raw := make([]span, len(part))
	for i, x := range part {
		raw[i] = span{num{0, first4.lo | x.lo.lo}, num{0, first4.lo | x.hi.lo}}
	}
	return a.Union(Addrs{raw})
}

// Public is the part of a on the public internet. A NAT64 address counts as the IPv4 address that it stands for, so that
// IPv4 addresses may be in the result that are not in a: see PublicWitness for an address of a itself.
func Public(a Addrs) Addrs { return Canonical64(a).Intersect(PublicInternet()) }

// PublicWitness is one address of a on the public internet, if there is one: the most telling address of the public
// internet itself, else a NAT64 address that stands for one.
func PublicWitness(a Addrs) (netip.Addr, bool) {
	if w, ok := a.Intersect(PublicInternet()).Witness(); ok {
		return w, true
	}
	w, ok := Public(Addrs{a.s.within(nat64)}).Witness()
	if !ok {
		return netip.Addr{}, false
	}
	return addrOf(num{nat64.lo.hi, numOf(w).lo &^ first4.lo}), true
}

var private = sync.OnceValue(func() Addrs {
	return AddrsOf(netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"),
		netip.MustParsePrefix("192.168.0.0/16"))
})

// PrivateRanges is the private IPv4 ranges of RFC 1918.
func PrivateRanges() Addrs { return private() }

// NamedAddr is an address and what answers there.
type NamedAddr struct {
	Addr netip.Addr
	Name string
}

// metadata is from the documentation of the cloud providers.
var metadata = []NamedAddr{
	{netip.MustParseAddr("169.254.169.254"), "cloud metadata (AWS, GCP, Azure and others)"},
	{netip.MustParseAddr("fd00:ec2::254"), "AWS metadata over IPv6"},
	{netip.MustParseAddr("169.254.170.2"), "AWS ECS task credentials"},
	{netip.MustParseAddr("169.254.170.23"), "AWS EKS Pod Identity"},
	{netip.MustParseAddr("100.100.100.200"), "Alibaba Cloud metadata"},
	{netip.MustParseAddr("168.63.129.16"), "Azure WireServer"},
}

// Metadata is the addresses of cloud metadata and credential services, the best known first.
func Metadata() []NamedAddr { return slices.Clone(metadata) }

var metadataAddrs = sync.OnceValue(func() Addrs {
	addrs := make([]netip.Addr, len(metadata))
	for i, m := range metadata {
		addrs[i] = m.Addr
	}
	return AddrsOfAddr(addrs...)
})

// MetadataAddrs is the set of the addresses of Metadata.
func MetadataAddrs() Addrs { return metadataAddrs() }
