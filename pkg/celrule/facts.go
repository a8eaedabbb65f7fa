package celrule

import (
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

// Who writes a policy decides how much there is to compute, and no cost limit of CEL counts it. So there are limits for it, which are
// errors: of the entries of a list, of those of all lists of a review, and of the steps that are taken to make them.
const (
	most      = 5_000
	mostInAll = 100_000
	mostSteps = 5_000_000
)

// facts computes the facts of one review.
type facts struct {
	world  *model.Snapshot
	view   *reach.View
	policy *model.Policy

	outside, public [2]*netset.Conns // what external and internet have computed
	sorts           [2]sorts
	opened          map[string]*opening
	entries, steps  int // of mostInAll and mostSteps
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
	add := func(name string, get func() (any, error)) {
		out.Append(name, func(*lazy.MapValue) ref.Val {
			value, err := get()
			if err == nil && !f.step(0) {
				err = errSteps // and the value is not all of it
			}
			if err != nil {
				return types.WrapErr(err)
			}
			return types.DefaultTypeAdapter.NativeToValue(value)
		})
	}
	at := func(name string) string { return "reach." + d.Field() + "." + name }
	out.Append("isolates", func(*lazy.MapValue) ref.Val { return types.Bool(f.policy.Isolates(d)) })
	out.Append("allNamespaces", func(*lazy.MapValue) ref.Val { return types.Bool(f.allNamespaces(d)) })
	add("cidrs", func() (any, error) { return f.cidrTexts(at("cidrs"), f.external(d).AddrsOn(netset.AllPorts())) })
	add("connections", func() (any, error) { return f.connections(at("connections"), f.external(d)) })
	add("internet", func() (any, error) { return !f.internet(d).IsEmpty(), nil })
	add("internetCIDRs", func() (any, error) {
		return f.cidrTexts(at("internetCIDRs"), f.internet(d).AddrsOn(netset.AllPorts()))
	})
	add("internetPorts", func() (any, error) { return f.portTexts(at("internetPorts"), f.internet(d).PortsOf(netset.AllAddrs())) })
	add("ports", func() (any, error) { return f.portTexts(at("ports"), f.ports(d)) })
	add("namespaces", func() (any, error) { return f.namespaces(at("namespaces"), d) })
	add("pods", func() (any, error) { return f.peers(at("pods"), d) })
	return out
}

// external is what the policy allows to or from addresses, for any of its pods.
func (f *facts) external(d model.Direction) netset.Conns {
	if f.outside[d] != nil {
		return *f.outside[d]
	}
	var parts []netset.Conns
	for _, c := range f.unlike(d) {
		parts = append(parts, reach.PolicyExternal(f.policy, c, d))
	}
	conns := netset.UnionConns(parts...)
	f.outside[d] = &conns
	return conns
}

func (f *facts) internet(d model.Direction) netset.Conns {
	if f.public[d] != nil {
		return *f.public[d]
	}
	known := f.world.Facts()
	own := netset.UnionAddrs(known.PodCIDRs, known.ServiceCIDRs, known.Nodes, known.Trusted)
	var parts []netset.Conns
	for _, part := range f.external(d).Parts() {
		parts = append(parts, netset.ConnsOf(netset.Public(part.Addrs).Minus(own), part.Ports))
	}
	conns := netset.UnionConns(parts...)
	f.public[d] = &conns
	return conns
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
			sets = append(sets, f.portsTowards(d, r, nil))
		default:
			f.each(r, func(c *model.PodClass) bool {
				sets = append(sets, f.portsTowards(d, r, c))
				return true
			})
		}
	}
	return netset.UnionPorts(sets...)
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

func (f *facts) namespaces(name string, d model.Direction) (any, error) {
	out, seen := []any{}, map[string]bool{}
	rules := f.rules(d)
	for i := range rules {
		for ns := range f.spaces(&rules[i]) {
			if seen[ns.Meta.Name] {
				continue
			}
			if len(out) == most {
				return nil, tooMany(name)
			}
			seen[ns.Meta.Name] = true
			out = append(out, fields{"name": ns.Meta.Name, "labels": ns.Meta.Labels})
		}
	}
	return out, nil
}
