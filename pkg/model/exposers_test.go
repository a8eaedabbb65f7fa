package model_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
)

func TestWhatForwardsToAServiceFromOutsideIsABackendOfIt(t *testing.T) {
	for name, c := range map[string]struct {
		object string
		want   []model.Backend
	}{
		"an Ingress": {`{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: shop, name: edge}, spec: {
			defaultBackend: {service: {name: web, port: {number: 80}}},
			rules: [{host: only.example}, {http: {paths: [{backend: {service: {name: api, port: {name: http}}}}, {backend: {resource: {kind: Bucket, name: b}}}]}}]}}`,
			[]model.Backend{
				{Origin: model.Origin{Kind: "ingress", Namespace: "shop", Name: "edge"}, Service: "api", PortName: "http"},
				{Origin: model.Origin{Kind: "ingress", Namespace: "shop", Name: "edge"}, Service: "web", PortNumber: 80},
			}},
		"a validating webhook": {`{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: guard}, webhooks: [
			{name: a, clientConfig: {service: {namespace: shop, name: guard}}}, {name: b, clientConfig: {url: "https://example.com"}}]}`,
			[]model.Backend{{Origin: model.Origin{Kind: "webhook", Name: "guard"}, Service: "guard", PortNumber: 443}}},
		"a mutating webhook": {`{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingWebhookConfiguration, metadata: {name: guard}, webhooks: [
			{name: a, clientConfig: {service: {namespace: shop, name: guard, port: 8443}}}]}`,
			[]model.Backend{{Origin: model.Origin{Kind: "webhook", Name: "guard"}, Service: "guard", PortNumber: 8443}}},
		"an APIService": {`{apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: v1.metrics}, spec: {service: {namespace: shop, name: metrics, port: 6443}}}`,
			[]model.Backend{{Origin: model.Origin{Kind: "apiservice", Name: "v1.metrics"}, Service: "metrics", PortNumber: 6443}}},
		"an APIService of the API server itself": {`{apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: v1.}, spec: {}}`, nil},
		"a conversion webhook": {`{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: doors.example.com}, spec: {
			conversion: {strategy: Webhook, webhook: {clientConfig: {service: {namespace: shop, name: convert}}}}}}`,
			[]model.Backend{{Origin: model.Origin{Kind: "crd", Name: "doors.example.com"}, Service: "convert", PortNumber: 443}}},
		"a Route of OpenShift": {`{apiVersion: route.openshift.io/v1, kind: Route, metadata: {namespace: shop, name: edge}, spec: {
			to: {kind: Service, name: web, weight: 0}, alternateBackends: [{kind: Service, name: api, weight: 10}, {name: old}, {kind: Bucket, name: b}], port: {targetPort: 8443}}}`,
			[]model.Backend{
				{Origin: model.Origin{Kind: "route", Namespace: "shop", Name: "edge"}, Service: "api", Target: 8443},
				{Origin: model.Origin{Kind: "route", Namespace: "shop", Name: "edge"}, Service: "old", Target: 8443},
				{Origin: model.Origin{Kind: "route", Namespace: "shop", Name: "edge"}, Service: "web", Target: 8443},
			}},
		"a Route with the name of a port": {`{apiVersion: route.openshift.io/v1, kind: Route, metadata: {namespace: shop, name: edge}, spec: {to: {name: web}, port: {targetPort: https}}}`,
			[]model.Backend{{Origin: model.Origin{Kind: "route", Namespace: "shop", Name: "edge"}, Service: "web", PortName: "https"}}},
		"a Route with a port's number in quotes": {`{apiVersion: route.openshift.io/v1, kind: Route, metadata: {namespace: shop, name: edge}, spec: {to: {name: web}, port: {targetPort: "8443"}}}`,
			[]model.Backend{{Origin: model.Origin{Kind: "route", Namespace: "shop", Name: "edge"}, Service: "web", Target: 8443}}},
		"a Route with a number that is no port's": {`{apiVersion: route.openshift.io/v1, kind: Route, metadata: {namespace: shop, name: edge}, spec: {to: {name: web}, port: {targetPort: 70000}}}`,
			[]model.Backend{{Origin: model.Origin{Kind: "route", Namespace: "shop", Name: "edge"}, Service: "web", PortName: "70000"}}},
		"a Route without a port": {`{apiVersion: route.openshift.io/v1, kind: Route, metadata: {namespace: shop, name: edge}, spec: {to: {name: web}}}`,
			[]model.Backend{{Origin: model.Origin{Kind: "route", Namespace: "shop", Name: "edge"}, Service: "web"}}},
		"a Route that is being deleted": {`{apiVersion: route.openshift.io/v1, kind: Route, metadata: {namespace: shop, name: edge, deletionTimestamp: "2026-01-01T00:00:00Z"}, spec: {to: {name: web}}}`, nil},
		"a route to another kind of backend": {`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {namespace: shop, name: web}, spec: {
			rules: [{backendRefs: [{group: example.com, kind: Bucket, name: web, port: 80}]}]}}`, nil},
		"a route of a mesh, whose parent is a Service": {`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {namespace: shop, name: web}, spec: {
			parentRefs: [{group: "", kind: Service, name: mesh}], rules: [{backendRefs: [{name: web, port: 80}]}]}}`, nil},
	} {
		assert.Equal(t, c.want, snapshot(t, model.Facts{}, c.object).NamespaceOrImplied("shop").Backends, name)
	}
	for _, kind := range []string{"HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute"} {
		route := `{apiVersion: gateway.networking.k8s.io/v1, kind: ` + kind + `, metadata: {namespace: shop, name: web}, spec: {
			parentRefs: [{name: outer, namespace: edge}, {name: inner}, {kind: Service, name: mesh}], rules: [{backendRefs: [{name: web, port: 80}]}]}}`
		origin := model.Origin{Kind: "route", Namespace: "shop", Name: "web", Gateways: "edge/outer,shop/inner"}
		assert.Equal(t, []model.Backend{{Origin: origin, Service: "web", PortNumber: 80}}, snapshot(t, model.Facts{}, route).Namespace("shop").Backends, kind)
	}
}

func TestARouteExposesWhatItMirrorsRequestsTo(t *testing.T) {
	const route = `{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {namespace: shop, name: web}, spec: {parentRefs: [{name: edge}], rules: [{
		filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [a]}}, {type: RequestMirror, requestMirror: {backendRef: {name: shadow, port: 81}}},
			{type: RequestMirror, requestMirror: {backendRef: {name: far, namespace: lab, port: 82}}}],
		backendRefs: [{name: web, port: 80, filters: [{type: RequestMirror, requestMirror: {backendRef: {name: copy, port: 83}}}]}]}]}}`
	s := snapshot(t, model.Facts{}, route)
	origin := model.Origin{Kind: "route", Namespace: "shop", Name: "web", Gateways: "shop/edge"}
	assert.ElementsMatch(t, []model.Backend{{Origin: origin, Service: "web", PortNumber: 80}, {Origin: origin, Service: "copy", PortNumber: 83}, {Origin: origin, Service: "shadow", PortNumber: 81}},
		s.Namespace("shop").Backends)
	assert.Empty(t, s.NamespaceOrImplied("lab").Backends, "another namespace grants it or not, as for every backend")
}

func TestAnInternalIngressExposesNothing(t *testing.T) {
	for scheme, backends := range map[string]int{"internal": 0, "internet-facing": 2, "": 2} {
		s := snapshot(t, model.Facts{}, `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: shop, name: web, annotations: {alb.ingress.kubernetes.io/scheme: "`+scheme+`"}},
			spec: {ingressClassName: alb, defaultBackend: {service: {name: web, port: {number: 80}}}, rules: [{http: {paths: [{backend: {service: {name: api, port: {number: 80}}}}]}}]}}`)
		assert.Len(t, s.Namespace("shop").Backends, backends, scheme)
		assert.Equal(t, []string{"ingress/web"}, s.Namespace("shop").Exposers, "it is there, and a claim may name it")
	}
}

func TestIngressesAndGatewaysAreExposersOfTheirNamespace(t *testing.T) {
	s := snapshot(t, model.Facts{},
		`{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: shop, name: web}, spec: {}}`,
		`{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {namespace: shop, name: edge}, spec: {}}`,
		`{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: shop, name: going, deletionTimestamp: "2026-01-01T00:00:00Z"}, spec: {}}`)
	assert.Equal(t, []string{"gateway/edge", "ingress/web"}, s.Namespace("shop").Exposers)
}

func TestKindsThatDoNotMatterArePassedOver(t *testing.T) {
	store := model.NewStore()
	for _, kind := range []string{"Widget", "Ingress", "GatewayClass"} {
		known, err := store.Apply(&unstructured.Unstructured{Object: map[string]any{"kind": kind, "metadata": map[string]any{"name": "x"}}})
		require.NoError(t, err)
		assert.False(t, known, kind)
	}
	known, err := store.Apply(&corev1.ConfigMap{})
	require.NoError(t, err)
	assert.False(t, known)
	assert.Zero(t, store.Snapshot(model.Facts{}).Len())
}

func TestARouteOfOpenShiftGoesWhenItIsDeletedAndOneOfTheGatewayAPIStays(t *testing.T) {
	store := model.NewStore()
	for _, spec := range []map[string]any{
		{"kind": "Route", "spec": map[string]any{"to": map[string]any{"name": "web"}}},
		{"kind": "HTTPRoute", "spec": map[string]any{"rules": []any{map[string]any{"backendRefs": []any{map[string]any{"name": "web", "port": int64(80)}}}}}},
	} {
		spec["metadata"] = map[string]any{"namespace": "shop", "name": "web"}
		_, err := store.Apply(&unstructured.Unstructured{Object: spec})
		require.NoError(t, err)
	}
	require.Len(t, store.Snapshot(model.Facts{}).Namespace("shop").Backends, 2)
	assert.Equal(t, 1, store.Counts()["Route"])
	require.NoError(t, store.Delete("Route", "shop", "web"))
	left := store.Snapshot(model.Facts{}).Namespace("shop").Backends
	require.Len(t, left, 1)
	assert.EqualValues(t, 80, left[0].PortNumber)
	assert.Zero(t, store.Counts()["Route"])
}

func TestARouteThatCannotBeReadIsAnErrorThatNamesIt(t *testing.T) {
	_, err := model.NewStore().Apply(&unstructured.Unstructured{Object: map[string]any{
		"kind": "HTTPRoute", "metadata": map[string]any{"namespace": "shop", "name": "web"}, "spec": map[string]any{"rules": "none"}}})
	require.ErrorContains(t, err, "HTTPRoute shop/web cannot be read: ")
	_, err = model.NewStore().Apply(&unstructured.Unstructured{Object: map[string]any{
		"kind": "Route", "metadata": map[string]any{"namespace": "shop", "name": "web"}, "spec": map[string]any{"to": "web"}}})
	require.ErrorContains(t, err, "Route shop/web cannot be read: ")
}

const service = `{apiVersion: v1, kind: Service, metadata: {namespace: shop, name: web, annotations: {ANNOTATION}}, spec: {SPEC}}`

func serviceOf(t *testing.T, annotations, spec string) *model.Service {
	t.Helper()
	s := snapshot(t, model.Facts{}, strings.NewReplacer("ANNOTATION", annotations, "SPEC", spec).Replace(service)).NamespaceOrImplied("shop")
	if len(s.Services) == 0 {
		return nil
	}
	return s.Services[0]
}

func TestAServiceSelectsPodsAndForwardsToTheirPorts(t *testing.T) {
	s := serviceOf(t, "", `selector: {app: web}, ports: [{port: 80}, {port: 81, targetPort: 8081}, {name: dns, port: 53, protocol: UDP, targetPort: dns}], clusterIP: 10.0.0.7, clusterIPs: [10.0.0.7, "fd00::7"]`)
	assert.Equal(t, []model.ServicePort{
		{Port: netset.Port{Protocol: netset.TCP, Number: 80}, Target: 80}, {Port: netset.Port{Protocol: netset.TCP, Number: 81}, Target: 8081},
		{Name: "dns", Port: netset.Port{Protocol: netset.UDP, Number: 53}, TargetName: "dns"},
	}, s.Ports)
	assert.Equal(t, "10.0.0.7/32, fd00::7/128", s.ClusterIPs.String())
	assert.True(t, s.Selects(map[string]string{"app": "web", "tier": "a"}))
	assert.False(t, s.Selects(map[string]string{"app": "db"}))
	assert.False(t, s.Selects(nil))
	assert.False(t, serviceOf(t, "", "ports: [{port: 80}], clusterIP: None").Selects(map[string]string{"app": "web"}), "without a selector, nothing is known of its pods")
	assert.Nil(t, serviceOf(t, "", "type: ExternalName, externalName: example.com"), "it has no pods")
}

func TestALoadBalancerIsInternalIfAnAnnotationOfItsProviderSaysSo(t *testing.T) {
	const lb = "type: LoadBalancer"
	for annotation, internal := range map[string]bool{
		"": false, "other: 'true'": false,
		`networking.gke.io/load-balancer-type: Internal`:                 true,
		`networking.gke.io/load-balancer-type: External`:                 false,
		`service.beta.kubernetes.io/aws-load-balancer-internal: 'true'`:  true,
		`service.beta.kubernetes.io/aws-load-balancer-internal: 'false'`: false,
		`service.beta.kubernetes.io/aws-load-balancer-internal: ''`:      false,
		`service.beta.kubernetes.io/aws-load-balancer-scheme: internal`:  true,
		`service.beta.kubernetes.io/azure-load-balancer-internal: 'yes'`: false,
	} {
		s := serviceOf(t, annotation, lb)
		assert.Equal(t, internal, s.Internal, annotation)
		assert.Equal(t, !internal, s.LoadBalancer, annotation)
	}
	const nlb = lb + ", loadBalancerClass: service.k8s.aws/nlb"
	for name, c := range map[string]struct {
		annotation, spec string
		internal         bool
	}{
		"the AWS Load Balancer Controller's default":  {"", nlb, true},
		"that it makes one by the annotation":         {"service.beta.kubernetes.io/aws-load-balancer-type: external", lb, true},
		"that it made one by the older annotation":    {"service.beta.kubernetes.io/aws-load-balancer-type: nlb-ip", lb, true},
		"facing the internet":                         {"service.beta.kubernetes.io/aws-load-balancer-scheme: internet-facing", nlb, false},
		"facing the internet, the older way":          {"service.beta.kubernetes.io/aws-load-balancer-internal: 'false'", nlb, false},
		"the cloud provider's own":                    {"service.beta.kubernetes.io/aws-load-balancer-type: nlb", lb, false},
		"another class, whatever the annotation says": {"service.beta.kubernetes.io/aws-load-balancer-type: external", lb + ", loadBalancerClass: example.com/lb", false},
	} {
		assert.Equal(t, c.internal, serviceOf(t, c.annotation, c.spec).Internal, name)
	}
	ranged := serviceOf(t, "", lb+`, loadBalancerClass: example.com/lb, loadBalancerSourceRanges: [8.8.8.0/24, 1.1.1.0/24]`)
	assert.Equal(t, int64(512), ranged.SourceRanges.Size(netset.IPv4).Int64())
	assert.Equal(t, "example.com/lb", ranged.LoadBalancerClass)
	annotated := serviceOf(t, `service.beta.kubernetes.io/load-balancer-source-ranges: "8.8.8.0/24, 1.1.1.0/24"`, lb)
	assert.Equal(t, ranged.SourceRanges, annotated.SourceRanges)
	both := serviceOf(t, "service.beta.kubernetes.io/load-balancer-source-ranges: 9.9.9.0/24", lb+`, loadBalancerSourceRanges: [" 8.8.8.0/24", 1.1.1.0/24]`)
	assert.Equal(t, ranged.SourceRanges, both.SourceRanges, "the field counts before the annotation, and blanks do not")
	clusterIP := serviceOf(t, "networking.gke.io/load-balancer-type: Internal", "externalIPs: [203.0.113.9]")
	assert.False(t, clusterIP.Internal || clusterIP.LoadBalancer || clusterIP.NodePort)
	assert.True(t, clusterIP.ExternalIPs)
	assert.True(t, serviceOf(t, "", "type: NodePort").NodePort)
}

func TestNodesAndServiceCIDRsTellTheRangesOfTheCluster(t *testing.T) {
	node := func(name, cidr, addr string) string {
		return `{apiVersion: v1, kind: Node, metadata: {name: ` + name + `}, spec: {` + cidr + `}, status: {addresses: [{type: Hostname, address: ` + name + `}, {type: InternalIP, address: ` + addr + `}]}}`
	}
	const services = `{apiVersion: networking.k8s.io/v1, kind: ServiceCIDR, metadata: {name: kubernetes}, spec: {cidrs: [10.96.0.0/16, "fd00:96::/108"]}}`
	objects := []string{node("a", "podCIDR: 10.244.0.0/24", "192.0.2.1"), node("b", "podCIDR: 10.244.1.0/24, podCIDRs: [10.244.1.0/24, 'fd00:1::/64']", "192.0.2.2"), services}
	facts := snapshot(t, model.Facts{}, objects...).Facts()
	cidrs := func(texts ...string) netset.Addrs {
		var out netset.Addrs
		for _, text := range texts {
			prefix, _, err := netset.ParseCIDR(text)
			require.NoError(t, err)
			out = out.Union(netset.AddrsOf(prefix))
		}
		return out
	}
	assert.Equal(t, cidrs("10.244.0.0/23", "fd00:1::/64").String(), facts.PodCIDRs.String())
	assert.Equal(t, cidrs("192.0.2.1/32", "192.0.2.2/32").String(), facts.Nodes.String())
	assert.Equal(t, cidrs("10.96.0.0/16", "fd00:96::/108").String(), facts.ServiceCIDRs.String())

	configured := model.Facts{PodCIDRs: cidrs("10.0.0.0/8"), Nodes: cidrs("192.0.2.0/24"), ServiceCIDRs: cidrs("10.96.0.0/12")}
	told := snapshot(t, configured, objects...).Facts()
	assert.Equal(t, "10.0.0.0/8 192.0.2.0/24 10.96.0.0/12", told.PodCIDRs.String()+" "+told.Nodes.String()+" "+told.ServiceCIDRs.String(), "what is configured counts")

	store := model.NewStore()
	store.SetNode(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: corev1.NodeSpec{PodCIDR: "10.244.0.0/24"}})
	require.False(t, store.Snapshot(model.Facts{}).Facts().PodCIDRs.IsEmpty())
	require.NoError(t, store.Delete("Node", "", "a"))
	assert.True(t, store.Snapshot(model.Facts{}).Facts().PodCIDRs.IsEmpty(), "a node that is gone has no pods")
}
