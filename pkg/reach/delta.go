package reach

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// Delta is one group of connections that a change of a policy opens or closes, for the pods that there are.
type Delta struct {
	Opens bool
	// From and To are who connects to whom, for people: "shop/web-6d4", "shop/*" for all pods of a namespace, "*/*" for all
	// pods, "*" for everything, or addresses.
	From, To string
	Ports    netset.Ports
	// Pods is how many pods of the policy's namespace are concerned.
	Pods int
	// More is whether rules about some peers only go on to allow some of it (if it closes), or have allowed some of it already
	// (if it opens).
	More bool

	peers float64 // how many there are on the other side, to order by
}

// String is "opens: shop/* → shop/db TCP/5432 (3 pods)".
func (d Delta) String() string {
	verb, but := "closes", ", but what rules allow"
	if d.Opens {
		verb, but = "opens", ", some of it allowed before"
	}
	if !d.More {
		but = ""
	}
	pods := "pods"
	if d.Pods == 1 {
		pods = "pod"
	}
	return fmt.Sprintf("%s: %s → %s %s%s (%d %s)", verb, d.From, d.To, d.Ports.Short(), but, d.Pods, pods)
}

// Bounds of what Deltas looks at. What is beyond is left out, so that a review's cost does not grow with the cluster.
const (
	mostPeerNamespaces = 16
	mostPairs          = 1024
)

// Deltas are what a change of a policy opens and closes, the largest first. before and after are the views of the cluster
// before and after it. Among pods, both sides count.
func Deltas(before, after *View, c model.Change) []Delta {
	if c.Operation == model.Exists || c.Policy() == nil {
		return nil
	}
	var out []Delta
	pairs := 0
	for _, d := range model.Directions {
		w := deltas{before: before, after: after, change: c, direction: d, pairs: &pairs}
		if w.unchanged() {
			continue
		}
		out = append(out, w.all()...)
	}
	slices.SortStableFunc(out, func(a, b Delta) int { return cmp.Compare(b.weight(), a.weight()) })
	return out
}

func (d *Delta) weight() float64 { return d.peers * float64(d.Pods) * float64(d.Ports.Size()) }

// deltas finds the deltas of one direction.
type deltas struct {
	before, after *View
	change        model.Change
	direction     model.Direction
	pairs         *int
}

// unchanged says whether the old and the new policy say the same for the direction.
func (w *deltas) unchanged() bool {
	old, now := w.change.OldPolicy, w.change.NewPolicy
	switch {
	case w.change.Operation == model.Update && old != nil && now != nil:
		return old.Isolates(w.direction) == now.Isolates(w.direction) && old.PodSelector.Equal(&now.PodSelector) &&
			(!old.Isolates(w.direction) || model.SameRules(old.Rules[w.direction], now.Rules[w.direction]))
	default:
		return !w.change.Policy().Isolates(w.direction)
	}
}

// versions are the policy before and after the change, as far as it isolates in the direction.
func (w *deltas) versions() []*model.Policy {
	var out []*model.Policy
	if p := w.change.OldPolicy; p != nil && w.change.Operation != model.Create && p.Isolates(w.direction) {
		out = append(out, p)
	}
	if p := w.change.NewPolicy; p != nil && w.change.Operation != model.Delete && p.Isolates(w.direction) {
		out = append(out, p)
	}
	return out
}

// selected are the classes that either version selects.
func (w *deltas) selected() []*model.PodClass {
	var out []*model.PodClass
	for _, p := range w.versions() {
		for _, c := range w.after.Select(p).Classes {
			if !c.Hypothetical && c.Count() > 0 && !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	return out
}

// group is what all classes of it have in common.
type group struct {
	classes []*model.PodClass
	opens   bool
	peer    string
	peers   float64
	ports   netset.Ports
	more    bool
}

func (w *deltas) all() []Delta {
	var groups []group
	add := func(g group, c *model.PodClass) {
		for i := range groups {
			o := &groups[i]
			if o.opens == g.opens && o.peer == g.peer && o.more == g.more && o.ports.Equal(g.ports) {
				o.classes = append(o.classes, c)
				return
			}
		}
		g.classes = []*model.PodClass{c}
		groups = append(groups, g)
	}
	peers := w.peers()
	for _, c := range w.selected() {
		everyoneBefore, everyoneAfter := w.toEveryPod(w.before, c), w.toEveryPod(w.after, c)
		for _, g := range w.addresses(c, everyoneBefore, everyoneAfter) {
			add(g, c)
		}
		for _, g := range w.pods(c, peers, everyoneBefore.Union(everyoneAfter)) {
			add(g, c)
		}
	}
	out := make([]Delta, len(groups))
	for i, g := range groups {
		subject := w.subject(g.classes)
		out[i] = Delta{Opens: g.opens, From: g.peer, To: subject, Ports: g.ports, Pods: CountPods(g.classes), More: g.more, peers: g.peers}
		if w.direction == model.Egress {
			out[i].From, out[i].To = subject, g.peer
		}
	}
	return out
}

// toEveryPod is the ports that the class's policies allow for every pod of every namespace.
func (w *deltas) toEveryPod(v *View, c *model.PodClass) netset.Ports {
	isolating := v.Isolating(c, w.direction)
	if len(isolating) == 0 {
		return netset.AllPorts()
	}
	var out netset.Ports
	for _, p := range isolating {
		for i := range p.Rules[w.direction] {
			r := &p.Rules[w.direction][i]
			if r.AllPeers() || slices.ContainsFunc(r.Peers, everyPod) || v.MatchAddrs(r.External, unaddressed).Every {
				out = out.Union(w.portsOn(r, c))
			}
		}
	}
	return out
}

// unaddressed is a pod of which no address is known.
var unaddressed = Endpoint{Class: &model.PodClass{}}

func everyPod(p model.Peer) bool {
	return p.NamespaceSelector != nil && p.NamespaceSelector.AlwaysTrueForNamespaces() && (p.PodSelector == nil || p.PodSelector.AlwaysTrue())
}

func (w *deltas) portsOn(r *model.Rule, c *model.PodClass) netset.Ports {
	if w.direction == model.Egress {
		return r.Numeric
	}
	return PortsOn(r, c)
}

// Sizes that stand for what is not counted, to order by.
const (
	allPods = 1 << 20
	allIPs  = 1 << 32
)

// addresses are the groups of addresses outside of the cluster, and of every pod.
func (w *deltas) addresses(c *model.PodClass, everyoneBefore, everyoneAfter netset.Ports) []group {
	var out []group
	old, now := w.before.External(c, w.direction), w.after.External(c, w.direction)
	for _, opens := range []bool{true, false} {
		outside, everyone := now.Minus(old), everyoneAfter.Minus(everyoneBefore)
		isolated := w.before.Isolated(c, w.direction)
		if !opens {
			outside, everyone = old.Minus(now), everyoneBefore.Minus(everyoneAfter)
			isolated = w.after.Isolated(c, w.direction)
		}
		more := isolated && w.narrower(c, opens)
		for _, part := range outside.Parts() {
			g := group{opens: opens, peer: part.Addrs.Short(2), peers: float64(min(allIPs, sizeOf(part.Addrs))), ports: part.Ports}
			if part.Addrs.Equal(netset.AllAddrs()) {
				g.peer = "any address"
				if both := part.Ports.Intersect(everyone); !both.IsEmpty() {
					out = append(out, group{opens: opens, peer: "*", peers: allIPs + allPods, ports: both, more: more})
					everyone, g.ports = everyone.Minus(both), g.ports.Minus(both)
				}
			}
			if part.Addrs.ContainsAll(netset.PrivateRanges()) { // the pods' addresses are among them
				everyone = everyone.Minus(g.ports)
			}
			if !g.ports.IsEmpty() {
				out = append(out, g)
			}
		}
		if !everyone.IsEmpty() {
			out = append(out, group{opens: opens, peer: "*/*", peers: allPods, ports: everyone, more: more})
		}
	}
	return out
}

func sizeOf(a netset.Addrs) float64 {
	v4, _ := a.Size(netset.IPv4).Float64()
	v6, _ := a.Size(netset.IPv6).Float64()
	return v4 + v6
}

// narrower says whether rules about some peers only allow something for the class, on the side of the change where it is
// less open.
func (w *deltas) narrower(c *model.PodClass, opens bool) bool {
	v := w.after
	if opens {
		v = w.before
	}
	for _, p := range v.Isolating(c, w.direction) {
		for i := range p.Rules[w.direction] {
			if r := &p.Rules[w.direction][i]; !r.AllPeers() {
				return true
			}
		}
	}
	return false
}

// peerSpace is a namespace with the classes that a changed rule may match.
type peerSpace struct {
	name    string
	classes []*model.PodClass
	whole   bool // these are all of the namespace's pods
}

// peers are the pods that the rules of either version select by labels, in at most mostPeerNamespaces namespaces.
func (w *deltas) peers() []peerSpace {
	spaces := map[string]map[*model.PodClass]bool{}
	note := func(ns *model.Namespace, sel *model.Selector) {
		for _, c := range ns.Classes {
			if !c.HostNetwork && c.Count() > 0 && (sel == nil || sel.Matches(c.Labels)) {
				if spaces[ns.Meta.Name] == nil {
					spaces[ns.Meta.Name] = map[*model.PodClass]bool{}
				}
				spaces[ns.Meta.Name][c] = true
			}
		}
	}
	for _, p := range w.versions() {
		for i := range p.Rules[w.direction] {
			for j := range p.Rules[w.direction][i].Peers {
				switch peer := &p.Rules[w.direction][i].Peers[j]; {
				case peer.IPBlock != nil, everyPod(*peer):
				case peer.NamespaceSelector == nil:
					note(w.after.world.NamespaceOrImplied(p.Namespace), peer.PodSelector)
				default:
					for ns := range w.after.world.Select(peer.NamespaceSelector) {
						if len(spaces) == mostPeerNamespaces {
							break
						}
						note(ns, peer.PodSelector)
					}
				}
			}
		}
	}
	var out []peerSpace
	for name, classes := range spaces {
		s := peerSpace{name: name, whole: true}
		for _, c := range w.after.world.Namespace(name).Classes {
			if classes[c] {
				s.classes = append(s.classes, c)
			} else if !c.HostNetwork && c.Count() > 0 {
				s.whole = false
			}
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b peerSpace) int { return strings.Compare(a.name, b.name) })
	return out
}

// pods are the groups of pods that the rules select by labels, on ports that are not for everyone.
func (w *deltas) pods(c *model.PodClass, spaces []peerSpace, everyone netset.Ports) []group {
	var out []group
	for _, s := range spaces {
		var here []group
		for _, peer := range s.classes {
			if *w.pairs == mostPairs {
				return out
			}
			*w.pairs++
			opened, closed := w.between(c, peer)
			for _, g := range []group{{opens: true, ports: opened.Minus(everyone)}, {ports: closed.Minus(everyone)}} {
				if g.ports.IsEmpty() {
					continue
				}
				at := slices.IndexFunc(here, func(o group) bool { return o.opens == g.opens && o.ports.Equal(g.ports) })
				if at < 0 {
					at, here = len(here), append(here, g)
				}
				here[at].classes = append(here[at].classes, peer)
			}
		}
		for _, g := range here {
			g.peer, g.peers = nameOf(s.name, g.classes, s.whole && len(g.classes) == len(s.classes)), float64(CountPods(g.classes))
			g.classes = nil
			out = append(out, g)
		}
	}
	return out
}

// between is what the change opens and closes between the pods of c and of the peer.
func (w *deltas) between(c, peer *model.PodClass) (opened, closed netset.Ports) {
	end := Endpoint{Class: peer}
	if w.before.Allowed(c, w.direction, end).Some.Equal(w.after.Allowed(c, w.direction, end).Some) {
		return
	}
	from, to := peer, c
	if w.direction == model.Egress {
		from, to = c, peer
	}
	old, now := w.before.Between(from, to).Some, w.after.Between(from, to).Some
	return now.Minus(old), old.Minus(now)
}

// subject is the name of classes of the policy's namespace.
func (w *deltas) subject(classes []*model.PodClass) string {
	namespace := w.change.Policy().Namespace
	total := 0
	for _, c := range w.after.world.NamespaceOrImplied(namespace).Classes {
		if !c.HostNetwork && c.Count() > 0 {
			total++
		}
	}
	return nameOf(namespace, classes, len(classes) == total)
}

func nameOf(namespace string, classes []*model.PodClass, all bool) string {
	switch {
	case all && CountPods(classes) > 1:
		return namespace + "/*"
	case len(classes) == 1:
		return classes[0].Name()
	}
	return fmt.Sprintf("%s and %d more", classes[0].Name(), CountPods(classes)-1)
}
