package netset

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go4.org/netipx"
	"pgregory.net/rapid"
)

// universe is a small world: some prefixes of equal length per family, its cells, of which the sets under test are made.
// With cells of one address it is enumerated completely; with wider ones, the ends of each cell stand for it.
type universe struct{ cells []netip.Prefix }

// corners are where a block of cells begins and how long a cell's prefix is: ends of both address spaces, the whole
// spaces, and both sides of the IPv4-mapped numbers.
var (
	corners4     = []string{"10.1.2.64/32", "0.0.0.0/32", "255.255.255.192/32", "0.0.0.0/6", "192.168.0.0/22"}
	corners6     = []string{"2001:db8::40/128", "::/128", "::fffe:ffff:ffc0/128", "::1:0:0:0/128", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffc0/128"}
	wideCorners6 = []string{"::/6", "::/79", "::/94", "2001:db8:0:ffff:ffff:ffff:ffff:0/122"}
)

func cellsFrom(corner string, n int) []netip.Prefix {
	first := netip.MustParsePrefix(corner)
	cells := make([]netip.Prefix, 0, n)
	for at := first.Addr(); len(cells) < n && at.IsValid(); {
		cell := netip.PrefixFrom(at, first.Bits())
		cells = append(cells, cell)
		at = netipx.PrefixLastIP(cell).Next()
	}
	return cells
}

func drawUniverse(t *rapid.T) universe {
	n := rapid.SampledFrom([]int{4, 16, 64}).Draw(t, "cells per block")
	cells := cellsFrom(rapid.SampledFrom(corners4).Draw(t, "IPv4 corner"), n)
	if rapid.Bool().Draw(t, "wide IPv6 cells") {
		return universe{append(cells, cellsFrom(rapid.SampledFrom(wideCorners6).Draw(t, "IPv6 corner"), n)...)}
	}
	for _, corner := range rapid.SliceOfNDistinct(rapid.SampledFrom(corners6), 1, 2, rapid.ID).Draw(t, "IPv6 corners") {
		cells = append(cells, cellsFrom(corner, n)...)
	}
	return universe{cells}
}

// members says of each cell whether it belongs to a set: the naive model of a set.
type members []bool

func (m members) with(o members, op func(a, b bool) bool) members {
	out := make(members, len(m))
	for i := range m {
		out[i] = op(m[i], o[i])
	}
	return out
}

func or(a, b bool) bool     { return a || b }
func and(a, b bool) bool    { return a && b }
func andNot(a, b bool) bool { return a && !b }

func (m members) any() bool { return slices.Contains(m, true) }

// drawMembers draws a set between empty and full; few, half and many are as likely.
func drawMembers(t *rapid.T, n int, name string) members {
	share := rapid.SampledFrom([]int{0, 1, 3, 8, 13, 15, 16}).Draw(t, name+" in 16")
	seed := rapid.Uint64().Draw(t, name+" seed")
	random := rand.New(rand.NewPCG(seed, 0))
	m := make(members, n)
	for i := range m {
		m[i] = random.IntN(16) < share
	}
	return m
}

// drawPair draws two sets, often ones that differ in one cell or not at all.
func drawPair(t *rapid.T, n int) (members, members) {
	a := drawMembers(t, n, "a")
	switch rapid.SampledFrom([]string{"independent", "equal", "off by one"}).Draw(t, "b is") {
	case "independent":
		return a, drawMembers(t, n, "b")
	case "equal":
		return a, slices.Clone(a)
	}
	b := slices.Clone(a)
	i := rapid.IntRange(0, n-1).Draw(t, "differs at")
	b[i] = !b[i]
	return a, b
}

// addrs builds the set of the members by one of the ways in which sets come to be.
func (u universe) addrs(t *rapid.T, m members) Addrs {
	var in, out []netip.Prefix
	first := rapid.IntRange(0, len(u.cells)-1).Draw(t, "first")
	for i := range u.cells {
		at := (i*7 + first) % len(u.cells) // an order that is not sorted; 7 divides no number of cells
		if m[at] {
			in = append(in, u.cells[at])
		} else {
			out = append(out, u.cells[at])
		}
	}
	switch rapid.IntRange(0, 3).Draw(t, "way") {
	case 0:
		return AddrsOf(u.cells...).Minus(AddrsOf(out...))
	case 1:
		sets := make([]Addrs, len(in))
		for i, cell := range in {
			sets[i] = AddrsOf(cell)
		}
		return UnionAddrs(sets...)
	case 2:
		var set Addrs
		for _, cell := range in {
			set = set.Union(AddrsOf(cell))
		}
		return set
	}
	return AddrsOf(append(in, in...)...)
}

// requireAddrs checks that the set holds exactly the members, and that its form is canonical.
func (u universe) requireAddrs(t require.TestingT, want members, got Addrs) {
	for i, cell := range u.cells {
		for _, addr := range []netip.Addr{cell.Addr(), netipx.PrefixLastIP(cell)} {
			require.Equal(t, want[i], got.Contains(addr), "%s in %s", addr, got)
			require.False(t, addr.Is6() && got.Contains(addr.WithZone("eth0")) != want[i], "a zone changes nothing")
		}
	}
	requireCanonical(t, got.s)
}

func requireCanonical(t require.TestingT, s spans) {
	if len(s) == 0 {
		require.Nil(t, s, "the empty set is nil")
	}
	for i, x := range s {
		require.False(t, x.hi.less(x.lo), "span %d is in order", i)
		if i > 0 {
			require.True(t, s[i-1].hi.less(x.lo) && s[i-1].hi.next() != x.lo, "spans %d and %d are apart", i-1, i)
		}
	}
}

// requireUntouched runs the operations and checks that none changed an operand.
func requireUntouched(t require.TestingT, operands []spans, operations func()) {
	before := make([]spans, len(operands))
	for i, s := range operands {
		before[i] = slices.Clone(s)
	}
	operations()
	for i, s := range operands {
		require.True(t, slices.Equal(before[i], s), "operand %d is as it was", i)
	}
}

func requireNoAllocs(t *testing.T, operation func()) {
	t.Helper()
	require.Zero(t, testing.AllocsPerRun(100, operation))
}
