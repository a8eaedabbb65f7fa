package netset

import (
	"net/netip"
	"slices"
	"strconv"
)

const (
	textNone     = "none"
	textAllAddrs = "all addresses"
)

// String is the canonical text: "none", "all addresses", or the fewest prefixes, as in "10.0.0.0/8, 2001:db8::/32".
// Equal sets have equal texts.
func (a Addrs) String() string {
	switch {
	case a.IsEmpty():
		return textNone
	case a.Equal(AllAddrs()):
		return textAllAddrs
	}
	return listOf(a.Prefixes())
}

// Short is String, and where that has more than limit prefixes, a text for people: of each family at most limit prefixes,
// either as what is left out ("0.0.0.0/0 except 10.0.0.0/8; ::/0") or with the number of the remaining ones
// ("10.0.0.0/8, 12.0.0.0/8 and 7 more").
func (a Addrs) Short(limit int) string {
	if a.IsEmpty() || a.Equal(AllAddrs()) {
		return a.String()
	}
	var buf [64]netip.Prefix
	prefixes := a.appendPrefixes(buf[:0])
	if len(prefixes) <= limit {
		return listOf(prefixes)
	}
	six := slices.IndexFunc(prefixes, func(p netip.Prefix) bool { return !p.Addr().Is4() })
	if six < 0 {
		six = len(prefixes)
	}
	limit = max(limit, 1)
	switch {
	case six == 0:
		return shortOf(prefixes, AllIPv6(), a, limit)
	case six == len(prefixes):
		return shortOf(prefixes, AllIPv4(), a, limit)
	}
	return shortOf(prefixes[:six], AllIPv4(), a, limit) + "; " + shortOf(prefixes[six:], AllIPv6(), a, limit)
}

// shortOf is Short of the prefixes of one family, which are those of a.
func shortOf(prefixes []netip.Prefix, family, a Addrs, limit int) string {
	if len(prefixes) <= limit {
		return listOf(prefixes)
	}
	// Of many ranges, there are about as many between them: at least one less, and in IPv6 none where the IPv4-mapped numbers are.
	if part := a.Intersect(family); len(part.s) <= limit+2 {
		var buf [64]netip.Prefix
		if except := family.Minus(part).appendPrefixes(buf[:0]); len(except) <= limit {
			return family.String() + " except " + listOf(except)
		}
	}
	return listOf(prefixes[:limit]) + " and " + strconv.Itoa(len(prefixes)-limit) + " more"
}

func listOf(prefixes []netip.Prefix) string {
	b := make([]byte, 0, 20*len(prefixes))
	for i, p := range prefixes {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = p.AppendTo(b)
	}
	return string(b)
}

// telling are addresses that a reader recognises, in the order in which they are preferred as a witness.
var telling = []netip.Addr{
	netip.AddrFrom4([4]byte{8, 8, 8, 8}),
	netip.AddrFrom4([4]byte{1, 1, 1, 1}),
	netip.AddrFrom4([4]byte{9, 9, 9, 9}),
	netip.MustParseAddr("2001:4860:4860::8888"),
	netip.MustParseAddr("2606:4700:4700::1111"),
	netip.AddrFrom4([4]byte{169, 254, 169, 254}),
}

// Witness is one address of the set, if there is one: a well-known public address (8.8.8.8) where the set has one,
// else the first host of the largest prefix. Equal sets have the same witness.
func (a Addrs) Witness() (netip.Addr, bool) {
	if a.IsEmpty() {
		return netip.Addr{}, false
	}
	for _, t := range telling {
		if a.Contains(t) {
			return t, true
		}
	}
	prefixes := a.Prefixes()
	largest := prefixes[0]
	for _, p := range prefixes[1:] {
		if p.Bits() < largest.Bits() {
			largest = p
		}
	}
	host := largest.Addr()
	if host.BitLen()-largest.Bits() > 1 { // the first address of a network is no host's
		host = host.Next()
	}
	return host, true
}
