package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
)

// policy tells what one policy that isolates the subject says to the connection.
func (x *explainer) policy(p *model.Policy, subject reach.Endpoint, d model.Direction, peer reach.Endpoint, asked netset.Ports, all bool) Policy {
	out := Policy{Namespace: p.Namespace, Name: p.Name, Source: sourceAt(p, "spec."+d.Field()), Verdict: Blocked}
	if len(p.Rules[d]) == 0 {
		out.Reason = fmt.Sprintf("it has no %s rules, and so allows nothing", d.Field())
		return out
	}
	for i := range p.Rules[d] {
		told := x.rule(p, i, subject, d, peer, asked, all)
		out.Rules = append(out.Rules, told)
		if told.Verdict == Allowed || told.Verdict == Unknown && out.Verdict == Blocked {
			out.Verdict = told.Verdict
		}
	}
	return out
}

// sourceAt is where the field stands, or the policy, if it is not in the manifest; nil if the policy is from no manifest.
func sourceAt(p *model.Policy, path string) *finding.Source {
	if p.Source.File == "" {
		return nil
	}
	out := p.Source
	if line, there := p.Lines[path]; there {
		out.Line = line
	}
	return &out
}

// rule tells what one rule says to the connection. Its ports are named first only if the peer matches.
func (x *explainer) rule(p *model.Policy, i int, subject reach.Endpoint, d model.Direction, peer reach.Endpoint, asked netset.Ports, all bool) Rule {
	r := &p.Rules[d][i]
	path := fmt.Sprintf("spec.%s[%d]", d.Field(), i)
	out := Rule{Verdict: Blocked}
	match := x.view.MatchRule(p.Namespace, r, peer)
	ports := reach.PortsTowards(r, subject.Class, d, peer).Intersect(asked)
	switch {
	case ports.IsEmpty() || !match.Possible:
	case match.Every:
		out.Verdict = Allowed
	default:
		out.Verdict = Unknown
	}
	if all && out.Verdict != Blocked {
		out.Ports = ports.String()
	}
	why, granting := x.peers(p.Namespace, r, d, peer, match)
	if out.Verdict == Allowed && granting >= 0 {
		path = fmt.Sprintf("%s.%s[%d]", path, d.PeersField(), granting)
	}
	out.Path, out.Source = path, sourceAt(p, path)
	out.Reasons = append(out.Reasons, why...)
	if portWhy := portsWhy(r, subject.Class, d, peer, asked, all); portWhy != "" && (out.Verdict != Blocked || ports.IsEmpty()) {
		out.Reasons = append(out.Reasons, portWhy)
	}
	return out
}

// peers tells of each peer of the rule why it matches or does not; if one does, of this one alone, with its index.
func (x *explainer) peers(namespace string, r *model.Rule, d model.Direction, peer reach.Endpoint, match reach.Match) (why []string, granting int) {
	if r.AllPeers() {
		return []string{fmt.Sprintf("it has no %s, and so is for every peer", d.PeersField())}, -1
	}
	for i := range r.Peers {
		m := x.view.MatchPeer(namespace, &r.Peers[i], peer)
		reason := x.peer(namespace, &r.Peers[i], peer, m)
		if m.Every {
			return []string{reason}, i
		}
		if len(r.Peers) > 1 {
			reason = fmt.Sprintf("%s[%d]: %s", d.PeersField(), i, reason)
		}
		why = append(why, reason)
	}
	if match.Every {
		why = []string{"its ipBlocks together hold all addresses that the pods may have"}
	}
	return why, -1
}

// peer tells why one peer matches the endpoint or does not.
func (x *explainer) peer(namespace string, p *model.Peer, e reach.Endpoint, m reach.Match) string {
	what := peerText(p)
	switch {
	case p.IPBlock != nil:
		return x.block(p.IPBlock, e, m, what)
	case m.Every:
		return what + " matches"
	case e.Outside():
		return fmt.Sprintf("%s matches pods only, and not the address %s", what, e.Addr)
	case e.Class.HostNetwork:
		return what + " matches no pods on the host's network"
	case p.NamespaceSelector == nil && e.Class.Namespace != namespace:
		return fmt.Sprintf("%s is for pods of the policy's own namespace %s, and not of %s", what, namespace, e.Class.Namespace)
	}
	labels := x.view.World().NamespaceOrImplied(e.Class.Namespace).Meta.Labels
	var not []string
	if p.NamespaceSelector != nil {
		if unmet := p.NamespaceSelector.Unmet(labels); len(unmet) > 0 {
			not = append(not, fmt.Sprintf("namespace %s has %s", e.Class.Namespace, few(unmet)))
		}
	}
	if p.PodSelector != nil {
		if unmet := p.PodSelector.Unmet(e.Class.Labels); len(unmet) > 0 {
			not = append(not, "the pod has "+few(unmet))
		}
	}
	return fmt.Sprintf("%s does not match: %s", what, strings.Join(not, ", and "))
}

// peerText is the peer in the API's words.
func peerText(p *model.Peer) string {
	if b := p.IPBlock; b != nil {
		if len(b.Except) > 0 {
			return fmt.Sprintf("ipBlock %s except %s", b.CIDR, few(b.Except))
		}
		return "ipBlock " + b.CIDR
	}
	var parts []string
	if p.NamespaceSelector != nil {
		parts = append(parts, "namespaceSelector "+selectorText(p.NamespaceSelector))
	}
	if p.PodSelector != nil {
		parts = append(parts, "podSelector "+selectorText(p.PodSelector))
	}
	return strings.Join(parts, " with ")
}

func selectorText(s *model.Selector) string {
	if s.AlwaysTrue() {
		return "{} (everything)"
	}
	return s.String()
}

// block tells why an ipBlock matches the endpoint or does not.
func (x *explainer) block(b *model.IPBlock, e reach.Endpoint, m reach.Match, what string) string {
	switch {
	case e.Outside():
		return fmt.Sprintf("%s %s %s", what, holds(m.Every), e.Addr)
	case x.view.World().Facts().CNI == model.CNICilium:
		return what + " matches no pods or nodes: Cilium compares them by labels, and never by address"
	}
	var addrs []string
	for _, one := range podsOf(e) {
		if one.Pod == nil {
			continue
		}
		for _, ip := range one.Pod.IPs {
			if (e.Family == 0 || ip.Is4() == (e.Family == netset.IPv4)) && (len(podsOf(e)) == 1 || b.Addrs.Contains(ip) == m.Every) {
				addrs = append(addrs, ip.String())
			}
		}
	}
	switch {
	case m.Possible && !m.Every && m.Some:
		return what + " holds the addresses of some of the pods only"
	case m.Possible && !m.Every:
		return what + " may hold the pod's address, which is not known here"
	case len(addrs) == 0 && m.Every:
		return what + " holds every address that the pod may have"
	case len(addrs) == 0:
		return what + " holds no address that the pod may have"
	}
	if len(addrs) > 1 {
		return fmt.Sprintf("%s %s the pods' addresses %s", what, holds(m.Every), few(addrs))
	}
	return fmt.Sprintf("%s %s the pod's address %s", what, holds(m.Every), addrs[0])
}

func holds(yes bool) string {
	if yes {
		return "holds"
	}
	return "does not hold"
}

// portsWhy tells what ports the rule lists, where that decides; "" if it is for every port.
func portsWhy(r *model.Rule, c *model.PodClass, d model.Direction, peer reach.Endpoint, asked netset.Ports, all bool) string {
	if r.AllPorts() {
		return ""
	}
	target := c
	if d == model.Egress {
		target = peer.Class // nil for an address
	}
	var listed []string
	for i := range r.Ports {
		if text := specText(&r.Ports[i], target); !slices.Contains(listed, text) {
			listed = append(listed, text)
		}
	}
	list := strings.Join(listed, ", ")
	switch allowed := reach.PortsTowards(r, c, d, peer); {
	case all:
		return "its ports are " + list
	case allowed.Overlaps(asked):
		return "port " + asked.String() + " is among its ports " + list
	}
	return "port " + asked.String() + " is not among its ports: " + list
}

// specText is one item of ports, with what its name stands for on the pods that are connected to.
func specText(s *model.PortSpec, target *model.PodClass) string {
	if s.Name == "" {
		if s.Numbers.IsEmpty() {
			return "an invalid port"
		}
		return s.Numbers.String()
	}
	text := s.Protocol.String() + "/" + s.Name
	switch {
	case target == nil:
		return text + " (a name, which an address does not have)"
	case target.HostNetwork:
		return text + " (a name, which the host's network does not have)"
	}
	if number, ok := target.NamedPort(s.Protocol, s.Name); ok {
		return fmt.Sprintf("%s (%d on these pods)", text, number)
	}
	return text + " (which these pods do not declare)"
}
