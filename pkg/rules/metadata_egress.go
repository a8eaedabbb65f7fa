package rules

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// metadata-egress: a policy that lets pods reach an address where a cloud gives out metadata and credentials, on any port but
// 53 (on GKE, for one, such an address answers DNS).
func metadataEgress() *rule.Rule {
	return &rule.Rule{
		ID: "metadata-egress", Level: finding.Restricted, Severity: finding.Medium,
		Subjects: []string{finding.KindNetworkPolicy},
		Run:      runMetadataEgress,
		Doc: rule.Doc{
			Title: "May ask the cloud for credentials",
			Why: "The metadata service gives whoever asks from the node the node's own credentials. A pod that fetches a URL for a stranger, " +
				"or runs a stranger's code, hands them over. Leaving out the private ranges does not leave these addresses out.",
			References: []rule.Reference{
				{Title: "Kubernetes: Security Checklist, network security", URL: "https://kubernetes.io/docs/concepts/security/security-checklist/#network-security"},
				nsaHardening},
			Finds: "Selected pods that the policy lets connect, on a port other than 53, to 169.254.169.254, fd00:ec2::254, 169.254.170.2, 169.254.170.23, " +
				"100.100.100.200 or 168.63.129.16.",
			Remedy: "Leave these addresses out of the ipBlock by except, or name the destinations.",
			Bad: dnsBlockedGood + `    - to:
        - ipBlock:
            cidr: 169.254.0.0/16
`,
			Good: dnsBlockedGood + `    - to:
        - ipBlock:
            cidr: 10.0.0.0/8
`,
		},
	}
}

func runMetadataEgress(p *rule.Pass) {
	policy := p.Change.NewPolicy
	if policy == nil || !policy.Isolates(model.Egress) || !mentionsAddrs(policy, model.Egress) {
		return
	}
	pods := crowd(p.Reach.Select(policy).Classes)
	if len(pods) == 0 {
		return
	}
	// Addresses outside have no port names: what is open is the same for every pod.
	reached := reach.PolicyExternal(policy, pods[0], model.Egress).
		Intersect(netset.ConnsOf(netset.MetadataAddrs(), netset.AllPorts().Minus(port53())))
	if reached.IsEmpty() {
		return
	}
	var first netset.NamedAddr
	var more int
	for _, m := range netset.Metadata() {
		switch {
		case reached.PortsOf(netset.AddrsOfAddr(m.Addr)).IsEmpty():
		case first.Name == "":
			first = m
		default:
			more++
		}
	}
	port, _ := reached.PortsOf(netset.AddrsOfAddr(first.Addr)).Witness()
	if http := (netset.Port{Protocol: netset.TCP, Number: 80}); reached.Contains(first.Addr, http) {
		port = http
	}
	w := finding.Witness{From: pods[0].Name(), To: first.Addr.String(), Port: port.String()}
	others := ""
	if more > 0 {
		others = fmt.Sprintf(", and %s like it", plural(more, "address", "addresses"))
	}
	at, patch := metadataFix(policy, reached)
	b := p.Report(at.path(), w, "%s may connect to %s, %s%s (%s)", pods.who(), first.Addr, first.Name, others, w)
	var covered []finding.Part
	for _, c := range pods {
		covered = append(covered, finding.Part{Key: c.Key(), Conns: reached})
	}
	fix := "Leave the address out by except, or name the destinations"
	if len(patch) > 0 && cutsDNS(p.World.Facts(), policy, reached.AddrsOn(netset.AllPorts())) {
		fix, patch = fix+", and allow DNS to it by a rule for port 53 alone", nil
	}
	b.Fix(fix, patch...).Pods(pods.count()).Covers(covered...)
}

// cutsDNS says whether the addresses answer DNS for the cluster, too, and a rule about them is what allows it.
func cutsDNS(facts *model.Facts, policy *model.Policy, addrs netset.Addrs) bool {
	for i := range facts.DNS {
		server := facts.DNS[i].Addrs.Intersect(addrs)
		for k := range policy.Rules[model.Egress] {
			r := &policy.Rules[model.Egress][k]
			if r.External.Overlaps(server) && r.Numeric.Overlaps(dnsPorts(facts)) && !r.Numeric.Minus(port53()).IsEmpty() {
				return true
			}
		}
	}
	return false
}

// metadataFix is the first rule at fault, and a patch that leaves the addresses out of every ipBlock; there is none where a rule
// has no to.
func metadataFix(policy *model.Policy, reached netset.Conns) (at culprit, patch []finding.PatchOp) {
	found, whole := false, true
	for i := range policy.Rules[model.Egress] {
		r := &policy.Rules[model.Egress][i]
		open := reached.AddrsOn(r.Numeric)
		c := culprit{direction: model.Egress, rule: i}
		for k := range r.Peers {
			if b := r.Peers[k].IPBlock; b != nil && b.Addrs.Overlaps(open) {
				c.peers = append(c.peers, k)
			}
		}
		if len(c.peers) == 0 && (!r.AllPeers() || open.IsEmpty()) {
			continue
		}
		if !found {
			at, found = c, true
		}
		whole = whole && len(c.peers) > 0
		patch = append(exceptAddrs(r, &c, open), patch...)
	}
	if !whole {
		return at, nil
	}
	return at, patch
}

// exceptAddrs leaves the addresses out of the culprit's ipBlocks. An exception must be smaller than its block: a block that is
// nothing but such addresses goes, and the rule with its last one.
func exceptAddrs(r *model.Rule, c *culprit, open netset.Addrs) []finding.PatchOp {
	var patch, removed []finding.PatchOp
	for _, k := range slices.Backward(c.peers) {
		b := r.Peers[k].IPBlock
		at := fmt.Sprintf("/spec/egress/%d/to/%d", c.rule, k)
		if open.ContainsAll(b.Addrs) {
			removed = append(removed, finding.PatchOp{Op: "remove", Path: at})
			continue
		}
		var cidrs []string
		for _, m := range netset.Metadata() {
			if b.Addrs.Contains(m.Addr) && open.Contains(m.Addr) {
				cidrs = append(cidrs, netip.PrefixFrom(m.Addr, m.Addr.BitLen()).String())
			}
		}
		patch = append(patch, finding.PatchOp{Op: "add", Path: at + "/ipBlock/except", Value: append(slices.Clone(b.Except), cidrs...)})
	}
	if len(removed) == len(r.Peers) {
		return []finding.PatchOp{{Op: "remove", Path: fmt.Sprintf("/spec/egress/%d", c.rule)}}
	}
	return append(patch, removed...)
}
