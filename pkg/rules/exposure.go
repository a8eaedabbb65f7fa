package rules

import (
	"errors"
	"fmt"
	"net/netip"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// exposureSettings say what justifies connections from the internet. The rules internet-ingress and external-ingress share
// them.
type exposureSettings struct {
	NodePortCounts              bool     `json:"nodePortCounts"`
	AllowLabel                  string   `json:"allowLabel"`
	InternalLoadBalancerClasses []string `json:"internalLoadBalancerClasses"`
}

func defaultExposure() exposureSettings {
	return exposureSettings{NodePortCounts: true, AllowLabel: "networking/allow-internet-access", InternalLoadBalancerClasses: []string{}}
}

func (s *exposureSettings) Validate() error { return validKey("allowLabel", s.AllowLabel) }

// validKey says what is wrong with the key of a label in the settings; an empty one is none.
func validKey(field, key string) error {
	if key == "" {
		return nil
	}
	var errs []error
	for _, problem := range validation.IsQualifiedName(key) {
		errs = append(errs, fmt.Errorf("%s: %q is not the key of a label: %s", field, key, problem))
	}
	return errors.Join(errs...)
}

var exposureParams = []rule.Param{
	{Name: "nodePortCounts", Default: "true", Description: "Whether a NodePort Service and a hostPort expose pods to the internet."},
	{Name: "allowLabel", Default: "networking/allow-internet-access", Description: `The key of a pod label that, with the value "true", justifies connections from the internet on any port. Empty for none.`},
	{Name: "internalLoadBalancerClasses", Default: "[]", Description: "Values of loadBalancerClass that stand for internal load balancers, which expose nothing to the internet. The providers' annotations for these are known already, and so is that the AWS Load Balancer Controller makes internal ones of class service.k8s.aws/nlb unless the Service asks for internet-facing."},
}

func (s *exposureSettings) options() reach.ExposureOptions {
	return reach.ExposureOptions{NodePorts: s.NodePortCounts, InternalClasses: s.InternalLoadBalancerClasses}
}

// opening is what a policy lets in from the public internet to the pods of one class.
type opening struct {
	class *model.PodClass
	// conns are public sources on the pods' ports.
	conns netset.Conns
	// justified are the connections that something exposes, whatever conns are.
	justified netset.Conns
	// unjustified is what of conns the rule finds fault with.
	unjustified netset.Conns
}

// openings are the openings of the policy in force, one for each class of pods that it selects and opens to anyone public.
func (s *exposureSettings) openings(p *rule.Pass, justify func(*opening, []reach.Exposure)) []opening {
	policy := p.Change.NewPolicy
	if policy == nil || !policy.Isolates(model.Ingress) || !mentionsAddrs(policy, model.Ingress) {
		return nil
	}
	own := ownAddrs(p.World.Facts())
	var out []opening
	for _, class := range p.Reach.Select(policy).Classes {
		if p.Stopped() {
			return nil
		}
		if s.AllowLabel != "" && class.Labels[s.AllowLabel] == "true" {
			continue
		}
		o := opening{class: class, conns: publicConns(reach.PolicyExternal(policy, class, model.Ingress), own)}
		if o.conns.IsEmpty() {
			continue
		}
		exposures, _ := p.Reach.Exposed(class, s.options())
		justify(&o, exposures)
		out = append(out, o)
	}
	return out
}

// mentionsAddrs says whether any rule of the direction is about addresses outside of the cluster.
func mentionsAddrs(policy *model.Policy, d model.Direction) bool {
	for i := range policy.Rules[d] {
		if !policy.Rules[d][i].External.IsEmpty() {
			return true
		}
	}
	return false
}

// ownAddrs are the addresses that are never the public internet: the cluster's own, and the operator's.
func ownAddrs(facts *model.Facts) netset.Addrs {
	return netset.UnionAddrs(facts.PodCIDRs, facts.ServiceCIDRs, facts.Nodes, facts.Trusted)
}

// publicConns is the part of conns whose addresses are on the public internet.
func publicConns(conns netset.Conns, own netset.Addrs) netset.Conns {
	var parts []netset.Conns
	for _, part := range conns.Parts() {
		parts = append(parts, netset.ConnsOf(netset.Public(part.Addrs).Minus(own), part.Ports))
	}
	return netset.UnionConns(parts...)
}

// failing are the openings that the rule finds fault with.
func failing(openings []opening) []opening {
	var out []opening
	for _, o := range openings {
		if !o.unjustified.IsEmpty() {
			out = append(out, o)
		}
	}
	return out
}

func classesOf(openings []opening) crowd {
	out := make(crowd, len(openings))
	for i := range openings {
		out[i] = openings[i].class
	}
	return out
}

// ports are the ports of all the openings that the rule finds fault with.
func portsOf(openings []opening) netset.Ports {
	sets := make([]netset.Ports, len(openings))
	for i := range openings {
		sets[i] = openings[i].unjustified.PortsOf(netset.AllAddrs())
	}
	return netset.UnionPorts(sets...)
}

// proof is one connection that proves the opening: to a port that the pods declare, if one is open, and with an address that
// is public and that the policy allows as it is written.
func (o *opening) proof(policy *model.Policy, d model.Direction, own netset.Addrs) (addr netip.Addr, port netset.Port) {
	conns := o.unjustified
	for _, declared := range o.class.Ports {
		if on := netset.PortsOf(declared.Port); d == model.Ingress && conns.PortsOf(netset.AllAddrs()).Overlaps(on) {
			conns = conns.Intersect(netset.ConnsOf(netset.AllAddrs(), on))
			break
		}
	}
	addr, port, _ = conns.Witness()
	written := reach.PolicyExternal(policy, o.class, d).AddrsOn(netset.PortsOf(port)).Minus(own)
	if !written.Contains(addr) {
		addr, _ = netset.PublicWitness(written)
	}
	return addr, port
}

// extent is what the openings cover, for the ratchet.
func extent(openings []opening) []finding.Part {
	out := make([]finding.Part, len(openings))
	for i := range openings {
		out[i] = finding.Part{Key: openings[i].class.Key(), Conns: openings[i].unjustified}
	}
	return out
}

// culprit is a rule that lets openings in, or out.
type culprit struct {
	direction model.Direction
	rule      int
	peers     []int // those of its ipBlocks that do; none for a rule without from or to
}

// path is where the culprit stands.
func (c *culprit) path() *field.Path {
	if len(c.peers) == 0 {
		return rulePath(c.direction, c.rule)
	}
	return peerPath(c.direction, c.rule, c.peers[0]).Child("ipBlock", "cidr")
}

// culprits are the rules of the direction that let any of the openings through, in their order, and no more than it takes to
// see that there are too many for a fix.
func culprits(policy *model.Policy, d model.Direction, openings []opening) []culprit {
	var out []culprit
	for i := range policy.Rules[d] {
		r := &policy.Rules[d][i]
		if r.External.IsEmpty() {
			continue
		}
		if len(out) > mostFaults {
			break
		}
		var addrs netset.Addrs
		for j := range openings {
			ports := r.Numeric
			if d == model.Ingress {
				ports = reach.PortsOn(r, openings[j].class)
			}
			addrs = addrs.Union(openings[j].unjustified.AddrsOn(ports))
		}
		c := culprit{direction: d, rule: i}
		for k := range r.Peers {
			if b := r.Peers[k].IPBlock; b != nil && netset.Public(b.Addrs).Overlaps(addrs) {
				c.peers = append(c.peers, k)
			}
		}
		if len(c.peers) > 0 || r.AllPeers() && !addrs.IsEmpty() {
			out = append(out, c)
		}
	}
	return out
}
