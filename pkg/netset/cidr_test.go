package netset

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/validation"
	netutils "k8s.io/utils/net"
)

func TestParseCIDR(t *testing.T) {
	for _, tc := range []struct {
		name, in, want string
		deviations     []Deviation
	}{
		{"if it is canonical, then it is read without remark", "10.0.0.0/8", "10.0.0.0/8", nil},
		{"if it is IPv6, then it is read without remark", "2001:db8::/32", "2001:db8::/32", nil},
		{"if IPv6 is written at length, then it is read without remark", "2001:0DB8:0:0::/32", "2001:db8::/32", nil},
		{"if octets have leading zeros, then they are decimal", "010.000.0.0/8", "10.0.0.0/8", []Deviation{LeadingZeros}},
		{"if the length has leading zeros, then it is decimal", "10.0.0.0/008", "10.0.0.0/8", []Deviation{LeadingZeros}},
		{"if a group has more than four digits, then it has leading zeros", "02001:db8::/32", "2001:db8::/32", []Deviation{LeadingZeros}},
		{"if zeros follow a hexadecimal digit, then they stay", "0a000:0f000:0A000:0F000:09000:00000::/96", "a000:f000:a000:f000:9000::/96", []Deviation{LeadingZeros}},
		{"if host bits are set, then they are cleared", "10.0.0.1/8", "10.0.0.0/8", []Deviation{HostBits}},
		{"if host bits of IPv6 are set, then they are cleared", "2001:db8::1/32", "2001:db8::/32", []Deviation{HostBits}},
		{"if it is IPv4-mapped, then it is IPv4", "::ffff:10.0.0.0/104", "10.0.0.0/8", []Deviation{MappedIPv4}},
		{"if it is all of IPv4, mapped, then it is all of IPv4", "::ffff:0:0/96", "0.0.0.0/0", []Deviation{MappedIPv4}},
		{"if it is mapped but wider than IPv4, then it is IPv6", "::ffff:10.0.0.0/64", "::/64", []Deviation{MappedIPv4, HostBits}},
		{"if it deviates in each way, then each is told", "::ffff:010.0.0.1/104", "10.0.0.0/8", []Deviation{LeadingZeros, MappedIPv4, HostBits}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, deviations, err := ParseCIDR(tc.in)
			require.NoError(t, err)
			require.Equal(t, tc.want, got.String())
			require.Equal(t, tc.deviations, deviations)
		})
	}
	for _, in := range []string{
		"", "/", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0/8", "10.0.0.0.0/8", "256.0.0.0/8", "0x0a.0.0.0/8",
		" 10.0.0.0/8", "10.0.0.0/8 ", "10.0.0.0/8/8", "::/129", ":::/0", "fe80::1%eth0/64", "2001:db8/32", "::g/8", "\xff/8", "10.0.0.0/255.0.0.0",
	} {
		t.Run("if it is no CIDR, then it is an error: "+in, func(t *testing.T) {
			got, deviations, err := ParseCIDR(in)
			require.EqualError(t, err, fmt.Sprintf("%q is not a CIDR (as in 10.0.0.0/8 or 2001:db8::/32)", in))
			require.Nil(t, deviations)
			require.Equal(t, netip.Prefix{}, got)
		})
	}
}

// FuzzParseCIDR holds ParseCIDR against the API server's own parser and validation.
func FuzzParseCIDR(f *testing.F) {
	for _, s := range []string{"10.0.0.0/8", "010.0.0.0/8", "10.0.0.1/08", "::ffff:10.0.0.0/104", "::ffff:010.1.0.0/95", "2001:DB8::/32", "::/0", "00001::/12", "0a000:0f000:0A000:0F000:09000:00000::/96", "fe80::%1/64"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, deviations, err := ParseCIDR(s)
		_, want, wantErr := netutils.ParseCIDRSloppy(s)
		require.Equal(t, wantErr == nil, err == nil, "read by the API server: %v", wantErr)
		if err != nil {
			return
		}
		addr, ok := netip.AddrFromSlice(want.IP)
		require.True(t, ok)
		ones, size := want.Mask.Size()
		if addr.Is4In6() && size == 128 && ones >= 96 {
			addr, ones = addr.Unmap(), ones-96
		}
		require.Equal(t, netip.PrefixFrom(addr, ones), got)
		refused := validation.IsValidCIDRForLegacyField(nil, s, true, nil)
		require.Equal(t, len(refused) > 0, len(deviations) > 0, "refused by the API server: %v", refused)

		again, deviations, err := ParseCIDR(got.String())
		require.NoError(t, err)
		require.Empty(t, deviations)
		require.Equal(t, got, again)
		_, canonical, err := net.ParseCIDR(got.String())
		require.NoError(t, err)
		require.Equal(t, got.String(), canonical.String())
	})
}

// parseAddrs reads what Addrs.String writes, and comma separated CIDRs.
func parseAddrs(s string) (Addrs, error) {
	switch s {
	case textNone:
		return Addrs{}, nil
	case textAllAddrs:
		return AllAddrs(), nil
	}
	var prefixes []netip.Prefix
	for part := range strings.SplitSeq(s, ",") {
		p, _, err := ParseCIDR(strings.TrimSpace(part))
		if err != nil {
			return Addrs{}, err
		}
		prefixes = append(prefixes, p)
	}
	return AddrsOf(prefixes...), nil
}
