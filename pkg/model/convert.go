package model

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// NewNamespaceMeta compiles a Namespace.
func NewNamespaceMeta(ns *corev1.Namespace) *NamespaceMeta {
	meta := &NamespaceMeta{
		Name:        ns.Name,
		Labels:      ns.Labels,
		Annotations: settingsOf(ns.Annotations),
		Terminating: ns.DeletionTimestamp != nil || ns.Status.Phase == corev1.NamespaceTerminating,
		Described:   true,
		Created:     ns.CreationTimestamp.Time,
		UID:         ns.UID,
	}
	if ns.DeletionTimestamp != nil {
		meta.Labels = nil
	}
	meta.Labels = impliedLabels(meta.Labels, ns.Name, &Facts{})
	return meta
}

// KeepObject keeps the object that the policy was compiled of. It is not to be changed any more.
func (p *Policy) KeepObject(np *networkingv1.NetworkPolicy) {
	np.ManagedFields = nil
	p.Object = np
}

// KeepObject keeps the object that the metadata was compiled of. It is not to be changed any more.
func (m *NamespaceMeta) KeepObject(ns *corev1.Namespace) {
	ns.ManagedFields = nil
	m.Object = ns
}

// SetNamespace stores a Namespace.
func (s *Store) SetNamespace(meta *NamespaceMeta) {
	t := s.space(meta.Name)
	if t.meta == nil {
		s.counts["Namespace"]++
	}
	t.meta = meta
}

// SetPod stores a pod. One that has finished, or is being deleted, is as good as gone.
func (s *Store) SetPod(pod *corev1.Pod) {
	namespace := namespaceOf(pod)
	if pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		s.space(namespace)
		s.dropPod(s.spaces[namespace], pod.Name)
		return
	}
	s.setPod(namespace, pod.Name, podClass(namespace, pod.Labels, &pod.Spec), podIPs(&pod.Status), ownerOf(pod))
}

// ownerOf is the workload that a pod belongs to. A Deployment's ReplicaSets have its name and the hash that their pods carry as
// the label pod-template-hash (https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#pod-template-hash-label).
func ownerOf(pod *corev1.Pod) string {
	owner := metav1.GetControllerOfNoCopy(pod)
	if owner == nil {
		return ""
	}
	if hash := pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey]; owner.Kind == "ReplicaSet" && hash != "" {
		if name, made := strings.CutSuffix(owner.Name, "-"+hash); made && name != "" {
			return "Deployment/" + name
		}
	}
	return owner.Kind + "/" + owner.Name
}

func podIPs(status *corev1.PodStatus) []netip.Addr {
	texts := make([]string, 0, 2)
	for _, ip := range status.PodIPs {
		texts = append(texts, ip.IP)
	}
	if len(texts) == 0 && status.PodIP != "" {
		texts = append(texts, status.PodIP)
	}
	var out []netip.Addr
	for _, text := range texts {
		if addr, err := netip.ParseAddr(text); err == nil {
			out = append(out, addr.Unmap())
		}
	}
	return out
}

func podClass(namespace string, labels map[string]string, spec *corev1.PodSpec) PodClass {
	class := PodClass{Namespace: namespace, Labels: labels, HostNetwork: spec.HostNetwork, ClusterDNS: usesClusterDNS(spec)}
	add := func(c *corev1.Container) {
		for _, p := range c.Ports {
			port := netset.Port{Protocol: protocolOf(&p.Protocol), Number: portNumber(p.ContainerPort)}
			if port.Number == 0 {
				continue
			}
			declared := ContainerPort{Name: p.Name, Port: port, HostPort: portNumber(p.HostPort)}
			if p.Name != "" {
				number, given := class.NamedPort(port.Protocol, p.Name)
				declared.Later = given && number != port.Number
			}
			class.Ports = append(class.Ports, declared)
		}
	}
	for i := range spec.Containers {
		add(&spec.Containers[i])
	}
	for i := range spec.InitContainers {
		// "If the RestartPolicy is set to Always ... this init container will be continually restarted ... often referred
		// to as a sidecar container": it serves for as long as the pod lives.
		if always := spec.InitContainers[i].RestartPolicy; always != nil && *always == corev1.ContainerRestartPolicyAlways {
			add(&spec.InitContainers[i])
		}
	}
	slices.SortFunc(class.Ports, func(a, b ContainerPort) int {
		return cmp.Or(cmp.Compare(a.Port.Protocol, b.Port.Protocol), cmp.Compare(a.Port.Number, b.Port.Number),
			cmp.Compare(a.Name, b.Name), cmp.Compare(a.HostPort, b.HostPort))
	})
	class.Ports = slices.Compact(class.Ports)
	return class
}

func portNumber(n int32) uint16 {
	if n < 1 || n > 65535 {
		return 0
	}
	return uint16(n)
}

// usesClusterDNS: with hostNetwork, only ClusterFirstWithHostNet asks the cluster's DNS; without, all but Default and None.
func usesClusterDNS(spec *corev1.PodSpec) bool {
	switch spec.DNSPolicy {
	case corev1.DNSDefault, corev1.DNSNone:
		return false
	case corev1.DNSClusterFirstWithHostNet:
		return true
	}
	return !spec.HostNetwork
}

// sourceRanges are those of the spec, or, if it has none, of the annotation from before there was the field, which cloud
// providers still read (https://pkg.go.dev/k8s.io/cloud-provider/service/helpers#GetLoadBalancerSourceRanges).
func sourceRanges(svc *corev1.Service) []string {
	if len(svc.Spec.LoadBalancerSourceRanges) > 0 {
		return svc.Spec.LoadBalancerSourceRanges
	}
	return items(svc.Annotations[corev1.AnnotationLoadBalancerSourceRangesKey])
}

// SetService stores a Service. One that is being deleted exposes nothing.
func (s *Store) SetService(svc *corev1.Service) {
	out := &Service{
		Namespace: namespaceOf(svc), Name: svc.Name, Selector: svc.Spec.Selector,
		NodePort:    svc.Spec.Type == corev1.ServiceTypeNodePort,
		ExternalIPs: len(svc.Spec.ExternalIPs) > 0,
		Headless:    svc.Spec.ClusterIP == corev1.ClusterIPNone,
	}
	if svc.Spec.Type == corev1.ServiceTypeLoadBalancer {
		out.Internal = isInternal(svc)
		out.LoadBalancer = !out.Internal
	}
	if svc.Spec.LoadBalancerClass != nil {
		out.LoadBalancerClass = *svc.Spec.LoadBalancerClass
	}
	for _, cidr := range sourceRanges(svc) {
		out.SourceRanges = out.SourceRanges.Union(addrsOf(strings.TrimSpace(cidr)))
	}
	for _, ip := range slices.Concat(svc.Spec.ClusterIPs, []string{svc.Spec.ClusterIP}) {
		if addr, err := netip.ParseAddr(ip); err == nil {
			out.ClusterIPs = out.ClusterIPs.Union(netset.AddrsOfAddr(addr.Unmap()))
		}
	}
	for _, p := range svc.Spec.Ports {
		port := ServicePort{Name: p.Name, Port: netset.Port{Protocol: protocolOf(&p.Protocol), Number: portNumber(p.Port)}}
		switch {
		case p.TargetPort.StrVal != "":
			port.TargetName = p.TargetPort.StrVal
		case p.TargetPort.IntVal != 0:
			port.Target = portNumber(p.TargetPort.IntVal)
		default:
			// "If this is not specified, the value of the 'port' field is used (an identity map)."
			port.Target = port.Port.Number
		}
		out.Ports = append(out.Ports, port)
	}
	keep := svc.DeletionTimestamp == nil && svc.Spec.Type != corev1.ServiceTypeExternalName
	put(s, "Service", s.space(out.Namespace).services, out.Name, out, keep)
}

// SetNode notes the pod CIDRs and the addresses of a Node.
func (s *Store) SetNode(n *corev1.Node) {
	var out node
	cidrs := n.Spec.PodCIDRs
	if len(cidrs) == 0 && n.Spec.PodCIDR != "" {
		cidrs = []string{n.Spec.PodCIDR}
	}
	for _, cidr := range cidrs {
		out.podCIDRs = out.podCIDRs.Union(addrsOf(cidr))
	}
	for _, a := range n.Status.Addresses {
		if addr, err := netip.ParseAddr(a.Address); err == nil {
			out.addresses = out.addresses.Union(netset.AddrsOfAddr(addr.Unmap()))
		}
	}
	put(s, "Node", s.nodes, n.Name, out, n.DeletionTimestamp == nil)
	s.ranges = nil
}

func controlled(o metav1.Object) bool { return metav1.GetControllerOfNoCopy(o) != nil }
