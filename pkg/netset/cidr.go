package netset

import (
	"fmt"
	"net/netip"
	"strings"
)

// Deviation is a reason, in words, for which a current API server refuses a CIDR that older ones have stored.
type Deviation string

// The deviations that ParseCIDR reads.
const (
	LeadingZeros   Deviation = "must not have leading zeros"
	HostBits       Deviation = "must not have bits set beyond the prefix length"
	MappedIPv4     Deviation = "must not be an IPv4-mapped IPv6 address"
	notCIDRMessage           = "%q is not a CIDR (as in 10.0.0.0/8 or 2001:db8::/32)"
)

// ParseCIDR reads a CIDR as the API server's legacy parser does, for objects that were stored by older servers or come
// from files: leading zeros are dropped (010.0.0.0/8 is 10.0.0.0/8, decimal), bits beyond the prefix length are cleared,
// and an IPv4-mapped prefix is the IPv4 prefix that it maps. For each of these, a Deviation says what a current API
// server refuses. The prefix is masked.
func ParseCIDR(s string) (netip.Prefix, []Deviation, error) {
	var deviations []Deviation
	p, err := netip.ParsePrefix(s)
	if err != nil {
		if p, err = netip.ParsePrefix(dropLeadingZeros(s)); err != nil {
			return netip.Prefix{}, nil, fmt.Errorf(notCIDRMessage, s)
		}
		deviations = append(deviations, LeadingZeros)
	}
	if p.Addr().Is4In6() {
		deviations = append(deviations, MappedIPv4)
	}
	if masked := p.Masked(); masked != p {
		deviations = append(deviations, HostBits)
		p = masked
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p, deviations, nil
}

// dropLeadingZeros rewrites each run of digits, decimal or hexadecimal, without its leading zeros.
func dropLeadingZeros(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		end := i
		for end < len(s) && isHexDigit(s[end]) {
			end++
		}
		if end == i {
			b.WriteByte(s[i])
			i++
			continue
		}
		run := strings.TrimLeft(s[i:end], "0")
		if run == "" {
			run = "0"
		}
		b.WriteString(run)
		i = end
	}
	return b.String()
}

func isHexDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
