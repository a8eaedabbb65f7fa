package rules

import (
	"fmt"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// named-port-unknown: a named port that no pod in question declares with that protocol; one that stands for different numbers
// on different pods (severity info); or one in egress beside an ipBlock, as addresses have no port names.
//
// In question are the pods that the policy selects, for ingress, and for egress those that the peers name in the policy's own
// and in named namespaces. Nothing is said of pods that do not exist yet.
func namedPortUnknown() *rule.Rule {
	return &rule.Rule{
		ID: "named-port-unknown", Level: finding.Restricted, Severity: finding.Low,
		Subjects: []string{finding.KindNetworkPolicy},
		Run:      runNamedPortUnknown,
		Doc: rule.Doc{
			Title: "A port name that stands for nothing",
			Why: "A named port is looked up among the ports that the pod connected to declares, with that protocol. A name that is not there allows " +
				"nothing, and says nothing.",
			References: []rule.Reference{
				{Title: "Kubernetes: NetworkPolicyPort", URL: "https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/#NetworkPolicySpec"}},
			Finds:  "A port name that no pod in question declares, that means different numbers on different pods, or that stands beside an ipBlock in egress.",
			Remedy: "Correct the name or the protocol, declare the port in the pods, or write the number.",
			Opens:  "the port that the name or the protocol was meant for",
			Bad:    namedPortBad + "---\n" + webWithNamedPort,
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
        - podSelector: {}
      ports:
        - port: metrics
---
` + webWithNamedPort,
		},
	}
}

const namedPortBad = `apiVersion: networking.k8s.io/v1
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
        - podSelector: {}
      ports:
        - port: metric
`

const webWithNamedPort = `apiVersion: v1
kind: Pod
metadata:
  name: web-0
  namespace: shop
  labels:
    app: web
spec:
  containers:
    - name: web
      image: registry.example/web:1
      ports:
        - name: metrics
          containerPort: 9100
`

func runNamedPortUnknown(p *rule.Pass) {
	policy := p.Change.NewPolicy
	if policy == nil {
		return
	}
	for _, d := range model.Directions {
		if !policy.Isolates(d) {
			continue
		}
		for i := range policy.Rules[d] {
			if p.Stopped() {
				return
			}
			r := &policy.Rules[d][i]
			if !r.Named {
				continue
			}
			block := -1
			for k := range r.Peers {
				if r.Peers[k].IPBlock != nil && block < 0 {
					block = k
				}
			}
			servers := serversOf(p, policy, d, r)
			for j := range r.Ports {
				switch {
				case r.Ports[j].Name == "":
				case d == model.Egress && block >= 0:
					p.Report(rulePath(d, i).Child("ports").Index(j).Child("port"), finding.Witness{},
						"The port name %s means nothing for %s, as addresses have no port names", r.Ports[j].Name, r.Peers[block].IPBlock.CIDR).
						Fix("Write the port's number, or give the ipBlock a rule of its own")
				case len(servers) > 0:
					judgeName(p, d, i, j, servers)
				}
			}
		}
	}
}

func judgeName(p *rule.Pass, d model.Direction, i, j int, servers crowd) {
	item := &p.Change.NewPolicy.Rules[d][i].Ports[j]
	at := rulePath(d, i).Child("ports").Index(j).Child("port")
	var numbers netset.Ports
	var names []string
	otherProtocol := netset.Protocol(0)
	for _, c := range servers {
		for _, declared := range c.Ports {
			switch {
			case declared.Name == item.Name && declared.Port.Protocol == item.Protocol:
				numbers = numbers.Union(netset.PortsOf(declared.Port))
			case declared.Name == item.Name:
				otherProtocol = declared.Port.Protocol
			case declared.Name != "" && declared.Port.Protocol == item.Protocol:
				names = append(names, declared.Name)
			}
		}
	}
	w := finding.Witness{To: servers[0].Name()}
	pointer := fmt.Sprintf("/spec/%s/%d/ports/%d", d.Field(), i, j)
	name := item.Protocol.String() + "/" + item.Name
	switch near, ok := model.Nearest(item.Name, names); {
	case numbers.Size() > 1:
		p.Report(at, w, "The port name %s means different ports on different pods: %s", name, numbers).
			Fix("Write the number that is meant, or agree on one").Pods(servers.count()).Severity(finding.Info)
	case numbers.Size() == 1:
	case otherProtocol != 0:
		p.Report(at, w, "No pod declares a port %s; %s is declared with %s", name, item.Name, otherProtocol).
			Fix("Write protocol: "+otherProtocol.String(), finding.PatchOp{Op: "add", Path: pointer + "/protocol", Value: otherProtocol.String()}).Pods(servers.count())
	case ok:
		p.Report(at, w, "No pod declares a port %s", name).Fix(fmt.Sprintf("Did you mean %s?", near),
			finding.PatchOp{Op: "replace", Path: pointer + "/port", Value: near}).Pods(servers.count())
	default:
		p.Report(at, w, "No pod declares a port %s", name).Fix("Correct the name, write the number, or declare the port in the pod").Pods(servers.count())
	}
}
