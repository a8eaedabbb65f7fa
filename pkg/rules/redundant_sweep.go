package rules

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// surplus finds what of one policy adds nothing.
type surplus struct {
	view   *reach.View
	policy *model.Policy
	own    model.Selector // of the namespace, by its name
	// policies are those of the namespace that have pods in common with the policy, sorted by name, less those taken away.
	policies []*model.Policy
	sides    [2]*side  // by direction, of all policies
	touching []portion // room for holders
}

func newSurplus(p *rule.Pass, policy *model.Policy) *surplus {
	s := &surplus{view: p.Reach, policy: policy, own: model.SelectorOf(map[string]string{corev1.LabelMetadataName: policy.Namespace})}
	for _, other := range p.World.NamespaceOrImplied(policy.Namespace).Policies {
		if other == policy || !other.Deleting && !other.Kept() && s.inCommon(other) {
			s.policies = append(s.policies, other)
		}
	}
	for _, d := range model.Directions {
		s.sides[d] = newSide(s.policies, policy, d, &s.own)
	}
	return s
}

// inCommon says whether the other policy selects any of the pods.
func (s *surplus) inCommon(other *model.Policy) bool {
	selection := s.view.Select(s.policy)
	return slices.ContainsFunc(selection.Classes, func(c *model.PodClass) bool { return other.PodSelector.Matches(c.Labels) })
}

// any says whether anything of the policy is held by all others. If not, there is nothing to sweep.
func (s *surplus) any() bool {
	for _, d := range model.Directions {
		among := s.among(s.policy, d)
		for _, x := range s.sides[d].of(s.policy) {
			if len(s.holders(x, among)) > 0 {
				return true
			}
		}
	}
	return false
}

// among is what may hold a portion of the policy: of other policies only if they isolate its pods, too.
func (s *surplus) among(policy *model.Policy, d model.Direction) marks {
	if s.isolatedWithout(policy) {
		return everything
	}
	return s.sides[d].marksOf(policy)
}

// sweep takes away what adds nothing to what is left, from the last policy to this one, and within each from its last peer. It
// yields what of this policy has gone, and whether the whole of it has.
func (s *surplus) sweep() (gone []portion, whole bool) {
	for _, policy := range slices.Backward(slices.Clone(s.policies)) {
		if policy.Name < s.policy.Name {
			break
		}
		ruled, stays := false, false
		gone = nil
		for _, d := range model.Directions {
			side, among := s.sides[d], s.among(policy, d)
			ruled, stays = ruled || hasPortions(policy, d), stays || side.leavesOut(policy)
			for _, x := range slices.Backward(side.of(policy)) {
				if len(s.holders(x, among)) == 0 {
					stays = true
					continue
				}
				side.left.clear(x.at)
				gone = append(gone, x)
			}
		}
		whole = ruled && !stays && s.isolatedWithout(policy)
		if whole {
			s.policies = slices.DeleteFunc(slices.Clone(s.policies), func(other *model.Policy) bool { return other == policy })
		}
	}
	slices.Reverse(gone)
	return gone, whole
}

// isolatedWithout says whether other policies that have not been taken away isolate all pods of the policy in its directions.
func (s *surplus) isolatedWithout(policy *model.Policy) bool {
	for _, d := range model.Directions {
		if policy.Isolates(d) && !s.forEachClass(policy, func(c *model.PodClass) bool {
			return slices.ContainsFunc(s.policies, func(other *model.Policy) bool {
				return other != policy && other.Isolates(d) && selectsToo(other, policy, c)
			})
		}) {
			return false
		}
	}
	return true
}

// forEachClass says whether it is so for all classes that the policy selects; nil stands for all pods that do not exist yet.
func (s *surplus) forEachClass(policy *model.Policy, so func(*model.PodClass) bool) bool {
	selection := s.view.Select(policy)
	if selection.Hypothetical {
		return so(nil)
	}
	return len(selection.Classes) > 0 && !slices.ContainsFunc(selection.Classes, func(c *model.PodClass) bool { return !so(c) })
}

// selectsToo says whether other selects the pods of the class, which policy selects; or, for nil, all that policy ever will.
func selectsToo(other, policy *model.Policy, c *model.PodClass) bool {
	if other == policy {
		return true
	}
	if c == nil {
		return policy.PodSelector.Satisfiable() && policy.PodSelector.Implies(&other.PodSelector)
	}
	return other.PodSelector.Matches(c.Labels)
}

// holders are those of what is left that together allow all that x allows, as few as are found; none if they do not. They are
// gone once it is called again.
func (s *surplus) holders(x portion, among marks) []portion {
	if s.view.Stopped() {
		return nil
	}
	found, side := s.touching[:0], s.sides[x.direction]
	for at := range side.near(x, among, &s.own) {
		if o := side.all[at]; s.touches(o, x) {
			found = append(found, o)
		}
	}
	s.touching = found
	for i := range found {
		if alone := found[i : i+1]; s.hold(x, alone) {
			return alone
		}
	}
	if len(found) < 2 || !s.hold(x, found) {
		return nil
	}
	for i := len(found) - 1; i >= 0 && len(found) <= mostPeers; i-- {
		if fewer := slices.Delete(slices.Clone(found), i, i+1); s.hold(x, fewer) {
			found = fewer
		}
	}
	return found
}

// touches says whether the peer of o holds that of x; of two ipBlocks, whether they have anything in common.
func (s *surplus) touches(o, x portion) bool {
	a, b := o.to(), x.to()
	switch {
	case a == nil:
		return b == nil || possible(b)
	case b == nil:
		return false
	case a.IPBlock != nil && b.IPBlock != nil:
		return a.IPBlock.Addrs.Overlaps(b.IPBlock.Addrs)
	case a.IPBlock != nil || b.IPBlock != nil:
		return false
	}
	return possible(b) && holdsSelectors(&s.own, a, b)
}

// possible says whether the peer can match anything.
func possible(peer *model.Peer) bool {
	if peer.IPBlock != nil {
		return !peer.IPBlock.Addrs.IsEmpty()
	}
	return (peer.NamespaceSelector == nil || peer.NamespaceSelector.Satisfiable()) && (peer.PodSelector == nil || peer.PodSelector.Satisfiable())
}

// holdsSelectors says whether every pod that b can match, a matches. own selects the policies' namespace.
func holdsSelectors(own *model.Selector, a, b *model.Peer) bool {
	inA, inB := a.NamespaceSelector, b.NamespaceSelector
	if inA == nil {
		inA = own
	}
	if inB == nil {
		inB = own
	}
	if inA != inB && !inA.AlwaysTrueForNamespaces() && !inB.Implies(inA) {
		return false
	}
	switch {
	case a.PodSelector == nil:
		return true
	case b.PodSelector == nil:
		return a.PodSelector.AlwaysTrue()
	}
	return b.PodSelector.Implies(a.PodSelector)
}

// hold says whether by together allow all that x allows, on all pods of its policy.
func (s *surplus) hold(x portion, by []portion) bool {
	alike := func(o portion) bool { return o.policy == x.policy && (o.direction == model.Egress || !o.on().Named) }
	if alike(x) && !slices.ContainsFunc(by, func(o portion) bool { return !alike(o) }) {
		return holdOn(nil, x, by) // the same for every class
	}
	return s.forEachClass(x.policy, func(c *model.PodClass) bool { return holdOn(c, x, by) })
}

func holdOn(c *model.PodClass, x portion, by []portion) bool {
	var conns []netset.Conns
	all := addrsOf(x, x)
	needed, names := portsAt(x, c)
	held := needed.IsEmpty()
	for _, o := range by {
		if !selectsToo(o.policy, x.policy, c) {
			continue
		}
		ports, theirs := portsAt(o, c)
		addrs := addrsOf(x, o)
		whole := addrs.ContainsAll(all)
		held = held || whole && ports.ContainsAll(needed)
		if !held && len(by) > 1 {
			conns = append(conns, netset.ConnsOf(addrs, ports))
		}
		names = slices.DeleteFunc(names, func(n model.PortSpec) bool {
			same := func(m model.PortSpec) bool { return m.Name == n.Name && m.Protocol == n.Protocol }
			return whole && (ports.ContainsAll(netset.AllOf(n.Protocol)) || slices.ContainsFunc(theirs, same))
		})
	}
	return len(names) == 0 && (held || netset.UnionConns(conns...).ContainsAll(netset.ConnsOf(all, needed)))
}

// addrsOf is what of x the portion o covers, as addresses: exactly those of ipBlocks, and every address where o holds all of x.
func addrsOf(x, o portion) netset.Addrs {
	if peer := x.to(); peer == nil || peer.IPBlock == nil || o.to() == nil {
		return netset.AllAddrs()
	}
	return o.to().IPBlock.Addrs
}

// portsAt are the ports of the rule on the pods of the class, and those of its names of which the number is not known.
func portsAt(x portion, c *model.PodClass) (netset.Ports, []model.PortSpec) {
	r := x.on()
	if !r.Named {
		return r.Numeric, nil
	}
	var names []model.PortSpec
	numbers := r.Numeric
	for _, spec := range r.Ports {
		if spec.Name == "" {
			continue
		}
		if x.direction == model.Ingress && c != nil {
			if number, known := c.NamedPort(spec.Protocol, spec.Name); known {
				numbers = numbers.Union(netset.PortsOf(netset.Port{Protocol: spec.Protocol, Number: number}))
				continue
			}
		}
		names = append(names, spec)
	}
	return numbers, names
}
