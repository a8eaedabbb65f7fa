package manifest

import (
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// kind is one kind of object that matters to who may connect to whom.
type kind struct {
	group, name string
	// versions that are read. Workloads of API versions that are gone have the same pod template, and are read as well.
	versions   string
	namespaced bool
	// make returns an empty object to decode into.
	make func() runtime.Object
}

func (k *kind) isPolicy() bool    { return k.name == "NetworkPolicy" }
func (k *kind) isNamespace() bool { return k.name == "Namespace" }

func made[T any, P interface {
	*T
	runtime.Object
}]() runtime.Object {
	return P(new(T))
}

func untyped() runtime.Object { return &unstructured.Unstructured{} }

// kinds is the table of all kinds that are read. A function, so that nothing can change it.
func kinds() []kind {
	const gateway = "gateway.networking.k8s.io"
	const admission = "admissionregistration.k8s.io"
	return []kind{
		{"networking.k8s.io", "NetworkPolicy", "v1", true, made[networkingv1.NetworkPolicy]},
		{"", "Namespace", "v1", false, made[corev1.Namespace]},
		{"", "Pod", "v1", true, made[corev1.Pod]},
		{"", "Service", "v1", true, made[corev1.Service]},
		{"", "Node", "v1", false, made[corev1.Node]},
		{"", "ReplicationController", "v1", true, made[corev1.ReplicationController]},
		{"apps", "Deployment", "v1 v1beta1 v1beta2", true, made[appsv1.Deployment]},
		{"apps", "StatefulSet", "v1 v1beta1 v1beta2", true, made[appsv1.StatefulSet]},
		{"apps", "DaemonSet", "v1 v1beta2", true, made[appsv1.DaemonSet]},
		{"apps", "ReplicaSet", "v1 v1beta2", true, made[appsv1.ReplicaSet]},
		{"extensions", "Deployment", "v1beta1", true, made[appsv1.Deployment]},
		{"extensions", "DaemonSet", "v1beta1", true, made[appsv1.DaemonSet]},
		{"extensions", "ReplicaSet", "v1beta1", true, made[appsv1.ReplicaSet]},
		{"batch", "Job", "v1", true, made[batchv1.Job]},
		{"batch", "CronJob", "v1 v1beta1", true, made[batchv1.CronJob]},
		{"networking.k8s.io", "Ingress", "v1", true, made[networkingv1.Ingress]},
		{"networking.k8s.io", "ServiceCIDR", "v1 v1beta1", false, made[networkingv1.ServiceCIDR]},
		{admission, "ValidatingWebhookConfiguration", "v1 v1beta1", false, made[admissionv1.ValidatingWebhookConfiguration]},
		{admission, "MutatingWebhookConfiguration", "v1 v1beta1", false, made[admissionv1.MutatingWebhookConfiguration]},
		{"apiregistration.k8s.io", "APIService", "v1 v1beta1", false, untyped},
		{"apiextensions.k8s.io", "CustomResourceDefinition", "v1", false, untyped},
		{gateway, "Gateway", "v1 v1beta1 v1alpha2", true, untyped},
		{gateway, "HTTPRoute", "v1 v1beta1 v1alpha2", true, untyped},
		{gateway, "GRPCRoute", "v1 v1beta1 v1alpha2", true, untyped},
		{gateway, "TLSRoute", "v1 v1alpha2 v1alpha3", true, untyped},
		{gateway, "TCPRoute", "v1 v1alpha2", true, untyped},
		{gateway, "UDPRoute", "v1 v1alpha2", true, untyped},
		{gateway, "ReferenceGrant", "v1 v1beta1 v1alpha2", true, untyped},
		{"route.openshift.io", "Route", "v1", true, untyped},
	}
}

// kindTable finds kinds by group and name.
type kindTable map[[2]string]*kind

func newKindTable() kindTable {
	all := kinds()
	out := make(kindTable, len(all))
	for i := range all {
		out[[2]string{all[i].group, all[i].name}] = &all[i]
	}
	return out
}

// find is the kind of that API version, or nil if it does not matter here.
func (t kindTable) find(apiVersion, name string) *kind {
	group, version := splitAPIVersion(apiVersion)
	k := t[[2]string{group, name}]
	if k == nil {
		return nil
	}
	for v := range strings.FieldsSeq(k.versions) {
		if v == version {
			return k
		}
	}
	return nil
}

func splitAPIVersion(apiVersion string) (group, version string) {
	if g, v, found := strings.Cut(apiVersion, "/"); found {
		return g, v
	}
	return "", apiVersion
}

// mistakenPolicy says what is wrong with an apiVersion and kind that were probably meant for a NetworkPolicy: "" if they
// were not. NetworkPolicies of other groups (Calico's, Cilium's) are other kinds.
func mistakenPolicy(apiVersion, name string) string {
	group, version := splitAPIVersion(apiVersion)
	const right = "write apiVersion: networking.k8s.io/v1"
	switch {
	case name == "NetworkPolicy" && group == "extensions":
		return "NetworkPolicy in " + apiVersion + " is gone since Kubernetes 1.16: " + right
	case name == "NetworkPolicy" && (group == "networking.k8s.io" || !strings.Contains(group, ".")):
		return "there is no NetworkPolicy in " + apiVersion + ": " + right
	case group == "networking.k8s.io" && version == "v1" && name != "NetworkPolicy" &&
		(strings.EqualFold(name, "NetworkPolicy") || strings.EqualFold(name, "NetworkPolicies")):
		return "there is no kind " + name + ": write kind: NetworkPolicy"
	}
	return ""
}
