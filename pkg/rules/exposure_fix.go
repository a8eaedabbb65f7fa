package rules

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// The fix of an exposure finding takes the ipBlocks at fault out of their rules, and lets the same sources in again where
// something exposes the pods. Nothing is opened that was closed.

// mostFaults bounds the rules and the peers that a fix changes.
const mostFaults = 64

func tooMany(found []culprit) bool {
	peers := 0
	for i := range found {
		peers += len(found[i].peers)
	}
	return len(found) > mostFaults || peers > mostFaults
}

// mostPeers bounds the peers that a fix writes: where more would be needed, a person had better think.
const mostPeers = 16

// fixExposure is what to do, and the patch that does it.
func fixExposure(p *rule.Pass, o reach.ExposureOptions, found []culprit, all []opening) (string, []finding.PatchOp) {
	patch, kept := patchOf(p.Change.NewPolicy, found, all)
	if kept.IsEmpty() {
		switch {
		case len(found[0].peers) == 0:
			return "Say who may connect: list the clients under from, by podSelector, namespaceSelector or a narrow ipBlock", patch
		case len(found) > 1 || len(found[0].peers) > 1:
			return "Remove these sources, or name the clients by podSelector, namespaceSelector or narrow ipBlocks", patch
		}
		return "Remove this source, or name the clients by podSelector, namespaceSelector or a narrow ipBlock", patch
	}
	ports := kept.PortsOf(netset.AllAddrs())
	sources := kept.AddrsOn(ports)
	for i := range found {
		if written := found[i].sources(&p.Change.NewPolicy.Rules[model.Ingress][found[i].rule]); !sources.ContainsAll(written) {
			return fmt.Sprintf("Allow only %s on %s", sources.Short(mostPeers), portsText(ports, all[0].class)), patch
		}
	}
	exposures, _ := p.Reach.Exposed(all[0].class, o)
	return fmt.Sprintf("Allow only %s, which %s exposes", portsText(ports, all[0].class), exposerOf(exposures, ports)), patch
}

// exposerOf is the object that exposes the ports, for a sentence.
func exposerOf(exposures []reach.Exposure, ports netset.Ports) string {
	for _, e := range exposures {
		switch {
		case !e.Ports.Overlaps(ports):
		case e.Service == nil:
			return "a hostPort"
		case e.By.Kind == "":
			return "Service " + e.Service.Namespace + "/" + e.Service.Name
		default:
			return originText(e.By) + " by Service " + e.Service.Namespace + "/" + e.Service.Name
		}
	}
	return "a Service"
}

func originText(o model.Origin) string {
	kinds := map[string]string{"ingress": "Ingress", "route": "route", "webhook": "webhook configuration", "apiservice": "APIService", "crd": "CustomResourceDefinition"}
	name := o.Name
	if o.Namespace != "" {
		name = o.Namespace + "/" + name
	}
	return kinds[o.Kind] + " " + name
}

// keptBy is what of the culprit's connections is justified for every pod that the policy selects.
func keptBy(policy *model.Policy, c *culprit, openings []opening) netset.Conns {
	r := &policy.Rules[model.Ingress][c.rule]
	sources := c.sources(r)
	var kept netset.Conns
	for i := range openings {
		o := &openings[i]
		named := netset.ConnsOf(sources, reach.PortsOn(r, o.class))
		if i == 0 {
			kept = named
		}
		kept = kept.Intersect(named).Intersect(o.justified)
	}
	return kept
}

// sources are the addresses that the culprit's peers hold.
func (c *culprit) sources(r *model.Rule) netset.Addrs {
	if r.AllPeers() {
		return netset.AllAddrs()
	}
	blocks := make([]netset.Addrs, len(c.peers))
	for i, k := range c.peers {
		blocks[i] = r.Peers[k].IPBlock.Addrs
	}
	return netset.UnionAddrs(blocks...)
}

// patchOf is the fix as a JSON Patch, and what it keeps; there is no patch if none is short enough.
func patchOf(policy *model.Policy, found []culprit, openings []opening) (patch []finding.PatchOp, kept netset.Conns) {
	if tooMany(found) {
		return nil, kept
	}
	var added []networkingv1.NetworkPolicyIngressRule
	for i := range slices.Backward(found) {
		c := &found[i]
		r := &policy.Rules[model.Ingress][c.rule]
		keeps := keptBy(policy, c, openings)
		kept = kept.Union(keeps)
		rules, short := rulesFor(keeps, r, c, openings[0].class)
		if !short {
			return nil, kept
		}
		at := fmt.Sprintf("/spec/ingress/%d", c.rule)
		switch {
		case r.AllPeers():
			// Nobody outside of the cluster is let in any more, and every pod within is, as before.
			patch = append(patch, finding.PatchOp{Op: "add", Path: at + "/from", Value: []map[string]any{{"namespaceSelector": map[string]any{}}}})
		case len(c.peers) == len(r.Peers) && len(rules) > 0:
			patch = append(patch, finding.PatchOp{Op: "replace", Path: at, Value: rules[0]})
			rules = rules[1:]
		case len(c.peers) == len(r.Peers):
			patch = append(patch, finding.PatchOp{Op: "remove", Path: at})
		default:
			for _, k := range slices.Backward(c.peers) {
				patch = append(patch, finding.PatchOp{Op: "remove", Path: fmt.Sprintf("%s/from/%d", at, k)})
			}
		}
		added = append(rules, added...)
	}
	for i := range added {
		patch = append(patch, finding.PatchOp{Op: "add", Path: "/spec/ingress/-", Value: added[i]})
	}
	return patch, kept
}

// rulesFor are rules that allow exactly conns, in the words of the rule that they come from where those say the same.
func rulesFor(conns netset.Conns, r *model.Rule, c *culprit, class *model.PodClass) (out []networkingv1.NetworkPolicyIngressRule, ok bool) {
	for _, part := range conns.Parts() {
		one := networkingv1.NetworkPolicyIngressRule{Ports: portsFor(part.Ports, r, class)}
		switch {
		case r.AllPeers() && part.Addrs.Equal(netset.AllAddrs()):
		case !r.AllPeers() && part.Addrs.Equal(c.sources(r)):
			for _, k := range c.peers {
				b := r.Peers[k].IPBlock
				one.From = append(one.From, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: b.CIDR, Except: b.Except}})
			}
		default:
			prefixes := part.Addrs.Prefixes()
			if len(prefixes) > mostPeers {
				return nil, false
			}
			for _, p := range prefixes {
				one.From = append(one.From, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: p.String()}})
			}
		}
		out = append(out, one)
	}
	return out, true
}

// portsFor are the ports as a rule's list: by name where the rule named them, else by number; none for every port.
func portsFor(ports netset.Ports, r *model.Rule, class *model.PodClass) []networkingv1.NetworkPolicyPort {
	if ports.Equal(netset.AllPorts()) {
		return nil
	}
	var out []networkingv1.NetworkPolicyPort
	for _, s := range r.Ports {
		number, ok := class.NamedPort(s.Protocol, s.Name)
		if named := netset.PortsOf(netset.Port{Protocol: s.Protocol, Number: number}); s.Name != "" && ok && ports.Overlaps(named) {
			ports = ports.Minus(named)
			name := intstr.FromString(s.Name)
			out = append(out, networkingv1.NetworkPolicyPort{Protocol: protocolOf(s.Protocol), Port: &name})
		}
	}
	for span := range ports.Ranges() {
		first := intstr.FromInt32(int32(span.First))
		port := networkingv1.NetworkPolicyPort{Protocol: protocolOf(span.Protocol), Port: &first}
		if span.Last > span.First {
			last := int32(span.Last)
			port.EndPort = &last
		}
		out = append(out, port)
	}
	return out
}

func protocolOf(p netset.Protocol) *corev1.Protocol {
	out := corev1.Protocol(p.String())
	return &out
}
