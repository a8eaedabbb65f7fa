package netset

import "slices"

// UnionConns is the union of all sets.
func UnionConns(sets ...Conns) Conns {
	var widest Conns
	for _, c := range sets {
		if c.ContainsAll(widest) {
			widest = c
		}
	}
	var buf [16]Part
	parts := buf[:0]
	for _, c := range sets {
		if !widest.ContainsAll(c) {
			parts = append(parts, c.parts...)
		}
	}
	if len(parts) == 0 {
		return widest
	}
	parts = append(parts, widest.parts...)
	if samePorts(parts) {
		return ConnsOf(unionOfAddrs(parts), parts[0].Ports)
	}
	if len(parts) > maxSweep {
		return unionMany(parts)
	}
	return sweep(parts)
}

func samePorts(parts []Part) bool {
	for _, p := range parts[1:] {
		if !p.Ports.Equal(parts[0].Ports) {
			return false
		}
	}
	return true
}

func unionOfAddrs(parts []Part) Addrs {
	var buf [onStack]Addrs
	addrs := buf[:0]
	for _, p := range parts {
		addrs = append(addrs, p.Addrs)
	}
	return UnionAddrs(addrs...)
}

// maxSweep is how many parts fit into the mask of one sweep.
const maxSweep = 64

// edge is where a part's ports begin or end: the port's number, and in the last 6 bits the part's index.
type edge uint64

// sweep is the union of at most maxSweep parts, whose ports may overlap. It goes along the ports from edge to edge,
// gathers the ports on which the same parts are present, and unites the addresses of those parts once.
func sweep(parts []Part) Conns {
	var edgeBuf [64]edge
	edges := edgeBuf[:0]
	for i, p := range parts {
		for _, x := range p.Ports.s {
			edges = append(edges, edge(x.lo.lo<<6|uint64(i)), edge((x.hi.lo+1)<<6|uint64(i)))
		}
	}
	slices.Sort(edges)

	type group struct {
		present uint64 // a mask of parts
		ports   spans
	}
	var groupBuf [16]group
	groups := groupBuf[:0]
	present, from := uint64(0), uint64(0)
	for _, e := range edges {
		at := uint64(e) >> 6
		if present != 0 && from < at {
			x := span{num{0, from}, num{0, at - 1}}
			g := slices.IndexFunc(groups, func(g group) bool { return g.present == present })
			if g < 0 {
				g = len(groups)
				groups = append(groups, group{present: present})
			}
			groups[g].ports = append(groups[g].ports, x)
		}
		from = at
		present ^= 1 << (e % maxSweep)
	}

	var outBuf [16]Part
	out := outBuf[:0]
	var addrBuf [maxSweep]Addrs
	for _, g := range groups {
		addrs := addrBuf[:0]
		for i, p := range parts {
			if g.present>>i&1 != 0 {
				addrs = append(addrs, p.Addrs)
			}
		}
		out = add(out, UnionAddrs(addrs...), Ports{g.ports})
	}
	return inOrder(out)
}
