package netset

import (
	"math/big"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// grid is a small world of connections: every pair of one of its addresses and one of its ports.
type grid struct {
	addrs []netip.Addr
	ports []Port
}

func newGrid() grid {
	var g grid
	for _, s := range []string{"10.0.0.0", "10.0.0.1", "10.0.0.2", "255.255.255.255", "::", "2001:db8::1", "2001:db8::2"} {
		g.addrs = append(g.addrs, netip.MustParseAddr(s))
	}
	g.ports = []Port{{TCP, 79}, {TCP, 80}, {TCP, 81}, {TCP, 65535}, {UDP, 1}, {UDP, 53}, {SCTP, 80}}
	return g
}

func (g grid) size() int { return len(g.addrs) * len(g.ports) }

func (g grid) at(i int) (netip.Addr, Port) { return g.addrs[i/len(g.ports)], g.ports[i%len(g.ports)] }

// conns builds the set of the members by one of the ways in which sets come to be.
func (g grid) conns(t *rapid.T, m members) Conns {
	single := func(i int) Conns {
		addr, port := g.at(i)
		return ConnsOf(AddrsOfAddr(addr), PortsOf(port))
	}
	switch rapid.IntRange(0, 2).Draw(t, "way") {
	case 0: // column by column
		var out Conns
		for j, port := range g.ports {
			var addrs []netip.Addr
			for i, addr := range g.addrs {
				if m[i*len(g.ports)+j] {
					addrs = append(addrs, addr)
				}
			}
			out = out.Union(ConnsOf(AddrsOfAddr(addrs...), PortsOf(port)))
		}
		return out
	case 1: // all but the others
		out := ConnsOf(AddrsOfAddr(g.addrs...), PortsOf(g.ports...))
		for i := range m {
			if !m[i] {
				out = out.Minus(single(i))
			}
		}
		return out
	}
	var sets []Conns // row by row, each twice
	for i, addr := range g.addrs {
		var ports []Port
		for j, port := range g.ports {
			if m[i*len(g.ports)+j] {
				ports = append(ports, port)
			}
		}
		row := ConnsOf(AddrsOfAddr(addr), PortsOf(ports...))
		sets = append([]Conns{row}, append(sets, row)...)
	}
	return UnionConns(sets...)
}

func requireConns(t require.TestingT, g grid, want members, got Conns) {
	size := 0
	for i := range want {
		addr, port := g.at(i)
		require.Equal(t, want[i], got.Contains(addr, port), "%s %s in %s", addr, port, got)
		if want[i] {
			size++
		}
	}
	require.Equal(t, big.NewInt(int64(size)).String(), got.Size().String())
	requireCanonicalConns(t, got)
}

func requireCanonicalConns(t require.TestingT, c Conns) {
	parts := c.Parts()
	for i, p := range parts {
		requireCanonical(t, p.Addrs.s)
		requireCanonical(t, p.Ports.s)
		require.False(t, p.Addrs.IsEmpty() || p.Ports.IsEmpty(), "no part is empty")
		for _, q := range parts[:i] {
			require.False(t, p.Ports.Overlaps(q.Ports), "parts are disjoint")
			require.False(t, p.Addrs.Equal(q.Addrs), "parts are maximal")
			require.True(t, q.Ports.s[0].lo.less(p.Ports.s[0].lo), "parts are in order")
		}
	}
}

// spansIn is all memory of the set, for the check that nothing writes to it.
func spansIn(c Conns) []spans {
	var all []spans
	for _, p := range c.parts {
		all = append(all, p.Addrs.s, p.Ports.s)
	}
	return all
}

func TestConnsAgreeWithEnumeration(t *testing.T) {
	g := newGrid()
	rapid.Check(t, func(t *rapid.T) {
		ma, mb := drawPair(t, g.size())
		a, b := g.conns(t, ma), g.conns(t, mb)
		partsBefore := slices.Concat(a.Parts(), b.Parts())
		requireUntouched(t, append(spansIn(a), spansIn(b)...), func() {
			requireConns(t, g, ma, a)
			requireConns(t, g, mb, b)
			requireConns(t, g, ma.with(mb, or), a.Union(b))
			requireConns(t, g, ma.with(mb, or), UnionConns(a, b))
			requireConns(t, g, ma.with(mb, or), UnionConns(b, Conns{}, a, a, b))
			requireConns(t, g, ma.with(mb, and), a.Intersect(b))
			requireConns(t, g, ma.with(mb, andNot), a.Minus(b))
			require.Equal(t, ma.any(), !a.IsEmpty())
			require.Equal(t, ma.with(mb, and).any(), a.Overlaps(b))
			require.Equal(t, !mb.with(ma, andNot).any(), a.ContainsAll(b))
			require.Equal(t, slices.Equal(ma, mb), a.Equal(b))
			require.Equal(t, slices.Equal(ma, mb), a.String() == b.String())
		})
		require.Equal(t, partsBefore, slices.Concat(a.Parts(), b.Parts()))
	})
}

func TestProjectionsOfConnsAgreeWithEnumeration(t *testing.T) {
	g := newGrid()
	rapid.Check(t, func(t *rapid.T) {
		m := drawMembers(t, g.size(), "connections")
		c := g.conns(t, m)
		someAddrs, somePorts := drawMembers(t, len(g.addrs), "addresses"), drawMembers(t, len(g.ports), "ports")
		var addrs, wantAddrs []netip.Addr
		var ports, wantPorts []Port
		for i := range m {
			addr, port := g.at(i)
			a, p := someAddrs[i/len(g.ports)], somePorts[i%len(g.ports)]
			if a {
				addrs = append(addrs, addr)
			}
			if p {
				ports = append(ports, port)
			}
			if m[i] && p {
				wantAddrs = append(wantAddrs, addr)
			}
			if m[i] && a {
				wantPorts = append(wantPorts, port)
			}
		}
		require.Equal(t, AddrsOfAddr(wantAddrs...), c.AddrsOn(PortsOf(ports...)))
		require.Equal(t, PortsOf(wantPorts...), c.PortsOf(AddrsOfAddr(addrs...)))

		var again []Conns
		for _, p := range c.Parts() {
			again = append(again, ConnsOf(p.Addrs, p.Ports))
		}
		require.Equal(t, c, UnionConns(again...))

		addr, port, ok := c.Witness()
		require.Equal(t, m.any(), ok)
		require.Equal(t, ok, c.Contains(addr, port))
	})
}

func TestConnsObeyTheLawsOfSets(t *testing.T) {
	g := newGrid()
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) Conns {
			c := g.conns(t, drawMembers(t, g.size(), name))
			if rapid.Bool().Draw(t, name+" complement") {
				return AllConns().Minus(c)
			}
			return c
		}
		a, b, c := draw("a"), draw("b"), draw("c")
		equal := func(x, y Conns) {
			requireCanonicalConns(t, x)
			require.True(t, x.Equal(y), "%s = %s", x, y)
			require.Equal(t, x, y, "equal sets are equal structures")
		}
		equal(a.Union(b), b.Union(a))
		equal(a.Intersect(b), b.Intersect(a))
		equal(a.Union(b.Union(c)), UnionConns(c, b, a))
		equal(a.Intersect(b.Intersect(c)), a.Intersect(b).Intersect(c))
		equal(a.Intersect(b.Union(c)), a.Intersect(b).Union(a.Intersect(c)))
		equal(a.Union(b.Intersect(c)), a.Union(b).Intersect(a.Union(c)))
		equal(a.Minus(b.Union(c)), a.Minus(b).Minus(c))
		equal(AllConns().Minus(a.Union(b)), AllConns().Minus(a).Intersect(AllConns().Minus(b)))
		equal(AllConns().Minus(AllConns().Minus(a)), a)
	})
}

func TestTheUnionOfManyConnsIsTheUnionOneByOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.IntRange(1, 40)
		sets := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Conns {
			third := byte(rapid.IntRange(0, 3).Draw(t, "third octet"))
			bits := rapid.IntRange(20, 28).Draw(t, "bits")
			lo := uint16(number.Draw(t, "first port"))
			return ConnsOf(AddrsOf(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, third, 0}), bits)),
				PortRange(rapid.SampledFrom([]Protocol{TCP, UDP}).Draw(t, "protocol"), lo, lo+uint16(number.Draw(t, "more"))))
		}), rapid.SampledFrom([]int{0, 3, 2 * maxSweep}).Draw(t, "at least"), 3*maxSweep).Draw(t, "sets")
		var want Conns
		for _, c := range sets {
			want = want.Union(c)
		}
		got := UnionConns(sets...)
		requireCanonicalConns(t, got)
		require.Equal(t, want, got)
	})
}

func TestConnsText(t *testing.T) {
	dns := ConnsOf(addrsFrom(t, "10.0.0.0/8"), PortsOf(Port{UDP, 53}))
	web := ConnsOf(AllAddrs(), PortsOf(Port{TCP, 443}, Port{TCP, 80}))
	require.Equal(t, "no connections", Conns{}.String())
	require.Equal(t, "no connections", ConnsOf(Addrs{}, AllPorts()).String())
	require.Equal(t, "no connections", ConnsOf(AllAddrs(), Ports{}).String())
	require.Equal(t, "all connections", ConnsOf(AllIPv4(), AllPorts()).Union(ConnsOf(AllIPv6(), AllPorts())).String())
	require.Equal(t, "TCP/80,443 of all addresses; UDP/53 of 10.0.0.0/8", dns.Union(web).String())
}

func TestConnsWitnessPrefersATellingAddress(t *testing.T) {
	c := ConnsOf(addrsFrom(t, "10.0.0.0/8"), PortsOf(Port{TCP, 443})).Union(ConnsOf(AllIPv4(), PortsOf(Port{TCP, 9090})))
	addr, port, ok := c.Witness()
	require.True(t, ok)
	require.Equal(t, "8.8.8.8 TCP/9090", addr.String()+" "+port.String())
	_, _, ok = Conns{}.Witness()
	require.False(t, ok)
}

func TestConnsOperationsWithAPlainResultAllocateNothing(t *testing.T) {
	a := ConnsOf(addrsFrom(t, "10.0.0.0/8"), PortsOf(Port{TCP, 80})).Union(ConnsOf(AllAddrs(), PortsOf(Port{UDP, 53})))
	b := ConnsOf(addrsFrom(t, "10.1.0.0/16"), PortsOf(Port{TCP, 80}))
	same := a.Union(b)
	var none, got Conns
	requireNoAllocs(t, func() { got = a.Union(none) })
	requireNoAllocs(t, func() { got = a.Union(b) })
	requireNoAllocs(t, func() { got = a.Union(same) })
	requireNoAllocs(t, func() { got = b.Intersect(a) })
	requireNoAllocs(t, func() { got = AllConns().Union(a) })
	requireNoAllocs(t, func() { got = UnionConns(none, a, a) })
	requireNoAllocs(t, func() { _ = a.Equal(same) && a.Overlaps(b) && a.ContainsAll(b) })
	require.False(t, got.IsEmpty())
}

func TestSetsOfManyPartsAreWalkedWithTheSameResults(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := newGrid()
		a, b := drawPair(t, g.size())
		c, d := g.conns(t, a), g.conns(t, b)
		for name, op := range map[string]func(Addrs, Addrs) Addrs{"union": Addrs.Union, "intersect": Addrs.Intersect, "minus": Addrs.Minus} {
			require.True(t, combine(c, d, op).Equal(combineMany(c, d, op)), name)
		}
		all, some := true, false
		along(runs(c.parts), runs(d.parts), func(_ span, x, y Addrs) bool {
			all, some = all && x.ContainsAll(y), some || x.Overlaps(y)
			return true
		})
		require.Equal(t, c.ContainsAll(d), all)
		require.Equal(t, c.Overlaps(d), some)
		parts := slices.Concat(c.parts, d.parts)
		require.True(t, c.Union(d).Equal(unionMany(parts)))
	})
}

func TestSetsOfThousandsOfPartsAreExact(t *testing.T) {
	var sets []Conns
	for i := range uint16(5_000) {
		addr := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		sets = append(sets, ConnsOf(AddrsOfAddr(addr), PortRange(TCP, 1+i*3, 2+i*3)))
	}
	all := UnionConns(sets...)
	require.Len(t, all.Parts(), 5_000)
	odd := all.Minus(ConnsOf(AllAddrs(), PortRange(TCP, 1, 6_000)))
	require.Len(t, odd.Parts(), 3_000)
	require.True(t, all.ContainsAll(odd))
	require.True(t, odd.Union(all).Equal(all))
	require.True(t, all.Intersect(odd).Equal(odd))
}

func TestSetsWhosePortsOverlapInPartAreWalkedExactly(t *testing.T) {
	ten, eleven := addrsFrom(t, "10.0.0.0/8"), addrsFrom(t, "11.0.0.0/8")
	early, late := ConnsOf(ten, PortRange(TCP, 1, 10)), ConnsOf(eleven, PortRange(TCP, 5, 20))
	for _, c := range []struct {
		name string
		a, b Conns
	}{
		{"if the first begins earlier", early, late},
		{"if the second begins earlier", late, early},
		{"if one lies within the other", ConnsOf(ten, PortRange(TCP, 1, 30)), late},
		{"if one lies around the other", late, ConnsOf(ten, PortRange(TCP, 1, 30))},
	} {
		for name, op := range map[string]func(Addrs, Addrs) Addrs{"union": Addrs.Union, "intersect": Addrs.Intersect, "minus": Addrs.Minus} {
			got := combineMany(c.a, c.b, op)
			for port := uint16(1); port <= 31; port++ {
				on := PortsOf(Port{TCP, port})
				require.Equal(t, op(c.a.AddrsOn(on), c.b.AddrsOn(on)), got.AddrsOn(on), "%s: %s on %d", c.name, name, port)
			}
		}
	}
}

func TestIntricacyIsNoLessThanWhatTheUnionHasWhereSetsOverlap(t *testing.T) {
	block := func(i int) Addrs {
		return AddrsOf(netip.PrefixFrom(netip.AddrFrom4([4]byte{9, byte(i >> 7), byte(i & 127 << 1), 0}), 24))
	}
	var nested, apart []Conns
	for i := range 100 {
		nested = append(nested, ConnsOf(block(i), PortRange(TCP, uint16(1+i), uint16(1000-i))))
		apart = append(apart, ConnsOf(block(i), PortRange(TCP, uint16(1+i), uint16(1+i))))
	}
	ranges := 0
	for _, part := range UnionConns(nested...).Parts() {
		ranges += part.Addrs.Len() * len(part.Ports.s)
	}
	require.GreaterOrEqual(t, Intricacy(1<<30, nested...), ranges-2, "the two ends are of one set alone")
	require.LessOrEqual(t, Intricacy(1<<30, nested...), 2*ranges)
	require.Greater(t, Intricacy(1000, nested...), 1000)
	require.Less(t, Intricacy(1000, nested...), 1200, "it is counted no further")
	require.Zero(t, Intricacy(1<<30, apart...), "nothing overlaps")
	require.Zero(t, Intricacy(1<<30))
}
