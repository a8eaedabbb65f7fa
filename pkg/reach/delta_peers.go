package reach

import (
	"slices"
	"strings"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// peerSpace is a namespace with the pods that the rules of either version select by labels.
type peerSpace struct {
	name  string
	pods  int // how many there are in the namespace, selected or not
	peers []peerPods
}

// peerPods is a class that the rules select.
type peerPods struct {
	class    *model.PodClass
	old, now netset.Ports // what the rules of each version allow
}

// peers are the pods that the rules of either version select by labels, in at most mostPeerNamespaces namespaces. Ports are
// those on c.
func (w *comparison) peers(c *model.PodClass) []*peerSpace {
	var out []*peerSpace
	note := func(ns *model.Namespace, sel *model.Selector, add func(*peerPods)) {
		i := slices.IndexFunc(out, func(s *peerSpace) bool { return s.name == ns.Meta.Name })
		if i < 0 {
			if len(out) == mostPeerNamespaces {
				return
			}
			s := &peerSpace{name: ns.Meta.Name, peers: make([]peerPods, 0, len(ns.Classes))}
			for _, class := range ns.Classes {
				if !class.HostNetwork && class.Count() > 0 {
					s.pods++
					s.peers = append(s.peers, peerPods{class: class})
				}
			}
			i, out = len(out), append(out, s)
		}
		for j := range out[i].peers {
			if peer := &out[i].peers[j]; sel == nil || sel.Matches(peer.class.Labels) {
				add(peer)
			}
		}
	}
	each := func(p, other *model.Policy, add func(*peerPods, netset.Ports)) {
		for i := range p.Rules[w.direction] {
			r := &p.Rules[w.direction][i]
			if other != nil && sameIn(other.Rules[w.direction], i, r) {
				continue
			}
			ports := w.portsOn(r, c)
			plus := func(peer *peerPods) {
				if w.direction == model.Egress && r.Named {
					add(peer, PortsOn(r, peer.class))
				} else {
					add(peer, ports)
				}
			}
			for j := range r.Peers {
				switch peer := &r.Peers[j]; {
				case peer.IPBlock != nil, everyPod(*peer):
				case peer.NamespaceSelector == nil:
					note(w.after.world.NamespaceOrImplied(p.Namespace), peer.PodSelector, plus)
				default:
					for ns := range w.after.world.Select(peer.NamespaceSelector) {
						if len(out) == mostPeerNamespaces {
							break
						}
						note(ns, peer.PodSelector, plus)
					}
				}
			}
		}
	}
	old, now := w.versions()
	if old != nil && !old.PodSelector.Matches(c.Labels) {
		old = nil
	}
	if now != nil && !now.PodSelector.Matches(c.Labels) {
		now = nil
	}
	if old != nil {
		each(old, now, func(p *peerPods, ports netset.Ports) { p.old = p.old.Union(ports) })
	}
	if now != nil {
		each(now, old, func(p *peerPods, ports netset.Ports) { p.now = p.now.Union(ports) })
	}
	slices.SortFunc(out, func(a, b *peerSpace) int { return strings.Compare(a.name, b.name) })
	return out
}

// nearby is how far rules are looked for from where they stood: more than a hand inserts or takes out at once.
const nearby = 64

// sameIn says whether the rules of the other version have one that says the same as r, the rule number i of its own version.
func sameIn(rules []model.Rule, i int, r *model.Rule) bool {
	for away := range nearby {
		for _, at := range [...]int{i - away, i + away} {
			if at >= 0 && at < len(rules) && model.SameRule(&rules[at], r) {
				return true
			}
		}
	}
	return false
}

// pods are the groups of pods that the rules select by labels, on ports that are not for everyone.
func (w *comparison) pods(c *model.PodClass, everyone netset.Ports) []group {
	var out []group
	for _, s := range w.peers(c) {
		var here []group
		for i := range s.peers {
			peer := &s.peers[i]
			if *w.pairs == mostPairs {
				return out
			}
			opened, closed := w.between(c, peer)
			for _, g := range []group{{opens: true, ports: opened.Minus(everyone)}, {ports: closed.Minus(everyone)}} {
				if g.ports.IsEmpty() {
					continue
				}
				at := slices.IndexFunc(here, func(o group) bool { return o.opens == g.opens && o.ports.Equal(g.ports) })
				if at < 0 {
					at, here = len(here), append(here, g)
				}
				here[at].classes = append(here[at].classes, peer.class)
			}
		}
		for _, g := range here {
			g.peer, g.peers = nameOf(s.name, g.classes, len(g.classes) == s.pods), float64(CountPods(g.classes))
			g.classes = nil
			out = append(out, g)
		}
	}
	return out
}

// between is what the change opens and closes between the pods of c and of the peer, where both sides count.
func (w *comparison) between(c *model.PodClass, peer *peerPods) (opened, closed netset.Ports) {
	if peer.old.IsEmpty() && peer.now.IsEmpty() {
		return
	}
	*w.pairs++
	end := Endpoint{Class: peer.class}
	opened = w.before.beyond(peer.now, c, w.direction, end)
	closed = w.after.beyond(peer.old, c, w.direction, end)
	if opened.IsEmpty() && closed.IsEmpty() {
		return
	}
	// The change is on the side of c alone, so that the other side is the same before and after, but for a policy that selects
	// both.
	other, back := model.Egress, Endpoint{Class: c}
	if w.direction == model.Egress {
		other = model.Ingress
	}
	return opened.Minus(w.after.beyond(opened, peer.class, other, back)), closed.Minus(w.before.beyond(closed, peer.class, other, back))
}
