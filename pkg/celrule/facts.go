package celrule

import (
	"fmt"
	"strings"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"k8s.io/apiserver/pkg/cel/lazy"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
)

// The facts speak of the policy that is written, or on DELETE of the one that is deleted, and of what it allows by itself.
// Each is computed when the expression comes to it, and not at all if it does not.
//
// reach.ingress and reach.egress, of the direction:
//   - isolates: whether the policy isolates its pods; if not, its rules have no effect, and all else is empty;
//   - cidrs, connections: the addresses of its ipBlocks, or all of them for a rule without peers, less the exceptions; and
//     for each part of them the ports. Ports of ingress are those of the selected pods, names resolved; of egress, those of
//     the addresses, which have no names;
//   - internet, internetCIDRs, internetPorts: the part of that on the public internet, outside of the cluster's ranges and the
//     trusted ones;
//   - namespaces, pods: whom its rules name by selectors, and everybody for a rule without peers. An ipBlock names addresses
//     and no pods, whatever pods have these addresses. allNamespaces: whether pods of every namespace are among them;
//   - ports: every port that it opens to anybody.

// most is how many entries a list of pods or namespaces has. Beyond, the list is an error, and the rule undetermined.
const most = 5000

// facts computes the facts of one review.
type facts struct {
	world  *model.Snapshot
	view   *reach.View
	policy *model.Policy

	outside [2]*netset.Conns // what external has computed
}

func (f *facts) reach() ref.Val {
	out := lazy.NewMapValue(types.NewObjectType("portcullis.Reach"))
	for _, d := range model.Directions {
		out.Append(d.Field(), func(*lazy.MapValue) ref.Val { return f.direction(d) })
	}
	return out
}

func (f *facts) direction(d model.Direction) ref.Val {
	out := lazy.NewMapValue(types.NewObjectType("portcullis.Direction"))
	add := func(name string, get func() any) {
		out.Append(name, func(*lazy.MapValue) ref.Val { return types.DefaultTypeAdapter.NativeToValue(get()) })
	}
	add("isolates", func() any { return f.policy.Isolates(d) })
	add("cidrs", func() any { return cidrTexts(f.external(d).AddrsOn(netset.AllPorts())) })
	add("connections", func() any { return connections(f.external(d)) })
	add("internet", func() any { return !f.internet(d).IsEmpty() })
	add("internetCIDRs", func() any { return cidrTexts(f.internet(d).AddrsOn(netset.AllPorts())) })
	add("internetPorts", func() any { return portTexts(f.internet(d).PortsOf(netset.AllAddrs())) })
	add("ports", func() any { return portTexts(f.ports(d)) })
	add("allNamespaces", func() any { return f.allNamespaces(d) })
	add("namespaces", func() any { return f.namespaces(d) })
	add("pods", func() any { return f.peers(d) })
	return out
}

// external is what the policy allows to or from addresses, for any of its pods.
func (f *facts) external(d model.Direction) netset.Conns {
	if f.outside[d] != nil {
		return *f.outside[d]
	}
	classes := f.view.Select(f.policy).Classes
	if d == model.Egress && len(classes) > 1 {
		classes = classes[:1] // it does not depend on the pod
	}
	parts := make([]netset.Conns, len(classes))
	for i, c := range classes {
		parts[i] = reach.PolicyExternal(f.policy, c, d)
	}
	conns := netset.UnionConns(parts...)
	f.outside[d] = &conns
	return conns
}

func (f *facts) internet(d model.Direction) netset.Conns {
	known := f.world.Facts()
	own := netset.UnionAddrs(known.PodCIDRs, known.ServiceCIDRs, known.Nodes, known.Trusted)
	var parts []netset.Conns
	for _, part := range f.external(d).Parts() {
		parts = append(parts, netset.ConnsOf(netset.Public(part.Addrs).Minus(own), part.Ports))
	}
	return netset.UnionConns(parts...)
}

// ports are what the policy opens to anybody. The names of egress ports are those of the pods that it allows as peers.
func (f *facts) ports(d model.Direction) netset.Ports {
	if !f.policy.Isolates(d) {
		return netset.Ports{}
	}
	var sets []netset.Ports
	for i := range f.policy.Rules[d] {
		r := &f.policy.Rules[d][i]
		sets = append(sets, r.Numeric)
		switch {
		case !r.Named:
		case d == model.Ingress:
			for _, c := range f.view.Select(f.policy).Classes {
				sets = append(sets, reach.PortsOn(r, c))
			}
		default:
			f.each(r, func(c *model.PodClass) bool {
				sets = append(sets, reach.PortsOn(r, c))
				return true
			})
		}
	}
	return netset.UnionPorts(sets...)
}

// each calls visit with the pods that the rule names by selectors, until it says no.
func (f *facts) each(r *model.Rule, visit func(*model.PodClass) bool) {
	for ns := range f.spaces(r) {
		for _, c := range ns.Classes {
			if f.names(r, c) && !visit(c) {
				return
			}
		}
	}
}

// spaces yields the namespaces that the rule names, by a peer each; one may come several times.
func (f *facts) spaces(r *model.Rule) func(func(*model.Namespace) bool) {
	return func(yield func(*model.Namespace) bool) {
		if r.AllPeers() {
			f.world.Namespaces()(yield)
			return
		}
		for i := range r.Peers {
			switch p := &r.Peers[i]; {
			case p.IPBlock != nil, p.PodSelector != nil && !p.PodSelector.Satisfiable():
			case p.NamespaceSelector == nil:
				if !yield(f.world.NamespaceOrImplied(f.policy.Namespace)) {
					return
				}
			default:
				for ns := range f.world.Select(p.NamespaceSelector) {
					if !yield(ns) {
						return
					}
				}
			}
		}
	}
}

func (f *facts) names(r *model.Rule, c *model.PodClass) bool {
	if r.AllPeers() {
		return true
	}
	for i := range r.Peers {
		if r.Peers[i].IPBlock == nil && f.view.MatchPeer(f.policy.Namespace, &r.Peers[i], reach.Endpoint{Class: c}).Every {
			return true
		}
	}
	return false
}

// rules are those of the direction that have an effect.
func (f *facts) rules(d model.Direction) []model.Rule {
	if !f.policy.Isolates(d) {
		return nil
	}
	return f.policy.Rules[d]
}

func (f *facts) allNamespaces(d model.Direction) bool {
	rules := f.rules(d)
	for i := range rules {
		if rules[i].AllPeers() {
			return true
		}
		for j := range rules[i].Peers {
			p := &rules[i].Peers[j]
			if p.IPBlock != nil || p.NamespaceSelector == nil || p.PodSelector != nil && !p.PodSelector.Satisfiable() {
				continue
			}
			if p.NamespaceSelector.AlwaysTrueForNamespaces() {
				return true
			}
		}
	}
	return false
}

func (f *facts) namespaces(d model.Direction) any {
	out, seen := []any{}, map[string]bool{}
	rules := f.rules(d)
	for i := range rules {
		for ns := range f.spaces(&rules[i]) {
			if seen[ns.Meta.Name] {
				continue
			}
			if len(out) == most {
				return tooMany("reach." + d.Field() + ".namespaces")
			}
			seen[ns.Meta.Name] = true
			out = append(out, fields{"name": ns.Meta.Name, "labels": ns.Meta.Labels})
		}
	}
	return out
}

func (f *facts) peers(d model.Direction) any {
	var order []*model.PodClass
	open := map[*model.PodClass]netset.Ports{}
	full := false
	rules := f.rules(d)
	for i := range rules {
		r := &rules[i]
		f.each(r, func(c *model.PodClass) bool {
			ports, there := open[c]
			if !there && len(order) == most {
				full = true
				return false
			}
			if !there {
				order = append(order, c)
			}
			open[c] = ports.Union(f.portsTowards(d, r, c))
			return true
		})
		if full {
			return tooMany("reach." + d.Field() + ".pods")
		}
	}
	out := make([]any, len(order))
	for i, c := range order {
		pod := podFields(c)
		pod["open"] = portTexts(open[c])
		out[i] = pod
	}
	return out
}

// portsTowards are the ports of the rule between the selected pods and the peer.
func (f *facts) portsTowards(d model.Direction, r *model.Rule, peer *model.PodClass) netset.Ports {
	if d == model.Egress {
		return reach.PortsOn(r, peer)
	}
	var sets []netset.Ports
	for _, c := range f.view.Select(f.policy).Classes {
		sets = append(sets, reach.PortsOn(r, c))
	}
	return netset.UnionPorts(sets...)
}

// pods are the pods that the policy selects, one entry for those that are alike. Pods that do not exist yet are not among
// them.
func (f *facts) pods() ref.Val {
	selected := f.view.Select(f.policy)
	out := []any{}
	if !selected.Hypothetical {
		for _, c := range selected.Classes {
			if len(out) == most {
				return tooMany(varPods)
			}
			pod := podFields(c)
			list := make([]any, len(c.Ports))
			for i, p := range c.Ports {
				list[i] = fields{"name": p.Name, "protocol": p.Port.Protocol.String(), "port": int64(p.Port.Number)}
			}
			pod["ports"] = list
			out = append(out, pod)
		}
	}
	return types.DefaultTypeAdapter.NativeToValue(out)
}

func podFields(c *model.PodClass) fields {
	labels := c.Labels
	if labels == nil {
		labels = map[string]string{}
	}
	return fields{"name": strings.TrimPrefix(c.Name(), c.Namespace+"/"), "namespace": c.Namespace, "labels": labels, "count": int64(c.Count())}
}

func connections(c netset.Conns) []any {
	out := []any{}
	for _, part := range c.Parts() {
		out = append(out, fields{"cidrs": cidrTexts(part.Addrs), "ports": portTexts(part.Ports)})
	}
	return out
}

func cidrTexts(a netset.Addrs) []string {
	prefixes := a.Prefixes()
	out := make([]string, len(prefixes))
	for i, p := range prefixes {
		out[i] = p.String()
	}
	return out
}

// portTexts are ports as "TCP/443" and "TCP/8000-8999".
func portTexts(p netset.Ports) []string {
	out := []string{}
	for span := range p.Ranges() {
		text := fmt.Sprintf("%s/%d", span.Protocol, span.First)
		if span.Last != span.First {
			text += fmt.Sprintf("-%d", span.Last)
		}
		out = append(out, text)
	}
	return out
}
