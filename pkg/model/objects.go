package model

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// Namespace is a namespace and what in it matters to NetworkPolicies. It is immutable.
type Namespace struct {
	Meta NamespaceMeta
	// Classes are the pods and the workload templates, sorted by Name; hostNetwork ones included, finished pods and pods
	// being deleted left out.
	Classes []*PodClass
	// Workloads are sorted by kind and name; see PodsOf.
	Workloads []Workload
	// Services are sorted by name.
	Services []*Service
	// Policies are sorted by name. Those being deleted are in force until they are gone, and so are in it.
	Policies []*Policy
	// Exposers are the Ingresses and Gateways that are there, as "ingress/web" and "gateway/edge", sorted.
	Exposers []string
	// Backends are the ports of Services of this namespace that something forwards to from outside of the cluster's
	// pods: Ingresses, routes, admission and conversion webhooks, APIServices.
	Backends []Backend
}

// NamespaceMeta is a Namespace object.
type NamespaceMeta struct {
	Name string
	// Labels always hold kubernetes.io/metadata.name, which the API server sets and no one can change.
	Labels      map[string]string
	Annotations map[string]string // only those under portcullis.dev/
	Terminating bool
	// Described is whether a Namespace object was read; false for a namespace that is only implied by its objects.
	Described bool
	Created   time.Time
	UID       types.UID // empty if it comes from a manifest
	Source    finding.Source
	Lines     map[string]int
	// Object is the Namespace itself, without managed fields, as Policy.Object is.
	Object *corev1.Namespace
}

// Subject is the Namespace as the subject of a finding.
func (m *NamespaceMeta) Subject() finding.Subject {
	return finding.Subject{Kind: finding.KindNamespace, Name: m.Name}
}

// Service is what of a Service matters to who can reach its pods.
type Service struct {
	Namespace, Name string
	// Selector is nil for a Service without selector: then nothing is known of its pods.
	Selector map[string]string
	Ports    []ServicePort
	// Kind of exposure to addresses outside of the cluster.
	LoadBalancer bool // type: LoadBalancer, and not an internal one
	Internal     bool // type: LoadBalancer, by annotation or class an internal one
	NodePort     bool // any port has a nodePort
	ExternalIPs  bool
	// Headless is whether clusterIP is None: clients find the pods' own addresses, and no port is translated.
	Headless bool
	// LoadBalancerClass as in the spec; empty if unset.
	LoadBalancerClass string
	// SourceRanges are spec.loadBalancerSourceRanges; empty if every address may connect.
	SourceRanges netset.Addrs
	ClusterIPs   netset.Addrs
}

// Selects says whether the Service selects pods with these labels. One without a selector selects none.
func (s *Service) Selects(labels map[string]string) bool {
	for key, value := range s.Selector {
		if got, there := labels[key]; !there || got != value {
			return false
		}
	}
	return len(s.Selector) > 0
}

// ServicePort is one port of a Service and what it forwards to.
type ServicePort struct {
	Name string
	Port netset.Port // the Service's own port
	// Target is the pod's port by number; 0 if TargetName says it.
	Target     uint16
	TargetName string
}

// Origin names the object that makes a Backend: its kind ("ingress", "route", "webhook", "apiservice", "crd"), namespace and
// name. For a route, Gateways names the Gateways that it is attached to, as "namespace/name" separated by commas.
type Origin struct {
	Kind, Namespace, Name string
	Gateways              string
}

// Backend is one port of a Service that is forwarded to from outside of the cluster's pods.
type Backend struct {
	Origin  Origin
	Service string
	// PortName or PortNumber is the Service's port, or Target is the pods' own; none of them means all of the Service's ports.
	PortName   string
	PortNumber uint16
	Target     uint16
}

// DNSServer is one way to reach the cluster's DNS: pods or addresses.
type DNSServer struct {
	// NamespaceSelector and PodSelector select the DNS pods; both nil if Addrs says it.
	NamespaceSelector, PodSelector *Selector
	Addrs                          netset.Addrs
	// Ports that the servers listen on, each for UDP and TCP.
	Ports []uint16
	// Namespace is the name of the pods' namespace where the selector names exactly one, and Labels what its PodSelector
	// demands: for hypothetical DNS pods and for the fix.
	Namespace string
	Labels    map[string]string
	// OnNode is whether it is NodeLocal DNSCache, found by its DaemonSet: pods ask it, and where it is not there, the others.
	OnNode bool
}

// Facts are what is known of the cluster as a whole, configured or found.
type Facts struct {
	// CNI that enforces policies, by its lower-case name ("calico", "cilium"); empty if unknown.
	CNI string
	// Agents are the CNIs whose DaemonSets are there, sorted by name; or CNI alone, where it is configured.
	Agents []Agent
	// Live is whether the snapshot comes from a cluster; manifests are never complete.
	Live                          bool
	PodCIDRs, ServiceCIDRs, Nodes netset.Addrs
	// NodesConfigured is whether Nodes is configured, and not the addresses of the Nodes there are.
	NodesConfigured bool
	// Trusted addresses are the operator's own networks: never part of the public internet.
	Trusted netset.Addrs
	// DNS holds at least one server; they are alternatives, and one reachable is enough.
	DNS []DNSServer
	// DNSServiceIPs are the ClusterIPs of the DNS Service.
	DNSServiceIPs netset.Addrs
	// LoadBalancerSources are the addresses that load balancers connect from; empty if not configured.
	LoadBalancerSources netset.Addrs
	// NamespaceNameLabel is the label key under which every Namespace carries its own name; empty if switched off.
	NamespaceNameLabel string
	// Objects is whether some rule looks at the objects of policies or Namespaces themselves, so that a source which does not
	// keep them otherwise is to keep them.
	Objects bool
}

// Operation is what a Change does.
type Operation uint8

// The operations. Exists is no operation of the API: it asks for the verdict on an object as it stands.
const (
	Exists Operation = iota
	Create
	Update
	Delete
)

// String is the operation as an AdmissionReview names it; EXISTS for Exists.
func (o Operation) String() string { return [...]string{"EXISTS", "CREATE", "UPDATE", "DELETE"}[o] }

// Change is what is about to happen to one object: a NetworkPolicy or a Namespace. For Exists, old and new are the same.
type Change struct {
	Operation Operation
	// Time is when it happens: what ends with a day, ends by it. The zero time is before every end.
	Time                 time.Time
	OldPolicy, NewPolicy *Policy
	OldNS, NewNS         *NamespaceMeta
	// Requester is who asks for the change; nil where nobody does, as for an object as it stands.
	Requester *Requester
	// DryRun is whether the change will not be stored.
	DryRun bool
}

// Requester is a user, as the API server has authenticated them.
type Requester struct {
	Username, UID string
	Groups        []string
}

// Policy is the policy that the change is about: the new one, or on DELETE the old one; nil for a Namespace.
func (c Change) Policy() *Policy {
	if c.NewPolicy != nil {
		return c.NewPolicy
	}
	return c.OldPolicy
}

// Namespace is the Namespace that the change is about; nil for a policy.
func (c Change) Namespace() *NamespaceMeta {
	if c.NewNS != nil {
		return c.NewNS
	}
	return c.OldNS
}
