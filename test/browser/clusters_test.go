package browser

import (
	"fmt"
	"strings"
)

// manifestWriter writes example clusters.
type manifestWriter struct{ strings.Builder }

func (m *manifestWriter) namespace(name string) {
	fmt.Fprintf(m, "apiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n---\n", name)
}

func (m *manifestWriter) workload(kind, namespace, name string, replicas, port int) {
	more := ""
	if name == "coredns" {
		more = ", k8s-app: kube-dns"
	}
	fmt.Fprintf(m, `apiVersion: apps/v1
kind: %s
metadata: {name: %s, namespace: %s}
spec:
  replicas: %d
  selector: {matchLabels: {app: %s}}
  template:
    metadata: {labels: {app: %s%s}}
    spec: {containers: [{name: c, image: i, ports: [{containerPort: %d}]}]}
---
`, kind, name, namespace, replicas, name, name, more, port)
}

// policy isolates workloads, all of a namespace if app is empty, in both directions but for rules.
func (m *manifestWriter) policy(namespace, app string, ingress, egress []string) {
	name, selector := app, fmt.Sprintf("{matchLabels: {app: %s}}", app)
	if app == "" {
		name, selector = "default", "{}"
	}
	fmt.Fprintf(m, "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: %s, namespace: %s}\nspec:\n  podSelector: %s\n  policyTypes: [Ingress, Egress]\n  ingress: [%s]\n  egress: [%s]\n---\n",
		name, namespace, selector, strings.Join(ingress, ", "), strings.Join(egress, ", "))
}

func app(namespace, name string) string {
	return fmt.Sprintf("{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %s}}, podSelector: {matchLabels: {app: %s}}}", namespace, name)
}

func rule(side, peer string, ports ...string) string {
	return fmt.Sprintf("{%s: [%s], ports: [%s]}", side, peer, strings.Join(ports, ", "))
}

func tcp(port int) string { return fmt.Sprintf("{protocol: TCP, port: %d}", port) }

const (
	everywhere = "{namespaceSelector: {}}"
	internet   = "{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}"
	dnsPort    = "{protocol: UDP, port: 53}"
)

var dns = rule("to", app("kube-system", "coredns"), dnsPort, tcp(53))

// twelve is a shop of 12 workloads in 4 namespaces, one of them without policies.
func twelve() string {
	var m manifestWriter
	for _, n := range []string{"edge", "shop", "data", "kube-system"} {
		m.namespace(n)
	}
	m.workload("Deployment", "edge", "gateway", 3, 8443)
	m.workload("Deployment", "shop", "frontend", 3, 8080)
	m.workload("Deployment", "shop", "cart", 2, 7070)
	m.workload("Deployment", "shop", "checkout", 2, 5050)
	m.workload("Deployment", "shop", "payment", 2, 50051)
	m.workload("Deployment", "shop", "catalog", 2, 3550)
	m.workload("Deployment", "shop", "mail", 1, 8025)
	m.workload("StatefulSet", "data", "postgres", 3, 5432)
	m.workload("StatefulSet", "data", "redis", 3, 6379)
	m.workload("Deployment", "data", "backup", 1, 9000)
	m.workload("Deployment", "kube-system", "coredns", 2, 53)
	m.workload("DaemonSet", "kube-system", "node-agent", 5, 9100)
	m.policy("edge", "gateway", []string{rule("from", internet, tcp(8443))}, []string{dns, rule("to", app("shop", "frontend"), tcp(8080))})
	m.policy("shop", "frontend", []string{rule("from", app("edge", "gateway"), tcp(8080))}, []string{dns,
		rule("to", "{podSelector: {}}", tcp(7070), tcp(5050), tcp(3550))})
	m.policy("shop", "cart", []string{rule("from", "{podSelector: {}}", tcp(7070))}, []string{dns, rule("to", app("data", "redis"), tcp(6379))})
	m.policy("shop", "checkout", []string{rule("from", "{podSelector: {matchLabels: {app: frontend}}}", tcp(5050))}, []string{dns,
		rule("to", "{podSelector: {}}", tcp(50051), tcp(8025), tcp(7070), tcp(3550))})
	m.policy("shop", "payment", []string{rule("from", "{podSelector: {matchLabels: {app: checkout}}}", tcp(50051))}, []string{dns, rule("to", internet, tcp(443))})
	m.policy("shop", "catalog", []string{rule("from", "{podSelector: {}}", tcp(3550))}, []string{dns, rule("to", app("data", "postgres"), tcp(5432))})
	m.policy("shop", "mail", []string{rule("from", "{podSelector: {matchLabels: {app: checkout}}}", tcp(8025))}, []string{dns, rule("to", "{ipBlock: {cidr: 203.0.113.25/32}}", tcp(587))})
	m.policy("data", "postgres", []string{rule("from", app("shop", "catalog"), tcp(5432)), rule("from", "{podSelector: {matchLabels: {app: backup}}}", tcp(5432))}, []string{dns})
	m.policy("data", "redis", []string{rule("from", app("shop", "cart"), tcp(6379))}, nil)
	m.policy("kube-system", "coredns", []string{rule("from", everywhere, dnsPort, tcp(53))}, []string{rule("to", internet, dnsPort)})
	return m.String()
}

// twoHundred are 20 namespaces of 10 workloads: teams with a chain of services each, which call those of the next team, and a
// monitoring that reads from all. Every seventh team has no policies.
func twoHundred() string {
	var m manifestWriter
	m.namespace("kube-system")
	m.namespace("monitoring")
	m.workload("Deployment", "kube-system", "coredns", 2, 53)
	m.policy("kube-system", "coredns", []string{rule("from", everywhere, dnsPort, tcp(53))}, nil)
	for i := range 9 {
		m.workload("DaemonSet", "kube-system", fmt.Sprintf("agent-%d", i), 5, 9100+i)
	}
	m.workload("StatefulSet", "monitoring", "prometheus", 2, 9090)
	m.policy("monitoring", "prometheus", nil, []string{dns, rule("to", everywhere, tcp(9100))})
	for i := range 9 {
		m.workload("Deployment", "monitoring", fmt.Sprintf("dashboard-%d", i), 1, 3000)
	}
	for t := range 18 {
		team := fmt.Sprintf("team-%02d", t)
		m.namespace(team)
		for s := range 10 {
			name := fmt.Sprintf("service-%d", s)
			m.workload("Deployment", team, name, 1+s%3, 8000+s)
			if t%7 == 6 {
				continue
			}
			ingress := []string{rule("from", app("monitoring", "prometheus"), tcp(9100))}
			egress := []string{dns}
			if s == 0 {
				ingress = append(ingress, rule("from", internet, tcp(8000)), rule("from", app(fmt.Sprintf("team-%02d", (t+17)%18), "service-9"), tcp(8000)))
			} else {
				ingress = append(ingress, rule("from", fmt.Sprintf("{podSelector: {matchLabels: {app: service-%d}}}", (s-1)/2), tcp(8000+s)))
			}
			if 2*s+2 < 10 {
				egress = append(egress, rule("to", "{podSelector: {}}", tcp(8000+2*s+1), tcp(8000+2*s+2)))
			}
			if s == 9 {
				egress = append(egress, rule("to", app(fmt.Sprintf("team-%02d", (t+1)%18), "service-0"), tcp(8000)), rule("to", internet, tcp(443)))
			}
			m.policy(team, name, ingress, egress)
		}
	}
	return m.String()
}
