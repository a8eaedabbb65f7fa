package reach_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
)

func TestIfItIsNotKnownWhetherAPodHasTheFamilyThenNoPairIsKnownToConnect(t *testing.T) {
	p := newPair(t, model.Facts{}, `{status: {podIPs: [{ip: "fd00::1"}]}}`, unknown, `{podSelector: {matchLabels: {app: none}}}`)
	for _, ports := range []reach.Ports{p.view.Between(p.from.Class, p.to.Class), p.view.Between(p.to.Class, p.from.Class)} {
		assert.True(t, ports.Some.IsEmpty())
		assert.True(t, ports.Every.IsEmpty())
		assert.Equal(t, netset.AllPorts(), ports.Possible)
	}
}

func TestIfOneEndIsAskedForOneFamilyThenOnlyThatOneIsUsed(t *testing.T) {
	p := newPair(t, model.Facts{}, dual1, dual2, `{policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: "::/0"}}]}]}`)
	port := netset.Port{Protocol: netset.TCP, Number: 80}
	assert.Equal(t, reach.Yes, p.view.Connection(p.from, p.to, port).Allowed)
	four, six := p.from, p.to
	four.Family, six.Family = netset.IPv4, netset.IPv6
	assert.Equal(t, reach.No, p.view.Connection(four, p.to, port).Allowed)
	assert.Equal(t, reach.Yes, p.view.Connection(p.from, six, port).Allowed)
	assert.Equal(t, reach.No, p.view.Connection(four, six, port).Allowed)
}

func TestAPortWithoutANameIsNoNamedPort(t *testing.T) {
	p := newPair(t, model.Facts{}, dual1, `{spec: {containers: [{name: c, ports: [{containerPort: 9999}, {name: http, containerPort: 8080}]}]}, status: {podIPs: [{ip: 10.0.0.2}]}}`,
		`{policyTypes: [Ingress], ingress: [{ports: [{port: 80}, {port: http}]}]}`)
	assert.Equal(t, reach.Yes, p.connect(80))
	assert.Equal(t, reach.Yes, p.connect(8080))
	assert.Equal(t, reach.No, p.connect(9999))
}

func TestAnAddressOutsideIsMatchedByTheBlocksThatHoldIt(t *testing.T) {
	p := newPair(t, model.Facts{CNI: model.CNICilium}, dual1, dual2, `{policyTypes: [Ingress]}`)
	block := model.Peer{IPBlock: &model.IPBlock{Addrs: netset.AddrsOf(netip.MustParsePrefix("8.0.0.0/8"))}}
	assert.True(t, p.view.MatchPeer("shop", &block, reach.Endpoint{Addr: netip.MustParseAddr("8.8.8.8")}).Every)
	assert.False(t, p.view.MatchPeer("shop", &block, reach.Endpoint{Addr: netip.MustParseAddr("9.9.9.9")}).Possible)
	assert.False(t, p.view.MatchPeer("shop", &block, p.from).Possible, "Cilium matches no pods by address")
}

// world is the snapshot of Services and policies of the namespace shop, written in YAML.
func world(t *testing.T, services, policies map[string]string) *model.Snapshot {
	t.Helper()
	store := model.NewStore()
	for name, text := range services {
		var svc corev1.Service
		require.NoError(t, yaml.UnmarshalStrict([]byte(text), &svc.Spec))
		svc.Namespace, svc.Name = "shop", name
		store.SetService(&svc)
	}
	for name, text := range policies {
		np := networkingv1.NetworkPolicy{}
		np.Namespace, np.Name = "shop", name
		require.NoError(t, yaml.UnmarshalStrict([]byte(text), &np.Spec))
		store.SetPolicy(model.CompilePolicy(&np, model.Authored{}))
	}
	return store.Snapshot(model.Facts{})
}

func TestTheNamesOfPortsStandForNumbersOfTheirOwnOnPodsToCome(t *testing.T) {
	s := world(t,
		map[string]string{"web": `{selector: {app: web}, ports: [{port: 80, targetPort: 65533}]}`},
		map[string]string{"web": `{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: [
			{ports: [{port: 65535}, {port: http}]}, {}, {ports: [{port: http}, {port: metrics}, {port: dns, protocol: UDP}]}]}`})
	v := reach.NewView(s)
	selection := v.Select(s.Namespace("shop").Policies[0])
	require.True(t, selection.Hypothetical)
	require.Len(t, selection.Classes, 1)
	numbers := map[uint16]bool{}
	names := map[string]int{}
	for _, p := range selection.Classes[0].Ports {
		names[p.Name]++
		numbers[p.Port.Number] = true
		assert.NotContains(t, []uint16{0, 65535, 65533}, p.Port.Number, "%s has a number of its own", p.Name)
	}
	assert.Equal(t, map[string]int{"http": 1, "metrics": 1, "dns": 1}, names, "each name once")
	assert.Len(t, numbers, 3, "and no two one number")
	assert.Same(t, selection, v.Select(s.Namespace("shop").Policies[0]), "asked again, it is the same")
}

func TestIfThePolicySpeaksOfEveryPortThenEveryNameStillHasANumber(t *testing.T) {
	s := world(t, nil, map[string]string{"web": `{podSelector: {}, policyTypes: [Ingress], ingress: [
		{ports: [{port: 1, endPort: 65535}]}, {ports: [{port: http}, {port: metrics}, {port: dns, protocol: UDP}]}]}`})
	v := reach.NewView(s)
	policy := s.Namespace("shop").Policies[0]
	pod := v.Select(policy).Classes[0]
	assert.Equal(t, 3, reach.PortsOn(&policy.Rules[model.Ingress][1], pod).Size(), pod.Ports)
}

func TestIfTwoContainersGiveOneNameToDifferentPortsThenARuleIsForBoth(t *testing.T) {
	const named = `{spec: {containers: [{name: a, ports: [{name: http, containerPort: 80}, {name: http, containerPort: 81, protocol: UDP}]},
		{name: b, ports: [{name: http, containerPort: 8080}]}]}, status: {podIPs: [{ip: 10.0.0.2}]}}`
	p := newPair(t, model.Facts{}, `{status: {podIPs: [{ip: 10.0.0.1}]}}`, named, `{podSelector: {matchLabels: {app: to}}, policyTypes: [Ingress], ingress: [{ports: [{port: http}]}]}`)
	for port, want := range map[uint16]reach.Truth{80: reach.Yes, 8080: reach.Yes, 81: reach.No} {
		assert.Equal(t, want, p.connect(port), port)
	}
	var names strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&names, ", {port: p%d}", i)
	}
	many := newPair(t, model.Facts{}, `{status: {podIPs: [{ip: 10.0.0.1}]}}`, named, `{podSelector: {matchLabels: {app: to}}, policyTypes: [Ingress], ingress: [{ports: [{port: http}`+names.String()+`]}]}`)
	for port, want := range map[uint16]reach.Truth{80: reach.Yes, 8080: reach.Yes, 81: reach.No} {
		assert.Equal(t, want, many.connect(port), port)
	}
}

func TestPodsOfOneClassDoNotReachEachOtherAsAPodReachesItself(t *testing.T) {
	p := newPair(t, model.Facts{}, dual1, dual2, `{policyTypes: [Ingress]}`)
	port := netset.Port{Protocol: netset.TCP, Number: 80}
	class := reach.Endpoint{Class: p.from.Class}
	assert.Equal(t, reach.No, p.view.Connection(class, class, port).Allowed)
	assert.Equal(t, reach.No, p.view.Connection(p.from, class, port).Allowed)
	assert.Equal(t, reach.Yes, p.view.Connection(p.from, p.from, port).Allowed)
}

func TestAnIngressExposesThePortThatItNamesAlone(t *testing.T) {
	pods := model.NewHypothetical("shop", map[string]string{"app": "web"})
	const services = `{selector: {app: web}, ports: [{name: web, port: 80, targetPort: 8080}, {name: admin, port: 90, targetPort: 9090}, {name: tls, port: 443, targetPort: https}]}`
	for _, c := range []struct{ name, backend, want, unresolved string }{
		{"by number", `{service: {name: web, port: {number: 80}}}`, "TCP/8080", ""},
		{"by name", `{service: {name: web, port: {name: admin}}}`, "TCP/9090", ""},
		{"another Service", `{service: {name: other, port: {number: 80}}}`, "TCP/7070", ""},
		{"a port whose target is a name", `{service: {name: web, port: {number: 443}}}`, "no ports", "web"},
	} {
		store := model.NewStore()
		for name, text := range map[string]string{"web": services, "other": `{selector: {app: web}, ports: [{port: 80, targetPort: 7070}]}`} {
			var svc corev1.Service
			require.NoError(t, yaml.UnmarshalStrict([]byte(text), &svc.Spec))
			svc.Namespace, svc.Name = "shop", name
			store.SetService(&svc)
		}
		ingress := networkingv1.Ingress{}
		ingress.Namespace, ingress.Name = "shop", "web"
		require.NoError(t, yaml.UnmarshalStrict([]byte(`{defaultBackend: `+c.backend+`}`), &ingress.Spec))
		_, err := store.Apply(&ingress)
		require.NoError(t, err)
		exposures, unresolved := reach.NewView(store.Snapshot(model.Facts{})).Exposed(pods, reach.ExposureOptions{})
		assert.Equal(t, c.want, reach.ExposedPorts(exposures).String(), c.name)
		assert.Equal(t, c.unresolved != "", len(unresolved) > 0, c.name)
	}
}

func TestARouteOfOpenShiftExposesThePodsPortThatItNames(t *testing.T) {
	const ports = `{selector: {app: web}, ports: [{name: a, port: 80, targetPort: 8080}, {name: b, port: 8080, targetPort: https}]}`
	labels := map[string]string{"app": "web"}
	https := model.ContainerPort{Name: "https", Port: netset.Port{Protocol: netset.TCP, Number: 8443}}
	running := &model.PodClass{Namespace: "shop", Labels: labels, Ports: []model.ContainerPort{https}}
	for _, c := range []struct {
		name, port string
		pods       *model.PodClass
		want       string
		unresolved bool
	}{
		{"no port", "", running, "TCP/8080,8443", false},
		{"the pods' number", "port: {targetPort: 8080}", running, "TCP/8080", false},
		{"the number that a name stands for", "port: {targetPort: 8443}", running, "TCP/8443", false},
		{"the Service's number", "port: {targetPort: 80}", running, "no ports", false},
		{"the Service's name", "port: {targetPort: b}", running, "TCP/8443", false},
		{"the pods' name", "port: {targetPort: https}", running, "no ports", false},
		{"a number, without pods", "port: {targetPort: 8080}", model.NewHypothetical("shop", labels), "TCP/8080", true},
		{"a number that a name may stand for", "port: {targetPort: 9443}", model.NewHypothetical("shop", labels, https), "TCP/8443", false},
	} {
		store := model.NewStore()
		var svc corev1.Service
		require.NoError(t, yaml.UnmarshalStrict([]byte(ports), &svc.Spec))
		svc.Namespace, svc.Name = "shop", "web"
		store.SetService(&svc)
		var route unstructured.Unstructured
		require.NoError(t, yaml.Unmarshal([]byte(`{kind: Route, metadata: {namespace: shop, name: web}, spec: {to: {name: web}, `+c.port+`}}`), &route.Object))
		_, err := store.Apply(&route)
		require.NoError(t, err)
		exposures, unresolved := reach.NewView(store.Snapshot(model.Facts{})).Exposed(c.pods, reach.ExposureOptions{})
		assert.Equal(t, c.want, reach.ExposedPorts(exposures).String(), c.name)
		assert.Equal(t, c.unresolved, len(unresolved) > 0, c.name)
	}
}

func TestAServiceExposesThePortsThatItForwardsTo(t *testing.T) {
	s := world(t, map[string]string{
		"web":     `{type: LoadBalancer, selector: {app: web}, ports: [{name: a, port: 80, targetPort: 8080}, {name: b, port: 443, targetPort: https}]}`,
		"numbers": `{type: LoadBalancer, selector: {app: web}, ports: [{port: 7}]}`,
	}, nil)
	v := reach.NewView(s)
	class := func(ports ...model.ContainerPort) *model.PodClass {
		return model.NewHypothetical("shop", map[string]string{"app": "web"}, ports...)
	}
	names := func(services []*model.Service) (out []string) {
		for _, svc := range services {
			out = append(out, svc.Name)
		}
		return out
	}
	exposures, unresolved := v.Exposed(class(), reach.ExposureOptions{})
	assert.Equal(t, "TCP/7,8080", reach.ExposedPorts(exposures).String())
	assert.Equal(t, []string{"web"}, names(unresolved), "which number https will stand for is not known")
	exposures, unresolved = v.Exposed(class(model.ContainerPort{Name: "https", Port: netset.Port{Protocol: netset.TCP, Number: 8443}}), reach.ExposureOptions{})
	assert.Equal(t, "TCP/7,8080,8443", reach.ExposedPorts(exposures).String())
	assert.Empty(t, unresolved)
	exposures, unresolved = v.Exposed(model.NewHypothetical("shop", map[string]string{"app": "db"}), reach.ExposureOptions{})
	assert.Empty(t, exposures)
	assert.Empty(t, unresolved)
}
