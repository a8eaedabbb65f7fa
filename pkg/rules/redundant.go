package rules

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// redundant: a peer or a rule that another rule of the policy holds entirely, or a policy whose isolation and rules the other
// policies for its pods hold entirely. It is judged by what the selectors say, whatever pods there are, so that it stays true.
//
// Never for a policy that isolates in a direction that no other policy for its pods isolates in, and never for one without
// rules. Of equals, the later is redundant. An ipBlock never stands in for a selector: whether it matches pods depends on the CNI.
func redundant() *rule.Rule {
	return &rule.Rule{
		ID: "redundant", Level: finding.Restricted, Severity: finding.Info,
		Subjects: []string{finding.KindNetworkPolicy},
		Run:      runRedundant,
		Doc: rule.Doc{
			Title:      "Adds nothing",
			Why:        "What adds nothing misleads: whoever takes it away believes that something is closed, and nothing is.",
			References: []rule.Reference{docsPolicies},
			Finds:      "A peer, a rule or a whole policy that adds neither connections nor isolation to the others for the same pods.",
			Remedy:     "Remove it, or take away what holds it if the narrower one was meant.",
			Bad:        twoRules("{}"),
			Good:       twoRules("{matchLabels: {app: report}}"),
		},
	}
}

// twoRules is an example whose second peer has the podSelector.
func twoRules(second string) string {
	return `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: db
  namespace: shop
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress:
    - from:
        - podSelector: {matchLabels: {app: web}}
        - podSelector: ` + second + `
      ports:
        - port: 5432
`
}

func runRedundant(p *rule.Pass) {
	policy := p.Change.NewPolicy
	if policy == nil {
		return
	}
	if others := standIns(p, policy); others != "" {
		p.Report(nil, finding.Witness{}, "The policy adds nothing to %s, for the same pods", others).Fix("Delete the policy")
		return
	}
	var found []surplus
	for _, d := range model.Directions {
		if policy.Isolates(d) {
			found = append(found, surplusOf(policy, d)...)
		}
	}
	if len(found) == 0 {
		return
	}
	patch := make([]finding.PatchOp, len(found))
	for i := range found {
		patch[len(found)-1-i] = finding.PatchOp{Op: "remove", Path: found[i].pointer}
	}
	text, fix := "", "Remove it"
	if len(found) > 1 {
		text, fix = fmt.Sprintf(", and so do %d more", len(found)-1), fmt.Sprintf("Remove all %d", len(found))
		if len(found) == 2 {
			text = ", and so does 1 more"
		}
	}
	p.Report(found[0].path, finding.Witness{}, "The %s adds nothing to %s%s", found[0].what, found[0].by, text).Fix(fix, patch...)
}

// surplus is a rule or a peer that adds nothing.
type surplus struct {
	what, pointer string
	path, by      *field.Path
}

// surplusOf are the rules and peers of the direction that add nothing to those that stay, in the order of the object.
func surplusOf(policy *model.Policy, d model.Direction) []surplus {
	rules := policy.Rules[d]
	gone := make([]bool, len(rules))
	byRule := make([]int, len(rules))
	for i := len(rules) - 1; i >= 0; i-- {
		for k := range rules {
			if k != i && !gone[k] && holdsRule(policy.Namespace, &rules[k], &rules[i]) {
				gone[i], byRule[i] = true, k
				break
			}
		}
	}
	var out []surplus
	for i := range rules {
		if gone[i] {
			out = append(out, surplus{"rule", fmt.Sprintf("/spec/%s/%d", d.Field(), i), rulePath(d, i), rulePath(d, byRule[i])})
			continue
		}
		out = append(out, surplusPeers(policy, d, i, gone)...)
	}
	return out
}

func surplusPeers(policy *model.Policy, d model.Direction, i int, gone []bool) []surplus {
	rules := policy.Rules[d]
	peers := rules[i].Peers
	var out []surplus
	removed := make([]bool, len(peers))
	for j := len(peers) - 1; j >= 0 && len(out) < len(peers)-1; j-- {
		by := (*field.Path)(nil)
		for k := range peers {
			if k != j && !removed[k] && holdsPeer(policy.Namespace, &peers[k], &peers[j]) {
				by = peerPath(d, i, k)
				break
			}
		}
		for k := 0; k < len(rules) && by == nil; k++ {
			if k != i && !gone[k] && holdsPorts(&rules[k], &rules[i]) && holdsInRule(policy.Namespace, &rules[k], &peers[j]) && k < i {
				by = rulePath(d, k)
			}
		}
		if by != nil {
			removed[j] = true
			out = append(out, surplus{"peer", fmt.Sprintf("/spec/%s/%d/%s/%d", d.Field(), i, d.PeersField(), j), peerPath(d, i, j), by})
		}
	}
	slices.Reverse(out)
	return out
}

// holdsRule says whether everything that b allows, a allows, too.
func holdsRule(namespace string, a, b *model.Rule) bool {
	if !holdsPorts(a, b) {
		return false
	}
	if b.AllPeers() {
		return a.AllPeers()
	}
	for j := range b.Peers {
		if !holdsInRule(namespace, a, &b.Peers[j]) {
			return false
		}
	}
	return true
}

// holdsInRule says whether one peer of the rule holds the peer.
func holdsInRule(namespace string, r *model.Rule, peer *model.Peer) bool {
	return r.AllPeers() || slices.ContainsFunc(r.Peers, func(other model.Peer) bool { return holdsPeer(namespace, &other, peer) })
}

// holdsPorts says whether the ports of b are among those of a, whatever numbers the names have.
func holdsPorts(a, b *model.Rule) bool {
	if !a.Numeric.ContainsAll(b.Numeric) {
		return false
	}
	for i := range b.Ports {
		name, protocol := b.Ports[i].Name, b.Ports[i].Protocol
		if name == "" || a.Numeric.ContainsAll(netset.AllOf(protocol)) {
			continue
		}
		if !slices.ContainsFunc(a.Ports, func(s model.PortSpec) bool { return s.Name == name && s.Protocol == protocol }) {
			return false
		}
	}
	return true
}

// holdsPeer says whether every peer that b matches is matched by a. What matches nothing is another rule's business.
func holdsPeer(namespace string, a, b *model.Peer) bool {
	if a.IPBlock != nil || b.IPBlock != nil {
		return a.IPBlock != nil && b.IPBlock != nil && !b.IPBlock.Addrs.IsEmpty() && a.IPBlock.Addrs.ContainsAll(b.IPBlock.Addrs)
	}
	own := model.SelectorOf(map[string]string{corev1.LabelMetadataName: namespace})
	inA, inB := a.NamespaceSelector, b.NamespaceSelector
	if inA == nil {
		inA = &own
	}
	if inB == nil {
		inB = &own
	}
	var every model.Selector
	podsA, podsB := a.PodSelector, b.PodSelector
	if podsA == nil {
		podsA = &every
	}
	if podsB == nil {
		podsB = &every
	}
	if !inB.Satisfiable() || !podsB.Satisfiable() {
		return false
	}
	return (inA.AlwaysTrueForNamespaces() || inB.Implies(inA)) && podsB.Implies(podsA)
}

// standIns names the policies that hold all of the policy; empty if it adds something to them.
func standIns(p *rule.Pass, policy *model.Policy) string {
	all := slices.DeleteFunc(slices.Clone(p.World.NamespaceOrImplied(policy.Namespace).Policies), func(other *model.Policy) bool { return other.Deleting })
	if len(heldBy(policy, all)) == 0 {
		return ""
	}
	// Of policies that hold one another, the later by name go.
	for i := len(all) - 1; i >= 0 && all[i].Name > policy.Name; i-- {
		if len(heldBy(all[i], all)) > 0 {
			all = slices.Delete(all, i, i+1)
		}
	}
	by := heldBy(policy, all)
	switch len(by) {
	case 0:
		return ""
	case 1:
		return "policy " + by[0]
	}
	return fmt.Sprintf("policy %s and %s", by[0], plural(len(by)-1, "other", "others"))
}

// heldBy are the names of those among all policies that together hold the policy; none if they do not.
func heldBy(policy *model.Policy, all []*model.Policy) []string {
	if !policy.PodSelector.Satisfiable() {
		return nil
	}
	var others []*model.Policy
	for _, other := range all {
		if other.Name != policy.Name && policy.PodSelector.Implies(&other.PodSelector) {
			others = append(others, other)
		}
	}
	var by []string
	use := func(at int) bool {
		if at >= 0 && !slices.Contains(by, others[at].Name) {
			by = append(by, others[at].Name)
		}
		return at >= 0
	}
	ruled := false
	for _, d := range model.Directions {
		if !policy.Isolates(d) {
			continue
		}
		if !slices.ContainsFunc(others, func(o *model.Policy) bool { return o.Isolates(d) }) {
			return nil
		}
		for i := range policy.Rules[d] {
			ruled = true
			r := &policy.Rules[d][i]
			if !use(slices.IndexFunc(others, func(o *model.Policy) bool {
				return o.Isolates(d) && slices.ContainsFunc(o.Rules[d], func(other model.Rule) bool { return holdsRule(policy.Namespace, &other, r) })
			})) {
				return nil
			}
		}
	}
	if !ruled {
		return nil
	}
	return by
}
