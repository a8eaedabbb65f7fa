package netset

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// portCells are the ports of a small world: where protocols begin and end, and a few neighbours in between.
func portCells() []Port {
	var cells []Port
	for _, protocol := range Protocols() {
		for _, number := range []uint16{1, 2, 3, 52, 53, 54, 80, 443, 8000, 8001, 8002, 65533, 65534, 65535} {
			cells = append(cells, Port{protocol, number})
		}
	}
	return cells
}

// portsFrom builds the set of the members by one of the ways in which sets come to be.
func portsFrom(t *rapid.T, cells []Port, m members) Ports {
	var in, out []Port
	for i, cell := range cells {
		if m[i] {
			in = append(in, cell)
		} else {
			out = append(out, cell)
		}
	}
	slices.Reverse(in)
	switch rapid.IntRange(0, 3).Draw(t, "way") {
	case 0:
		return PortsOf(cells...).Minus(PortsOf(out...))
	case 1:
		sets := make([]Ports, len(in))
		for i, cell := range in {
			sets[i] = PortRange(cell.Protocol, cell.Number, cell.Number)
		}
		return UnionPorts(sets...)
	case 2:
		return AllPorts().Intersect(PortsOf(in...)).Union(PortsOf(in...))
	}
	return PortsOf(append(in, in...)...)
}

func requirePorts(t require.TestingT, cells []Port, want members, got Ports) {
	size := 0
	for i, cell := range cells {
		require.Equal(t, want[i], got.Contains(cell), "%s in %s", cell, got)
		if want[i] {
			size++
		}
	}
	require.Equal(t, size, got.Size())
	requireCanonical(t, got.s)
}

func TestPortsAgreeWithEnumeration(t *testing.T) {
	cells := portCells()
	rapid.Check(t, func(t *rapid.T) {
		ma, mb := drawPair(t, len(cells))
		a, b := portsFrom(t, cells, ma), portsFrom(t, cells, mb)
		requireUntouched(t, []spans{a.s, b.s}, func() {
			requirePorts(t, cells, ma, a)
			requirePorts(t, cells, mb, b)
			requirePorts(t, cells, ma.with(mb, or), a.Union(b))
			requirePorts(t, cells, ma.with(mb, or), UnionPorts(b, Ports{}, a, b))
			requirePorts(t, cells, ma.with(mb, and), a.Intersect(b))
			requirePorts(t, cells, ma.with(mb, andNot), a.Minus(b))
			require.Equal(t, ma.any(), !a.IsEmpty())
			require.Equal(t, ma.with(mb, and).any(), a.Overlaps(b))
			require.Equal(t, !mb.with(ma, andNot).any(), a.ContainsAll(b))
			require.Equal(t, slices.Equal(ma, mb), a.Equal(b))
			require.Equal(t, slices.Equal(ma, mb), a.String() == b.String())
			for _, protocol := range Protocols() {
				of := make(members, len(cells))
				for i, cell := range cells {
					of[i] = cell.Protocol == protocol
				}
				requirePorts(t, cells, ma.with(of, and), a.Of(protocol))
			}
		})
	})
}

func TestPortsObeyTheLawsOfSets(t *testing.T) {
	cells := portCells()
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) Ports {
			p := portsFrom(t, cells, drawMembers(t, len(cells), name))
			if rapid.Bool().Draw(t, name+" complement") {
				return AllPorts().Minus(p)
			}
			return p
		}
		a, b, c := draw("a"), draw("b"), draw("c")
		equal := func(x, y Ports) {
			require.True(t, x.Equal(y), "%s = %s", x, y)
			require.Equal(t, x, y, "equal sets are equal structures")
		}
		equal(a.Union(b), b.Union(a))
		equal(a.Intersect(b), b.Intersect(a))
		equal(a.Union(b.Union(c)), UnionPorts(c, b, a))
		equal(a.Intersect(b.Intersect(c)), a.Intersect(b).Intersect(c))
		equal(a.Intersect(b.Union(c)), a.Intersect(b).Union(a.Intersect(c)))
		equal(a.Minus(b.Union(c)), a.Minus(b).Minus(c))
		equal(AllPorts().Minus(a.Union(b)), AllPorts().Minus(a).Intersect(AllPorts().Minus(b)))
		equal(AllPorts().Minus(AllPorts().Minus(a)), a)
		equal(UnionPorts(a.Of(UDP), a.Of(SCTP), a.Of(TCP)), a)
		require.Equal(t, a.Size()+b.Size(), a.Union(b).Size()+a.Intersect(b).Size())
	})
}

func TestRangesAndTextMakeThePortsAgain(t *testing.T) {
	cells := portCells()
	rapid.Check(t, func(t *rapid.T) {
		p := portsFrom(t, cells, drawMembers(t, len(cells), "p"))
		if rapid.Bool().Draw(t, "complement") {
			p = AllPorts().Minus(p)
		}
		var again Ports
		for r := range p.Ranges() {
			require.LessOrEqual(t, r.First, r.Last)
			again = again.Union(PortRange(r.Protocol, r.First, r.Last))
		}
		require.Equal(t, p, again)
		parsed, err := ParsePorts(p.String())
		require.NoError(t, err)
		require.Equal(t, p, parsed)

		w, ok := p.Witness()
		require.Equal(t, !p.IsEmpty(), ok)
		require.Equal(t, ok, p.Contains(w))
		if ok {
			port, err := ParsePort(w.String())
			require.NoError(t, err)
			require.Equal(t, w, port)
		}
	})
}

func TestRangesCanBeLeftEarly(t *testing.T) {
	for r := range AllPorts().Ranges() {
		require.Equal(t, PortSpan{TCP, 1, 65535}, r)
		break
	}
}

func TestPortsText(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		set        Ports
	}{
		{"if there is none, then it says so", "no ports", Ports{}},
		{"if there are all, then it says so", "all ports", UnionPorts(AllOf(SCTP), AllOf(TCP), AllOf(UDP))},
		{"if there are all of one protocol, then it says so", "every TCP port", PortRange(TCP, 0, 65535)},
		{"if there are all of two protocols, then both are ranges", "TCP/1-65535 UDP/1-65535", AllOf(TCP).Union(AllOf(UDP))},
		{"if there are neighbours, then they are one range", "TCP/80-82", PortsOf(Port{TCP, 81}, Port{TCP, 80}, Port{TCP, 82})},
		{"if there are several protocols, then they are in order", "TCP/80,443,8000-8999 UDP/53 SCTP/9",
			UnionPorts(PortsOf(Port{SCTP, 9}, Port{UDP, 53}, Port{TCP, 443}, Port{TCP, 80}), PortRange(TCP, 8000, 8999))},
	} {
		t.Run(tc.name, func(t *testing.T) { require.Equal(t, tc.want, tc.set.String()) })
	}
	require.Equal(t, "Protocol(0)", Protocol(0).String())
}

func TestPortsWitness(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		set        Ports
	}{
		{"if all are in the set, then it is HTTPS", "TCP/443", AllPorts()},
		{"if HTTPS is not in the set, then it is HTTP", "TCP/80", PortRange(TCP, 1, 442)},
		{"if only DNS is known, then it is DNS", "UDP/53", AllOf(UDP).Union(PortRange(TCP, 9000, 9100))},
		{"if none is known, then it is the first", "TCP/9000", PortRange(TCP, 9000, 9100).Union(PortRange(SCTP, 1, 2))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, ok := tc.set.Witness()
			require.True(t, ok)
			require.Equal(t, tc.want, w.String())
		})
	}
}

func TestPortsFromOddInput(t *testing.T) {
	require.True(t, PortsOf(Port{}, Port{TCP, 0}, Port{0, 80}, Port{4, 80}).IsEmpty(), "invalid ports are ignored")
	require.True(t, PortRange(TCP, 90, 80).IsEmpty(), "a range that ends before it starts is empty")
	require.True(t, PortRange(TCP, 0, 0).IsEmpty(), "there is no port 0")
	require.True(t, PortRange(0, 1, 2).IsEmpty(), "an unknown protocol has no ports")
	require.True(t, AllOf(7).IsEmpty(), "an unknown protocol has no ports")
	require.True(t, AllPorts().Of(7).IsEmpty(), "an unknown protocol has no part")
	require.Equal(t, 3*65535, AllPorts().Size())
	for _, p := range []Port{{}, {TCP, 0}, {UDP, 0}, {0, 80}, {4, 80}} {
		require.False(t, p.IsValid())
		require.False(t, AllPorts().Contains(p), "an invalid port is in no set: %s", p)
	}
}

func TestParsePorts(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"if ranges overlap, then they are merged", "TCP/1-10,5-20", "TCP/1-20"},
		{"if a protocol is there twice, then both count", "UDP/53 TCP/80  UDP/54", "TCP/80 UDP/53-54"},
		{"if ranges make up everything, then it is everything", "TCP/1-65535 SCTP/1-65535 UDP/1-65535", "all ports"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := ParsePorts(tc.in)
			require.NoError(t, err)
			require.Equal(t, tc.want, got.String())
		})
	}
	for in, want := range map[string]string{
		"":             `"" is not a list of ports (as in TCP/80,8000-8999 UDP/53, or "no ports")`,
		"80":           `"80" is not a list of ports (as in TCP/80,8000-8999; the protocol is TCP, UDP or SCTP)`,
		"tcp/80":       `"tcp/80" is not a list of ports (as in TCP/80,8000-8999; the protocol is TCP, UDP or SCTP)`,
		"TCP/":         `"TCP/": port "" is not a number from 1 to 65535`,
		"TCP/0":        `"TCP/0": port "0" is not a number from 1 to 65535`,
		"TCP/080":      `"TCP/080": port "080" is not a number from 1 to 65535`,
		"TCP/65536":    `"TCP/65536": port "65536" is not a number from 1 to 65535`,
		"TCP/80,":      `"TCP/80,": port "" is not a number from 1 to 65535`,
		"TCP/80-":      `"TCP/80-": port "" is not a number from 1 to 65535`,
		"TCP/90-80":    `"TCP/90-80": the range 90-80 ends before it starts`,
		"TCP/80 UDP/x": `"UDP/x": port "x" is not a number from 1 to 65535`,
	} {
		t.Run("if it is no list of ports, then it is an error: "+in, func(t *testing.T) {
			got, err := ParsePorts(in)
			require.EqualError(t, err, want)
			require.True(t, got.IsEmpty())
		})
	}
}

func TestParsePort(t *testing.T) {
	got, err := ParsePort("SCTP/65535")
	require.NoError(t, err)
	require.Equal(t, Port{SCTP, 65535}, got)
	for in, want := range map[string]string{
		"8080":        `"8080" is not a port (as in TCP/8080; the protocol is TCP, UDP or SCTP)`,
		"TCP":         `"TCP" is not a port (as in TCP/8080; the protocol is TCP, UDP or SCTP)`,
		"HTTP/80":     `"HTTP/80" is not a port (as in TCP/8080; the protocol is TCP, UDP or SCTP)`,
		"TCP/http":    `"TCP/http" is not a port: port "http" is not a number from 1 to 65535`,
		"TCP/80-8080": `"TCP/80-8080" is not a port: port "80-8080" is not a number from 1 to 65535`,
		"TCP/+80":     `"TCP/+80" is not a port: port "+80" is not a number from 1 to 65535`,
	} {
		t.Run("if it is no port, then it is an error: "+in, func(t *testing.T) {
			_, err := ParsePort(in)
			require.EqualError(t, err, want)
		})
	}
}

// FuzzParsePorts checks that what is read is read the same from its own text, and that nothing else is taken.
func FuzzParsePorts(f *testing.F) {
	for _, s := range []string{"all ports", "no ports", "every UDP port", "TCP/80,443,8000-8999 UDP/53", "SCTP/1-65535", "TCP/0", "TCP/9-1", " TCP/80\tUDP/1 "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePorts(s)
		if err != nil {
			require.True(t, p.IsEmpty())
			return
		}
		requireCanonical(t, p.s)
		again, err := ParsePorts(p.String())
		require.NoError(t, err)
		require.True(t, p.Equal(again))
		require.Equal(t, p.String(), again.String())
		port, portErr := ParsePort(s)
		if portErr == nil {
			require.True(t, p.Equal(PortsOf(port)), "one port reads the same either way")
		}
	})
}

func TestPortsOperationsWithAPlainResultAllocateNothing(t *testing.T) {
	a, b := PortsOf(Port{TCP, 80}, Port{UDP, 53}), PortsOf(Port{TCP, 80})
	same := PortsOf(Port{UDP, 53}, Port{TCP, 80})
	var none, got Ports
	requireNoAllocs(t, func() { got = a.Union(none) })
	requireNoAllocs(t, func() { got = a.Union(same) })
	requireNoAllocs(t, func() { got = a.Union(AllPorts()) })
	requireNoAllocs(t, func() { got = a.Intersect(b) })
	requireNoAllocs(t, func() { got = b.Minus(a) })
	requireNoAllocs(t, func() { got = UnionPorts(none, a, b, same) })
	requireNoAllocs(t, func() { got = a.Of(TCP) })
	requireNoAllocs(t, func() { got = AllOf(UDP) })
	require.False(t, got.IsEmpty())
}

func TestShortTextsOfPortsFitOnALine(t *testing.T) {
	port := func(n uint16) Ports { return PortRange(TCP, n, n) }
	var many Ports
	for n := uint16(1000); n < 1100; n += 2 {
		many = many.Union(port(n))
	}
	for want, ports := range map[string]Ports{
		"no ports": {}, "every port": AllPorts(), "every port but TCP/8443": AllPorts().Minus(port(8443)), "every TCP port": AllOf(TCP),
		"TCP/80,443": port(80).Union(port(443)), "TCP/1000 and 49 other ports": many,
	} {
		require.Equal(t, want, ports.Short())
	}
}
