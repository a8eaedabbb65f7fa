package cluster

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
)

// kind is one kind of object that is read.
type kind struct {
	name     string // as model.Store.Delete takes it
	group    string
	resource string
	versions []string // any of them will do; the first that is served is read
	required bool     // without it no verdict is possible
	// confirm is whether Confirm reads the kind again in the namespace of a denial: what an author applies together with the
	// policy, and what is cheap to list.
	confirm bool
	fields  string // field selector
	// open gives access to the objects of a namespace, or of all for "".
	open func(version, namespace string) access
	// example is what the API server answers with.
	example func(version string) runtime.Object
}

// access lists and watches the objects of one kind.
type access struct {
	list  func(context.Context, metav1.ListOptions) (runtime.Object, error)
	watch func(context.Context, metav1.ListOptions) (watch.Interface, error)
}

type typedClient[L runtime.Object] interface {
	List(context.Context, metav1.ListOptions) (L, error)
	Watch(context.Context, metav1.ListOptions) (watch.Interface, error)
}

func accessTo[L runtime.Object](c typedClient[L]) access {
	return access{watch: c.Watch, list: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		list, err := c.List(ctx, o)
		if err != nil {
			return nil, err
		}
		return list, nil
	}}
}

// typed describes a kind of k8s.io/api.
func typed[O any, P interface {
	*O
	runtime.Object
}, L runtime.Object, C typedClient[L]](k kind, client func(namespace string) C) kind {
	k.example = func(string) runtime.Object { return P(new(O)) }
	k.open = func(_, namespace string) access { return accessTo[L](client(namespace)) }
	if len(k.versions) == 0 {
		k.versions = []string{"v1"}
	}
	return k
}

const (
	gatewayGroup   = "gateway.networking.k8s.io"
	openshiftGroup = "route.openshift.io"
	crdKind        = "CustomResourceDefinition"
	serviceKind    = "APIService"
	openshiftRoute = "Route"
)

func everywhere[C any](client C) func(string) C { return func(string) C { return client } }

// kindsOf are all kinds that are read.
func kindsOf(c kubernetes.Interface, d dynamic.Interface) []kind {
	kinds := []kind{
		typed[corev1.Namespace, *corev1.Namespace, *corev1.NamespaceList](
			kind{name: "Namespace", resource: "namespaces", required: true}, everywhere(c.CoreV1().Namespaces())),
		typed[corev1.Pod, *corev1.Pod, *corev1.PodList](
			// Pods that have finished are none to the network.
			kind{name: "Pod", resource: "pods", required: true, fields: "status.phase!=Succeeded,status.phase!=Failed"}, c.CoreV1().Pods),
		typed[corev1.Service, *corev1.Service, *corev1.ServiceList](
			kind{name: "Service", resource: "services", required: true, confirm: true}, c.CoreV1().Services),
		typed[networkingv1.NetworkPolicy, *networkingv1.NetworkPolicy, *networkingv1.NetworkPolicyList](
			kind{name: "NetworkPolicy", group: "networking.k8s.io", resource: "networkpolicies", required: true, confirm: true},
			c.NetworkingV1().NetworkPolicies),
		typed[networkingv1.Ingress, *networkingv1.Ingress, *networkingv1.IngressList](
			kind{name: "Ingress", group: "networking.k8s.io", resource: "ingresses", confirm: true}, c.NetworkingV1().Ingresses),
		typed[appsv1.Deployment, *appsv1.Deployment, *appsv1.DeploymentList](
			kind{name: "Deployment", group: "apps", resource: "deployments", confirm: true}, c.AppsV1().Deployments),
		typed[appsv1.StatefulSet, *appsv1.StatefulSet, *appsv1.StatefulSetList](
			kind{name: "StatefulSet", group: "apps", resource: "statefulsets", confirm: true}, c.AppsV1().StatefulSets),
		typed[appsv1.DaemonSet, *appsv1.DaemonSet, *appsv1.DaemonSetList](
			kind{name: "DaemonSet", group: "apps", resource: "daemonsets", confirm: true}, c.AppsV1().DaemonSets),
		typed[appsv1.ReplicaSet, *appsv1.ReplicaSet, *appsv1.ReplicaSetList](
			kind{name: "ReplicaSet", group: "apps", resource: "replicasets"}, c.AppsV1().ReplicaSets),
		typed[batchv1.Job, *batchv1.Job, *batchv1.JobList](
			kind{name: "Job", group: "batch", resource: "jobs"}, c.BatchV1().Jobs),
		typed[batchv1.CronJob, *batchv1.CronJob, *batchv1.CronJobList](
			kind{name: "CronJob", group: "batch", resource: "cronjobs"}, c.BatchV1().CronJobs),
		typed[corev1.ReplicationController, *corev1.ReplicationController, *corev1.ReplicationControllerList](
			kind{name: "ReplicationController", resource: "replicationcontrollers"}, c.CoreV1().ReplicationControllers),
		typed[admissionv1.ValidatingWebhookConfiguration, *admissionv1.ValidatingWebhookConfiguration, *admissionv1.ValidatingWebhookConfigurationList](
			kind{name: "ValidatingWebhookConfiguration", group: "admissionregistration.k8s.io", resource: "validatingwebhookconfigurations"},
			everywhere(c.AdmissionregistrationV1().ValidatingWebhookConfigurations())),
		typed[admissionv1.MutatingWebhookConfiguration, *admissionv1.MutatingWebhookConfiguration, *admissionv1.MutatingWebhookConfigurationList](
			kind{name: "MutatingWebhookConfiguration", group: "admissionregistration.k8s.io", resource: "mutatingwebhookconfigurations"},
			everywhere(c.AdmissionregistrationV1().MutatingWebhookConfigurations())),
		typed[corev1.Node, *corev1.Node, *corev1.NodeList](
			kind{name: "Node", resource: "nodes"}, everywhere(c.CoreV1().Nodes())),
		typed[networkingv1.ServiceCIDR, *networkingv1.ServiceCIDR, *networkingv1.ServiceCIDRList](
			kind{name: "ServiceCIDR", group: "networking.k8s.io", resource: "servicecidrs"}, everywhere(c.NetworkingV1().ServiceCIDRs())),
	}
	for _, k := range []kind{
		{name: crdKind, group: "apiextensions.k8s.io", resource: "customresourcedefinitions"},
		{name: serviceKind, group: "apiregistration.k8s.io", resource: "apiservices"},
		{name: "Gateway", group: gatewayGroup, resource: "gateways"},
		{name: "HTTPRoute", group: gatewayGroup, resource: "httproutes", confirm: true},
		{name: "GRPCRoute", group: gatewayGroup, resource: "grpcroutes", confirm: true},
		{name: "TLSRoute", group: gatewayGroup, resource: "tlsroutes", confirm: true},
		{name: "TCPRoute", group: gatewayGroup, resource: "tcproutes", confirm: true},
		{name: "UDPRoute", group: gatewayGroup, resource: "udproutes", confirm: true},
		{name: "ReferenceGrant", group: gatewayGroup, resource: "referencegrants"},
		{name: openshiftRoute, group: openshiftGroup, resource: "routes", confirm: true},
	} {
		kinds = append(kinds, untyped(k, d))
	}
	return kinds
}

// untyped describes a kind that is read as unstructured.
func untyped(k kind, d dynamic.Interface) kind {
	k.versions = []string{"v1", "v1beta1", "v1alpha3", "v1alpha2"}
	k.example = func(version string) runtime.Object {
		o := &unstructured.Unstructured{}
		o.SetGroupVersionKind(schema.GroupVersionKind{Group: k.group, Version: version, Kind: k.name})
		return o
	}
	k.open = func(version, namespace string) access {
		all := d.Resource(schema.GroupVersionResource{Group: k.group, Version: version, Resource: k.resource})
		if namespace == "" {
			return accessTo[*unstructured.UnstructuredList](all)
		}
		return accessTo[*unstructured.UnstructuredList](all.Namespace(namespace))
	}
	return k
}

// trim drops what the engine never reads of an object, where that is much and would cost to convert: the schemas of a
// CustomResourceDefinition; or where it is secret: the certificate of a Route, with its private key.
func trim(obj runtime.Object) {
	o, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return
	}
	switch o.GetKind() {
	case crdKind:
		unstructured.RemoveNestedField(o.Object, "spec", "versions")
		unstructured.RemoveNestedField(o.Object, "status")
	case openshiftRoute:
		unstructured.RemoveNestedField(o.Object, "spec", "tls")
	}
}
