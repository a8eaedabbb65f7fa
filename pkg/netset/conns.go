package netset

import (
	"net/netip"
	"slices"
)

// Conns is an immutable set of connections: pairs of an address and a port. The zero value is empty.
//
// Its form is canonical: parts with disjoint ports, of which no two have the same addresses, in the order of their
// first port. Sets are equal if and only if their parts are.
type Conns struct{ parts []Part }

// Part is every pair of one of Addrs and one of Ports.
type Part struct {
	Addrs Addrs
	Ports Ports
}

// ConnsOf is every pair of one of addrs and one of ports.
func ConnsOf(addrs Addrs, ports Ports) Conns {
	if addrs.IsEmpty() || ports.IsEmpty() {
		return Conns{}
	}
	return Conns{[]Part{{addrs, ports}}}
}

// AllConns is every address on every port.
func AllConns() Conns { return Conns{allConns} }

var allConns = []Part{{AllAddrs(), AllPorts()}}

// Union is the connections of c or d.
func (c Conns) Union(d Conns) Conns {
	switch {
	case c.ContainsAll(d):
		return c
	case d.ContainsAll(c):
		return d
	}
	return combine(c, d, Addrs.Union)
}

// Intersect is the connections of both c and d.
func (c Conns) Intersect(d Conns) Conns {
	switch {
	case c.ContainsAll(d):
		return d
	case d.ContainsAll(c):
		return c
	}
	return combine(c, d, Addrs.Intersect)
}

// Minus is the connections of c that are not in d.
func (c Conns) Minus(d Conns) Conns {
	switch {
	case !c.Overlaps(d):
		return c
	case d.ContainsAll(c):
		return Conns{}
	}
	return combine(c, d, Addrs.Minus)
}

// combine applies op to the addresses of c and d on each port.
func combine(c, d Conns, op func(Addrs, Addrs) Addrs) Conns {
	if isMany(c, d) {
		return combineMany(c, d, op)
	}
	var buf [8]Part
	out := buf[:0]
	for _, p := range c.parts {
		rest := p.Ports
		for _, q := range d.parts {
			if both := rest.Intersect(q.Ports); !both.IsEmpty() {
				out = add(out, op(p.Addrs, q.Addrs), both)
				rest = rest.Minus(both)
			}
		}
		out = add(out, op(p.Addrs, Addrs{}), rest)
	}
	for _, q := range d.parts {
		rest := q.Ports
		for _, p := range c.parts {
			rest = rest.Minus(p.Ports)
		}
		out = add(out, op(Addrs{}, q.Addrs), rest)
	}
	return inOrder(out)
}

// inOrder is the set of these parts, which keep to the canonical form but for their order.
func inOrder(parts []Part) Conns {
	if len(parts) == 0 {
		return Conns{}
	}
	slices.SortFunc(parts, func(a, b Part) int { return compareSpans(a.Ports.s[0], b.Ports.s[0]) })
	return Conns{slices.Clone(parts)}
}

// add puts a part, whose ports no other part has, among parts, keeping addresses distinct.
func add(parts []Part, addrs Addrs, ports Ports) []Part {
	if addrs.IsEmpty() || ports.IsEmpty() {
		return parts
	}
	for i := range parts {
		if parts[i].Addrs.Equal(addrs) {
			parts[i].Ports = parts[i].Ports.Union(ports)
			return parts
		}
	}
	return append(parts, Part{addrs, ports})
}

// IsEmpty says whether there is no connection.
func (c Conns) IsEmpty() bool { return len(c.parts) == 0 }

// Contains says whether addr on port is in the set.
func (c Conns) Contains(addr netip.Addr, port Port) bool {
	for _, p := range c.parts {
		if p.Ports.Contains(port) {
			return p.Addrs.Contains(addr)
		}
	}
	return false
}

// ContainsAll says whether every connection of d is in c.
func (c Conns) ContainsAll(d Conns) bool {
	if isMany(c, d) {
		all := true
		along(runs(c.parts), runs(d.parts), func(_ span, a, b Addrs) bool {
			all = a.ContainsAll(b)
			return all
		})
		return all
	}
	for _, q := range d.parts {
		missing := q.Ports.Size()
		for _, p := range c.parts {
			if common := p.Ports.common(q.Ports); common > 0 {
				if !p.Addrs.ContainsAll(q.Addrs) {
					return false
				}
				missing -= common
			}
		}
		if missing > 0 {
			return false
		}
	}
	return true
}

// Overlaps says whether c and d have a connection in common.
func (c Conns) Overlaps(d Conns) bool {
	if isMany(c, d) {
		some := false
		along(runs(c.parts), runs(d.parts), func(_ span, a, b Addrs) bool {
			some = a.Overlaps(b)
			return !some
		})
		return some
	}
	for _, p := range c.parts {
		for _, q := range d.parts {
			if p.Ports.Overlaps(q.Ports) && p.Addrs.Overlaps(q.Addrs) {
				return true
			}
		}
	}
	return false
}

// Equal says whether c and d hold the same connections.
func (c Conns) Equal(d Conns) bool {
	return slices.EqualFunc(c.parts, d.parts, func(p, q Part) bool {
		return p.Ports.Equal(q.Ports) && p.Addrs.Equal(q.Addrs)
	})
}

// AddrsOn is the addresses that have a connection on at least one of ports.
func (c Conns) AddrsOn(ports Ports) Addrs {
	var buf [8]Addrs
	found := buf[:0]
	for _, p := range c.parts {
		if p.Ports.Overlaps(ports) {
			found = append(found, p.Addrs)
		}
	}
	return UnionAddrs(found...)
}

// PortsOf is the ports on which at least one of addrs has a connection.
func (c Conns) PortsOf(addrs Addrs) Ports {
	var buf [8]Ports
	found := buf[:0]
	for _, p := range c.parts {
		if p.Addrs.Overlaps(addrs) {
			found = append(found, p.Ports)
		}
	}
	return UnionPorts(found...)
}

// Parts is the set as its canonical parts.
func (c Conns) Parts() []Part { return slices.Clone(c.parts) }
