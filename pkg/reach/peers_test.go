package reach_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
)

// pair is a view of the pods shop/from and shop/to, written in YAML without their metadata, and of one policy for the whole
// namespace.
type pair struct {
	view     *reach.View
	from, to reach.Endpoint
}

func newPair(t *testing.T, facts model.Facts, from, to, policy string) pair {
	t.Helper()
	store := model.NewStore()
	for name, text := range map[string]string{"from": from, "to": to} {
		var pod corev1.Pod
		require.NoError(t, yaml.UnmarshalStrict([]byte(text), &pod))
		pod.Namespace, pod.Name, pod.Labels = "shop", name, map[string]string{"app": name}
		store.SetPod(&pod)
	}
	np := networkingv1.NetworkPolicy{}
	np.Namespace, np.Name = "shop", "policy"
	require.NoError(t, yaml.UnmarshalStrict([]byte(policy), &np.Spec))
	store.SetPolicy(model.CompilePolicy(&np, model.Authored{}))
	p := pair{view: reach.NewView(store.Snapshot(facts))}
	for _, class := range p.view.World().Namespace("shop").Classes {
		end := reach.Endpoint{Class: class, Pod: &class.Pods[0]}
		if class.Labels["app"] == "from" {
			p.from = end
		} else {
			p.to = end
		}
	}
	return p
}

func (p pair) connect(port uint16) reach.Truth {
	return p.view.Connection(p.from, p.to, netset.Port{Protocol: netset.TCP, Number: port}).Allowed
}

func TestIfThePeerIsOnTheHostNetworkThenItHasNoNamedPorts(t *testing.T) {
	const (
		from   = `{status: {podIPs: [{ip: 10.0.0.1}]}}`
		named  = `{spec: {containers: [{name: c, ports: [{name: http, containerPort: 80}]}]}, status: {podIPs: [{ip: 10.0.0.2}]}}`
		host   = `{spec: {hostNetwork: true, containers: [{name: c, ports: [{name: http, containerPort: 80}]}]}, status: {podIPs: [{ip: 10.0.0.2}]}}`
		policy = `{policyTypes: [Egress], egress: [{ports: [{port: http}, {port: 81}]}]}`
	)
	pod := newPair(t, model.Facts{}, from, named, policy)
	assert.Equal(t, reach.Yes, pod.connect(80))
	node := newPair(t, model.Facts{}, from, host, policy)
	assert.Equal(t, reach.No, node.connect(80))
	assert.Equal(t, reach.Yes, node.connect(81))
}

const (
	dual1   = `{status: {podIPs: [{ip: 10.0.0.1}, {ip: "fd00::1"}]}}`
	dual2   = `{status: {podIPs: [{ip: 10.0.0.2}, {ip: "fd00::2"}]}}`
	unknown = `{}`

	// out over IPv4 alone, in over IPv6 alone
	crossed = `{policyTypes: [Ingress, Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}], ingress: [{from: [{ipBlock: {cidr: "::/0"}}]}]}`
)

func TestIfOneSideAllowsIPv4AndTheOtherIPv6ThenNobodyConnects(t *testing.T) {
	facts := model.Facts{PodCIDRs: netset.AddrsOf(netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("fd00::/64"))}
	for name, pods := range map[string][2]string{"addresses known": {dual1, dual2}, "one known": {dual1, unknown}, "none known": {unknown, unknown}} {
		p := newPair(t, facts, pods[0], pods[1], crossed)
		assert.Equal(t, reach.No, p.connect(80), name)
		assert.True(t, p.view.Between(p.from.Class, p.to.Class).Possible.IsEmpty(), name)
	}
}

func TestIfThePodsShareNoAddressFamilyThenNobodyConnects(t *testing.T) {
	p := newPair(t, model.Facts{}, `{status: {podIPs: [{ip: 10.0.0.1}]}}`, `{status: {podIPs: [{ip: "fd00::2"}]}}`, `{policyTypes: [Ingress], ingress: [{}]}`)
	assert.Equal(t, reach.No, p.connect(80))
	assert.Equal(t, reach.Ports{}, p.view.Between(p.from.Class, p.to.Class))
}

func TestIfNeitherAddressesNorPodCIDRsAreKnownThenOnlyAllPrivateRangesReachPods(t *testing.T) {
	for cidr, want := range map[string]reach.Truth{
		"0.0.0.0/0": reach.Yes, "10.0.0.0/8": reach.Unknown, "8.0.0.0/8": reach.No,
		"::/0": reach.Unknown, "fd00::/8": reach.Unknown, "2000::/3": reach.No,
	} {
		p := newPair(t, model.Facts{}, unknown, unknown, `{policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: "`+cidr+`"}}]}]}`)
		assert.Equal(t, want, p.connect(80), cidr)
	}
}

func TestIfRulesMatchEveryPodOnlyTogetherThenEveryPodIsAllowed(t *testing.T) {
	p := newPair(t, model.Facts{}, dual1, dual2, `{policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: 10.0.0.2/32}}]}, {from: [{ipBlock: {cidr: 10.0.0.3/32}}]}]}`)
	class := *p.to.Class
	class.Pods = []model.Pod{class.Pods[0], {Name: "more", IPs: []netip.Addr{netip.MustParseAddr("10.0.0.3")}}}
	allowed := p.view.Allowed(p.from.Class, model.Ingress, reach.Endpoint{Class: &class})
	assert.True(t, allowed.Every.Equal(netset.AllPorts()))
	class.Pods = append(class.Pods, model.Pod{Name: "another", IPs: []netip.Addr{netip.MustParseAddr("10.0.0.4")}})
	allowed = p.view.Allowed(p.from.Class, model.Ingress, reach.Endpoint{Class: &class})
	assert.True(t, allowed.Every.IsEmpty())
	assert.True(t, allowed.Some.Equal(netset.AllPorts()))
}

func TestAnAnswerNamesThePolicyTheRuleAndThePeer(t *testing.T) {
	p := newPair(t, model.Facts{}, dual1, dual2, `{policyTypes: [Ingress], ingress: [
		{from: [{podSelector: {matchLabels: {app: other}}}]},
		{from: [{podSelector: {matchLabels: {app: other}}}, {podSelector: {matchLabels: {app: from}}}], ports: [{port: 80}]},
		{ports: [{port: 80}]}]}`)
	answer := p.view.Connection(p.from, p.to, netset.Port{Protocol: netset.TCP, Number: 80})
	require.Len(t, answer.Ingress.By, 2)
	assert.Equal(t, "policy", answer.Ingress.By[0].Policy.Name)
	assert.Equal(t, [2]int{1, 1}, [2]int{answer.Ingress.By[0].Rule, answer.Ingress.By[0].Peer})
	assert.Equal(t, [2]int{2, -1}, [2]int{answer.Ingress.By[1].Rule, answer.Ingress.By[1].Peer}, "every peer")
	outside := p.view.Connection(reach.Endpoint{Addr: netip.MustParseAddr("8.8.8.8")}, p.to, netset.Port{Protocol: netset.TCP, Number: 80})
	require.Len(t, outside.Ingress.By, 1)
	assert.Equal(t, -1, outside.Ingress.By[0].Peer)
}
