package model

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// Direction is one of the two ways that a NetworkPolicy isolates pods in.
type Direction uint8

// The directions, as policyTypes names them.
const (
	Ingress Direction = iota
	Egress
)

// Directions are both directions, in the order of the API.
var Directions = [...]Direction{Ingress, Egress}

// String is "Ingress" or "Egress", as in policyTypes.
func (d Direction) String() string {
	if d == Egress {
		return "Egress"
	}
	return "Ingress"
}

// Opposite is the direction of a connection as seen from its other side.
func (d Direction) Opposite() Direction {
	if d == Egress {
		return Ingress
	}
	return Egress
}

// Field is "ingress" or "egress", as in spec.
func (d Direction) Field() string {
	if d == Egress {
		return "egress"
	}
	return "ingress"
}

// PeersField is "from" or "to".
func (d Direction) PeersField() string {
	if d == Egress {
		return "to"
	}
	return "from"
}

// Policy is a NetworkPolicy, defaulted and compiled. It is immutable.
type Policy struct {
	Namespace string
	Name      string
	Labels    map[string]string
	// Annotations are only those under portcullis.dev/.
	Annotations map[string]string
	// Controlled is whether an ownerReference with controller: true is there: another program keeps this object.
	Controlled bool
	// Deleting is whether the object has a deletionTimestamp.
	Deleting bool
	Created  time.Time
	UID      types.UID // empty if it comes from a manifest

	PodSelector Selector
	// Types holds, by Direction, whether the policy isolates the pods it selects in it.
	Types [2]bool
	// Rules holds, by Direction, the rules in the order of the object. Rules of a direction that Types leaves out have
	// no effect.
	Rules [2][]Rule

	bulk [2]bulk

	// Authored is what the author wrote, as far as it is known.
	Authored Authored
	// Object is what was compiled, without managed fields, for rules that look at the object itself; nil where it is not
	// kept. See Facts.Objects.
	Object *networkingv1.NetworkPolicy
	Source finding.Source
	// Lines are where the fields of the manifest stand, by field path as in spec.ingress[0].from[0]; nil when not read
	// from a manifest.
	Lines map[string]int
}

// Subject is the policy as the subject of a finding.
func (p *Policy) Subject() finding.Subject {
	return finding.Subject{Kind: finding.KindNetworkPolicy, Namespace: p.Namespace, Name: p.Name}
}

// Kept says whether the policy is one that Portcullis keeps, by its name and its label.
func (p *Policy) Kept() bool {
	return (p.Name == KeptDefaultDeny || p.Name == KeptAllowDNS) && p.Labels[LabelManagedBy] == ManagedByPortcullis
}

// bulk is how many ranges there are.
type bulk struct{ ports, addrs int }

// Bulk is how many ranges of ports, and of addresses outside of the cluster, the rules of the direction have in all.
func (p *Policy) Bulk(d Direction) (ports, addrs int) { return p.bulk[d].ports, p.bulk[d].addrs }

// everyProtocol is how many ranges of ports a rule without ports has: one of each protocol.
const everyProtocol = 3

func bulkOf(rules []Rule) (out bulk) {
	for i := range rules {
		if n := rules[i].External.Len(); n > 0 {
			out.ports += max(len(rules[i].Ports), everyProtocol)
			out.addrs += n
		}
	}
	return out
}

// Isolates says whether the policy isolates the pods it selects in the direction.
func (p *Policy) Isolates(d Direction) bool { return p.Types[d] }

// Rule is one ingress or egress rule: every peer × every port.
type Rule struct {
	// Peers are the items of from or to. Empty means every peer: "If this field is empty or missing, this rule matches
	// all sources" (NetworkPolicyIngressRule).
	Peers []Peer
	// Ports are the items of ports as written. Empty means every port: "If this field is empty or missing, this rule
	// matches all ports" (NetworkPolicyIngressRule).
	Ports []PortSpec
	// Numeric is the union of the ports given by number or range, or every port if Ports is empty.
	Numeric netset.Ports
	// External is the union of the ipBlock peers, or every address if Peers is empty.
	External netset.Addrs
	// Named is whether any of Ports is a name.
	Named bool
}

// AllPeers says whether the rule matches every peer, addresses outside the cluster included.
func (r *Rule) AllPeers() bool { return len(r.Peers) == 0 }

// AllPorts says whether the rule has no ports, and so matches every port and protocol.
func (r *Rule) AllPorts() bool { return len(r.Ports) == 0 }

// PortSpec is one item of a rule's ports.
type PortSpec struct {
	Protocol netset.Protocol
	// Name is the port's name, for a named port; empty otherwise.
	Name string
	// Numbers are the ports given by number, range, or every port of the protocol if the item names none.
	Numbers netset.Ports
	// EndPort is whether endPort is written.
	EndPort bool
}

// Peer is one item of a rule's from or to: an ipBlock, or selectors.
type Peer struct {
	// IPBlock is nil for a peer of selectors.
	IPBlock *IPBlock
	// NamespaceSelector is nil if absent: then PodSelector selects in the policy's own namespace.
	NamespaceSelector *Selector
	// PodSelector is nil if absent: then every pod of the selected namespaces matches.
	PodSelector *Selector
}

// IPBlock is a CIDR less its exceptions.
type IPBlock struct {
	CIDR   string // as written
	Except []string
	// Addrs is CIDR minus Except.
	Addrs netset.Addrs
}

// Written is how much of a direction's field the author wrote.
type Written uint8

// What an author may have written for ingress or egress.
const (
	WrittenNothing Written = iota // absent, or null
	WrittenEmpty                  // an explicit empty list
	WrittenRules                  // at least one rule
)

// Authored is what the author of a policy wrote, before the API server's defaults: known from the manifest, from the
// last-applied annotation, or from the field ownership of server-side apply.
type Authored struct {
	// Known is whether there is any such evidence. The other fields mean nothing without it.
	Known bool
	// PolicyTypes is whether the author wrote policyTypes (a non-empty list).
	PolicyTypes bool
	// Rules holds, by Direction, what the author wrote.
	Rules [2]Written
}
