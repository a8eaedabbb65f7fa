package model

import (
	"net/netip"

	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// ContainerPort is a port that a container declares. Declaring is informational in Kubernetes: a pod may serve ports that
// it does not declare, but only declared ports have names.
type ContainerPort struct {
	Name     string // empty if unnamed
	Port     netset.Port
	HostPort uint16 // 0 if none
	// Later is whether an earlier container gives the name to another port of the protocol, which is the one that Services take.
	Later bool
}

// Pod is one pod of a PodClass.
type Pod struct {
	Name string
	// IPs are the addresses of the pod; empty while none is assigned, and always for pods of a workload template.
	IPs []netip.Addr
	// Owner is the workload that made the pod ("Deployment/web"); empty if it was made by hand.
	Owner string
}

// Template is a workload of which there are no pods.
type Template struct {
	Workload string // "Deployment/web"
	Replicas int    // how many pods it asks for
}

// PodClass is a set of pods of one namespace that no NetworkPolicy can tell apart but by address: equal labels, equal
// declared ports, equal hostNetwork and DNS policy. A workload template of which no pod exists is a class, too, and so
// is the hypothetical pod that a podSelector demands.
type PodClass struct {
	Namespace string
	Labels    map[string]string
	Ports     []ContainerPort // sorted by protocol, number and name
	// HostNetwork pods share the node's network, and are outside of NetworkPolicies on most CNIs.
	HostNetwork bool
	// ClusterDNS is whether the pods resolve names by the cluster's DNS: not with dnsPolicy Default or None, nor with
	// hostNetwork and ClusterFirst.
	ClusterDNS bool
	// Pods are the pods there are, sorted by name.
	Pods []Pod
	// Template is the workload that the class is the template of ("Deployment/web"), if there are no pods of it.
	Template string
	// Replicas is how many pods the template asks for, and those that are equal to it; 0 for classes of real pods.
	Replicas int
	// Equal are the templates that are equal to Template, itself included, where there are several; else none.
	Equal []Template
	// Hypothetical classes stand for pods that do not exist yet.
	Hypothetical bool

	key string
}

// Key identifies the class within its cluster; equal keys mean equal classes.
func (c *PodClass) Key() string { return c.key }

// Count is the number of pods that the class stands for: those there are, or those that its template asks for.
func (c *PodClass) Count() int {
	if len(c.Pods) > 0 {
		return len(c.Pods)
	}
	return c.Replicas
}

// Name is namespace/name of one pod of the class, for people to read: the first pod, or the workload's name, or what the
// hypothetical pod is.
func (c *PodClass) Name() string {
	switch {
	case len(c.Pods) > 0:
		return c.Namespace + "/" + c.Pods[0].Name
	case c.Template != "":
		return c.Namespace + "/" + templateName(c.Template)
	}
	if len(c.Labels) == 0 {
		return c.Namespace + "/(any pod)"
	}
	return c.Namespace + "/(" + FormatLabels(c.Labels) + ")"
}

// NamedPort is the number that a port name resolves to on these pods for the protocol. A policy's named port is the
// container port of that name and protocol (https://kubernetes.io/docs/concepts/services-networking/network-policies/). Where several
// containers give the name, a Service takes the first of them, sidecars last (FindPort in
// https://github.com/kubernetes/kubernetes/blob/master/pkg/api/v1/pod/util.go).
func (c *PodClass) NamedPort(protocol netset.Protocol, name string) (number uint16, ok bool) {
	for _, p := range c.Ports {
		if p.Name == name && p.Port.Protocol == protocol && !p.Later {
			return p.Port.Number, true
		}
	}
	return 0, false
}

// NewHypothetical is the class of a pod that does not exist yet: it carries the labels, declares the ports, and nothing
// else is known of it.
func NewHypothetical(namespace string, labels map[string]string, ports ...ContainerPort) *PodClass {
	c := &PodClass{Namespace: namespace, Labels: labels, Ports: ports, ClusterDNS: true, Hypothetical: true}
	c.key = "?" + classKey(c)
	return c
}

// Describe is what a hypothetical pod is, for a sentence: "Pods with app=web".
func (c *PodClass) Describe() string {
	if len(c.Labels) == 0 {
		return "Pods"
	}
	return "Pods with " + FormatLabels(c.Labels)
}
