package reach

import (
	"cmp"
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// Potential is what pods may do that do not exist yet: connections of a workload with pods that carry certain labels.
type Potential struct {
	// Workload is whose policies allow it; nil for Pods.
	Workload *Workload
	// Pods are what policies select of which there is none yet, as "shop/(app=web)"; empty for Workload.
	Pods string
	// Direction is that of the policies: Egress from the workload, Ingress to it.
	Direction model.Direction
	// Peer is who those pods would be, for people: "any pod", "pods with role=db in namespaces with team=shop". Empty if Addrs
	// are the peer.
	Peer  string
	Addrs netset.Addrs
	Ports netset.Ports
}

// anyPod is the peer that all others are part of.
const anyPod = "any pod"

// Potentials are what pods that do not exist yet could do, as far as the one side of the connection allows it: first of
// every workload, then of the pods that policies select and of which there is none.
func (c *Connectivity) Potentials(world *model.Snapshot) []Potential {
	view := NewView(world)
	_, classes := workloadsOf(world)
	var out []Potential
	for _, w := range c.Workloads {
		for _, d := range model.Directions {
			var peers potentialPeers
			for _, at := range w.classes {
				peers.add(view, classes[at], d)
			}
			out = append(out, peers.list(Potential{Workload: w, Direction: d})...)
		}
	}
	for ns := range world.Namespaces() {
		seen := map[string]bool{}
		for _, p := range ns.Policies {
			selected := view.Select(p)
			if !selected.Hypothetical {
				continue
			}
			for _, class := range selected.Classes {
				if seen[class.Name()] {
					continue
				}
				seen[class.Name()] = true
				for _, d := range model.Directions {
					of := Potential{Pods: class.Name(), Direction: d}
					var peers potentialPeers
					peers.add(view, class, d)
					out = append(out, peers.list(of)...)
					for _, part := range view.External(class, d).Parts() {
						of.Addrs, of.Ports = part.Addrs, part.Ports
						out = append(out, of)
					}
				}
			}
		}
	}
	return out
}

// potentialPeers are the ports allowed to peers, by what the peers are.
type potentialPeers struct {
	names []string
	ports map[string]netset.Ports
}

func (p *potentialPeers) note(peer string, ports netset.Ports) {
	if p.ports == nil {
		p.ports = map[string]netset.Ports{}
	}
	if _, there := p.ports[peer]; !there {
		p.names = append(p.names, peer)
	}
	p.ports[peer] = p.ports[peer].Union(ports)
}

// add notes what the policies of a class allow. Names of ports on pods that do not exist yet stand for no number, and are
// left out.
func (p *potentialPeers) add(v *View, c *model.PodClass, d model.Direction) {
	policies := v.Isolating(c, d)
	if len(policies) == 0 {
		p.note(anyPod, netset.AllPorts())
	}
	for _, policy := range policies {
		for i := range policy.Rules[d] {
			r := &policy.Rules[d][i]
			ports := r.Numeric
			if d == model.Ingress {
				ports = PortsOn(r, c)
			}
			if ports.IsEmpty() {
				continue
			}
			if r.AllPeers() {
				p.note(anyPod, ports)
			}
			for j := range r.Peers {
				if r.Peers[j].IPBlock == nil {
					p.note(describePeer(policy.Namespace, &r.Peers[j]), ports)
				}
			}
		}
	}
}

// list are the peers, less what any pod is allowed anyway.
func (p *potentialPeers) list(of Potential) []Potential {
	slices.SortStableFunc(p.names, func(a, b string) int {
		if (a == anyPod) != (b == anyPod) {
			if a == anyPod {
				return -1
			}
			return 1
		}
		return cmp.Compare(a, b)
	})
	var out []Potential
	for _, name := range p.names {
		of.Peer, of.Ports = name, p.ports[name]
		if name != anyPod {
			of.Ports = of.Ports.Minus(p.ports[anyPod])
		}
		if !of.Ports.IsEmpty() {
			out = append(out, of)
		}
	}
	return out
}

// describePeer is a peer of selectors, for people.
func describePeer(namespace string, p *model.Peer) string {
	if everyPod(*p) {
		return anyPod
	}
	pods := "any pod"
	if p.PodSelector != nil && !p.PodSelector.AlwaysTrue() {
		pods = "pods with " + p.PodSelector.String()
	}
	switch {
	case p.NamespaceSelector == nil:
		return pods + " in " + namespace
	case p.NamespaceSelector.AlwaysTrueForNamespaces():
		return pods + " in any namespace"
	}
	if name, ok := p.NamespaceSelector.Demands("kubernetes.io/metadata.name"); ok && p.NamespaceSelector.Equal(nameSelector(name)) {
		return pods + " in " + name
	}
	return pods + " in namespaces with " + p.NamespaceSelector.String()
}

func nameSelector(name string) *model.Selector {
	s := model.SelectorOf(map[string]string{"kubernetes.io/metadata.name": name})
	return &s
}
