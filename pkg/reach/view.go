// Package reach answers who may connect to whom, and by which policy: exactly, by set algebra, for pod classes rather than
// for single pods.
//
// It follows https://kubernetes.io/docs/concepts/services-networking/network-policies/: policies only add, a pod that no
// policy selects for a direction is not isolated in it, and between two pods both sides must allow the connection.
package reach

import (
	"math"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// View answers questions about one Snapshot, and remembers what it has answered. It is for one evaluation: not safe for
// concurrent use, and cheap to make.
type View struct {
	stop       func() bool // nil if nothing stops it
	world      *model.Snapshot
	selections map[*model.Policy]*Selection
	isolating  map[classDirection][]*model.Policy
	external   map[classDirection]netset.Conns
	dns        map[*model.PodClass]DNS
	connects   map[classPair]bool // see somethingConnects
}

type classDirection struct {
	class     *model.PodClass
	direction model.Direction
}

type classPair struct {
	classDirection
	other *model.PodClass
}

// NewView makes a view of the snapshot.
func NewView(world *model.Snapshot) *View { return &View{world: world} }

// Until says when to stop. What takes long asks for that now and then, and answers anything then: who has said so looks whether it was
// stopped, and drops the answers.
func (v *View) Until(stop func() bool) { v.stop = stop }

// Stopped says whether it is to stop.
func (v *View) Stopped() bool { return v.stop != nil && v.stop() }

// World is the snapshot that is viewed.
func (v *View) World() *model.Snapshot { return v.world }

// Selection is what a policy's podSelector selects.
type Selection struct {
	// Classes are the pods that the policy is about. hostNetwork pods are not among them: a NetworkPolicy does not apply to
	// them on most CNIs.
	Classes []*model.PodClass
	// HostNetwork are the selected hostNetwork pods.
	HostNetwork []*model.PodClass
	// Hypothetical is whether Classes are pods that do not exist yet, because no pod and no template is selected.
	Hypothetical bool
}

// Pods is how many pods the classes stand for; 0 for hypothetical ones.
func (s *Selection) Pods() int { return CountPods(s.Classes) }

// CountPods is how many pods the classes stand for.
func CountPods(classes []*model.PodClass) int {
	n := 0
	for _, c := range classes {
		n += c.Count()
	}
	return n
}

// Select is what the policy selects: pods and templates, or the pods that its selector demands if there are none.
func (v *View) Select(p *model.Policy) *Selection {
	if s := v.selections[p]; s != nil {
		return s
	}
	s := &Selection{}
	for _, c := range v.world.NamespaceOrImplied(p.Namespace).Classes {
		switch {
		case !p.PodSelector.Matches(c.Labels):
		case c.HostNetwork:
			s.HostNetwork = append(s.HostNetwork, c)
		default:
			s.Classes = append(s.Classes, c)
		}
	}
	if len(s.Classes) == 0 && len(s.HostNetwork) == 0 {
		s.Hypothetical = true
		ports := v.namedPorts(p)
		for _, labels := range p.PodSelector.Examples() {
			s.Classes = append(s.Classes, model.NewHypothetical(p.Namespace, labels, ports...))
		}
	}
	if v.selections == nil {
		v.selections = map[*model.Policy]*Selection{}
	}
	v.selections[p] = s
	return s
}

// namedPorts are the ports that the names in the policy's ingress rules will have on pods that do not exist yet. Which number
// a name will stand for is not known: each gets one that neither the policy nor a Service beside it speaks of, as long as there are any.
func (v *View) namedPorts(p *model.Policy) []model.ContainerPort {
	var out []model.ContainerPort
	known := map[model.ContainerPort]bool{}
	var numbers []netset.Ports
	for i := range p.Rules[model.Ingress] {
		r := &p.Rules[model.Ingress][i]
		if !r.AllPorts() {
			numbers = append(numbers, r.Numeric)
		}
		if !r.Named {
			continue
		}
		for _, spec := range r.Ports {
			port := model.ContainerPort{Name: spec.Name, Port: netset.Port{Protocol: spec.Protocol}}
			if spec.Name != "" && !known[port] {
				known[port] = true
				out = append(out, port)
			}
		}
	}
	if len(out) == 0 {
		return nil
	}
	taken := netset.UnionPorts(numbers...)
	for _, svc := range v.world.NamespaceOrImplied(p.Namespace).Services {
		for _, port := range svc.Ports {
			taken = taken.Union(netset.PortsOf(netset.Port{Protocol: port.Port.Protocol, Number: port.Target}))
		}
	}
	i := 0
	for _, free := range [...]bool{true, false} { // only where all are spoken of, others
		for number := uint16(math.MaxUint16); number > 0 && i < len(out); number-- {
			if takenByAny(taken, number) != free {
				out[i].Port.Number = number
				i++
			}
		}
	}
	return out
}

func takenByAny(taken netset.Ports, number uint16) bool {
	for _, protocol := range netset.Protocols() {
		if taken.Contains(netset.Port{Protocol: protocol, Number: number}) {
			return true
		}
	}
	return false
}

// Isolating are the policies that select the pods of the class and isolate them in the direction. None means: not isolated,
// and everything is allowed.
func (v *View) Isolating(c *model.PodClass, d model.Direction) []*model.Policy {
	if c.HostNetwork {
		return nil
	}
	key := classDirection{c, d}
	if found, there := v.isolating[key]; there {
		return found
	}
	var found []*model.Policy
	for _, p := range v.world.NamespaceOrImplied(c.Namespace).Policies {
		if p.Isolates(d) && p.PodSelector.Matches(c.Labels) {
			found = append(found, p)
		}
	}
	if v.isolating == nil {
		v.isolating = map[classDirection][]*model.Policy{}
	}
	v.isolating[key] = found
	return found
}

// Isolated says whether any policy isolates the pods of the class in the direction.
func (v *View) Isolated(c *model.PodClass, d model.Direction) bool { return len(v.Isolating(c, d)) > 0 }

// External is the exact set of addresses and ports that the pods of the class may connect to (Egress) or be connected from
// (Ingress, with the pods' own ports), by all policies together. Addresses are taken as outside of the cluster.
func (v *View) External(c *model.PodClass, d model.Direction) netset.Conns {
	key := classDirection{c, d}
	if conns, there := v.external[key]; there {
		return conns
	}
	policies := v.Isolating(c, d)
	conns := netset.AllConns()
	if len(policies) > 0 {
		var parts []netset.Conns
		for _, p := range policies {
			parts = appendExternal(parts, p, c, d)
		}
		conns = netset.UnionConns(parts...)
	}
	if v.external == nil {
		v.external = map[classDirection]netset.Conns{}
	}
	v.external[key] = conns
	return conns
}

// PolicyExternal is what the policy alone adds to the External set of the class: nothing if it does not isolate in the
// direction, for then its rules of that direction have no effect.
func PolicyExternal(p *model.Policy, c *model.PodClass, d model.Direction) netset.Conns {
	return netset.UnionConns(appendExternal(nil, p, c, d)...)
}

func appendExternal(parts []netset.Conns, p *model.Policy, c *model.PodClass, d model.Direction) []netset.Conns {
	if !p.Isolates(d) {
		return parts
	}
	for i := range p.Rules[d] {
		if r := &p.Rules[d][i]; !r.External.IsEmpty() {
			parts = append(parts, RuleExternal(r, c, d))
		}
	}
	return parts
}

// RuleExternal is what one rule adds to the External set of the class.
func RuleExternal(r *model.Rule, c *model.PodClass, d model.Direction) netset.Conns {
	if r.External.IsEmpty() {
		return netset.Conns{}
	}
	if d == model.Egress {
		// A port name is that of a destination pod; an address outside of the cluster has none.
		return netset.ConnsOf(r.External, r.Numeric)
	}
	return netset.ConnsOf(r.External, PortsOn(r, c))
}

// PortsOn is the rule's ports on the pods of the class, where names mean the class's own container ports: all of them, where two
// containers give one name to different ports.
func PortsOn(r *model.Rule, c *model.PodClass) netset.Ports {
	if !r.Named {
		return r.Numeric
	}
	var named []netset.Port
	if len(r.Ports)*len(c.Ports) > manyNames {
		wanted := make(map[namedPort]bool, len(r.Ports))
		for i := range r.Ports {
			wanted[namedPort{r.Ports[i].Protocol, r.Ports[i].Name}] = true
		}
		for i := range c.Ports {
			if p := &c.Ports[i]; p.Name != "" && wanted[namedPort{p.Port.Protocol, p.Name}] {
				named = append(named, p.Port)
			}
		}
		return r.Numeric.Union(netset.PortsOf(named...))
	}
	for i := range r.Ports {
		for j := range c.Ports {
			if spec, p := &r.Ports[i], &c.Ports[j]; spec.Name != "" && spec.Name == p.Name && spec.Protocol == p.Port.Protocol {
				named = append(named, p.Port)
			}
		}
	}
	return r.Numeric.Union(netset.PortsOf(named...))
}

// manyNames is from how many comparisons on names are looked up: pods declare few ports, but those that do not exist yet have all
// that a policy names.
const manyNames = 1024

type namedPort struct {
	protocol netset.Protocol
	name     string
}
