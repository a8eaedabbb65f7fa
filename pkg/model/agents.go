package model

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// Agent is a CNI whose DaemonSet runs in the cluster, or the one that is configured.
type Agent struct {
	CNI string // by its lower-case name, as in Facts
	// Enforces is whether it enforces NetworkPolicies.
	Enforces bool
	// Version is the tag of its image, as written; empty if it has none.
	Version string
}

// agents are the names of the DaemonSets that the CNIs install, and the CNI that each stands for.
var agents = map[string]string{
	"calico-node": "calico", "canal": "calico", "rke2-canal": "calico", "cilium": "cilium", "anetd": "cilium", "antrea-agent": "antrea",
	"kube-router": "kube-router", "weave-net": "weave", "ovnkube-node": "ovn-kubernetes", "kube-ovn-cni": "kube-ovn",
	"azure-npm": "azure-npm", "aws-node": cniAWS, "kindnet": "kindnet", "sdn": "openshift-sdn",
	"kube-network-policies": policyContainer, "kube-flannel-ds": cniFlannel, "kube-flannel": cniFlannel,
}

// The CNIs that connect pods and do not enforce NetworkPolicies by themselves. Amazon's does with its agent switched on, by
// --enable-network-policy=true (https://docs.aws.amazon.com/eks/latest/userguide/cni-network-policy.html); flannel where its
// chart adds the container kube-network-policies (https://github.com/flannel-io/flannel/blob/master/Documentation/netpol.md).
const (
	cniFlannel = "flannel"
	cniAWS     = "aws-vpc"

	policyContainer = "kube-network-policies"
	policyArgument  = "enable-network-policy"
)

func (s *Store) noteAgent(ds *appsv1.DaemonSet) {
	key := namespaceOf(ds) + "/" + ds.Name
	cni := agents[strings.ToLower(ds.Name)]
	if cni == "" || ds.DeletionTimestamp != nil {
		delete(s.agents, key)
		return
	}
	agent := Agent{CNI: cni, Enforces: cni != cniFlannel && cni != cniAWS}
	for i, c := range ds.Spec.Template.Spec.Containers {
		if i == 0 {
			agent.Version = tagOf(c.Image)
		}
		agent.Enforces = agent.Enforces || c.Name == policyContainer || enforcing(&c)
	}
	s.agents[key] = agent
}

// enforcing says whether the container is told to enforce policies.
func enforcing(c *corev1.Container) bool {
	value, written := argument(c, policyArgument)
	return written && value != "false"
}

// tagOf is the tag of an image: "v1.16.3" of "quay.io/cilium/cilium:v1.16.3@sha256:00".
func tagOf(image string) string {
	image, _, _ = strings.Cut(image, "@")
	_, tag, _ := strings.Cut(image[strings.LastIndexByte(image, '/')+1:], ":")
	return tag
}

// foundAgents are the agents, sorted.
func (s *Store) foundAgents() []Agent {
	return slices.Compact(slices.SortedFunc(maps.Values(s.agents), func(a, b Agent) int {
		return cmp.Or(cmp.Compare(a.CNI, b.CNI), cmp.Compare(a.Version, b.Version))
	}))
}

// cni is the CNI whose agent runs here. One that enforces policies counts before one that does not and only connects pods
// (flannel below canal, aws-vpc below cilium); of two that both enforce, neither is known to be the one.
func cni(found []Agent) string {
	var names []string
	for _, a := range found {
		names = append(names, a.CNI)
	}
	names = slices.Compact(names)
	if len(names) > 1 {
		names = slices.DeleteFunc(names, func(cni string) bool { return cni == cniFlannel || cni == cniAWS })
	}
	if len(names) != 1 {
		return ""
	}
	return names[0]
}
