package rules

import (
	"fmt"
	"strings"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// internet-ingress: pods that accept connections from a wide part of the public internet on a port that nothing exposes for
// them.
//
// What the policy itself adds is computed for each class of pods that it selects: the union of its rules' sources, less
// their exceptions, for each port. Of that, only public addresses count, outside of the cluster's and the operator's own.
// A port is at fault where the addresses that may reach it are at least as many as one IPv4 /8 or one IPv6 /16 (wide), and
// no load balancer, NodePort, external IP, hostPort, Ingress, route or call by the API server exposes it on these pods.
// Pods with the allow label are left out, and so are hostNetwork pods.
//
// Provisional: the policy claims an object that does not exist; or no pod exists, and one with more labels would be exposed.
func internetIngress() *rule.Rule {
	return &rule.Rule{
		ID: "internet-ingress", Level: finding.Baseline, Severity: finding.High,
		Subjects: []string{finding.KindNetworkPolicy},
		NewSettings: func() any {
			return &internetIngressSettings{Wide: wide{IPv4: 8, IPv6: 16}, exposureSettings: defaultExposure()}
		},
		Run: runInternetIngress,
		Doc: rule.Doc{
			Title: "Open to the internet without a load balancer",
			Why: "A pod that nothing exposes on purpose has no business with the internet. Whoever finds a way to its address, by a later " +
				"Service, a misrouted network or a node's port, meets no other barrier: the NetworkPolicy was it.",
			References: []rule.Reference{docsPolicies, nsaHardening, cisPolicies},
			Finds: "Selected pods that accept connections from a wide part of the public internet on a port that no LoadBalancer or NodePort " +
				"Service, external IP, hostPort, Ingress, Gateway API route, OpenShift Route, webhook or APIService exposes for them. Addresses are counted over " +
				"the union of all peers and rules, less their exceptions, for each port.",
			Remedy: "Allow only the ports that are exposed, or name the clients by podSelector, namespaceSelector or narrow ipBlocks. If the " +
				"Service, Ingress, Gateway or route comes later, say so with the annotation portcullis.dev/exposed-by: service/NAME (or " +
				"ingress/NAME, gateway/NAME, route/NAME).",
			Bad:  internetIngressBad,
			Good: internetIngressGood,
			Params: append([]rule.Param{
				{Name: "wide", Default: "{ipv4: 8, ipv6: 16}", Description: "From how many public addresses on an opening counts: those of one IPv4 or IPv6 prefix of this length."},
			}, exposureParams...),
		},
	}
}

const internetIngressBad = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: db
  namespace: shop
spec:
  podSelector:
    matchLabels:
      app: db
  policyTypes: [Ingress]
  ingress:
    - from:
        - ipBlock:
            cidr: 0.0.0.0/0
      ports:
        - port: 5432
`

const internetIngressGood = `apiVersion: networking.k8s.io/v1
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
            cidr: 0.0.0.0/0
      ports:
        - port: 8443
---
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: shop
spec:
  type: LoadBalancer
  selector:
    app: web
  ports:
    - port: 443
      targetPort: 8443
`

type internetIngressSettings struct {
	Wide wide `json:"wide"`
	exposureSettings
}

// wide is how many addresses are many, as the lengths of prefixes.
type wide struct {
	IPv4 int `json:"ipv4"`
	IPv6 int `json:"ipv6"`
}

func (w wide) Validate() error {
	if w.IPv4 < 0 || w.IPv4 > 32 {
		return fmt.Errorf("wide.ipv4: %d is not the length of an IPv4 prefix: use 0 to 32", w.IPv4)
	}
	if w.IPv6 < 0 || w.IPv6 > 128 {
		return fmt.Errorf("wide.ipv6: %d is not the length of an IPv6 prefix: use 0 to 128", w.IPv6)
	}
	return nil
}

func (w wide) is(a netset.Addrs) bool { return a.HasAtLeast(w.IPv4, w.IPv6) }

func (s *internetIngressSettings) Validate() error {
	if err := s.Wide.Validate(); err != nil {
		return err
	}
	return s.exposureSettings.Validate()
}

// justify leaves of the opening what is wide and not exposed.
func (s *internetIngressSettings) justify(o *opening, exposures []reach.Exposure) {
	o.justified = netset.ConnsOf(netset.AllAddrs(), reach.ExposedPorts(exposures))
	var parts []netset.Conns
	for _, part := range o.conns.Minus(o.justified).Parts() {
		if s.Wide.is(part.Addrs) {
			parts = append(parts, netset.ConnsOf(part.Addrs, part.Ports))
		}
	}
	o.unjustified = netset.UnionConns(parts...)
}

func runInternetIngress(p *rule.Pass) {
	s := rule.Settings[*internetIngressSettings](p)
	all := s.openings(p, s.justify)
	bad := failing(all)
	if len(bad) == 0 {
		return
	}
	policy := p.Change.NewPolicy
	found := culprits(policy, model.Ingress, bad)
	pods, ports := classesOf(bad), portsOf(bad)
	source, port := bad[0].proof(policy, model.Ingress, ownAddrs(p.World.Facts()))
	w := finding.Witness{From: source.String(), To: bad[0].class.Name(), Port: portText(port, bad[0].class)}
	why := s.later(p, all, bad, s.justify)
	although, target := theServicesPort(p, s.options(), bad)
	if although == "" {
		although = internally(p, bad)
	}
	if why == "" {
		although += claimed(policy)
	}
	b := p.Report(found[0].path(), w, "%s %s %s from the internet (%s), and no LoadBalancer Service, Ingress or Gateway exposes %s%s",
		pods.who(), pods.verb("accept", "accepts"), portsText(ports, bad[0].class), w, them(ports), although)
	fix, patch := fixExposure(p, s.options(), found, all)
	if target != "" {
		fix = "Write port " + target + " in its place, or " + strings.ToLower(fix[:1]) + fix[1:]
	}
	b.Fix(fix, patch...).Pods(pods.count()).Covers(extent(bad)...)
	if why != "" {
		b.Provisional(why)
	}
}

// internally tells an internal load balancer of the pods, which may have been meant for the internet; empty if there is none.
func internally(p *rule.Pass, bad []opening) string {
	for i := range bad {
		for _, svc := range p.World.NamespaceOrImplied(bad[i].class.Namespace).Services {
			if svc.Internal && svc.Selects(bad[i].class.Labels) {
				return fmt.Sprintf(": the load balancer of Service %s/%s is internal", svc.Namespace, svc.Name)
			}
		}
	}
	return ""
}

// theServicesPort tells a port that is at fault because it is the Service's own, and not the pods' that it is forwarded to, which
// is the target; empty if there is none.
func theServicesPort(p *rule.Pass, o reach.ExposureOptions, bad []opening) (text, target string) {
	for i := range bad {
		ports := bad[i].unjustified.PortsOf(netset.AllAddrs())
		exposures, _ := p.Reach.Exposed(bad[i].class, o)
		for _, e := range exposures {
			if e.Service == nil || ports.Size() > netset.AllPorts().Size()/2 {
				continue
			}
			for _, sp := range e.Service.Ports {
				if sp.Target == sp.Port.Number || !ports.Contains(sp.Port) {
					continue
				}
				if target = sp.TargetName; target == "" {
					target = fmt.Sprint(sp.Target)
				}
				return fmt.Sprintf(": %s is the port of Service %s/%s, which forwards it to port %s of the pods, and policies see the pods' ports",
					sp.Port, e.Service.Namespace, e.Service.Name, target), target
			}
		}
	}
	return "", ""
}
