package netset

import (
	"math/big"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go4.org/netipx"
	"pgregory.net/rapid"
)

func TestAddrsAgreeWithEnumeration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := drawUniverse(t)
		ma, mb := drawPair(t, len(u.cells))
		a, b := u.addrs(t, ma), u.addrs(t, mb)
		requireUntouched(t, []spans{a.s, b.s}, func() {
			u.requireAddrs(t, ma, a)
			u.requireAddrs(t, mb, b)
			u.requireAddrs(t, ma.with(mb, or), a.Union(b))
			u.requireAddrs(t, ma.with(mb, and), a.Intersect(b))
			u.requireAddrs(t, ma.with(mb, andNot), a.Minus(b))
			u.requireAddrs(t, ma.with(mb, or), UnionAddrs(a, Addrs{}, b, a))
			require.Equal(t, ma.any(), !a.IsEmpty())
			require.Equal(t, ma.with(mb, and).any(), a.Overlaps(b))
			require.Equal(t, !mb.with(ma, andNot).any(), a.ContainsAll(b))
			require.Equal(t, !mb.with(ma, andNot).any() && !ma.with(mb, andNot).any(), a.Equal(b))
			require.Equal(t, a.Equal(b), a.String() == b.String())

			is4 := make(members, len(u.cells))
			for i, cell := range u.cells {
				is4[i] = cell.Addr().Is4()
			}
			u.requireAddrs(t, ma.with(is4, and), a.IPv4())
			u.requireAddrs(t, ma.with(is4, andNot), a.IPv6())
		})
	})
}

func TestAddrsObeyTheLawsOfSets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := drawUniverse(t)
		draw := func(name string) Addrs { return u.addrs(t, drawMembers(t, len(u.cells), name)) }
		a, b, c := draw("a"), draw("b"), draw("c")
		equal := func(x, y Addrs) {
			require.True(t, x.Equal(y), "%s = %s", x, y)
			require.Equal(t, x, y, "equal sets are equal structures")
		}
		equal(a.Union(b), b.Union(a))
		equal(a.Intersect(b), b.Intersect(a))
		equal(a.Union(b.Union(c)), a.Union(b).Union(c))
		equal(a.Union(b).Union(c), UnionAddrs(c, b, a))
		equal(a.Intersect(b.Intersect(c)), a.Intersect(b).Intersect(c))
		equal(a.Intersect(b.Union(c)), a.Intersect(b).Union(a.Intersect(c)))
		equal(a.Union(b.Intersect(c)), a.Union(b).Intersect(a.Union(c)))
		equal(a.Minus(b.Union(c)), a.Minus(b).Minus(c))
		equal(AllAddrs().Minus(a.Union(b)), AllAddrs().Minus(a).Intersect(AllAddrs().Minus(b)))
		equal(AllAddrs().Minus(AllAddrs().Minus(a)), a)
		equal(a.IPv4().Union(a.IPv6()), a)
		equal(a.Minus(a), Addrs{})
		equal(UnionAddrs(), Addrs{})
	})
}

func TestPrefixesAndRangesMakeTheSetAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := drawUniverse(t)
		a := u.addrs(t, drawMembers(t, len(u.cells), "a"))
		if rapid.Bool().Draw(t, "complement") {
			a = AllAddrs().Minus(a)
		}
		require.Equal(t, a, AddrsOf(a.Prefixes()...))

		var b netipx.IPSetBuilder
		for _, r := range a.Ranges() {
			require.True(t, r.IsValid())
			b.AddRange(r)
		}
		set, err := b.IPSet()
		require.NoError(t, err)
		require.ElementsMatch(t, set.Prefixes(), a.Prefixes(), "as netipx has them")
	})
}

func TestSizeIsTheNumberOfAddresses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := universe{cellsFrom(rapid.SampledFrom(corners4).Draw(t, "IPv4"), 64)}
		u.cells = append(u.cells, cellsFrom(rapid.SampledFrom(slices.Concat(corners6, wideCorners6)).Draw(t, "IPv6"), 64)...)
		m := drawMembers(t, len(u.cells), "a")
		a := u.addrs(t, m)
		size4, size6 := new(big.Int), new(big.Int)
		for i, cell := range u.cells {
			n := new(big.Int).Lsh(big.NewInt(1), uint(cell.Addr().BitLen()-cell.Bits()))
			switch {
			case m[i] && cell.Addr().Is4():
				size4.Add(size4, n)
			case m[i]:
				size6.Add(size6, n)
			}
		}
		require.Equal(t, size4.String(), a.Size(IPv4).String())
		require.Equal(t, size6.String(), a.Size(IPv6).String())

		bits4, bits6 := rapid.IntRange(0, 32).Draw(t, "bits4"), rapid.IntRange(0, 128).Draw(t, "bits6")
		want := size4.Cmp(new(big.Int).Lsh(big.NewInt(1), uint(32-bits4))) >= 0 ||
			size6.Cmp(new(big.Int).Lsh(big.NewInt(1), uint(128-bits6))) >= 0
		require.Equal(t, want, a.HasAtLeast(bits4, bits6))
	})
}

func TestAWitnessIsInTheSetAndThereIsOneUnlessItIsEmpty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := drawUniverse(t)
		a := u.addrs(t, drawMembers(t, len(u.cells), "a"))
		if rapid.Bool().Draw(t, "complement") {
			a = AllAddrs().Minus(a)
		}
		w, ok := a.Witness()
		require.Equal(t, !a.IsEmpty(), ok)
		require.Equal(t, ok, a.Contains(w))
		again, _ := AddrsOf(a.Prefixes()...).Witness()
		require.Equal(t, w, again, "equal sets have the same witness")
	})
}

func TestAddrsWitness(t *testing.T) {
	for _, tc := range []struct{ name, set, want string }{
		{"if all is in the set, then it is the best known address", "0.0.0.0/0,::/0", "8.8.8.8"},
		{"if half of IPv4 is in the set, then it is the best known address therein", "0.0.0.0/5", "1.1.1.1"},
		{"if only IPv6 is in the set, then it is the best known one of IPv6", "2000::/3", "2001:4860:4860::8888"},
		{"if link-local addresses are in the set, then it is the metadata service", "169.254.0.0/16", "169.254.169.254"},
		{"if nothing in the set is known, then it is the first host of the largest prefix", "192.168.1.0/24,10.0.0.0/8", "10.0.0.1"},
		{"if two prefixes are as large, then it is in the first one", "2001:db8:1::/48,2001:db8:7::/48", "2001:db8:1::1"},
		{"if the set is a link between two hosts, then it is the first of them", "192.168.0.2/31", "192.168.0.2"},
		{"if the set is one address, then it is that address", "2001:db8::/128", "2001:db8::"},
		{"if an IPv6 prefix is larger than each of IPv4, then it is in IPv6", "10.0.0.0/24,fd00::/8", "fd00::1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, ok := addrsFrom(t, tc.set).Witness()
			require.True(t, ok)
			require.Equal(t, tc.want, w.String())
		})
	}
}

func TestAddrsFromOddInput(t *testing.T) {
	mapped := netip.MustParseAddr("::ffff:10.0.0.1")
	for _, tc := range []struct {
		name string
		got  Addrs
		want string
	}{
		{"if an address is IPv4-mapped, then it is that IPv4 address", AddrsOfAddr(mapped), "10.0.0.1/32"},
		{"if a prefix is IPv4-mapped, then it is that IPv4 prefix", AddrsOf(netip.PrefixFrom(mapped, 104)), "10.0.0.0/8"},
		{"if a prefix is all of the mapped ones, then it is IPv4", AddrsOf(netip.PrefixFrom(mapped, 96)), "0.0.0.0/0"},
		{"if a prefix spans the mapped ones, then no IPv4 address is in it", AddrsOf(netip.PrefixFrom(mapped, 80)), "::/80"},
		{"if a mapped prefix has length 0, then it is IPv6", AddrsOf(netip.PrefixFrom(mapped, 0)), "::/0"},
		{"if bits are set beyond the length, then they are ignored", AddrsOf(netip.PrefixFrom(mapped.Unmap(), 8)), "10.0.0.0/8"},
		{"if a prefix is invalid, then it is ignored", AddrsOf(netip.Prefix{}, netip.PrefixFrom(mapped.Unmap(), 33)), "none"},
		{"if an address is invalid, then it is ignored", AddrsOfAddr(netip.Addr{}), "none"},
		{"if an address has a zone, then the zone is ignored", AddrsOfAddr(netip.MustParseAddr("fe80::1%eth0")), "fe80::1/128"},
		{"if a prefix is all of IPv4, then no IPv6 address is in it", AddrsOf(netip.MustParsePrefix("0.0.0.0/0")), "0.0.0.0/0"},
		{"if both families are complete, then it is everything", AllIPv4().Union(AllIPv6()), "all addresses"},
		{"if the halves of a family are united, then it is the family",
			addrsFrom(t, "::/1").Union(addrsFrom(t, "8000::/1")), "::/0"},
		{"if only the neighbours of the mapped ones are in the set, then nothing between them is",
			addrsFrom(t, "::fffe:ffff:ffff/128,::1:0:0:0/128"), "::fffe:ffff:ffff/128, ::1:0:0:0/128"},
		{"if the last IPv4 addresses and what follows them are in the set, then its IPv4 part ends with IPv4",
			addrsFrom(t, "255.0.0.0/8,::1:0:0:0/80").IPv4(), "255.0.0.0/8"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Equal(t, tc.want, tc.got.String())
			requireCanonical(t, tc.got.s)
		})
	}
	require.True(t, addrsFrom(t, "255.0.0.0/8").Equal(addrsFrom(t, "255.0.0.0/8,::1:0:0:0/80").IPv4()))
	require.False(t, AllAddrs().Contains(netip.Addr{}), "an invalid address is in no set")
	require.True(t, AllIPv4().Contains(mapped))
	require.False(t, AllIPv6().Contains(mapped))
}

func TestShortIsBounded(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		set        Addrs
	}{
		{"if the set is empty, then it is none", "none", Addrs{}},
		{"if everything is in the set, then it is all addresses", "all addresses", AllAddrs()},
		{"if few prefixes make the set, then they are listed", "10.0.0.0/8, 2001:db8::/32", addrsFrom(t, "2001:db8::/32,10.0.0.0/8")},
		{"if as many as may be make the set, then they are listed", "1.0.0.0/8, 3.0.0.0/8, 5.0.0.0/8", addrsFrom(t, "5.0.0.0/8,3.0.0.0/8,1.0.0.0/8")},
		{"if as many as may be make both families, then they are listed", "1.0.0.0/8, 3.0.0.0/8, 2001:db8::/32", addrsFrom(t, "3.0.0.0/8,1.0.0.0/8,2001:db8::/32")},
		{"if as many as may be make one family, then they are listed", "1.0.0.0/8, 3.0.0.0/8, 5.0.0.0/8; 2001:db8::/32",
			addrsFrom(t, "5.0.0.0/8,3.0.0.0/8,1.0.0.0/8,2001:db8::/32")},
		{"if few are left out, then those are listed", "0.0.0.0/0 except 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16",
			AllIPv4().Minus(PrivateRanges())},
		{"if few are left out of one family, then the other is beside it", "0.0.0.0/0 except 10.0.0.0/8; ::/0",
			AllAddrs().Minus(addrsFrom(t, "10.0.0.0/8"))},
		{"if many are in and out, then the rest is counted", "1.0.0.0/8, 3.0.0.0/8, 5.0.0.0/8 and 2 more",
			addrsFrom(t, "1.0.0.0/8,3.0.0.0/8,5.0.0.0/8,7.0.0.0/8,9.0.0.0/8")},
	} {
		t.Run(tc.name, func(t *testing.T) { require.Equal(t, tc.want, tc.set.Short(3)) })
	}
	require.Equal(t, "all addresses", AllAddrs().Short(1), "two families are not listed where there are no others")
	require.Equal(t, "1.0.0.0/8 and 1 more", addrsFrom(t, "1.0.0.0/8,3.0.0.0/8").Short(0), "at least one is shown")
}

func TestAddrsOperationsWithAPlainResultAllocateNothing(t *testing.T) {
	a, b := addrsFrom(t, "10.0.0.0/8,192.168.0.0/16,2001:db8::/32"), addrsFrom(t, "10.1.0.0/16")
	same := addrsFrom(t, a.String())
	var none, got Addrs
	requireNoAllocs(t, func() { got = a.Union(none) })
	requireNoAllocs(t, func() { got = none.Union(a) })
	requireNoAllocs(t, func() { got = a.Union(same) })
	requireNoAllocs(t, func() { got = a.Union(AllAddrs()) })
	requireNoAllocs(t, func() { got = a.Intersect(AllAddrs()) })
	requireNoAllocs(t, func() { got = a.Intersect(b) })
	requireNoAllocs(t, func() { got = b.Minus(a) })
	requireNoAllocs(t, func() { got = a.IPv4() })
	requireNoAllocs(t, func() { got = UnionAddrs(none, b, a, same) })
	requireNoAllocs(t, func() { got = Canonical64(a) })
	requireNoAllocs(t, func() { _ = AllAddrs().HasAtLeast(8, 16) })
	requireNoAllocs(t, func() { _ = a.Equal(same) && a.Overlaps(b) && a.ContainsAll(b) })
	requireNoAllocs(t, func() { got = PublicInternet() })
	require.False(t, got.IsEmpty())
}

// addrsFrom reads a comma separated list of CIDRs.
func addrsFrom(t testing.TB, list string) Addrs {
	t.Helper()
	a, err := parseAddrs(list)
	require.NoError(t, err)
	return a
}

func TestSizesAreComparedExactlyAtTheirBounds(t *testing.T) {
	const never = 0 // an IPv4 set of all addresses, which no set here is
	for _, c := range []struct {
		set  string
		bits int
		want bool
	}{
		{"2000::/16", 16, true}, {"2000::/17", 16, false}, {"2000::/17,2001::/17", 16, true}, {"2000::/17,2001::/18", 16, false},
		{"2000::/17,2001::/18,2002::/18", 16, true}, {"2000::/64", 64, true}, {"2000::/65", 64, false}, {"2000::/65,2001::/65", 64, true},
		{"2000::/63", 63, true}, {"2000::/64", 63, false}, {"2000::/64,2001::/64", 63, true}, {"2000::/80", 80, true}, {"2000::/81", 80, false},
		{"::/0", 0, true}, {"::/1", 0, false}, {"8000::/1,::/1", 0, true}, {"2000::/128", 128, true}, {"2000::/128", 127, false},
	} {
		require.Equal(t, c.want, addrsFrom(t, c.set).HasAtLeast(never, c.bits), "%s has as many as a /%d", c.set, c.bits)
	}
	require.False(t, addrsFrom(t, "2000::/16").Minus(addrsFrom(t, "2000::1/128")).HasAtLeast(never, 16))
	require.True(t, addrsFrom(t, "10.0.0.1/32").HasAtLeast(40, 0), "no prefix is longer than one address")
}

func TestAFewAddressesAreFoundAmongVeryMany(t *testing.T) {
	var many []netip.Prefix
	for i := range 100 {
		many = append(many, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i * 2), 0}), 24))
	}
	all := AddrsOf(many...)
	for few, want := range map[string]struct{ overlaps, contained bool }{
		"10.0.4.0/24": {true, true}, "10.0.198.7/32": {true, true}, "10.0.5.0/24": {false, false}, "10.0.4.0/23": {true, false},
		"9.0.0.0/8": {false, false}, "11.0.0.0/8": {false, false}, "10.0.4.1/32,10.0.8.1/32": {true, true}, "10.0.4.1/32,11.0.0.0/8": {true, false},
	} {
		set := addrsFrom(t, few)
		require.Equal(t, want.overlaps, all.Overlaps(set), few)
		require.Equal(t, want.overlaps, set.Overlaps(all), few)
		require.Equal(t, want.contained, all.ContainsAll(set), few)
	}
}
