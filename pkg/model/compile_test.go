package model_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/portcullis-dev/portcullis/pkg/model"
)

// ingressRule compiles one rule, written in YAML.
func ingressRule(t *testing.T, text string) model.Rule {
	t.Helper()
	var np networkingv1.NetworkPolicy
	require.NoError(t, yaml.UnmarshalStrict([]byte("ingress: ["+text+"]"), &np.Spec))
	return model.CompilePolicy(&np, model.Authored{}).Rules[model.Ingress][0]
}

func TestPortsAreWhatTheAPIDocumentationSays(t *testing.T) {
	for ports, want := range map[string]string{
		`[]`:                          "any port",
		`[{port: 80}]`:                "TCP/80",
		`[{protocol: UDP}]`:           "every UDP port",
		`[{}]`:                        "every TCP port",
		`[{port: 80, endPort: 90}]`:   "TCP/80-90",
		`[{port: 80, endPort: 80}]`:   "TCP/80",
		`[{port: 80, endPort: 79}]`:   "",
		`[{port: 0}]`:                 "",
		`[{port: 65536}]`:             "",
		`[{port: -1, endPort: 9}]`:    "",
		`[{port: 1, endPort: 65536}]`: "",
		`[{port: http}]`:              "",
		`[{port: 53}, {protocol: UDP, port: 53}, {protocol: SCTP, port: 9}]`: "TCP/53 UDP/53 SCTP/9",
	} {
		r := ingressRule(t, "{ports: "+ports+"}")
		if ports == "[]" {
			assert.True(t, r.AllPorts())
			assert.Equal(t, 3*65535, r.Numeric.Size(), "%s", r.Numeric)
			continue
		}
		assert.False(t, r.AllPorts(), ports)
		if want == "" {
			assert.True(t, r.Numeric.IsEmpty(), "%s: %s", ports, r.Numeric)
			continue
		}
		assert.Equal(t, want, r.Numeric.String(), ports)
	}
	assert.True(t, ingressRule(t, "{ports: [{port: http}]}").Named)
	assert.False(t, ingressRule(t, "{ports: [{port: 80}]}").Named)
}

func TestPeersAreWhatTheAPIDocumentationSays(t *testing.T) {
	everyone := ingressRule(t, "{}")
	assert.True(t, everyone.AllPeers())
	assert.True(t, everyone.External.Contains(netip.MustParseAddr("2001:db8::1")))

	own := ingressRule(t, "{from: [{podSelector: {}}]}")
	assert.False(t, own.AllPeers())
	assert.True(t, own.External.IsEmpty())
	assert.Nil(t, own.Peers[0].NamespaceSelector, "a podSelector alone selects in the policy's own namespace")

	both := ingressRule(t, "{from: [{namespaceSelector: {matchLabels: {team: ops}}, podSelector: {matchLabels: {app: prometheus}}}]}").Peers
	require.Len(t, both, 1, "both in one item are one peer")
	assert.True(t, both[0].NamespaceSelector.Matches(map[string]string{"team": "ops"}))
	assert.True(t, both[0].PodSelector.Matches(map[string]string{"app": "prometheus"}))

	// What an API server refuses allows nothing.
	for _, refused := range []string{"{}", "{podSelector: {matchExpressions: [{key: a, operator: Near}]}}"} {
		peer := ingressRule(t, "{from: ["+refused+"]}").Peers[0]
		require.NotNil(t, peer.PodSelector, refused)
		for _, labels := range universe() {
			assert.False(t, peer.PodSelector.Matches(labels), refused)
		}
	}
}

func TestBlocksAreReadAsOlderServersStoredThem(t *testing.T) {
	for block, want := range map[string]struct{ in, out string }{
		"{cidr: 10.0.0.0/8}":                                          {"10.255.255.255", "11.0.0.0"},
		"{cidr: 10.1.2.3/8}":                                          {"10.0.0.0", "11.0.0.0"},
		"{cidr: 010.0.0.0/8}":                                         {"10.0.0.1", "8.0.0.1"},
		"{cidr: '::ffff:10.0.0.0/104'}":                               {"10.0.0.1", "11.0.0.1"},
		"{cidr: '2001:db8::/32'}":                                     {"2001:db8::1", "2001:db9::1"},
		"{cidr: 10.0.0.0/8, except: [10.9.0.0/16]}":                   {"10.8.255.255", "10.9.0.0"},
		"{cidr: 10.0.0.0/8, except: [10.9.0.0/16, 10.0.0.0/9]}":       {"10.128.0.0", "10.127.255.255"},
		"{cidr: 10.0.0.0/8, except: [192.168.0.0/16, not-a-network]}": {"10.0.0.0", "192.168.0.0"},
	} {
		r := ingressRule(t, "{from: [{ipBlock: "+block+"}]}")
		assert.True(t, r.External.Contains(netip.MustParseAddr(want.in)), block)
		assert.False(t, r.External.Contains(netip.MustParseAddr(want.out)), block)
	}
	for _, block := range []string{"{cidr: ''}", "{cidr: 10.0.0.0}", "{cidr: 10.0.0.0/33}", "{cidr: '::/129'}", "{cidr: 10.0.0.0/8, except: [0.0.0.0/0]}"} {
		r := ingressRule(t, "{from: [{ipBlock: "+block+"}]}")
		assert.True(t, r.External.IsEmpty(), block)
		assert.False(t, r.AllPeers(), block)
	}
	two := ingressRule(t, "{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.9.0.0/16]}}, {ipBlock: {cidr: 10.9.1.0/24}}]}")
	assert.True(t, two.External.Contains(netip.MustParseAddr("10.9.1.1")), "an exception is of its own block")
}

func TestAPolicyKeepsOfItsMetadataWhatRulesAskFor(t *testing.T) {
	yes, now := true, metav1.Now()
	np := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{GenerateName: "web-", DeletionTimestamp: &now, Labels: map[string]string{"a": "b"},
		Annotations:     map[string]string{"portcullis.dev/exempt": "all-ports", model.LastApplied: "{}"},
		OwnerReferences: []metav1.OwnerReference{{Kind: "Tenant", Name: "shop", Controller: &yes}}}}
	p := model.CompilePolicy(np, model.Authored{})
	assert.Equal(t, "default/web-", p.Subject().String(), "no namespace is the namespace default")
	assert.Equal(t, map[string]string{"portcullis.dev/exempt": "all-ports"}, p.Annotations)
	assert.True(t, p.Controlled)
	assert.True(t, p.Deleting)
}
