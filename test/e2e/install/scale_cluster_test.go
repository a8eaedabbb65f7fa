package install

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// What is made for the scale test: in each of 100 namespaces ten policies and 50 pods, 20 of them by two Deployments.
const (
	manyNamespaces = 100
	replicas       = 10
	barePods       = 15
	podsOfEach     = 2*replicas + 2*barePods
)

// crowd is a namespace of the scale test, and what is wrong with it. Namespaces are partners two by two; of those, the first one is
// right.
type crowd struct {
	flaw
	number int
}

func crowds() []crowd {
	flaws := flaws()
	out := make([]crowd, manyNamespaces)
	for i := range out {
		out[i].number = i
		if i%2 == 1 {
			out[i].flaw = flaws[i/2%len(flaws)]
		}
	}
	return out
}

func (c crowd) namespace() string { return fmt.Sprintf("scale-%02d", c.number) }

func cell(number int) string { return fmt.Sprintf("cell-%02d", number) }

// violated says whether something has to be mended before its namespace can enforce restricted.
func (c crowd) violated() bool {
	return slices.ContainsFunc(c.found, func(f found) bool { return f.action == verdict.ActionDeny || f.action == verdict.ActionWarn })
}

// make makes everything of the namespace but the pods.
func (c crowd) make(ctx context.Context, client kubernetes.Interface) error {
	labels := map[string]string{"cell": cell(c.number)}
	maps.Copy(labels, c.labels)
	if _, err := shared.cluster.CreateNamespace(ctx, c.namespace(), labels); err != nil {
		return err
	}
	for name, spec := range peopled {
		np := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: c.annotations[name]}}
		if other := c.specs[name]; other != "" {
			spec = other
		}
		if err := yaml.UnmarshalStrict([]byte(strings.ReplaceAll(spec, "$PARTNER", cell(c.number^1))), &np.Spec); err != nil {
			return fmt.Errorf("policy %s: %w", name, err)
		}
		if _, err := client.NetworkingV1().NetworkPolicies(c.namespace()).Create(ctx, np, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "front"}, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeLoadBalancer, AllocateLoadBalancerNodePorts: ptr.To(false), Selector: map[string]string{"app": "front"},
		Ports: []corev1.ServicePort{{Port: 443, TargetPort: intstr.FromInt32(8443)}},
	}}
	if c.internal {
		service.Spec.Type, service.Spec.AllocateLoadBalancerNodePorts = corev1.ServiceTypeClusterIP, nil
	}
	_, err := client.CoreV1().Services(c.namespace()).Create(ctx, service, metav1.CreateOptions{})
	return err
}

func podTemplate(app string, port int32) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": app}}, Spec: corev1.PodSpec{
		Containers: []corev1.Container{{Name: "main", Image: "registry.invalid/main", Ports: []corev1.ContainerPort{{ContainerPort: port}}}},
	}}
}

func deployment(name string, replicas int32, template corev1.PodTemplateSpec) *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: appsv1.DeploymentSpec{
		Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: template.Labels}, Template: template,
	}}
}

// people makes the pods: the controller manager makes those of the front and the API. Those of one namespace in ten run, and have
// addresses.
func (c crowd) people(ctx context.Context, client kubernetes.Interface) error {
	for app, port := range map[string]int32{"front": 8443, "api": 8080} {
		if _, err := client.AppsV1().Deployments(c.namespace()).Create(ctx, deployment(app, replicas, podTemplate(app, port)), metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	pods := client.CoreV1().Pods(c.namespace())
	for app, port := range map[string]int32{"db": 5432, "jobs": 8081} {
		for i := range barePods {
			template := podTemplate(app, port)
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", app, i), Labels: template.Labels}, Spec: template.Spec}
			if _, err := pods.Create(ctx, pod, metav1.CreateOptions{}); err != nil {
				return err
			}
			if c.number%10 != 0 {
				continue
			}
			ip := fmt.Sprintf("10.%d.%d.%d", 100+c.number, port%256, i+1)
			status := fmt.Appendf(nil, `{"status":{"phase":"Running","podIP":%q,"podIPs":[{"ip":%q}]}}`, ip, ip)
			if _, err := pods.Patch(ctx, pod.Name, types.MergePatchType, status, metav1.PatchOptions{}, "status"); err != nil {
				return err
			}
		}
	}
	return nil
}

// inParallel does it for every namespace, several at once, without a limit on requests per second.
func inParallel(t *testing.T, crowds []crowd, do func(crowd, context.Context, kubernetes.Interface) error) {
	t.Helper()
	config := rest.CopyConfig(shared.cluster.Admin.Config)
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.WarningHandler = rest.NoWarnings{}
	client, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	group, ctx := errgroup.WithContext(within(t))
	group.SetLimit(16)
	for _, c := range crowds {
		group.Go(func() error { return do(c, ctx, client) })
	}
	require.NoError(t, group.Wait())
}

// clusterDNS is as in a real cluster: a Service and a Deployment in kube-system.
func clusterDNS(t *testing.T) {
	t.Helper()
	labels := map[string]string{"k8s-app": "kube-dns"}
	template := podTemplate("", 53)
	template.Labels = labels
	_, err := shared.cluster.Client.AppsV1().Deployments(metav1.NamespaceSystem).Create(within(t), deployment("coredns", 2, template), metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = shared.cluster.Client.CoreV1().Services(metav1.NamespaceSystem).Create(within(t), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "kube-dns"},
		Spec: corev1.ServiceSpec{Selector: labels, ClusterIP: "10.96.0.10", Ports: []corev1.ServicePort{
			{Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53}, {Name: "dns-tcp", Protocol: corev1.ProtocolTCP, Port: 53},
		}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
}

// podsMade is how many pods there are in the namespaces of the test.
func podsMade(ctx context.Context) int {
	list, err := shared.cluster.Client.CoreV1().Pods("").List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return 0
	}
	n := 0
	for i := range list.Items {
		if strings.HasPrefix(list.Items[i].Namespace, "scale-") {
			n++
		}
	}
	return n
}
