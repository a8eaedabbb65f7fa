package rules

import (
	"fmt"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// one-sided-allow: a peer of selectors with which no selected pod can connect at all, because the other side does not allow what
// this policy does: pods are let in whose own egress policies do not let them out, or let out to pods that do not let them in.
//
// The subject is the policy that allows. As soon as anything connects any pair of the pods, on any port, nothing is found; nor
// where the answer hangs on an address or on a port's number that is not known, nor for a single pod with itself. Peers that
// match no pod are another rule's business, except where their namespaces have no pods at all yet: then those that the peer
// demands are judged.
//
// Provisional: pods do not exist yet, and one with more labels would connect.
func oneSidedAllow() *rule.Rule {
	return &rule.Rule{
		ID: "one-sided-allow", Level: finding.Restricted, Severity: finding.Medium,
		Subjects: []string{finding.KindNetworkPolicy},
		Run:      runOneSidedAllow,
		Doc: rule.Doc{
			Title: "Allowed on one side only",
			Why: "A connection between two pods needs both: the egress policies of the one and the ingress policies of the other. Allowed by one " +
				"side alone it is blocked, and the side that one looks at seems to be right.",
			References: []rule.Reference{
				{Title: "Kubernetes: the two sorts of pod isolation", URL: "https://kubernetes.io/docs/concepts/services-networking/network-policies/#the-two-sorts-of-pod-isolation"}},
			Finds: "A peer of pods that the policy allows, while the policies of those pods leave none of them a connection with any selected pod, on any port.",
			Remedy: "Allow it on the other side, too: portcullis generate complement writes the policy. Or remove the peer, if the connection is " +
				"not wanted.",
			Bad:  oneSidedBad,
			Good: oneSidedBad + oneSidedOther,
		},
	}
}

const oneSidedBad = `apiVersion: networking.k8s.io/v1
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
      ports:
        - port: 5432
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: allow-dns
  namespace: shop
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
    - to:
        - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
          podSelector: {matchLabels: {k8s-app: kube-dns}}
      ports:
        - {protocol: UDP, port: 53}
        - {protocol: TCP, port: 53}
---
apiVersion: v1
kind: Pod
metadata:
  name: db-0
  namespace: shop
  labels: {app: db}
---
apiVersion: v1
kind: Pod
metadata:
  name: web-0
  namespace: shop
  labels: {app: web}
`

const oneSidedOther = `---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: shop
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Egress]
  egress:
    - to:
        - podSelector: {matchLabels: {app: db}}
      ports:
        - port: 5432
`

func runOneSidedAllow(p *rule.Pass) {
	policy := p.Change.NewPolicy
	if policy == nil {
		return
	}
	found := p.Reach.OneSided(policy)
	if len(found) == 0 {
		return
	}
	first := &found[0]
	w := finding.Witness{From: first.OtherPod.Name(), To: first.OwnPod.Name()}
	what, way := "No pod of this peer can connect", model.Egress
	if first.Direction == model.Egress {
		w.From, w.To = w.To, w.From
		what, way = "No pod can connect to this peer", model.Ingress
	}
	target := first.OwnPod
	if first.Direction == model.Egress {
		target = first.OtherPod
	}
	if port, ok := first.Ports.Witness(); ok {
		w.Port = portText(port, target)
	}
	more := ""
	if n := len(found) - 1; n > 0 {
		more = fmt.Sprintf(", and so it is with %s", plural(n, "more peer", "more peers"))
	}
	b := p.Report(peerPath(first.Direction, first.Rule, first.Peer), w, "%s (%s): %s isolates %s for %s, and no %s rule allows it%s",
		what, w, isolatedBy(first.By), first.OtherPod.Name(), way.Field(), way.Field(), more)
	b.Fix(fmt.Sprintf("Allow it for %s, too: portcullis generate complement --policy %s writes that policy; or remove the peer", way.Field(), policy.Subject()))
	b.Pods(crowd(first.Own).count())
	for i := range found {
		o := &found[i]
		b.Covers(peerExtent(o.Own, o.Direction, peerKey(policy, o), o.Ports)...)
	}
	if why := oneSidedLater(p, found); why != "" {
		b.Provisional(why)
	}
}

// isolatedBy names the policies that isolate, for a sentence.
func isolatedBy(by []*model.Policy) string {
	name := "policy " + by[0].Subject().String()
	if n := len(by) - 1; n > 0 {
		return name + " with " + plural(n, "other", "others")
	}
	return name
}

// peerKey tells a peer from others, for the ratchet.
func peerKey(policy *model.Policy, o *reach.OneSided) string {
	peer := &policy.Rules[o.Direction][o.Rule].Peers[o.Peer]
	key := policy.Namespace
	if peer.NamespaceSelector != nil {
		key = peer.NamespaceSelector.String()
	}
	if peer.PodSelector != nil {
		key += "/" + peer.PodSelector.String()
	}
	return key
}

// oneSidedLater says how pods that do not exist yet may connect; empty if they may not, for any of the peers.
func oneSidedLater(p *rule.Pass, found []reach.OneSided) string {
	why := ""
	for i := range found {
		for _, other := range found[i].Others {
			for _, own := range found[i].Own {
				if why = richer(p, &found[i], own, other); why != "" {
					break
				}
			}
			if why != "" {
				break
			}
		}
		if why == "" {
			return ""
		}
	}
	return why
}

// richer says how the one or the other pod would connect if it carried more labels; empty if neither would, or both exist.
func richer(p *rule.Pass, o *reach.OneSided, own, other *model.PodClass) string {
	policy, way := p.Change.NewPolicy, o.Direction.Opposite()
	connects := func(q *model.Policy, own, other *model.PodClass) bool {
		theirs := p.Reach.PolicyAllowed(q, other, way, reach.Endpoint{Class: own}).Possible
		return theirs.Overlaps(p.Reach.Allowed(own, o.Direction, reach.Endpoint{Class: other}).Possible)
	}
	would := func(labels map[string]string, q *model.Policy) string {
		return fmt.Sprintf("no pod exists yet, and one with %s would connect by policy %s", model.FormatLabels(labels), q.Subject())
	}
	if other.Hypothetical {
		peer := &policy.Rules[o.Direction][o.Rule].Peers[o.Peer]
		for _, q := range p.World.NamespaceOrImplied(other.Namespace).Policies {
			labels, ok := q.PodSelector.Extend(other.Labels)
			if !ok || len(labels) == len(other.Labels) || !q.Isolates(way) || peer.PodSelector != nil && !peer.PodSelector.Matches(labels) {
				continue
			}
			if connects(q, own, model.NewHypothetical(other.Namespace, labels, other.Ports...)) {
				return would(labels, q)
			}
		}
	}
	if !own.Hypothetical {
		return ""
	}
	for _, q := range p.Reach.Isolating(other, way) {
		for i := range q.Rules[way] {
			for j := range q.Rules[way][i].Peers {
				peer := &q.Rules[way][i].Peers[j]
				if peer.PodSelector == nil {
					continue
				}
				labels, ok := peer.PodSelector.Extend(own.Labels)
				if !ok || len(labels) == len(own.Labels) || !policy.PodSelector.Matches(labels) {
					continue
				}
				if connects(q, model.NewHypothetical(own.Namespace, labels, own.Ports...), other) {
					return would(labels, q)
				}
			}
		}
	}
	return ""
}
