package audit

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/reach"
)

// A policy speaks of the pods of other namespaces, too: those that its peers select. If a namespace comes, goes or changes its
// labels, its policies or the kinds of its pods, then the namespaces whose policies select it, or have selected it, are judged
// again. That one more or less of a kind of pod is there changes nothing for them.
//
// Some of what is found of them is about no peer: that a selector matches every namespace there is, which begins and ends with
// namespaces that it does not match, too; that pods do not reach the cluster's DNS; and that a policy selects nothing, which is said only
// where there are pods at all.
//
// What waits for the next pass over everything are the addresses of pods elsewhere, where an ipBlock holds them.

// touched is what has changed for other namespaces from one snapshot to the next.
type touched struct {
	before, after *model.Snapshot
	changes       []change
	// number is whether namespaces have come or gone, and all whether the first pod has come, or the last one gone.
	number, all bool
	// dns is whether other kinds of pods serve the cluster's DNS, and dnsAddrs whether they do at other addresses.
	dns, dnsAddrs bool
}

// change is a namespace that has changed for others, with its labels before and after; nil where there were none.
type change struct {
	before, after map[string]string
}

func touchedBy(before, after *model.Snapshot) touched {
	out := touched{before: before, after: after}
	for ns := range after.Namespaces() {
		old := before.Namespace(ns.Meta.Name)
		switch {
		case old == nil:
			out.changes, out.number = append(out.changes, change{after: ns.Meta.Labels}), true
		case old != ns && !sameForOthers(old, ns):
			out.changes = append(out.changes, change{old.Meta.Labels, ns.Meta.Labels})
		}
	}
	for ns := range before.Namespaces() {
		if after.Namespace(ns.Meta.Name) == nil {
			out.changes, out.number = append(out.changes, change{before: ns.Meta.Labels}), true
		}
	}
	out.all = len(out.changes) > 0 && anyPod(before) != anyPod(after)
	was, is := dnsOf(before), dnsOf(after)
	out.dns, out.dnsAddrs = !slices.Equal(was.kinds, is.kinds), !slices.Equal(was.addrs, is.addrs)
	return out
}

// dnsPods are the kinds of the pods that serve the cluster's DNS, and their addresses, each sorted.
type dnsPods struct {
	kinds []string
	addrs []netip.Addr
}

func dnsOf(s *model.Snapshot) dnsPods {
	var out dnsPods
	view, servers := reach.NewView(s), s.Facts().DNS
	for i := range servers {
		for _, c := range view.DNSClasses(&servers[i]) {
			out.kinds = append(out.kinds, c.Key())
			for j := range c.Pods {
				out.addrs = append(out.addrs, c.Pods[j].IPs...)
			}
		}
	}
	slices.Sort(out.kinds)
	slices.SortFunc(out.addrs, netip.Addr.Compare)
	return out
}

func sameForOthers(a, b *model.Namespace) bool {
	return maps.Equal(a.Meta.Labels, b.Meta.Labels) && slices.Equal(a.Policies, b.Policies) &&
		maps.Equal(kinds(a), kinds(b))
}

// kinds are the classes of the namespace's pods.
func kinds(ns *model.Namespace) map[string]bool {
	out := make(map[string]bool, len(ns.Classes))
	for _, c := range ns.Classes {
		out[c.Key()] = true
	}
	return out
}

func anyPod(s *model.Snapshot) bool {
	for ns := range s.Namespaces() {
		if len(ns.Classes) > 0 {
			return true
		}
	}
	return false
}

// concerns says whether what has changed concerns a policy of the namespace.
func (t *touched) concerns(ns *model.Namespace) bool {
	if len(t.changes) == 0 && !t.dnsAddrs {
		return false
	}
	return t.all || slices.ContainsFunc(ns.Policies, func(p *model.Policy) bool {
		return t.dns && p.Isolates(model.Egress) || t.dnsAddrs && hasBlocks(p.Rules[model.Egress]) ||
			t.concernsAny(p.Rules[model.Ingress]) || t.concernsAny(p.Rules[model.Egress])
	})
}

func hasBlocks(rules []model.Rule) bool {
	return slices.ContainsFunc(rules, func(r model.Rule) bool {
		return slices.ContainsFunc(r.Peers, func(peer model.Peer) bool { return peer.IPBlock != nil })
	})
}

func (t *touched) concernsAny(rules []model.Rule) bool {
	for i := range rules {
		for j := range rules[i].Peers {
			if selector := rules[i].Peers[j].NamespaceSelector; selector != nil && t.selectedBy(selector) {
				return true
			}
		}
	}
	return false
}

// selectedBy says whether the selector matches a namespace that has changed, or has matched it; or has begun, or ceased, to match every
// namespace there is.
func (t *touched) selectedBy(selector *model.Selector) bool {
	if slices.ContainsFunc(t.changes, func(c change) bool {
		return c.before != nil && selector.Matches(c.before) || c.after != nil && selector.Matches(c.after)
	}) {
		return true
	}
	if !t.number {
		return false
	}
	before, _ := t.before.SelectsAll(selector)
	after, _ := t.after.SelectsAll(selector)
	return before != after
}
