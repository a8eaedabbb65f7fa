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

// internet-egress: pods without the allow label that the policy lets connect to a wide part of the public internet, on any
// port but 53.
//
// What is wide is counted as in internet-ingress: over the union of all peers and rules, less their exceptions, for each
// port. Pods that no policy isolates for egress may connect to everything, too, but not by this policy.
//
// Provisional: no pod exists, and some that the policy would select carry the label.
func internetEgress() *rule.Rule {
	return &rule.Rule{
		ID: "internet-egress", Level: finding.Restricted, Severity: finding.Medium,
		Subjects: []string{finding.KindNetworkPolicy},
		NewSettings: func() any {
			return &internetEgressSettings{Wide: wide{IPv4: 8, IPv6: 16}, AllowLabel: "networking/allow-internet-egress"}
		},
		Run: runInternetEgress,
		Doc: rule.Doc{
			Title: "May connect to most of the internet",
			Why: "Most pods talk to a few known services. One that may connect to any address is a way out for data, and a way in for whoever " +
				"tells it what to fetch.",
			References: []rule.Reference{nsaHardening, docsPolicies},
			Finds:      "Selected pods without the allow label that the policy lets connect to a wide part of the public internet on a port other than 53.",
			Remedy:     "Name the destinations: pods by selectors, services outside by narrow ipBlocks. Give pods that need the internet the label, which says so to the next reader.",
			Bad:        internetEgressBad,
			Good:       internetEgressGood,
			Params: []rule.Param{
				{Name: "wide", Default: "{ipv4: 8, ipv6: 16}", Description: "From how many public addresses on an opening counts: those of one IPv4 or IPv6 prefix of this length."},
				{Name: "allowLabel", Default: "networking/allow-internet-egress", Description: `The key of a pod label that, with the value "true", justifies it. Empty for none.`},
			},
		},
	}
}

const internetEgressBad = dnsBlockedGood + `    - to:
        - ipBlock:
            cidr: 0.0.0.0/0
            except: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 169.254.0.0/16]
      ports:
        - port: 443
`

const internetEgressGood = dnsBlockedGood + `    - to:
        - ipBlock:
            cidr: 52.94.76.0/22
      ports:
        - port: 443
`

type internetEgressSettings struct {
	Wide       wide   `json:"wide"`
	AllowLabel string `json:"allowLabel"`
}

func (s *internetEgressSettings) Validate() error {
	if err := s.Wide.Validate(); err != nil {
		return err
	}
	return validKey("allowLabel", s.AllowLabel)
}

// port53 is DNS over UDP and TCP.
func port53() netset.Ports {
	return netset.PortsOf(netset.Port{Protocol: netset.UDP, Number: 53}, netset.Port{Protocol: netset.TCP, Number: 53})
}

// dnsPorts are 53 and the ports that the cluster's DNS servers listen on, UDP and TCP.
func dnsPorts(facts *model.Facts) netset.Ports {
	ports := port53()
	for i := range facts.DNS {
		for _, number := range facts.DNS[i].Ports {
			ports = ports.Union(netset.PortsOf(netset.Port{Protocol: netset.UDP, Number: number}, netset.Port{Protocol: netset.TCP, Number: number}))
		}
	}
	return ports
}

func runInternetEgress(p *rule.Pass) {
	policy := p.Change.NewPolicy
	if policy == nil || !policy.Isolates(model.Egress) || !mentionsAddrs(policy, model.Egress) {
		return
	}
	s := rule.Settings[*internetEgressSettings](p)
	own := ownAddrs(p.World.Facts())
	var bad []opening
	var wideConns netset.Conns
	for i, c := range p.Reach.Select(policy).Classes {
		if i == 0 { // addresses outside have no port names: what is open is the same for every pod
			wideConns = s.wide(publicConns(reach.PolicyExternal(policy, c, model.Egress), own))
			if wideConns.IsEmpty() {
				return
			}
		}
		if s.AllowLabel == "" || c.Labels[s.AllowLabel] != "true" {
			bad = append(bad, opening{class: c, conns: wideConns, unjustified: wideConns})
		}
	}
	if len(bad) == 0 {
		return
	}
	found := culprits(policy, model.Egress, bad)
	pods := classesOf(bad)
	addr, port := bad[0].proof(policy, model.Egress, own)
	w := finding.Witness{From: bad[0].class.Name(), To: addr.String(), Port: port.String()}
	ports := portsOf(bad)
	b := p.Report(found[0].path(), w, "%s may connect to the internet on %s (%s)", pods.who(), ports.Short(), w)
	fix, patch := "Name the destinations by selectors or narrow ipBlocks", withoutPeers(policy, found)
	if len(patch) > 0 && servesDNS(p, policy, found) && lackDNS(p, without(policy, found)) {
		fix, patch = fix+", the cluster's DNS among them", nil
	}
	if s.AllowLabel != "" {
		fix += fmt.Sprintf(`, or give pods that need the internet the label %s: "true"`, s.AllowLabel)
	}
	b.Fix(fix, patch...).Pods(pods.count()).Covers(extent(bad)...)
	if selected := p.Reach.Select(policy); selected.Hypothetical && len(bad) < len(selected.Classes) {
		b.Provisional(fmt.Sprintf("the pods do not exist yet, and some that the policy would select carry %s: \"true\"", s.AllowLabel))
	}
}

// servesDNS says whether any of the rules at fault is also about a port of the cluster's DNS.
func servesDNS(p *rule.Pass, policy *model.Policy, found []culprit) bool {
	ports := dnsPorts(p.World.Facts())
	return slices.ContainsFunc(found, func(c culprit) bool { return policy.Rules[c.direction][c.rule].Numeric.Overlaps(ports) })
}

// without is the policy without the peers at fault, of rules that have others.
func without(policy *model.Policy, found []culprit) *model.Policy {
	mended := *policy
	for _, c := range found {
		rules := slices.Clone(mended.Rules[c.direction])
		r := &rules[c.rule]
		var peers []model.Peer
		var blocks []netset.Addrs
		for k := range r.Peers {
			if slices.Contains(c.peers, k) {
				continue
			}
			peers = append(peers, r.Peers[k])
			if b := r.Peers[k].IPBlock; b != nil {
				blocks = append(blocks, b.Addrs)
			}
		}
		r.Peers, r.External = peers, netset.UnionAddrs(blocks...)
		mended.Rules[c.direction] = rules
	}
	return &mended
}

// wide is the part of public destinations that is wide, without port 53.
func (s *internetEgressSettings) wide(conns netset.Conns) netset.Conns {
	var parts []netset.Conns
	for _, part := range conns.Minus(netset.ConnsOf(netset.AllAddrs(), port53())).Parts() {
		if s.Wide.is(part.Addrs) {
			parts = append(parts, netset.ConnsOf(part.Addrs, part.Ports))
		}
	}
	return netset.UnionConns(parts...)
}

// withoutPeers takes the peers at fault out of rules that have others; nothing where a rule would be left without any, for
// what it is to allow instead is for its author to say.
func withoutPeers(policy *model.Policy, found []culprit) []finding.PatchOp {
	if tooMany(found) {
		return nil
	}
	var patch []finding.PatchOp
	for i := range found {
		c := &found[len(found)-1-i]
		if len(c.peers) == 0 || len(c.peers) == len(policy.Rules[c.direction][c.rule].Peers) {
			return nil
		}
		for j := range c.peers {
			patch = append(patch, finding.PatchOp{Op: "remove", Path: fmt.Sprintf("/spec/%s/%d/%s/%d", c.direction.Field(), c.rule, c.direction.PeersField(), c.peers[len(c.peers)-1-j])})
		}
	}
	return patch
}
