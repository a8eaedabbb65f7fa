package netset

import (
	"iter"
	"strconv"
)

// Protocol is a transport protocol that a NetworkPolicy can name.
type Protocol uint8

// The protocols. The zero value is none of them.
const (
	TCP Protocol = iota + 1
	UDP
	SCTP
)

// Protocols is every protocol, in the order of all output.
func Protocols() [3]Protocol { return [3]Protocol{TCP, UDP, SCTP} }

// String is "TCP", "UDP" or "SCTP".
func (p Protocol) String() string {
	switch p {
	case TCP:
		return "TCP"
	case UDP:
		return "UDP"
	case SCTP:
		return "SCTP"
	}
	return "Protocol(" + strconv.Itoa(int(p)) + ")"
}

// ParseProtocol reads "TCP", "UDP" or "SCTP".
func ParseProtocol(s string) (Protocol, bool) {
	for _, p := range Protocols() {
		if s == p.String() {
			return p, true
		}
	}
	return 0, false
}

// Port is a port of a protocol. It is valid if the protocol is known and the number is not 0.
type Port struct {
	Protocol Protocol
	Number   uint16
}

// String is "TCP/8080".
func (p Port) String() string { return p.Protocol.String() + "/" + strconv.Itoa(int(p.Number)) }

// IsValid says whether the protocol is known and the number between 1 and 65535.
func (p Port) IsValid() bool { return TCP <= p.Protocol && p.Protocol <= SCTP && p.Number > 0 }

// Ports is an immutable set of ports: TCP, UDP and SCTP, each from 1 to 65535. The zero value is empty.
//
// A port is the number protocol*65536 + port; as no port is 0, spans never join two protocols.
type Ports struct{ s spans }

var (
	allTCP  = spans{portSpan(TCP, 1, 65535)}
	allUDP  = spans{portSpan(UDP, 1, 65535)}
	allSCTP = spans{portSpan(SCTP, 1, 65535)}
	allOf   = spans{allTCP[0], allUDP[0], allSCTP[0]}
)

func portSpan(p Protocol, lo, hi uint16) span {
	base := uint64(p) << 16
	return span{num{0, base | uint64(lo)}, num{0, base | uint64(hi)}}
}

// AllPorts is every port of every protocol.
func AllPorts() Ports { return Ports{allOf} }

// AllOf is every port of one protocol; nothing for an unknown one.
func AllOf(p Protocol) Ports {
	switch p {
	case TCP:
		return Ports{allTCP}
	case UDP:
		return Ports{allUDP}
	case SCTP:
		return Ports{allSCTP}
	}
	return Ports{}
}

// PortsOf is the set of these ports; invalid ones are ignored.
func PortsOf(ports ...Port) Ports {
	raw := make([]span, 0, len(ports))
	for _, p := range ports {
		if p.IsValid() {
			raw = append(raw, portSpan(p.Protocol, p.Number, p.Number))
		}
	}
	return Ports{canonical(raw)}
}

// PortRange is the ports from lo to hi, both included, without port 0. It is empty if hi < lo.
func PortRange(p Protocol, lo, hi uint16) Ports {
	lo = max(lo, 1)
	if hi < lo || AllOf(p).IsEmpty() {
		return Ports{}
	}
	return Ports{spans{portSpan(p, lo, hi)}}
}

// UnionPorts is the union of all sets.
func UnionPorts(sets ...Ports) Ports {
	const few = 8
	var out Ports
	if len(sets) <= few {
		for _, p := range sets {
			out = out.Union(p)
		}
		return out
	}
	var raw []span
	for _, p := range sets {
		raw = append(raw, p.s...)
	}
	return Ports{canonical(raw)}
}

// Union is the ports of p or q.
func (p Ports) Union(q Ports) Ports { return Ports{p.s.union(q.s)} }

// Intersect is the ports of both p and q.
func (p Ports) Intersect(q Ports) Ports { return Ports{p.s.intersect(q.s)} }

// Minus is the ports of p that are not in q.
func (p Ports) Minus(q Ports) Ports { return Ports{p.s.minus(q.s)} }

// IsEmpty says whether the set has no port.
func (p Ports) IsEmpty() bool { return len(p.s) == 0 }

// Contains says whether port is in the set; an invalid port never is.
func (p Ports) Contains(port Port) bool {
	return p.s.contains(portSpan(port.Protocol, port.Number, port.Number).lo)
}

// ContainsAll says whether every port of q is in p.
func (p Ports) ContainsAll(q Ports) bool { return p.s.containsAll(q.s) }

// Overlaps says whether p and q have a port in common.
func (p Ports) Overlaps(q Ports) bool { return p.s.overlaps(q.s) }

// Equal says whether p and q hold the same ports.
func (p Ports) Equal(q Ports) bool { return p.s.equal(q.s) }

// Of is the part of one protocol.
func (p Ports) Of(protocol Protocol) Ports {
	if whole := AllOf(protocol); !whole.IsEmpty() {
		return Ports{p.s.within(whole.s[0])}
	}
	return Ports{}
}

// Size is the number of ports, at most 3*65535.
func (p Ports) Size() int {
	total := 0
	for _, x := range p.s {
		total += int(x.hi.lo-x.lo.lo) + 1
	}
	return total
}

// common is the number of ports that are in both p and q.
func (p Ports) common(q Ports) int {
	total := 0
	for i, j := 0, 0; i < len(p.s) && j < len(q.s); {
		x, y := p.s[i], q.s[j]
		if lo, hi := max(x.lo.lo, y.lo.lo), min(x.hi.lo, y.hi.lo); lo <= hi {
			total += int(hi-lo) + 1
		}
		if x.hi.lo < y.hi.lo {
			i++
		} else {
			j++
		}
	}
	return total
}

// PortSpan is the ports of a protocol from First to Last, both included.
type PortSpan struct {
	Protocol    Protocol
	First, Last uint16
}

// Ranges yields the set as its fewest ranges: TCP, UDP, SCTP, each ascending.
func (p Ports) Ranges() iter.Seq[PortSpan] {
	return func(yield func(PortSpan) bool) {
		for _, x := range p.s {
			if !yield(rangeOf(x)) {
				return
			}
		}
	}
}

func rangeOf(x span) PortSpan {
	return PortSpan{Protocol: Protocol(x.lo.lo >> 16), First: uint16(x.lo.lo), Last: uint16(x.hi.lo)}
}

// tellingPorts are ports that a reader recognises, in the order in which they are preferred as a witness.
var tellingPorts = []Port{{TCP, 443}, {TCP, 80}, {TCP, 22}, {TCP, 8080}, {TCP, 8443}, {UDP, 53}}

// Witness is one port of the set, if there is one: a well-known port where the set has one, else the first.
func (p Ports) Witness() (Port, bool) {
	if p.IsEmpty() {
		return Port{}, false
	}
	for _, t := range tellingPorts {
		if p.Contains(t) {
			return t, true
		}
	}
	lowest := rangeOf(p.s[0])
	return Port{Protocol: lowest.Protocol, Number: lowest.First}, true
}
