package netset

import (
	"fmt"
	"net/netip"
	"strings"
)

// String is the canonical text: "none", "all addresses", or the fewest prefixes, as in "10.0.0.0/8, 2001:db8::/32".
// Equal sets have equal texts.
func (a Addrs) String() string { return a.text(-1) }

// Short is String with at most max prefixes, and the number of those left out: "10.0.0.0/8, 11.0.0.0/8 and 7 more".
func (a Addrs) Short(max int) string { return a.text(max) }

func (a Addrs) text(max int) string {
	switch {
	case a.IsEmpty():
		return "none"
	case a.s.equal(all):
		return "all addresses"
	}
	prefixes := a.Prefixes()
	more := 0
	if max >= 0 && len(prefixes) > max {
		more = len(prefixes) - max
		prefixes = prefixes[:max]
	}
	texts := make([]string, len(prefixes))
	for i, p := range prefixes {
		texts[i] = p.String()
	}
	text := strings.Join(texts, ", ")
	if more > 0 {
		text = strings.TrimPrefix(fmt.Sprintf("%s and %d more", text, more), " and ")
	}
	return text
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
