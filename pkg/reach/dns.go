package reach

import (
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// DNS is whether pods reach the cluster's DNS by their own egress policies. The DNS servers that Facts lists are
// alternatives: one that is reachable is enough. Ingress isolation of the DNS pods is not looked at.
type DNS struct {
	UDP, TCP Truth
	// ByServiceIP is whether the address of the DNS Service is allowed over UDP while the DNS pods are not: most CNIs
	// compare addresses after the Service's address has been rewritten, but not all.
	ByServiceIP bool
}

// DNS says whether the pods of the class reach the cluster's DNS.
func (v *View) DNS(c *model.PodClass) DNS {
	if answer, there := v.dns[c]; there {
		return answer
	}
	answer := DNS{UDP: Yes, TCP: Yes}
	if v.Isolated(c, model.Egress) {
		answer = DNS{}
		facts := v.world.Facts()
		for i := range facts.DNS {
			server := &facts.DNS[i]
			answer.UDP = max(answer.UDP, v.reachesDNS(c, server, netset.UDP))
			answer.TCP = max(answer.TCP, v.reachesDNS(c, server, netset.TCP))
		}
		if answer.UDP == No {
			service := netset.PortsOf(netset.Port{Protocol: netset.UDP, Number: dnsServicePort})
			answer.ByServiceIP = v.External(c, model.Egress).AddrsOn(service).Overlaps(facts.DNSServiceIPs)
		}
	}
	if v.dns == nil {
		v.dns = map[*model.PodClass]DNS{}
	}
	v.dns[c] = answer
	return answer
}

const dnsServicePort = 53

func (v *View) reachesDNS(c *model.PodClass, server *model.DNSServer, protocol netset.Protocol) Truth {
	ports := netset.Ports{}
	for _, number := range server.Ports {
		ports = ports.Union(netset.PortsOf(netset.Port{Protocol: protocol, Number: number}))
	}
	// The addresses allowed by all policies and rules together, for they may cover only together what a pod's address may be.
	addrs := v.External(c, model.Egress).AddrsOn(ports)
	if !server.Addrs.IsEmpty() && addrs.Overlaps(server.Addrs) {
		return Yes
	}
	if server.PodSelector == nil {
		return No
	}
	best := No
	for _, class := range v.DNSClasses(server) {
		peer := Endpoint{Class: class}
		allowed := v.Allowed(c, model.Egress, peer)
		m := v.MatchAddrs(addrs, peer)
		switch {
		case allowed.Some.Overlaps(ports), m.Some:
			return Yes
		case allowed.Possible.Overlaps(ports), m.Possible:
			best = Unknown
		}
	}
	return best
}

// DNSClasses are the pods of one DNS server, or the pod that its selector demands where the snapshot has none. That one has the
// port names that CoreDNS has in Kubernetes' own manifests and in OpenShift's.
func (v *View) DNSClasses(server *model.DNSServer) []*model.PodClass {
	if server.PodSelector == nil {
		return nil
	}
	var out []*model.PodClass
	for ns := range v.world.Select(server.NamespaceSelector) {
		for _, c := range ns.Classes {
			if server.PodSelector.Matches(c.Labels) {
				out = append(out, c)
			}
		}
	}
	if len(out) == 0 && server.Namespace != "" {
		var ports []model.ContainerPort
		for _, number := range server.Ports {
			ports = append(ports,
				model.ContainerPort{Name: "dns-tcp", Port: netset.Port{Protocol: netset.TCP, Number: number}},
				model.ContainerPort{Name: "dns", Port: netset.Port{Protocol: netset.UDP, Number: number}})
		}
		for _, labels := range server.PodSelector.Examples() {
			out = append(out, model.NewHypothetical(server.Namespace, labels, ports...))
		}
	}
	return out
}

// ServesDNS says whether the pods of the class are themselves DNS servers of the cluster.
func (v *View) ServesDNS(c *model.PodClass) bool {
	facts := v.world.Facts()
	for i := range facts.DNS {
		server := &facts.DNS[i]
		if server.PodSelector == nil || !server.PodSelector.Matches(c.Labels) {
			continue
		}
		if server.NamespaceSelector.Matches(v.world.NamespaceOrImplied(c.Namespace).Meta.Labels) {
			return true
		}
	}
	return false
}
