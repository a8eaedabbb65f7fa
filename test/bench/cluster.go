// Package bench measures Portcullis: the engine on clusters of many sizes, the webhook against two references that do less,
// and the memory that a large cluster takes. The commands below it print tables; the benchmarks are Go's.
package bench

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/portcullis-dev/portcullis/pkg/model"
)

// Size is how many objects a generated cluster has.
type Size struct{ Namespaces, Pods, Policies int }

// The namespace that the reviews are about, and what it holds in every cluster.
const (
	SubjectNamespace = "team-0000"
	SubjectPods      = 50
	SubjectPolicies  = 10
)

// podsPerApp is how many pods a Deployment of a generated cluster has.
const podsPerApp = 5

// Object is any object of a cluster.
type Object interface {
	runtime.Object
	metav1.Object
}

// Fill generates a cluster into the store.
func Fill(s *model.Store, size Size) error {
	return Generate(size, func(o Object) error {
		_, err := s.Apply(o)
		return err
	})
}

// Generate yields the objects of a cluster of applications like those that people run: Deployments of five pods with a
// Service each, Namespaces that deny by default and allow DNS, policies between applications and from addresses. The same size
// gives the same objects. The subject's namespace has 50 pods and 10 policies whatever the size.
func Generate(size Size, yield func(Object) error) error {
	f := filler{yield: yield}
	f.fillSystem()
	pods, policies := size.Pods-SubjectPods, size.Policies-SubjectPolicies
	for i := range size.Namespaces {
		if i == 0 {
			f.fillNamespace(namespaceName(i), SubjectPods, SubjectPolicies, size.Namespaces)
			continue
		}
		f.fillNamespace(namespaceName(i), share(pods, size.Namespaces-1, i-1), share(policies, size.Namespaces-1, i-1), size.Namespaces)
	}
	return f.err
}

// share is the part of total that the i-th of n gets.
func share(total, n, i int) int { return total*(i+1)/n - total*i/n }

func namespaceName(i int) string { return fmt.Sprintf("team-%04d", i) }

type filler struct {
	yield func(Object) error
	pods  int
	err   error
}

func (f *filler) apply(namespace string, o Object) {
	if f.err == nil {
		o.SetNamespace(namespace)
		f.err = f.yield(o)
	}
}

func (f *filler) namespace(name string) {
	f.apply("", &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
		corev1.LabelMetadataName: name, "networking/namespace": name, "team": name[len(name)-2:],
	}}})
}

func (f *filler) fillSystem() {
	f.namespace("kube-system")
	dns := map[string]string{"k8s-app": "kube-dns"}
	f.app("kube-system", "coredns", dns, 2)
	f.apply("kube-system", &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "kube-dns"},
		Spec: corev1.ServiceSpec{Selector: dns, ClusterIP: "10.96.0.10", Ports: []corev1.ServicePort{
			{Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53}, {Name: "dns-tcp", Protocol: corev1.ProtocolTCP, Port: 53},
		}},
	})
	f.apply("", &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-0"}, Spec: corev1.NodeSpec{PodCIDRs: []string{"10.128.0.0/10"}}})
}

func (f *filler) fillNamespace(name string, pods, policies, namespaces int) {
	f.namespace(name)
	apps := max(1, (pods+podsPerApp-1)/podsPerApp)
	for i := range apps {
		app := fmt.Sprintf("app-%d", i)
		f.app(name, app, map[string]string{"app": app, "tier": []string{"front", "back", "data"}[i%3]}, min(podsPerApp, pods-i*podsPerApp))
		f.apply(name, service(app, i%10 == 0))
	}
	for i := range policies {
		f.apply(name, policy(i, apps, namespaces))
	}
}

// app is a Deployment with its pods.
func (f *filler) app(namespace, name string, labels map[string]string, pods int) {
	container := corev1.Container{Name: "main", Image: "registry.example.org/" + name + ":1", Ports: []corev1.ContainerPort{
		{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}, {Name: "metrics", ContainerPort: 9090, Protocol: corev1.ProtocolTCP},
	}}
	replicas := int32(pods)
	spec := corev1.PodSpec{Containers: []corev1.Container{container}}
	f.apply(namespace, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec}},
	})
	for range pods {
		all := map[string]string{"pod-template-hash": fmt.Sprintf("%08x", len(name)*7919)}
		for k, v := range labels {
			all[k] = v
		}
		n := f.pods
		f.pods++
		f.apply(namespace, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%08x-%05x", name, len(name)*7919, n), Labels: all},
			Spec:       spec,
			Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIPs: []corev1.PodIP{
				{IP: fmt.Sprintf("10.%d.%d.%d", 128+n>>16, n>>8&255, n&255)},
			}},
		})
	}
}

func service(app string, public bool) *corev1.Service {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: app},
		Spec: corev1.ServiceSpec{Selector: map[string]string{"app": app}, Ports: []corev1.ServicePort{
			{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80, TargetPort: intstr.FromString("http")},
		}},
	}
	if public {
		svc.Spec.Type = corev1.ServiceTypeLoadBalancer
	}
	return svc
}

func policy(i, apps, namespaces int) *networkingv1.NetworkPolicy {
	np := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("policy-%d", i)}}
	both := []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}
	app := func(n int) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{"app": fmt.Sprintf("app-%d", n%apps)}}
	}
	in := func(name string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: name}}
	}
	switch i {
	case 0: // deny by default
		np.Spec.PolicyTypes = both
	case 1: // allow DNS
		np.Spec.PolicyTypes = both[1:]
		np.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{
			To:    []networkingv1.NetworkPolicyPeer{{NamespaceSelector: in("kube-system"), PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"k8s-app": "kube-dns"}}}},
			Ports: []networkingv1.NetworkPolicyPort{port(corev1.ProtocolUDP, 53), port(corev1.ProtocolTCP, 53)},
		}}
	default:
		np.Spec = Spec(app(i), i, 3, namespaces)
	}
	return np
}

func port(protocol corev1.Protocol, number int32) networkingv1.NetworkPolicyPort {
	p := intstr.FromInt32(number)
	return networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: &p}
}

// Spec is a policy of so many rules for the selected pods: ingress from applications next to them, in other namespaces and
// from addresses, and for every fifth rule egress. seed makes specs differ.
func Spec(selector *metav1.LabelSelector, seed, rules, namespaces int) networkingv1.NetworkPolicySpec {
	spec := networkingv1.NetworkPolicySpec{PodSelector: *selector, PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}}
	for r := range rules {
		app := &metav1.LabelSelector{MatchLabels: map[string]string{"app": fmt.Sprintf("app-%d", (seed+r)%10)}}
		other := &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespaceName((seed*31 + r*7 + 1) % namespaces)}}
		ports := []networkingv1.NetworkPolicyPort{port(corev1.ProtocolTCP, 8080)}
		peers := []networkingv1.NetworkPolicyPeer{{PodSelector: app}}
		switch r % 5 {
		case 1:
			peers = append(peers, networkingv1.NetworkPolicyPeer{NamespaceSelector: other, PodSelector: app})
		case 2:
			peers = append(peers, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{
				CIDR: fmt.Sprintf("172.%d.0.0/16", 16+(seed+r)%16), Except: []string{fmt.Sprintf("172.%d.9.0/24", 16+(seed+r)%16)},
			}})
			ports = append(ports, port(corev1.ProtocolTCP, int32(9000+r)))
		case 3:
			spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}
			spec.Egress = append(spec.Egress, networkingv1.NetworkPolicyEgressRule{To: peers, Ports: ports})
			continue
		}
		spec.Ingress = append(spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: peers, Ports: ports})
	}
	return spec
}
