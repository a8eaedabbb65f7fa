package rules

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// service-port: an ingress rule, or an egress rule to pods of the policy's own or of named namespaces, that allows the port of a
// Service and not the port of the pods behind it. The Service's address is rewritten before policies are applied, so that the
// policy must name the pods' port.
//
// It is found only where the port is the Service's and nothing serves it: no pod in question declares it, and each declares
// some. Pods that do not exist yet are left out.
func servicePort() *rule.Rule {
	return &rule.Rule{
		ID: "service-port", Level: finding.Restricted, Severity: finding.Medium,
		Subjects: []string{finding.KindNetworkPolicy},
		Run:      runServicePort,
		Doc: rule.Doc{
			Title: "The Service's port instead of the pods'",
			Why: "A connection to a Service reaches the pod on the target port, and only that is compared. A policy that names the Service's own " +
				"port blocks what it was written to allow.",
			References: []rule.Reference{docsPolicies,
				{Title: "Kubernetes: Service, port and targetPort", URL: "https://kubernetes.io/docs/concepts/services-networking/service/#defining-a-service"}},
			Finds:  "A port that is a Service's, while the pods behind the Service declare others and not this one.",
			Remedy: "Name the target port.",
			Opens:  "the target port, in place of the Service's port",
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
        - podSelector: {}
      ports:
        - port: 80
---
` + webBehindService,
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
        - port: 8080
---
` + webBehindService,
		},
	}
}

const webBehindService = `apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: shop
spec:
  selector:
    app: web
  ports:
    - port: 80
      targetPort: 8080
---
apiVersion: v1
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
        - containerPort: 8080
`

func runServicePort(p *rule.Pass) {
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
			if r.AllPorts() {
				continue
			}
			servers := serversOf(p, policy, d, r)
			if len(servers) == 0 {
				continue
			}
			for j := range r.Ports {
				if svc, target, ok := mistaken(p.World, servers, &r.Ports[j]); ok {
					reportServicePort(p, d, i, j, svc, target, servers)
				}
			}
		}
	}
}

// mostServers bounds the classes that an egress rule is compared with.
const mostServers = 256

// serversOf are the pods that the rule lets connections to: those that the policy selects, or for egress those that the peers
// name, in the policy's own namespace and in named ones.
func serversOf(p *rule.Pass, policy *model.Policy, d model.Direction, r *model.Rule) crowd {
	if d == model.Ingress {
		if s := p.Reach.Select(policy); !s.Hypothetical {
			return s.Classes
		}
		return nil
	}
	var out crowd
	for i := range r.Peers {
		peer := &r.Peers[i]
		if peer.IPBlock != nil {
			return nil // it may be meant for that
		}
		names := []string{policy.Namespace}
		if peer.NamespaceSelector != nil {
			var finite bool
			if names, finite = peer.NamespaceSelector.Values(metadataName); !finite {
				return nil
			}
		}
		for _, name := range names {
			ns := p.World.NamespaceOrImplied(name)
			if peer.NamespaceSelector != nil && !peer.NamespaceSelector.Matches(ns.Meta.Labels) {
				continue
			}
			for _, c := range ns.Classes {
				if c.HostNetwork || peer.PodSelector != nil && !peer.PodSelector.Matches(c.Labels) || slices.Contains(out, c) {
					continue
				}
				if out = append(out, c); len(out) > mostServers {
					return nil
				}
			}
		}
	}
	return out
}

// mistaken is the Service whose port the item names, while the pods behind it serve target.
func mistaken(s *model.Snapshot, servers crowd, item *model.PortSpec) (*model.Service, netset.Port, bool) {
	if item.Name != "" || item.Numbers.Size() != 1 {
		return nil, netset.Port{}, false
	}
	port, _ := item.Numbers.Witness()
	var found *model.Service
	var target netset.Port
	for _, c := range servers {
		if len(c.Ports) == 0 || declares(c, port) {
			return nil, netset.Port{}, false
		}
		for _, svc := range s.NamespaceOrImplied(c.Namespace).Services {
			if !svc.Selects(c.Labels) {
				continue
			}
			for _, sp := range svc.Ports {
				number := sp.Target
				if sp.TargetName != "" {
					number, _ = c.NamedPort(sp.Port.Protocol, sp.TargetName)
				}
				if sp.Port == port && number != 0 && number != port.Number && found == nil {
					found, target = svc, netset.Port{Protocol: port.Protocol, Number: number}
				}
			}
		}
	}
	return found, target, found != nil
}

func declares(c *model.PodClass, port netset.Port) bool {
	for _, declared := range c.Ports {
		if declared.Port == port {
			return true
		}
	}
	return false
}

func reportServicePort(p *rule.Pass, d model.Direction, i, j int, svc *model.Service, target netset.Port, servers crowd) {
	port, _ := p.Change.NewPolicy.Rules[d][i].Ports[j].Numbers.Witness()
	number := intstr.FromInt32(int32(target.Number))
	w := finding.Witness{To: servers[0].Name(), Port: target.String()}
	b := p.Report(rulePath(d, i).Child("ports").Index(j).Child("port"), w, "%s is the port of Service %s/%s, and its pods serve %s", port, svc.Namespace, svc.Name, target)
	at := fmt.Sprintf("/spec/%s/%d/ports/%d", d.Field(), i, j)
	var patch []finding.PatchOp
	if p.Change.NewPolicy.Rules[d][i].Ports[j].EndPort { // of one port, and less than the target may be
		patch = append(patch, finding.PatchOp{Op: "remove", Path: at + "/endPort"})
	}
	patch = append(patch, finding.PatchOp{Op: "replace", Path: at + "/port", Value: number})
	b.Pods(servers.count()).Fix(fmt.Sprintf("Write the target port, %d", target.Number), patch...)
}
