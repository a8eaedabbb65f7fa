package rules

import (
	"fmt"
	"net/netip"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// References that several rules share.
var (
	docsPolicies = rule.Reference{Title: "Kubernetes: Network Policies", URL: "https://kubernetes.io/docs/concepts/services-networking/network-policies/"}
	cisPolicies  = rule.Reference{Title: "CIS Kubernetes Benchmark, 5.3.2", URL: "https://www.cisecurity.org/benchmark/kubernetes"}
	nsaHardening = rule.Reference{Title: "NSA and CISA: Kubernetes Hardening Guide", URL: "https://media.defense.gov/2022/Aug/29/2003066362/-1/-1/0/CTR_KUBERNETES_HARDENING_GUIDANCE_1.2_20220829.PDF"}
)

// crowd is pods that a finding speaks of.
type crowd []*model.PodClass

// who is the subject of a sentence: "3 pods", or "Pods with app=web" where there are none yet.
func (c crowd) who() string {
	switch n := c.count(); {
	case c[0].Hypothetical:
		return c[0].Describe()
	case n == 0:
		return "The pods of " + c[0].Template // which is scaled to zero
	default:
		return plural(n, "pod", "pods")
	}
}

// verb is the verb that agrees with who: "accept" or "accepts".
func (c crowd) verb(plural, singular string) string {
	if c.count() == 1 && !c[0].Hypothetical {
		return singular
	}
	return plural
}

func (c crowd) count() int { return reach.CountPods(c) }

// portsText are ports for people. Ports of a hypothetical pod that have only a name are shown by it, the first few of many.
func portsText(ports netset.Ports, class *model.PodClass) string {
	const most = 6
	var names []string
	var named []netset.Port
	if class != nil && class.Hypothetical && ports.Size() < netset.AllPorts().Size()/2 {
		for _, p := range class.Ports {
			if ports.Contains(p.Port) {
				names = append(names, p.Port.Protocol.String()+"/"+p.Name)
				named = append(named, p.Port)
			}
		}
	}
	if ports = ports.Minus(netset.PortsOf(named...)); len(names) == 0 || !ports.IsEmpty() {
		names = append(names, ports.Short())
	}
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], " "), len(names)-most)
	}
	return strings.Join(names, " ")
}

// portText is one port for people, by its name where a hypothetical pod gives it only that.
func portText(port netset.Port, class *model.PodClass) string {
	return portsText(netset.PortsOf(port), class)
}

// them is what stands for ports that were named: "that port" or "those ports".
func them(ports netset.Ports) string {
	if ports.Size() == 1 {
		return "that port"
	}
	return "those ports"
}

// plural is "1 pod" or "3 pods".
func plural(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

func spec(names ...string) *field.Path { return field.NewPath("spec", names...) }

// rulePath is the path of a rule, as in spec.ingress[0].
func rulePath(d model.Direction, i int) *field.Path { return spec(d.Field()).Index(i) }

// peerPath is the path of a peer, as in spec.ingress[0].from[0].
func peerPath(d model.Direction, i, j int) *field.Path {
	return rulePath(d, i).Child(d.PeersField()).Index(j)
}

// between is one connection that rule number i lets through, between the address and a pod that the policy selects.
func between(p *rule.Pass, d model.Direction, i int, addr netip.Addr) finding.Witness {
	policy := p.Change.NewPolicy
	pods := p.Reach.Select(policy).Classes
	if len(pods) == 0 {
		return finding.Witness{}
	}
	ports := policy.Rules[d][i].Numeric
	if d == model.Ingress {
		ports = reach.PortsOn(&policy.Rules[d][i], pods[0])
	}
	w := finding.Witness{From: addr.String(), To: pods[0].Name()}
	if d == model.Egress {
		w = finding.Witness{From: pods[0].Name(), To: addr.String()}
	}
	if port, ok := ports.Witness(); ok {
		w.Port = portText(port, pods[0])
	}
	return w
}

// peerExtent is what a finding about one peer covers, for the ratchet: these pods, that peer as it is told, those ports.
func peerExtent(pods crowd, d model.Direction, peer string, ports netset.Ports) []finding.Part {
	out := make([]finding.Part, len(pods))
	for i, c := range pods {
		out[i] = finding.Part{Key: c.Key() + "\n" + d.Field() + " " + peer, Conns: netset.ConnsOf(netset.AllAddrs(), ports)}
	}
	return out
}
