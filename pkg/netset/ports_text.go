package netset

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	textNoPorts  = "no ports"
	textAllPorts = "all ports"
)

func textEvery(p Protocol) string { return "every " + p.String() + " port" }

// String is the canonical text, which ParsePorts reads: "no ports", "all ports", "every TCP port", or ranges by
// protocol, as in "TCP/80,443,8000-8999 UDP/53".
func (p Ports) String() string {
	switch {
	case p.IsEmpty():
		return textNoPorts
	case p.Equal(AllPorts()):
		return textAllPorts
	}
	for _, protocol := range Protocols() {
		if p.Equal(AllOf(protocol)) {
			return textEvery(protocol)
		}
	}
	var b []byte
	var last Protocol
	for r := range p.Ranges() {
		switch {
		case r.Protocol == last:
			b = append(b, ',')
		case last != 0:
			b = append(b, ' ')
			fallthrough
		default:
			b = append(append(b, r.Protocol.String()...), '/')
		}
		last = r.Protocol
		b = strconv.AppendUint(b, uint64(r.First), 10)
		if r.Last != r.First {
			b = strconv.AppendUint(append(b, '-'), uint64(r.Last), 10)
		}
	}
	return string(b)
}

// ParsePort reads "TCP/8080".
func ParsePort(s string) (Port, error) {
	name, number, ok := strings.Cut(s, "/")
	protocol, known := ParseProtocol(name)
	if !ok || !known {
		return Port{}, fmt.Errorf("%q is not a port (as in TCP/8080; the protocol is TCP, UDP or SCTP)", s)
	}
	n, err := parseNumber(number)
	if err != nil {
		return Port{}, fmt.Errorf("%q is not a port: %w", s, err)
	}
	return Port{Protocol: protocol, Number: n}, nil
}

// ParsePorts reads what Ports.String writes, and any other such list: of any order, with overlapping ranges.
func ParsePorts(s string) (Ports, error) {
	switch s {
	case textNoPorts:
		return Ports{}, nil
	case textAllPorts:
		return AllPorts(), nil
	}
	for _, protocol := range Protocols() {
		if s == textEvery(protocol) {
			return AllOf(protocol), nil
		}
	}
	var raw []span
	for _, field := range strings.Fields(s) {
		name, list, ok := strings.Cut(field, "/")
		protocol, known := ParseProtocol(name)
		if !ok || !known {
			return Ports{}, fmt.Errorf("%q is not a list of ports (as in TCP/80,8000-8999; the protocol is TCP, UDP or SCTP)", field)
		}
		for item := range strings.SplitSeq(list, ",") {
			first, last, isRange := strings.Cut(item, "-")
			if !isRange {
				last = first
			}
			lo, err := parseNumber(first)
			if err != nil {
				return Ports{}, fmt.Errorf("%q: %w", field, err)
			}
			hi, err := parseNumber(last)
			if err != nil {
				return Ports{}, fmt.Errorf("%q: %w", field, err)
			}
			if hi < lo {
				return Ports{}, fmt.Errorf("%q: the range %s ends before it starts", field, item)
			}
			raw = append(raw, portSpan(protocol, lo, hi))
		}
	}
	if len(raw) == 0 {
		return Ports{}, fmt.Errorf("%q is not a list of ports (as in TCP/80,8000-8999 UDP/53, or %q)", s, textNoPorts)
	}
	return Ports{canonical(raw)}, nil
}

func parseNumber(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 || s[0] == '0' {
		return 0, fmt.Errorf("port %q is not a number from 1 to 65535", s)
	}
	return uint16(n), nil
}

// Short is the set for people, on less than a line: "every port", "every port but TCP/8443", String where that is short, or
// else the most telling port and how many others there are.
func (p Ports) Short() string {
	const longest, allButFew = 60, 3*65535 - 32
	if p.Size() >= allButFew {
		if missing := AllPorts().Minus(p); !missing.IsEmpty() {
			return "every port but " + missing.String()
		}
		return "every port"
	}
	text := p.String()
	if len(text) <= longest {
		return text
	}
	first, _ := p.Witness()
	return fmt.Sprintf("%s and %d other ports", first, p.Size()-1)
}
