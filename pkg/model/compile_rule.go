package model

import (
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// compiler compiles the rules of one policy. What they consist of lies together in a few pieces of memory, as it is kept and
// dropped together: the garbage collector looks at each piece of each policy of the cluster.
type compiler struct {
	peers     []Peer
	ports     []PortSpec
	selectors []Selector
	oneTerms  []oneTerm
	ranges    []portRange // those of the policy so far, as far as they are few
}

// portRange is a range of ports with the set of them. Most rules of a policy have the same.
type portRange struct {
	protocol    netset.Protocol
	first, last uint16
	ports       netset.Ports
}

// newCompiler has room for exactly what the spec holds.
func newCompiler(spec *networkingv1.NetworkPolicySpec) *compiler {
	var peers, ports, selectors, oneTerms int
	count := func(of []networkingv1.NetworkPolicyPeer, on []networkingv1.NetworkPolicyPort) {
		peers += len(of)
		ports += len(on)
		for i := range of {
			for _, s := range [...]*metav1.LabelSelector{of[i].NamespaceSelector, of[i].PodSelector} {
				if s != nil {
					selectors++
				}
				if s != nil && isOneTerm(s) {
					oneTerms++
				}
			}
		}
	}
	for i := range spec.Ingress {
		count(spec.Ingress[i].From, spec.Ingress[i].Ports)
	}
	for i := range spec.Egress {
		count(spec.Egress[i].To, spec.Egress[i].Ports)
	}
	return &compiler{
		peers: make([]Peer, peers), ports: make([]PortSpec, ports), selectors: make([]Selector, selectors), oneTerms: make([]oneTerm, oneTerms),
	}
}

// take takes n items off the room.
func take[T any](room *[]T, n int) []T {
	out := (*room)[:n:n]
	*room = (*room)[n:]
	return out
}

func (c *compiler) rule(peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) Rule {
	r := Rule{Numeric: netset.AllPorts(), External: netset.AllAddrs()}
	if len(ports) > 0 {
		r.Ports = take(&c.ports, len(ports))
		var few [8]netset.Ports
		numbers := few[:0]
		for i := range ports {
			r.Ports[i] = c.port(&ports[i])
			numbers = append(numbers, r.Ports[i].Numbers)
			r.Named = r.Named || r.Ports[i].Name != ""
		}
		r.Numeric = netset.UnionPorts(numbers...)
	}
	if len(peers) > 0 {
		r.Peers = take(&c.peers, len(peers))
		var blocks []netset.Addrs
		for i := range peers {
			r.Peers[i] = c.peer(&peers[i])
			if b := r.Peers[i].IPBlock; b != nil {
				blocks = append(blocks, b.Addrs)
			}
		}
		r.External = netset.UnionAddrs(blocks...)
	}
	return r
}

func (c *compiler) port(port *networkingv1.NetworkPolicyPort) PortSpec {
	spec := PortSpec{Protocol: protocolOf(port.Protocol), EndPort: port.EndPort != nil}
	switch {
	case port.Port == nil:
		// "If this field is not provided, this matches all port names and numbers."
		spec.Numbers = netset.AllOf(spec.Protocol)
	case port.Port.Type == intstr.String:
		spec.Name = port.Port.StrVal
	default:
		first, last := port.Port.IntVal, port.Port.IntVal
		if port.EndPort != nil {
			last = *port.EndPort
		}
		if first >= 1 && first <= last && last <= 65535 {
			spec.Numbers = c.portsOf(spec.Protocol, uint16(first), uint16(last))
		}
	}
	return spec
}

// mostRanges bounds the search for a range that the policy had before.
const mostRanges = 8

func (c *compiler) portsOf(protocol netset.Protocol, first, last uint16) netset.Ports {
	for i := range c.ranges {
		if r := &c.ranges[i]; r.first == first && r.last == last && r.protocol == protocol {
			return r.ports
		}
	}
	ports := netset.PortRange(protocol, first, last)
	if len(c.ranges) < mostRanges {
		c.ranges = append(c.ranges, portRange{protocol, first, last, ports})
	}
	return ports
}

func (c *compiler) peer(peer *networkingv1.NetworkPolicyPeer) Peer {
	if peer.IPBlock != nil {
		return Peer{IPBlock: compileIPBlock(peer.IPBlock)}
	}
	var out Peer
	if peer.NamespaceSelector != nil {
		out.NamespaceSelector = c.selector(peer.NamespaceSelector)
	}
	if peer.PodSelector != nil {
		out.PodSelector = c.selector(peer.PodSelector)
	}
	if peer.NamespaceSelector == nil && peer.PodSelector == nil {
		out.PodSelector = &nothing
	}
	return out
}

// nothing is a selector that no labels match.
var nothing = Selector{terms: []term{{key: "an invalid selector"}}}

func (c *compiler) selector(s *metav1.LabelSelector) *Selector {
	out := &take(&c.selectors, 1)[0]
	if isOneTerm(s) {
		for key, value := range s.MatchLabels {
			*out = take(&c.oneTerms, 1)[0].selector(key, value)
		}
		return out
	}
	*out = compileSelector(s)
	return out
}

func compileSelector(s *metav1.LabelSelector) Selector {
	compiled, err := CompileSelector(s)
	if err != nil {
		return nothing
	}
	return compiled
}
