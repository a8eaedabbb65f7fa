package netset

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"go4.org/netipx"
)

// Addrs is an immutable set of IPv4 and IPv6 addresses. The zero value is empty. An IPv4-mapped IPv6 address
// (::ffff:10.0.0.1) is the IPv4 address that it maps, and zones are ignored.
//
// An address is its number: an IPv6 address its own 128 bits, an IPv4 address those of its mapped form. The numbers
// from ::ffff:0:0 to ::ffff:ffff:ffff therefore are IPv4 and nothing else, also where an IPv6 prefix spans them.
type Addrs struct{ s spans }

// Family is an IP address family.
type Family uint8

// The two families.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

var (
	first4, last4 = num{0, 0xffff << 32}, num{0, 0xffff<<32 | 0xffffffff}

	all   = spans{{num{}, maxNum}}
	only4 = spans{{first4, last4}}
	only6 = spans{{num{}, first4.prev()}, {last4.next(), maxNum}}
)

// AllAddrs is every address of both families.
func AllAddrs() Addrs { return Addrs{all} }

// AllIPv4 is 0.0.0.0/0.
func AllIPv4() Addrs { return Addrs{only4} }

// AllIPv6 is ::/0.
func AllIPv6() Addrs { return Addrs{only6} }

// AddrsOf is the union of prefixes. Bits beyond a prefix's length are ignored, and so are invalid prefixes. An
// IPv4-mapped prefix of at least 96 bits is the IPv4 prefix that it maps.
func AddrsOf(prefixes ...netip.Prefix) Addrs {
	if len(prefixes) == 1 && prefixes[0].Bits() == 0 {
		return Addrs{wholeFamily(prefixes[0].Addr())}
	}
	raw := make([]span, 0, len(prefixes))
	for _, p := range prefixes {
		if !p.IsValid() {
			continue
		}
		x := spanOfPrefix(p)
		if !x.lo.less(first4) || x.hi.less(last4) {
			raw = append(raw, x)
			continue
		}
		raw = append(raw, span{x.lo, first4.prev()}) // an IPv6 prefix around the IPv4-mapped numbers
		if last4.less(x.hi) {
			raw = append(raw, span{last4.next(), x.hi})
		}
	}
	return Addrs{canonical(raw)}
}

func wholeFamily(a netip.Addr) spans {
	if a.Is4() {
		return only4
	}
	return only6
}

// AddrsOfAddr is the set of these addresses; invalid ones are ignored.
func AddrsOfAddr(addrs ...netip.Addr) Addrs {
	raw := make([]span, 0, len(addrs))
	for _, a := range addrs {
		if a.IsValid() {
			n := numOf(a)
			raw = append(raw, span{n, n})
		}
	}
	return Addrs{canonical(raw)}
}

// UnionAddrs is the union of all sets.
func UnionAddrs(sets ...Addrs) Addrs {
	total, widest := 0, 0
	for i, a := range sets {
		total += len(a.s)
		if a.s.containsAll(sets[widest].s) {
			widest = i
		}
	}
	if total == 0 {
		return Addrs{}
	}
	whole := sets[widest]
	raw := make([]span, 0, total)
	for _, a := range sets {
		if !whole.s.containsAll(a.s) {
			raw = append(raw, a.s...)
		}
	}
	if len(raw) == 0 {
		return whole
	}
	return Addrs{canonical(append(raw, whole.s...))}
}

// Union is the addresses of a or b.
func (a Addrs) Union(b Addrs) Addrs { return Addrs{a.s.union(b.s)} }

// Intersect is the addresses of both a and b.
func (a Addrs) Intersect(b Addrs) Addrs { return Addrs{a.s.intersect(b.s)} }

// Minus is the addresses of a that are not in b.
func (a Addrs) Minus(b Addrs) Addrs { return Addrs{a.s.minus(b.s)} }

// IsEmpty says whether the set has no address.
func (a Addrs) IsEmpty() bool { return len(a.s) == 0 }

// Contains says whether addr is in the set; an invalid address never is.
func (a Addrs) Contains(addr netip.Addr) bool { return addr.IsValid() && a.s.contains(numOf(addr)) }

// ContainsAll says whether every address of b is in a.
func (a Addrs) ContainsAll(b Addrs) bool { return a.s.containsAll(b.s) }

// Overlaps says whether a and b have an address in common.
func (a Addrs) Overlaps(b Addrs) bool { return a.s.overlaps(b.s) }

// Equal says whether a and b hold the same addresses.
func (a Addrs) Equal(b Addrs) bool { return a.s.equal(b.s) }

// IPv4 is the IPv4 part of the set.
func (a Addrs) IPv4() Addrs { return Addrs{a.s.intersect(only4)} }

// IPv6 is the IPv6 part of the set.
func (a Addrs) IPv6() Addrs { return Addrs{a.s.intersect(only6)} }

// Ranges is the set as its fewest ranges, IPv4 before IPv6, each ascending. An IPv6 range may span the IPv4-mapped
// numbers, which stand for no IPv6 address.
func (a Addrs) Ranges() []netipx.IPRange {
	var out []netipx.IPRange
	for _, x := range a.spansOf(IPv4) {
		out = append(out, netipx.IPRangeFrom(addrOf(x.lo), addrOf(x.hi)))
	}
	for _, x := range a.spansOf(IPv6) {
		out = append(out, netipx.IPRangeFrom(addrOf(x.lo), addrOf(x.hi)))
	}
	return out
}

// Prefixes is the set as its fewest prefixes, IPv4 before IPv6, each ascending.
func (a Addrs) Prefixes() []netip.Prefix {
	var out []netip.Prefix
	for _, r := range a.Ranges() {
		out = r.AppendPrefixes(out)
	}
	return out
}

// spansOf is the part of one family. In the IPv6 part, what ends and begins again at the IPv4-mapped numbers is joined.
func (a Addrs) spansOf(f Family) spans {
	if f == IPv4 {
		return a.s.intersect(only4)
	}
	part := a.s.intersect(only6)
	for i := 1; i < len(part); i++ {
		if part[i-1].hi == first4.prev() && part[i].lo == last4.next() {
			joined := slices.Clone(part[:i])
			joined[i-1].hi = part[i].hi
			return append(joined, part[i+1:]...)
		}
	}
	return part
}

func numOf(a netip.Addr) num {
	b := a.As16()
	return num{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func addrOf(n num) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], n.hi)
	binary.BigEndian.PutUint64(b[8:], n.lo)
	return netip.AddrFrom16(b).Unmap()
}

func spanOfPrefix(p netip.Prefix) span {
	n, bits := numOf(p.Addr()), p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	host := maxNum
	switch {
	case bits >= 64:
		host = num{0, ^uint64(0) >> (bits - 64)}
	case bits > 0:
		host = num{^uint64(0) >> bits, ^uint64(0)}
	}
	return span{num{n.hi &^ host.hi, n.lo &^ host.lo}, num{n.hi | host.hi, n.lo | host.lo}}
}
