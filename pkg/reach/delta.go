package reach

import (
	"cmp"
	"fmt"
	"slices"

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

	peers   float64      // how many there are on the other side, to order by
	outside netset.Addrs // the other side, if it is addresses; its text is made when it is shown
	egress  bool
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

// Deltas are what a change of a policy opens and closes, the largest first, at most so many, and how many more there are.
// before and after are the views of the cluster before and after it. Among pods, both sides count.
func Deltas(before, after *View, c model.Change, most int) (deltas []Delta, more int) {
	if c.Operation == model.Exists || c.Policy() == nil {
		return nil, 0
	}
	var out []Delta
	pairs := 0
	for _, d := range model.Directions {
		w := comparison{before: before, after: after, change: c, direction: d, pairs: &pairs}
		if w.unchanged() {
			continue
		}
		out = append(out, w.all()...)
	}
	slices.SortStableFunc(out, func(a, b Delta) int { return cmp.Compare(b.weight(), a.weight()) })
	more = max(len(out)-most, 0)
	out = out[:len(out)-more]
	for i := range out {
		switch d := &out[i]; {
		case d.outside.IsEmpty():
		case d.egress:
			d.To = d.outside.Short(2)
		default:
			d.From = d.outside.Short(2)
		}
	}
	return out, more
}

func (d *Delta) weight() float64 { return d.peers * float64(d.Pods) * float64(d.Ports.Size()) }

// comparison finds the deltas of one direction.
type comparison struct {
	before, after *View
	change        model.Change
	direction     model.Direction
	pairs         *int
}

// unchanged says whether the old and the new policy say the same for the direction.
func (w *comparison) unchanged() bool {
	old, now := w.change.OldPolicy, w.change.NewPolicy
	switch {
	case w.change.Operation == model.Update && old != nil && now != nil:
		return old.Isolates(w.direction) == now.Isolates(w.direction) && old.PodSelector.Equal(&now.PodSelector) &&
			(!old.Isolates(w.direction) || model.SameRules(old.Rules[w.direction], now.Rules[w.direction]))
	default:
		return !w.change.Policy().Isolates(w.direction)
	}
}

// versions are the policy before and after the change, as far as it isolates in the direction; nil if it does not.
func (w *comparison) versions() (old, now *model.Policy) {
	if p := w.change.OldPolicy; p != nil && w.change.Operation != model.Create && p.Isolates(w.direction) {
		old = p
	}
	if p := w.change.NewPolicy; p != nil && w.change.Operation != model.Delete && p.Isolates(w.direction) {
		now = p
	}
	return old, now
}

// selected are the classes that either version selects.
func (w *comparison) selected() []*model.PodClass {
	var out []*model.PodClass
	old, now := w.versions()
	for _, p := range []*model.Policy{old, now} {
		if p == nil {
			continue
		}
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
	outside netset.Addrs
	peers   float64
	ports   netset.Ports
	more    bool
}

func (w *comparison) all() []Delta {
	var groups []group
	add := func(g group, c *model.PodClass) {
		for i := range groups {
			o := &groups[i]
			if o.opens == g.opens && o.peer == g.peer && o.outside.Equal(g.outside) && o.more == g.more && o.ports.Equal(g.ports) {
				o.classes = append(o.classes, c)
				return
			}
		}
		g.classes = []*model.PodClass{c}
		groups = append(groups, g)
	}
	for _, c := range w.selected() {
		everyoneBefore, everyoneAfter := w.toEveryPod(w.before, c), w.toEveryPod(w.after, c)
		for _, g := range w.addresses(c, everyoneBefore, everyoneAfter) {
			add(g, c)
		}
		for _, g := range w.pods(c, everyoneBefore.Union(everyoneAfter)) {
			add(g, c)
		}
	}
	out := make([]Delta, len(groups))
	for i, g := range groups {
		subject := w.subject(g.classes)
		out[i] = Delta{Opens: g.opens, From: g.peer, To: subject, Ports: g.ports, Pods: CountPods(g.classes), More: g.more, peers: g.peers, outside: g.outside}
		if w.direction == model.Egress {
			out[i].From, out[i].To, out[i].egress = subject, g.peer, true
		}
	}
	return out
}

// toEveryPod is the ports that the class's policies allow for every pod of every namespace.
func (w *comparison) toEveryPod(v *View, c *model.PodClass) netset.Ports {
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

func (w *comparison) portsOn(r *model.Rule, c *model.PodClass) netset.Ports {
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
func (w *comparison) addresses(c *model.PodClass, everyoneBefore, everyoneAfter netset.Ports) []group {
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
			g := group{opens: opens, outside: part.Addrs, peers: min(allIPs, sizeOf(part.Addrs)), ports: part.Ports}
			if part.Addrs.Equal(netset.AllAddrs()) {
				g.peer, g.outside = "any address", netset.Addrs{}
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

// narrower says whether rules about some pods only allow something for the class, on the side of the change where it is less
// open. Addresses are counted exactly.
func (w *comparison) narrower(c *model.PodClass, opens bool) bool {
	v := w.after
	if opens {
		v = w.before
	}
	for _, p := range v.Isolating(c, w.direction) {
		for i := range p.Rules[w.direction] {
			if slices.ContainsFunc(p.Rules[w.direction][i].Peers, func(peer model.Peer) bool { return peer.IPBlock == nil && !everyPod(peer) }) {
				return true
			}
		}
	}
	return false
}

// subject is the name of classes of the policy's namespace.
func (w *comparison) subject(classes []*model.PodClass) string {
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
