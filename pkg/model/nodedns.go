package model

import (
	"net/netip"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// NodeLocal DNSCache is a DaemonSet on the host's network, to which pods send their questions by the addresses that its -localip
// lists: a link-local one, and where kube-proxy leaves that to it, the ClusterIP of the DNS Service
// (https://kubernetes.io/docs/tasks/administer-cluster/nodelocaldns/). Nothing rewrites those addresses, so that ipBlocks match
// them, and no selector does.
const (
	nodeDNSName     = "node-local-dns"
	nodeDNSArgument = "localip"
)

// usualNodeDNS is the address in Kubernetes' own manifest, for one that is not filled in yet.
var usualNodeDNS = netip.MustParseAddr("169.254.20.10")

// noteNodeDNS notes the addresses of the DaemonSet, if it is NodeLocal DNSCache.
func (s *Store) noteNodeDNS(ds *appsv1.DaemonSet) {
	pod := &ds.Spec.Template
	is := ds.Name == nodeDNSName || ds.Labels[dnsLabelKey] == nodeDNSName || pod.Labels[dnsLabelKey] == nodeDNSName
	if namespaceOf(ds) != dnsNamespace || !is || !pod.Spec.HostNetwork || ds.DeletionTimestamp != nil {
		delete(s.nodeDNS, ds.Name)
		return
	}
	var addrs netset.Addrs
	for i := range pod.Spec.Containers {
		list, _ := argument(&pod.Spec.Containers[i], nodeDNSArgument)
		for _, text := range items(list) {
			if addr, err := netip.ParseAddr(text); err == nil {
				addrs = addrs.Union(netset.AddrsOfAddr(addr.Unmap()))
			}
		}
	}
	if addrs.IsEmpty() {
		addrs = netset.AddrsOfAddr(usualNodeDNS)
	}
	s.nodeDNS[ds.Name] = addrs
}

// argument is the value that a container's command line gives a flag: "-name value", "--name=value".
func argument(c *corev1.Container, name string) (value string, written bool) {
	arguments := slices.Concat(c.Command, c.Args)
	for i, arg := range arguments {
		key, value, assigned := strings.Cut(arg, "=")
		bare := strings.TrimLeft(key, "-")
		if bare != name || bare == key {
			continue
		}
		if !assigned && i+1 < len(arguments) {
			value = arguments[i+1]
		}
		return value, true
	}
	return "", false
}
