package netset

import (
	"math/big"
	"net/netip"
	"strings"
)

// String is the canonical text: "no connections", "all connections", or the parts, as in
// "TCP/80,443 of all addresses; UDP/53 of 10.0.0.0/8".
func (c Conns) String() string {
	switch {
	case c.IsEmpty():
		return "no connections"
	case c.Equal(AllConns()):
		return "all connections"
	}
	texts := make([]string, len(c.parts))
	for i, p := range c.parts {
		texts[i] = p.Ports.String() + " of " + p.Addrs.String()
	}
	return strings.Join(texts, "; ")
}

// Size is the number of connections.
func (c Conns) Size() *big.Int {
	total := new(big.Int)
	for _, p := range c.parts {
		addrs := p.Addrs.Size(IPv4)
		addrs.Add(addrs, p.Addrs.Size(IPv6))
		total.Add(total, addrs.Mul(addrs, big.NewInt(int64(p.Ports.Size()))))
	}
	return total
}

// Witness is one connection of the set, if there is one: the most telling address, and then the most telling port on
// which it has a connection.
func (c Conns) Witness() (netip.Addr, Port, bool) {
	addr, ok := c.AddrsOn(AllPorts()).Witness()
	if !ok {
		return netip.Addr{}, Port{}, false
	}
	port, _ := c.PortsOf(AddrsOfAddr(addr)).Witness()
	return addr, port, true
}
