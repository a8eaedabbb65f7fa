package netset

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"go4.org/netipx"
	"pgregory.net/rapid"
)

func TestPublicInternet(t *testing.T) {
	for _, s := range []string{
		"8.8.8.8", "1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0",
		"192.167.255.255", "198.20.0.0", "223.255.255.255", "2000::", "2001:200::", "2001:4860:4860::8888", "2003::1", "2606:4700::1", "3ffe::1",
		"3fff:1000::", "168.63.129.16",
	} {
		require.True(t, PublicInternet().Contains(netip.MustParseAddr(s)), "%s is public", s)
	}
	for _, s := range []string{
		"0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.31.255.255", "192.0.0.9", "192.0.2.1", "192.88.99.1", "192.168.0.1",
		"198.19.255.255", "198.51.100.7", "203.0.113.7", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
		"::", "::1", "64:ff9b::8.8.8.8", "64:ff9b:1::1", "100::1", "1fff:ffff::", "2001::1", "2001:2::1", "2001:20::1", "2001:1ff::1", "2001:db8::1",
		"2002:808:808::1", "3fff::1", "4000::", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "::ffff:10.0.0.1",
	} {
		require.False(t, PublicInternet().Contains(netip.MustParseAddr(s)), "%s is not public", s)
	}
}

func TestEverySpecialPurposeBlockIsCutOutExactly(t *testing.T) {
	for _, b := range SpecialPurpose() {
		p, deviations, err := ParseCIDR(b.CIDR)
		require.NoError(t, err)
		require.Empty(t, deviations, b.CIDR)
		require.NotEmpty(t, b.Name)
		require.Regexp(t, `^RFC \d+$`, b.Source)
		require.False(t, PublicInternet().Overlaps(AddrsOf(p)), "%s is not public", b.CIDR)
		neighbour := netipx.PrefixLastIP(p).Next()
		special := false
		for _, other := range SpecialPurpose() {
			special = special || netip.MustParsePrefix(other.CIDR).Contains(neighbour)
		}
		require.Equal(t, neighbour.IsValid() && !special, PublicInternet().Contains(neighbour), "what follows %s", b.CIDR)
	}
}

func TestANAT64AddressCountsAsItsIPv4Address(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"if it stands for a public address, then that is public", "64:ff9b::8.8.8.8/128", "8.8.8.8/32"},
		{"if it stands for a private address, then nothing is public", "64:ff9b::10.0.0.0/104", "none"},
		{"if the range of another prefix is meant, then nothing is public", "64:ff9b:1::/48", "none"},
		{"if both are in the set, then they count once", "64:ff9b::8.0.0.0/104,8.0.0.0/8", "8.0.0.0/8"},
		{"if all NAT64 addresses are in the set, then all of public IPv4 is", "64:ff9b::/96", PublicInternet().IPv4().String()},
		{"if NAT64 addresses are in the set with what follows them, then those count that are NAT64 addresses", "64:ff9b::ff00:0/104,64:ff9b::1:0:0/96", "none"},
		{"if all of IPv6 is in the set, then the whole public internet is", "::/0", PublicInternet().String()},
	} {
		t.Run(tc.name, func(t *testing.T) { require.Equal(t, tc.want, Public(addrsFrom(t, tc.in)).String()) })
	}
}

func TestPublicAgreesWithItsDefinitionPointByPoint(t *testing.T) {
	cells := cellsFrom("8.8.8.0/32", 4)
	for _, corner := range []string{"10.0.0.0/32", "64:ff9b::808:800/128", "64:ff9b::a00:0/128", "2001:db8::/128", "2606:4700::/128"} {
		cells = append(cells, cellsFrom(corner, 4)...)
	}
	u := universe{cells}
	rapid.Check(t, func(t *rapid.T) {
		a := u.addrs(t, drawMembers(t, len(cells), "a"))
		requireUntouched(t, []spans{a.s, PublicInternet().s}, func() {
			got := Public(a)
			requireCanonical(t, got.s)
			for _, cell := range cells {
				x := cell.Addr()
				in := a.Contains(x)
				if x.Is4() {
					b := x.As4()
					in = in || a.Contains(netip.AddrFrom16([16]byte{0, 0x64, 0xff, 0x9b, 12: b[0], b[1], b[2], b[3]}))
				}
				require.Equal(t, in && PublicInternet().Contains(x), got.Contains(x), "%s", x)
			}
			w, ok := PublicWitness(a)
			require.Equal(t, !got.IsEmpty(), ok)
			require.Equal(t, ok, a.Contains(w))
			require.Equal(t, ok, !Public(AddrsOfAddr(w)).IsEmpty(), "the witness alone is public")
		})
	})
}

func TestPublicWitness(t *testing.T) {
	for _, tc := range []struct{ name, set, want string }{
		{"if IPv4 is in the set, then it is of IPv4", "0.0.0.0/0,::/0", "8.8.8.8"},
		{"if only IPv6 is in the set, then it is of IPv6", "::/0", "2001:4860:4860::8888"},
		{"if only NAT64 addresses are public, then it is one of them", "64:ff9b::/96,10.0.0.0/8", "64:ff9b::808:808"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, ok := PublicWitness(addrsFrom(t, tc.set))
			require.True(t, ok)
			require.Equal(t, tc.want, w.String())
		})
	}
	_, ok := PublicWitness(PrivateRanges())
	require.False(t, ok)
}

func TestKnownAddresses(t *testing.T) {
	require.Equal(t, "10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16", PrivateRanges().String())
	require.Equal(t, "100.100.100.200/32, 168.63.129.16/32, 169.254.169.254/32, 169.254.170.2/32, 169.254.170.23/32, fd00:ec2::254/128",
		MetadataAddrs().String())
	open := AllIPv4().Minus(PrivateRanges()).Intersect(MetadataAddrs())
	require.Equal(t, MetadataAddrs().IPv4(), open, "leaving out the private ranges leaves every metadata address open")
	for _, m := range Metadata() {
		require.True(t, MetadataAddrs().Contains(m.Addr))
		require.NotEmpty(t, m.Name)
	}
	Metadata()[0].Name = "changed"
	SpecialPurpose()[0].Name = "changed"
	require.NotEqual(t, "changed", Metadata()[0].Name, "the caller's copy is the caller's")
	require.NotEqual(t, "changed", SpecialPurpose()[0].Name, "the caller's copy is the caller's")
}
