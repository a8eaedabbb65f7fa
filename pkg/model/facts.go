package model

import (
	"maps"
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// facts fills in what is not configured with what the objects tell.
func (s *Store) facts(configured Facts) Facts {
	out := configured
	if out.CNI == "" {
		out.Agents = s.foundAgents()
		out.CNI = cni(out.Agents)
	} else {
		out.Agents = []Agent{{CNI: out.CNI, Enforces: out.CNI != cniFlannel}}
	}
	found := s.findRanges()
	if out.PodCIDRs.IsEmpty() {
		out.PodCIDRs = found.pods
	}
	if out.NodesConfigured = !out.Nodes.IsEmpty(); !out.NodesConfigured {
		out.Nodes = found.nodes
	}
	if out.ServiceCIDRs.IsEmpty() {
		out.ServiceCIDRs = found.services
	}
	service := s.service(dnsNamespace, dnsService)
	if service == nil {
		service = s.service(openshiftDNSNamespace, openshiftDNSService)
	}
	if service != nil {
		out.DNSServiceIPs = service.ClusterIPs
	}
	if len(out.DNS) == 0 {
		out.DNS = []DNSServer{discoveredDNS(service)}
		if service == nil && !configured.Live && s.speaksOfOpenshift() {
			out.DNS = []DNSServer{NewDNSServer(openshiftDNSNamespace, map[string]string{openshiftDNSLabel: "default"}, openshiftDNSPort), out.DNS[0]}
		}
		if cache := netset.UnionAddrs(slices.Collect(maps.Values(s.nodeDNS))...); !cache.IsEmpty() {
			out.DNS = append(out.DNS, DNSServer{Addrs: cache, Ports: []uint16{dnsPort}, OnNode: true})
		}
	}
	return out
}

type ranges struct{ pods, nodes, services netset.Addrs }

func (s *Store) findRanges() *ranges {
	if s.ranges != nil {
		return s.ranges
	}
	var pods, nodes []netset.Addrs
	for _, n := range s.nodes {
		pods, nodes = append(pods, n.podCIDRs), append(nodes, n.addresses)
	}
	s.ranges = &ranges{
		pods: netset.UnionAddrs(pods...), nodes: netset.UnionAddrs(nodes...),
		services: netset.UnionAddrs(slices.Collect(maps.Values(s.cidrs))...),
	}
	return s.ranges
}

// The DNS Service of Kubernetes keeps the name kube-dns whatever serves it
// (https://kubernetes.io/docs/tasks/administer-cluster/dns-custom-nameservers/); OpenShift's is dns-default, and its pods
// listen on 5353.
const (
	dnsNamespace          = "kube-system"
	dnsService            = "kube-dns"
	dnsLabelKey           = "k8s-app"
	dnsPort               = 53
	openshiftDNSNamespace = "openshift-dns"
	openshiftDNSService   = "dns-default"
	openshiftDNSLabel     = "dns.operator.openshift.io/daemonset-dns"
	openshiftDNSPort      = 5353
)

func (s *Store) service(namespace, name string) *Service {
	if t := s.spaces[namespace]; t != nil {
		return t.services[name]
	}
	return nil
}

// speaksOfOpenshift says whether any policy allows egress to OpenShift's DNS: manifests are for OpenShift then, although its
// DNS is not among them.
func (s *Store) speaksOfOpenshift() bool {
	port := netset.PortRange(netset.UDP, openshiftDNSPort, openshiftDNSPort)
	allows := func(r Rule) bool {
		return r.Numeric.ContainsAll(port) && slices.ContainsFunc(r.Peers, func(peer Peer) bool {
			if peer.NamespaceSelector == nil {
				return false
			}
			name, _ := peer.NamespaceSelector.Demands(metav1NamespaceName)
			return name == openshiftDNSNamespace
		})
	}
	for _, t := range s.spaces {
		for _, p := range t.policies {
			if slices.ContainsFunc(p.Rules[Egress], allows) {
				return true
			}
		}
	}
	return false
}

func discoveredDNS(service *Service) DNSServer {
	if service == nil || len(service.Selector) == 0 {
		return NewDNSServer(dnsNamespace, map[string]string{dnsLabelKey: dnsService}, dnsPort)
	}
	ports := []uint16{}
	for _, p := range service.Ports {
		if p.Port.Number != dnsPort {
			continue
		}
		target := p.Target
		if p.TargetName != "" {
			target = dnsPort
			if service.Namespace == openshiftDNSNamespace {
				target = openshiftDNSPort
			}
		}
		if !slices.Contains(ports, target) {
			ports = append(ports, target)
		}
	}
	if len(ports) == 0 {
		ports = append(ports, dnsPort)
	}
	return NewDNSServer(service.Namespace, service.Selector, ports...)
}

// NewDNSServer is the DNS served by the pods with the labels in the namespace.
func NewDNSServer(namespace string, labels map[string]string, ports ...uint16) DNSServer {
	ns, pods := SelectorOf(map[string]string{metav1NamespaceName: namespace}), SelectorOf(labels)
	return DNSServer{NamespaceSelector: &ns, PodSelector: &pods, Ports: ports, Namespace: namespace, Labels: labels}
}

// CNICilium is the one CNI known not to match pods and nodes by CIDR
// (https://docs.cilium.io/en/stable/security/policy/language/#ip-cidr-based).
const CNICilium = "cilium"
