package rules

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// redundant: a peer, a rule or a whole policy that adds nothing to what else is allowed for the same pods: to the other peers and
// rules of the policy, and to other policies that select these pods.
//
// A peer with its rule's ports adds nothing if the others together allow it all, for each class of pods that the policy selects:
// addresses and ports as exact sets, selectors by what they demand, whatever pods there are, so that it stays true when pods
// come. So it is with pods that do not exist yet: other policies count for them only if their podSelector follows from this
// one's. A port's name is its number where the pods tell, and else no other port. An ipBlock never stands in for a selector,
// nor the reverse: whether it matches pods depends on the CNI.
//
// A policy adds nothing if none of its rules does, and others isolate its pods in all of its directions. Never one without
// rules. Where a policy isolates any of its pods alone, only its own rules count. Of equals, the later is redundant, by the names
// of the policies: what is found can be removed all together. Policies being deleted stand in for nothing, and neither do those
// that Portcullis keeps, which go when the namespace does not ask for them any more; nor are they anybody's to remove. A peer that
// can match nothing is another rule's business.
func redundant() *rule.Rule {
	return &rule.Rule{
		ID: "redundant", Level: finding.Restricted, Severity: finding.Info,
		Subjects: []string{finding.KindNetworkPolicy},
		Run:      runRedundant,
		Doc: rule.Doc{
			Title: "Adds nothing",
			Why: "What adds nothing misleads: whoever takes it away believes that something is closed, and nothing is. Often it is the wider " +
				"rule beside it that nobody meant.",
			References: []rule.Reference{docsPolicies},
			Finds: "A peer, a rule or a whole policy that adds neither connections nor isolation to the others for the same pods. Other policies " +
				"count if they isolate these pods in the same directions. Where there are more than 256 peers in a direction, those of other policies " +
				"do not count, and a policy that has more than 256 is left out. The policies that Portcullis keeps for isolateNamespaces neither count " +
				"nor are found.",
			Remedy: "Remove it, or narrow what allows the same, if that was not meant.",
			Bad:    twoPeers("{}"),
			Good:   twoPeers("{matchLabels: {app: report}}"),
		},
	}
}

// twoPeers is an example whose second peer has the podSelector.
func twoPeers(second string) string {
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
	if policy == nil || policy.Deleting || policy.Kept() {
		return
	}
	pods := crowd(p.Reach.Select(policy).Classes)
	if len(pods) == 0 {
		return
	}
	s := newSurplus(p, policy)
	if !s.any() {
		return
	}
	gone, whole := s.sweep()
	w := finding.Witness{To: pods[0].Name()}
	if whole {
		p.Report(nil, w, "The policy adds nothing to %s, for the same pods", s.policiesThat(gone)).Fix("Delete the policy").Pods(pods.count())
		return
	}
	var found []addsNothing
	var patch []finding.PatchOp
	for _, d := range model.Directions {
		of := s.told(d, gone)
		found = append(found, of...)
		if d == model.Egress && allRules(of, policy) {
			// "If this field is not specified, it will default based on the existence of ingress or egress rules"
			patch = append(patch, finding.PatchOp{Op: "add", Path: "/spec/policyTypes", Value: typesOf(policy)})
		}
	}
	if len(found) == 0 {
		return
	}
	for _, f := range slices.Backward(found) {
		patch = append(patch, finding.PatchOp{Op: "remove", Path: f.pointer})
	}
	more, fix := "", "Remove it"
	if n := len(found) - 1; n > 0 {
		more, fix = fmt.Sprintf(", and so do %d more", n), fmt.Sprintf("Remove all %d", len(found))
		if n == 1 {
			more, fix = ", and so does 1 more", "Remove both"
		}
	}
	p.Report(found[0].path, w, "The %s adds nothing to %s%s", found[0].what, s.whoHolds(found[0].portions), more).
		Fix(fix+", or narrow what allows the same", patch...).Pods(pods.count())
}

// addsNothing is a rule or a peer that adds nothing.
type addsNothing struct {
	what, pointer string
	path          *field.Path
	portions      []portion
}

// told are the rules and peers of the direction that are gone, in the order of the object.
func (s *surplus) told(d model.Direction, gone []portion) []addsNothing {
	var out []addsNothing
	for i := range s.policy.Rules[d] {
		var here []portion
		for _, x := range gone {
			if x.direction == d && x.rule == i {
				here = append(here, x)
			}
		}
		pointer := fmt.Sprintf("/spec/%s/%d", d.Field(), i)
		if peers := max(len(s.policy.Rules[d][i].Peers), 1); len(here) == peers {
			out = append(out, addsNothing{"rule", pointer, rulePath(d, i), here})
			continue
		}
		slices.SortFunc(here, func(a, b portion) int { return a.peer - b.peer })
		for _, x := range here {
			out = append(out, addsNothing{"peer", fmt.Sprintf("%s/%s/%d", pointer, d.PeersField(), x.peer), peerPath(d, i, x.peer), []portion{x}})
		}
	}
	return out
}

// allRules says whether all rules of the policy for egress are among those that add nothing.
func allRules(found []addsNothing, policy *model.Policy) bool {
	return len(found) > 0 && len(found) == len(policy.Rules[model.Egress]) && !slices.ContainsFunc(found, func(f addsNothing) bool { return f.what == "peer" })
}

func typesOf(policy *model.Policy) []string {
	var out []string
	for _, d := range model.Directions {
		if policy.Isolates(d) {
			out = append(out, d.String())
		}
	}
	return out
}

// whoHolds names what holds the portions, for a sentence.
func (s *surplus) whoHolds(portions []portion) string {
	var names []string
	for _, x := range portions {
		for _, h := range s.holders(x, s.among(s.policy, x.direction)) {
			name := "policy " + h.policy.Name
			if h.policy == s.policy {
				name = rulePath(h.direction, h.rule).String()
				if len(h.on().Peers) > 1 {
					name = peerPath(h.direction, h.rule, h.peer).String()
				}
			}
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return together(names)
}

// policiesThat names the policies that hold the portions, for a sentence.
func (s *surplus) policiesThat(portions []portion) string {
	var names []string
	for _, x := range portions {
		for _, h := range s.holders(x, s.among(s.policy, x.direction)) {
			if name := "policy " + h.policy.Name; !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return together(names)
}

// together is "a", "a and b", or "a, b and 2 more".
func together(names []string) string {
	switch len(names) {
	case 1:
		return names[0]
	case 2:
		return names[0] + " and " + names[1]
	}
	return fmt.Sprintf("%s, %s and %d more", names[0], names[1], len(names)-2)
}
