package explain

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
)

// The change is found by trying: for each end that blocks, and each port, a new rule in each policy that isolates the end, a
// new peer or port in a rule that lacks only that, and a new policy for the end alone. Of those that close nothing and let
// the connection through, the one is told that opens least, a patch before a new policy.

// need is what one end has to allow: the subjects, the peers and the port.
type need struct {
	direction model.Direction
	namespace string
	port      netset.Port
	subjects  []*model.PodClass
	peers     []reach.Endpoint
}

// needs are what the ends have to allow so that every pair is allowed.
func (x *explainer) needs() []need {
	var out []need
	for i := range x.pairs {
		p := &x.pairs[i]
		if p.verdict == Allowed || p.c.Egress == nil || !p.port.IsValid() {
			continue
		}
		if p.c.Egress.Verdict != Allowed {
			out = addNeed(out, model.Egress, p.port, p.from, p.to)
		}
		if p.c.Ingress.Verdict != Allowed {
			out = addNeed(out, model.Ingress, p.port, p.to, p.from)
		}
	}
	return out
}

// addNeed puts together what is needed in one namespace for one port: every subject is asked about with every peer, so that
// nothing opens by it that was not asked for.
func addNeed(needs []need, d model.Direction, port netset.Port, subject, peer reach.Endpoint) []need {
	i := slices.IndexFunc(needs, func(n need) bool {
		return n.direction == d && n.port == port && n.namespace == subject.Class.Namespace
	})
	if i < 0 {
		return append(needs, need{d, subject.Class.Namespace, port, []*model.PodClass{subject.Class}, []reach.Endpoint{peer}})
	}
	n := &needs[i]
	if !slices.Contains(n.subjects, subject.Class) {
		n.subjects = append(n.subjects, subject.Class)
	}
	if !slices.Contains(n.peers, peer) {
		n.peers = append(n.peers, peer)
	}
	return needs
}

// change is what would allow every pair, proven by asking again; or why there is none.
func (x *explainer) change() (*Change, string) {
	if slices.ContainsFunc(x.pairs, func(p pair) bool { return p.want.all }) {
		return nil, "Ask for one port with --port to see the change that would allow it."
	}
	if slices.ContainsFunc(x.pairs, func(p pair) bool { return p.verdict != Allowed && p.c.Egress == nil }) {
		return nil, "No change of a NetworkPolicy would allow all of this."
	}
	world, out := x.view.World(), &Change{}
	var namespaces []string
	for _, n := range x.needs() {
		best, ok := x.best(world, &n)
		if !ok {
			return nil, noChange(world, &n)
		}
		world = world.With(best.change)
		out.Steps = append(out.Steps, best.step)
		namespaces = append(namespaces, n.namespace)
	}
	after := &explainer{view: reach.NewView(world)}
	for i := range x.pairs {
		p := &x.pairs[i]
		if after.view.Connection(p.from, p.to, p.port).Allowed != reach.Yes {
			return nil, "No single change of a NetworkPolicy is sure to allow this."
		}
	}
	out.Opens = opened(x.view, after.view, slices.Compact(namespaces))
	return out, ""
}

func noChange(world *model.Snapshot, n *need) string {
	for _, e := range n.peers {
		switch {
		case e.Outside() || !e.Class.HostNetwork:
		case world.Facts().CNI == model.CNICilium:
			return "No NetworkPolicy allows pods on the host's network with Cilium: use a CiliumNetworkPolicy with the entities host and remote-node."
		default:
			return "Pods on the host's network are allowed by an ipBlock with the addresses of their nodes, which are not known here."
		}
	}
	return "No single change of a NetworkPolicy is sure to allow this."
}

// candidate is one way to meet a need.
type candidate struct {
	step   Step
	change model.Change
	opens  float64
}

// general is 1 if the policy is for every pod of its namespace, and else 0.
func (c candidate) general() int {
	if c.change.NewPolicy.PodSelector.AlwaysTrue() {
		return 1
	}
	return 0
}

// best is the candidate that meets the need and opens least.
func (x *explainer) best(world *model.Snapshot, n *need) (candidate, bool) {
	peers := x.peersFor(n)
	if len(peers) == 0 {
		return candidate{}, false
	}
	before := reach.NewView(world)
	all := candidates(before, n, peers)
	all = append(all, newPolicy(world, n, peers))
	all = slices.DeleteFunc(all, func(c candidate) bool {
		return !meets(world.With(c.change), n) || closes(before, n.direction, c.change.NewPolicy)
	})
	if len(all) == 0 {
		return candidate{}, false
	}
	for i := range all {
		all[i].opens = opens(before, reach.NewView(world.With(all[i].change)), n.direction, all[i].change.NewPolicy)
	}
	return slices.MinFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.opens, b.opens), cmp.Compare(a.general(), b.general()))
	}), true
}

// meets says whether the subjects are sure to allow the peers, in every address family that both may have: the other end may
// allow one family alone.
func meets(world *model.Snapshot, n *need) bool {
	v := reach.NewView(world)
	for _, c := range n.subjects {
		for _, peer := range n.peers {
			for _, f := range families(v, reach.Endpoint{Class: c}, peer) {
				if !v.Allowed(c, n.direction, in(peer, f)).Every.Contains(n.port) {
					return false
				}
			}
		}
	}
	return true
}

// closes says whether the policy isolates pods that were not isolated before.
func closes(before *reach.View, d model.Direction, p *model.Policy) bool {
	return slices.ContainsFunc(before.Select(p).Classes, func(c *model.PodClass) bool { return !before.Isolated(c, d) })
}

// candidates are patches of the policies that isolate the subjects.
func candidates(v *reach.View, n *need, peers []networkingv1.NetworkPolicyPeer) []candidate {
	var out []candidate
	for _, p := range v.Isolating(n.subjects[0], n.direction) {
		if slices.ContainsFunc(n.subjects, func(c *model.PodClass) bool { return !slices.Contains(v.Isolating(c, n.direction), p) }) {
			continue
		}
		for i := range p.Rules[n.direction] {
			r := &p.Rules[n.direction][i]
			at := fmt.Sprintf("/spec/%s/%d", n.direction.Field(), i)
			if !r.AllPeers() && !r.Named && r.Numeric.Equal(netset.PortsOf(n.port)) {
				var ops []finding.PatchOp
				for _, peer := range peers {
					ops = append(ops, finding.PatchOp{Op: "add", Path: at + "/" + n.direction.PeersField() + "/-", Value: peer})
				}
				out = append(out, patched(p, n, ops, i, peers, nil))
			}
			if !r.AllPorts() && matchesAll(v, p.Namespace, r, n.peers) {
				ops := []finding.PatchOp{{Op: "add", Path: at + "/ports/-", Value: policyPort(n.port)}}
				out = append(out, patched(p, n, ops, i, nil, []networkingv1.NetworkPolicyPort{policyPort(n.port)}))
			}
		}
		one := policyRule(n.direction, peers, n.port)
		op := finding.PatchOp{Op: "add", Path: "/spec/" + n.direction.Field() + "/-", Value: one}
		if len(p.Rules[n.direction]) == 0 {
			op = finding.PatchOp{Op: "add", Path: "/spec/" + n.direction.Field(), Value: []any{one}}
		}
		out = append(out, patched(p, n, []finding.PatchOp{op}, -1, peers, []networkingv1.NetworkPolicyPort{policyPort(n.port)}))
	}
	return out
}

func matchesAll(v *reach.View, namespace string, r *model.Rule, peers []reach.Endpoint) bool {
	return !slices.ContainsFunc(peers, func(e reach.Endpoint) bool { return !v.MatchRule(namespace, r, e).Every })
}

// patched is the candidate that adds peers and ports to a rule of the policy, or as a new rule for -1.
func patched(p *model.Policy, n *need, ops []finding.PatchOp, rule int, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) candidate {
	d := n.direction
	now := *p
	now.Rules[d] = slices.Clone(p.Rules[d])
	added := compiled(d, peers, ports)
	if rule < 0 {
		now.Rules[d] = append(now.Rules[d], added)
	} else {
		r := &now.Rules[d][rule]
		if len(peers) > 0 {
			r.Peers, r.External = slices.Concat(r.Peers, added.Peers), r.External.Union(added.External)
		}
		if len(ports) > 0 {
			r.Ports, r.Numeric = slices.Concat(r.Ports, added.Ports), r.Numeric.Union(added.Numeric)
		}
	}
	return candidate{
		step:   Step{Direction: d.String(), Namespace: p.Namespace, Name: p.Name, Patch: ops, Source: sourceAt(p, "")},
		change: model.Change{Operation: model.Update, OldPolicy: p, NewPolicy: &now},
	}
}

// compiled is a rule of the peers and ports.
func compiled(d model.Direction, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) model.Rule {
	np := &networkingv1.NetworkPolicy{}
	np.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: peers, Ports: ports}}
	np.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{To: peers, Ports: ports}}
	return model.CompilePolicy(np, model.Authored{}).Rules[d][0]
}

func policyPort(p netset.Port) networkingv1.NetworkPolicyPort {
	protocol, number := corev1.Protocol(p.Protocol.String()), intstr.FromInt32(int32(p.Number))
	return networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: &number}
}

// policyRule is an ingress or egress rule.
func policyRule(d model.Direction, peers []networkingv1.NetworkPolicyPeer, port netset.Port) any {
	ports := []networkingv1.NetworkPolicyPort{policyPort(port)}
	if d == model.Egress {
		return networkingv1.NetworkPolicyEgressRule{To: peers, Ports: ports}
	}
	return networkingv1.NetworkPolicyIngressRule{From: peers, Ports: ports}
}

// newPolicy is the candidate that adds a policy for the subjects alone.
func newPolicy(world *model.Snapshot, n *need, peers []networkingv1.NetworkPolicyPeer) candidate {
	ns := world.NamespaceOrImplied(n.namespace)
	np := &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: networkingv1.SchemeGroupVersion.String(), Kind: finding.KindNetworkPolicy},
		ObjectMeta: metav1.ObjectMeta{Namespace: n.namespace, Name: newName(ns, n)},
	}
	np.Spec.PodSelector = selectorFor(ns, n.subjects)
	np.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyType(n.direction.String())}
	switch rule := policyRule(n.direction, peers, n.port).(type) {
	case networkingv1.NetworkPolicyIngressRule:
		np.Spec.Ingress = append(np.Spec.Ingress, rule)
	case networkingv1.NetworkPolicyEgressRule:
		np.Spec.Egress = append(np.Spec.Egress, rule)
	}
	return candidate{
		step:   Step{Direction: n.direction.String(), Namespace: np.Namespace, Name: np.Name, Policy: np},
		change: model.Change{Operation: model.Create, NewPolicy: model.CompilePolicy(np, model.Authored{})},
	}
}

// noName is what the name of an object may not hold.
var noName = regexp.MustCompile(`[^a-z0-9-]+`)

// newName is a name that tells what the policy is for, and that no policy has.
func newName(ns *model.Namespace, n *need) string {
	const longest = 60
	subject, peer := shortName(reach.Endpoint{Class: n.subjects[0]}), shortName(n.peers[0])
	name := subject + "-allow-from-" + peer
	if n.direction == model.Egress {
		name = subject + "-allow-to-" + peer
	}
	name = noName.ReplaceAllString(strings.ToLower(name), "-")
	name = strings.Trim(name[:min(len(name), longest)], "-")
	out := name
	for i := 2; slices.ContainsFunc(ns.Policies, func(p *model.Policy) bool { return p.Name == out }); i++ {
		out = fmt.Sprintf("%s-%d", name, i)
	}
	return out
}

func shortName(e reach.Endpoint) string {
	if e.Outside() {
		return e.Addr.String()
	}
	for _, key := range []string{"app.kubernetes.io/name", "app", "k8s-app", "name"} {
		if value := e.Class.Labels[key]; value != "" {
			return value
		}
	}
	_, name, found := strings.Cut(e.Class.Name(), "/")
	if !found {
		return "node"
	}
	return name
}
