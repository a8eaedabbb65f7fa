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

// admin-port: an ingress rule that opens a port for administration to peers outside of the policy's own namespace and of the
// monitoring namespaces.
//
// A port is for administration by its number, or by the name that the selected pods declare for it. A rule that opens every
// port counts only for the ports that the pods declare, for all-ports speaks of the others.
func adminPort() *rule.Rule {
	return &rule.Rule{
		ID: "admin-port", Level: finding.Restricted, Severity: finding.Medium,
		Subjects: []string{finding.KindNetworkPolicy},
		NewSettings: func() any {
			return &adminPortSettings{
				Numbers:    []int{2379, 2380, 4194, 6060, 8001, 9901, 10250, 10255, 15000},
				Names:      []string{"admin", "debug", "pprof"},
				Namespaces: []string{"monitoring"},
			}
		},
		Run: runAdminPort,
		Doc: rule.Doc{
			Title: "Administration open to other namespaces",
			Why: "Ports for administration, debugging and profiling often ask for no password, and give away memory, secrets and control. They are " +
				"for the people and programs that run the application, not for its clients.",
			References: []rule.Reference{docsPolicies, nsaHardening},
			Finds:      "An ingress rule that opens a port of administration, by its number or its name, to peers outside of the policy's own namespace and the monitoring namespaces.",
			Remedy:     "Take the port out of the rule, or name the namespace that needs it.",
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
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: reports
      ports:
        - port: 6060
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
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: monitoring
      ports:
        - port: 6060
`,
			Params: []rule.Param{
				{Name: "numbers", Default: "[2379, 2380, 4194, 6060, 8001, 9901, 10250, 10255, 15000]", Description: "TCP ports of administration."},
				{Name: "names", Default: "[admin, debug, pprof]", Description: "Names of ports of administration."},
				{Name: "namespaces", Default: "[monitoring]", Description: "Names of namespaces that may reach them."},
			},
		},
	}
}

type adminPortSettings struct {
	Numbers    []int    `json:"numbers"`
	Names      []string `json:"names"`
	Namespaces []string `json:"namespaces"`
}

func (s *adminPortSettings) Validate() error {
	for i, n := range s.Numbers {
		if n < 1 || n > 65535 {
			return fmt.Errorf("numbers[%d]: %d is no port: use 1 to 65535", i, n)
		}
	}
	return nil
}

func runAdminPort(p *rule.Pass) {
	policy := p.Change.NewPolicy
	if policy == nil || !policy.Isolates(model.Ingress) {
		return
	}
	s := rule.Settings[*adminPortSettings](p)
	numbers := make([]netset.Ports, len(s.Numbers))
	for i, n := range s.Numbers {
		numbers[i] = netset.PortRange(netset.TCP, uint16(n), uint16(n))
	}
	known := netset.UnionPorts(numbers...)
	for i := range policy.Rules[model.Ingress] {
		if p.Stopped() {
			return
		}
		r := &policy.Rules[model.Ingress][i]
		peer, outside := s.outsidePeer(r, policy.Namespace)
		if !outside {
			continue
		}
		var pods crowd
		var ports netset.Ports
		for _, c := range p.Reach.Select(policy).Classes {
			if open := s.adminPorts(r, c, known); !open.IsEmpty() {
				pods, ports = append(pods, c), ports.Union(open)
			}
		}
		if len(pods) == 0 {
			continue
		}
		port, _ := ports.Witness()
		w := finding.Witness{To: pods[0].Name(), Port: portText(port, pods[0])}
		p.Report(rulePath(model.Ingress, i), w, "%s %s %s, which is for administration, from %s", pods.who(), pods.verb("accept", "accepts"), portsText(ports, pods[0]), peer).
			Fix("Take the port out of the rule, or name the namespace that needs it").Pods(pods.count()).
			Covers(peerExtent(pods, model.Ingress, peer, ports)...)
	}
}

// adminPorts are the ports of administration that the rule opens on the pods. known are those by number.
func (s *adminPortSettings) adminPorts(r *model.Rule, c *model.PodClass, known netset.Ports) netset.Ports {
	open := reach.PortsOn(r, c)
	var admin netset.Ports
	if !r.Numeric.ContainsAll(netset.AllOf(netset.TCP)) {
		admin = known.Intersect(open)
	}
	for _, declared := range c.Ports {
		if (slices.Contains(s.Names, declared.Name) || known.Contains(declared.Port)) && open.Contains(declared.Port) {
			admin = admin.Union(netset.PortsOf(declared.Port))
		}
	}
	return admin
}

// outsidePeer is the first peer of the rule outside of the namespace and of those that may, for a sentence.
func (s *adminPortSettings) outsidePeer(r *model.Rule, namespace string) (string, bool) {
	if r.AllPeers() {
		return "everyone", true
	}
	for i := range r.Peers {
		peer := &r.Peers[i]
		if peer.IPBlock != nil {
			if !peer.IPBlock.Addrs.IsEmpty() {
				return peer.IPBlock.CIDR, true
			}
			continue
		}
		if peer.NamespaceSelector == nil || onlyNamespace(peer.NamespaceSelector, namespace) {
			continue
		}
		names, finite := peer.NamespaceSelector.Values(metadataName)
		if !finite || slices.ContainsFunc(names, func(name string) bool { return name != namespace && !slices.Contains(s.Namespaces, name) }) {
			return namespacesText(peer.NamespaceSelector), true
		}
	}
	return "", false
}
