package model_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// snapshot is the cluster of the objects, each written in YAML.
func snapshot(t *testing.T, facts model.Facts, objects ...string) *model.Snapshot {
	t.Helper()
	store := model.NewStore()
	apply(t, store, objects...)
	return store.Snapshot(facts)
}

func apply(t *testing.T, store *model.Store, objects ...string) {
	t.Helper()
	for _, text := range objects {
		var u unstructured.Unstructured
		require.NoError(t, yaml.Unmarshal([]byte(text), &u.Object))
		var object runtime.Object = &u
		if typed, err := clientgoscheme.Scheme.New(schema.FromAPIVersionAndKind(u.GetAPIVersion(), u.GetKind())); err == nil {
			require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, typed))
			object = typed
		}
		known, err := store.Apply(object)
		require.NoError(t, err)
		require.True(t, known, text)
	}
}

// names are the classes of shop, by name, with how many pods each stands for.
func names(s *model.Snapshot) map[string]int {
	out := map[string]int{}
	for _, c := range s.NamespaceOrImplied("shop").Classes {
		out[c.Name()] = c.Count()
	}
	return out
}

const deployment = `{apiVersion: apps/v1, kind: Deployment, metadata: {namespace: shop, name: web}, spec: {replicas: 3, template: {metadata: {labels: {app: web}},
	spec: {containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}}}}`

func TestATemplateStandsForItsPodsUntilThereAreSome(t *testing.T) {
	assert.Equal(t, map[string]int{"shop/web": 3}, names(snapshot(t, model.Facts{}, deployment)))
	const pod = `{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: web-1, labels: {app: web, pod-template-hash: x}}, spec: {containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}}`
	assert.Equal(t, map[string]int{"shop/web-1": 1}, names(snapshot(t, model.Facts{}, deployment, pod)))
}

func TestATemplateStandsForNoMorePodsIfContainersWereInjectedIntoThem(t *testing.T) {
	const containers = `[{name: c, ports: [{name: http, containerPort: %s}]}, {name: proxy, ports: [{name: stats, containerPort: 15090}]}]`
	pod := func(port string) string {
		return `{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: web-1, labels: {app: web, pod-template-hash: x}}, spec: {containers: ` +
			strings.Replace(containers, "%s", port, 1) + `}}`
	}
	assert.Equal(t, map[string]int{"shop/web-1": 1}, names(snapshot(t, model.Facts{}, deployment, pod("8080"))))
	assert.Equal(t, map[string]int{"shop/web-1": 1, "shop/web": 3}, names(snapshot(t, model.Facts{}, deployment, pod("8081"))), "of an older template")
}

func TestPodsThatAreGoneAreNoPods(t *testing.T) {
	s := snapshot(t, model.Facts{},
		`{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: finished}, status: {phase: Succeeded}}`,
		`{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: failed}, status: {phase: Failed}}`,
		`{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: going, deletionTimestamp: "2026-01-01T00:00:00Z"}}`,
		`{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: running}, status: {phase: Running}}`,
	)
	assert.Equal(t, map[string]int{"shop/running": 1}, names(s))
}

func TestPodsThatNoPolicyTellsApartAreOneClass(t *testing.T) {
	s := snapshot(t, model.Facts{},
		`{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: a, labels: {app: web}}}`,
		`{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: b, labels: {app: web}}}`,
		`{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: c, labels: {app: db}}}`,
		`{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: d, labels: {app: web}}, spec: {hostNetwork: true}}`,
	)
	assert.Equal(t, map[string]int{"shop/a": 2, "shop/c": 1, "shop/d": 1}, names(s))
}

func TestSidecarsServePortsAndOtherInitContainersDoNot(t *testing.T) {
	s := snapshot(t, model.Facts{}, `{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: web}, spec: {
		initContainers: [{name: once, ports: [{name: setup, containerPort: 1}]}, {name: sidecar, restartPolicy: Always, ports: [{name: proxy, containerPort: 2}]}],
		containers: [{name: c, ports: [{name: http, containerPort: 3}]}]}}`)
	class := s.Namespace("shop").Classes[0]
	for name, want := range map[string]uint16{"setup": 0, "proxy": 2, "http": 3} {
		number, _ := class.NamedPort(netset.TCP, name)
		assert.Equal(t, want, number, name)
	}
	_, udp := class.NamedPort(netset.UDP, "http")
	assert.False(t, udp, "a name is one of its protocol")
}

func TestANameThatSeveralContainersGiveIsTheFirstOnesPort(t *testing.T) {
	number := func(spec string) uint16 {
		s := snapshot(t, model.Facts{}, `{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: web}, spec: {`+spec+`}}`)
		n, _ := s.Namespace("shop").Classes[0].NamedPort(netset.TCP, "http")
		return n
	}
	const (
		high    = `{name: a, ports: [{name: http, containerPort: 8443}]}`
		low     = `{name: b, ports: [{name: http, containerPort: 8080}]}`
		again   = `{name: c, ports: [{name: http, containerPort: 8443, hostPort: 443}]}`
		udp     = `{name: d, ports: [{name: http, containerPort: 1, protocol: UDP}]}`
		sidecar = `{name: e, restartPolicy: Always, ports: [{name: http, containerPort: 2}]}`
	)
	assert.EqualValues(t, 8443, number("containers: ["+high+", "+low+"]"))
	assert.EqualValues(t, 8080, number("containers: ["+low+", "+high+"]"))
	assert.EqualValues(t, 8443, number("containers: ["+high+", "+low+", "+again+"]"), "one port twice")
	assert.EqualValues(t, 8080, number("containers: ["+udp+", "+low+"]"), "another protocol is another name")
	assert.EqualValues(t, 8080, number("initContainers: ["+sidecar+"], containers: ["+low+"]"), "sidecars come last")
	assert.EqualValues(t, 2, number("initContainers: ["+sidecar+"], containers: [{name: f}]"))

	s := snapshot(t, model.Facts{},
		`{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: a}, spec: {containers: [`+high+`, `+low+`]}}`,
		`{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: b}, spec: {containers: [`+low+`, `+high+`]}}`)
	assert.Len(t, s.Namespace("shop").Classes, 2, "Services tell them apart")
}

func TestPolicyTypesAreDefaultedAsTheAPIServerDoes(t *testing.T) {
	for name, c := range map[string]struct {
		spec string
		want [2]bool
	}{
		"nothing":           {`{}`, [2]bool{true, false}},
		"egress rules":      {`{egress: [{}]}`, [2]bool{true, true}},
		"an empty list":     {`{egress: []}`, [2]bool{true, false}},
		"explicit":          {`{policyTypes: [Egress], ingress: [{}]}`, [2]bool{false, true}},
		"an empty list too": {`{policyTypes: [], egress: [{}]}`, [2]bool{true, true}},
	} {
		var np networkingv1.NetworkPolicy
		require.NoError(t, yaml.UnmarshalStrict([]byte(c.spec), &np.Spec))
		assert.Equal(t, c.want, model.CompilePolicy(&np, model.Authored{}).Types, name)
	}
}

func TestTheClusterTellsItsDNSAndItsCNI(t *testing.T) {
	byDefault := snapshot(t, model.Facts{}).Facts()
	require.Len(t, byDefault.DNS, 1)
	assert.Equal(t, "kube-system", byDefault.DNS[0].Namespace)
	assert.Equal(t, []uint16{53}, byDefault.DNS[0].Ports)
	assert.Empty(t, byDefault.CNI)

	openshift := snapshot(t, model.Facts{}, `{apiVersion: v1, kind: Service, metadata: {namespace: openshift-dns, name: dns-default}, spec: {selector: {dns: default}, clusterIP: 172.30.0.10,
		ports: [{name: dns, port: 53, protocol: UDP, targetPort: dns}]}}`).Facts()
	assert.Equal(t, "openshift-dns", openshift.DNS[0].Namespace)
	assert.Equal(t, []uint16{5353}, openshift.DNS[0].Ports)
	assert.Equal(t, "172.30.0.10/32", openshift.DNSServiceIPs.String())

	agent := func(name string) string {
		return `{apiVersion: apps/v1, kind: DaemonSet, metadata: {namespace: kube-system, name: ` + name + `}, spec: {template: {}}}`
	}
	assert.Equal(t, "cilium", snapshot(t, model.Facts{}, agent("cilium"), agent("aws-node")).Facts().CNI)
	assert.Equal(t, "flannel", snapshot(t, model.Facts{}, agent("kube-flannel-ds")).Facts().CNI)
	assert.Empty(t, snapshot(t, model.Facts{}, agent("cilium"), agent("calico-node")).Facts().CNI, "which of the two enforces is not known")
	assert.Equal(t, "antrea", snapshot(t, model.Facts{CNI: "antrea"}, agent("cilium")).Facts().CNI, "what is configured counts")
}

func TestACNIIsKnownToEnforceOrNot(t *testing.T) {
	agent := func(name, containers string) string {
		return `{apiVersion: apps/v1, kind: DaemonSet, metadata: {namespace: kube-system, name: ` + name + `}, spec: {template: {spec: {containers: ` + containers + `}}}}`
	}
	for name, c := range map[string]struct {
		objects []string
		want    []model.Agent
	}{
		"nothing":         {nil, nil},
		"another program": {[]string{agent("node-exporter", "[]")}, nil},
		"flannel":         {[]string{agent("kube-flannel-ds", "[{name: kube-flannel, image: 'ghcr.io/flannel-io/flannel:v0.26.1'}]")}, []model.Agent{{CNI: "flannel", Version: "v0.26.1"}}},
		"flannel with its policies": {[]string{agent("kube-flannel-ds", "[{name: kube-flannel, image: flannel}, {name: kube-network-policies}]")},
			[]model.Agent{{CNI: "flannel", Enforces: true}}},
		"amazon's": {[]string{agent("aws-node", "[{name: aws-node}, {name: aws-eks-nodeagent, args: ['--enable-network-policy=false']}]")}, []model.Agent{{CNI: "aws-vpc"}}},
		"amazon's with its agent": {[]string{agent("aws-node", "[{name: aws-node}, {name: aws-eks-nodeagent, args: ['--enable-ipv6=false', '--enable-network-policy=true']}]")},
			[]model.Agent{{CNI: "aws-vpc", Enforces: true}}},
		"amazon's with its agent, in two words": {[]string{agent("aws-node", "[{name: aws-eks-nodeagent, command: [agent, '--enable-network-policy', 'true']}]")},
			[]model.Agent{{CNI: "aws-vpc", Enforces: true}}},
		"two, one above the other": {[]string{agent("cilium", "[{name: cilium-agent, image: 'registry.example:5000/cilium/cilium:v1.16.3@sha256:00'}]"), agent("aws-node", "[]")},
			[]model.Agent{{CNI: "aws-vpc"}, {CNI: "cilium", Enforces: true, Version: "v1.16.3"}}},
	} {
		assert.Equal(t, c.want, snapshot(t, model.Facts{}, c.objects...).Facts().Agents, name)
	}
	assert.Equal(t, []model.Agent{{CNI: "antrea", Enforces: true}}, snapshot(t, model.Facts{CNI: "antrea"}, agent("kube-flannel-ds", "[]")).Facts().Agents, "what is configured counts")
	assert.Equal(t, []model.Agent{{CNI: "flannel"}}, snapshot(t, model.Facts{CNI: "flannel"}).Facts().Agents)
}

func TestARouteOfAnotherNamespaceNeedsAGrant(t *testing.T) {
	const route = `{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {namespace: edge, name: web}, spec: {rules: [{backendRefs: [{name: web, namespace: shop, port: 80}]}]}}`
	grant := func(from string) string {
		return `{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {namespace: shop, name: grant}, spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: ` +
			from + `}], to: [{group: "", kind: Service}]}}`
	}
	assert.Empty(t, snapshot(t, model.Facts{}, route).NamespaceOrImplied("shop").Backends)
	assert.Empty(t, snapshot(t, model.Facts{}, route, grant("other")).NamespaceOrImplied("shop").Backends)
	assert.Len(t, snapshot(t, model.Facts{}, route, grant("edge")).NamespaceOrImplied("shop").Backends, 1)
}
