package netset

import (
	"encoding/binary"
	"net/netip"

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
	below4        = num{0, 0xfffe << 32} // ::fffe:0:0, where the smallest prefix around the IPv4-mapped numbers begins

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
	var widest Addrs
	for _, a := range sets {
		if a.s.containsAll(widest.s) {
			widest = a
		}
	}
	var buf [2 * onStack]span
	raw := buf[:0]
	for _, a := range sets {
		if !widest.s.containsAll(a.s) {
			raw = append(raw, a.s...)
		}
	}
	if len(raw) == 0 {
		return widest
	}
	return Addrs{own(canonical(append(raw, widest.s...)))}
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
func (a Addrs) IPv4() Addrs {
	if a.s.containsAll(only4) {
		return AllIPv4()
	}
	return Addrs{a.s.within(only4[0])}
}

// IPv6 is the IPv6 part of the set.
func (a Addrs) IPv6() Addrs { return Addrs{a.s.intersect(only6)} }

// Ranges is the set as ranges, IPv4 before IPv6, each ascending. An IPv6 range may span the IPv4-mapped numbers, which
// stand for no IPv6 address, or end with them, as those of ::/0 and ::/80 do.
func (a Addrs) Ranges() []netipx.IPRange {
	var buf [onStack]span
	out := make([]netipx.IPRange, 0, len(a.s)+1)
	for _, x := range a.appendFamily(buf[:0], IPv4) {
		out = append(out, netipx.IPRangeFrom(addrOf(x.lo), addrOf(x.hi)))
	}
	for _, x := range a.appendFamily(buf[:0], IPv6) {
		out = append(out, netipx.IPRangeFrom(addr6Of(x.lo), addr6Of(x.hi)))
	}
	return out
}

// Prefixes is the set as its fewest prefixes, IPv4 before IPv6, each ascending. AddrsOf makes the set of them again.
func (a Addrs) Prefixes() []netip.Prefix { return a.appendPrefixes(nil) }

func (a Addrs) appendPrefixes(dst []netip.Prefix) []netip.Prefix {
	for _, r := range a.Ranges() {
		dst = r.AppendPrefixes(dst)
	}
	return dst
}

// appendFamily appends the spans of one family to dst, which is empty. In IPv6, a span that ends at the IPv4-mapped
// numbers goes on to their end, and joins what begins there, if a prefix can then span them: so ::/0 is one span.
func (a Addrs) appendFamily(dst []span, f Family) []span {
	for _, x := range a.s {
		if f == IPv4 {
			if lo, hi := maxOf(x.lo, first4), minOf(x.hi, last4); !hi.less(lo) {
				dst = append(dst, span{lo, hi})
			}
			continue
		}
		if lo, hi := x.lo, minOf(x.hi, first4.prev()); !hi.less(lo) {
			if hi.next() == first4 && !below4.less(lo) {
				hi = last4
			}
			dst = append(dst, span{lo, hi})
		}
		if lo, hi := maxOf(x.lo, last4.next()), x.hi; !hi.less(lo) {
			dst = push(dst, span{lo, hi})
		}
	}
	return dst
}

func numOf(a netip.Addr) num {
	b := a.As16()
	return num{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func addrOf(n num) netip.Addr { return addr6Of(n).Unmap() }

func addr6Of(n num) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], n.hi)
	binary.BigEndian.PutUint64(b[8:], n.lo)
	return netip.AddrFrom16(b)
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
