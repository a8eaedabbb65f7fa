package rules

import (
	"fmt"
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// except-reopened: an exception of an ipBlock that is allowed again entirely, on all ports of its rule and for all selected
// pods, by another peer or rule of the policy, or by other policies for the same pods.
//
// "policies are additive": except denies nothing, it only leaves out. The subject is the policy that has the exception.
func exceptReopened() *rule.Rule {
	return &rule.Rule{
		ID: "except-reopened", Level: finding.Restricted, Severity: finding.Medium,
		Subjects: []string{finding.KindNetworkPolicy},
		Run:      runExceptReopened,
		Doc: rule.Doc{
			Title: "An exception that is allowed again",
			Why: "An except reads like a denial, and is none: it only leaves addresses out of its own block. Where another peer, rule or policy " +
				"allows them, they are allowed.",
			References: []rule.Reference{docsPolicies},
			Finds:      "An except block that other peers, rules or policies for the same pods allow entirely, on all ports of its rule.",
			Remedy:     "Leave the addresses out there as well, or remove the exception that has no effect.",
			Bad: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: shop
spec:
  podSelector:
    matchLabels:
      app: web
  policyTypes: [Ingress]
  ingress:
    - from:
        - ipBlock:
            cidr: 10.0.0.0/8
            except: [10.9.0.0/16]
        - ipBlock:
            cidr: 10.9.0.0/16
      ports:
        - port: 8443
`,
			Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: shop
spec:
  podSelector:
    matchLabels:
      app: web
  policyTypes: [Ingress]
  ingress:
    - from:
        - ipBlock:
            cidr: 10.0.0.0/8
            except: [10.9.0.0/16]
      ports:
        - port: 8443
`,
		},
	}
}

func runExceptReopened(p *rule.Pass) {
	policy := p.Change.NewPolicy
	if policy == nil {
		return
	}
	for _, d := range model.Directions {
		if !policy.Isolates(d) {
			continue
		}
		for i := range policy.Rules[d] {
			r := &policy.Rules[d][i]
			for j := range r.Peers {
				if b := r.Peers[j].IPBlock; b != nil {
					judgeExceptions(p, d, i, j, b)
				}
			}
		}
	}
}

// judgeExceptions finds the first exception of the block that is allowed again, if there is one.
func judgeExceptions(p *rule.Pass, d model.Direction, i, j int, b *model.IPBlock) {
	pods := crowd(p.Reach.Select(p.Change.NewPolicy).Classes)
	if len(pods) == 0 {
		return
	}
	for k, except := range b.Except {
		prefix, _, err := netset.ParseCIDR(except)
		if err != nil {
			continue
		}
		addrs := netset.AddrsOf(prefix)
		again := !slices.ContainsFunc(pods, func(c *model.PodClass) bool {
			ports := portsThrough(&p.Change.NewPolicy.Rules[d][i], d, c)
			return ports.IsEmpty() || !p.Reach.External(c, d).ContainsAll(netset.ConnsOf(addrs, ports))
		})
		if !again {
			continue
		}
		addr, _ := addrs.Witness()
		w := between(p, d, i, addr)
		by, patch := reopener(p, d, i, j, addrs, pods[0])
		p.Report(peerPath(d, i, j).Child("ipBlock", "except").Index(k), w, "%s is left out here and allowed again by %s (%s)", except, by, w).
			Fix("Leave it out there as well, or remove the exception", patch...).Pods(pods.count())
		return
	}
}

func portsThrough(r *model.Rule, d model.Direction, c *model.PodClass) netset.Ports {
	if d == model.Egress {
		return r.Numeric
	}
	return reach.PortsOn(r, c)
}

// reopener is who allows the addresses again, for a sentence, and what takes it back, if that is a peer of this policy that
// holds nothing else, on no other ports.
func reopener(p *rule.Pass, d model.Direction, i, j int, addrs netset.Addrs, c *model.PodClass) (string, []finding.PatchOp) {
	policy := p.Change.NewPolicy
	ports := portsThrough(&policy.Rules[d][i], d, c)
	for at := range policy.Rules[d] {
		r := &policy.Rules[d][at]
		if !r.External.ContainsAll(addrs) || !portsThrough(r, d, c).ContainsAll(ports) {
			continue
		}
		for k := range r.Peers {
			b := r.Peers[k].IPBlock
			if b == nil || at == i && k == j || !b.Addrs.ContainsAll(addrs) {
				continue
			}
			if addrs.ContainsAll(b.Addrs) && len(r.Peers) > 1 && ports.ContainsAll(portsThrough(r, d, c)) {
				return peerPath(d, at, k).String(), []finding.PatchOp{{Op: "remove", Path: fmt.Sprintf("/spec/%s/%d/%s/%d", d.Field(), at, d.PeersField(), k)}}
			}
			return peerPath(d, at, k).String(), nil
		}
		return rulePath(d, at).String(), nil
	}
	for _, other := range p.Reach.Isolating(c, d) {
		if other.Name != policy.Name && reach.PolicyExternal(other, c, d).ContainsAll(netset.ConnsOf(addrs, ports)) {
			return "policy " + other.Subject().String(), nil
		}
	}
	return "several rules or policies together", nil
}
