package oracle_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/portcullis-dev/portcullis/test/oracle"
)

// The cases below are worked out by hand from https://kubernetes.io/docs/concepts/services-networking/network-policies/ and
// from the Go doc of the API, in this small cluster:
//
//	namespace shop (team: a): web (app: web), db (app: db), node-agent (app: web, on the host's network)
//	namespace ops  (team: b): prom (app: prom), web (app: web)
//
// outside is a public address, office a private one that is no pod's.
const (
	web    = "shop/web"
	db     = "shop/db"
	agent  = "shop/node-agent"
	prom   = "ops/prom"
	opsWeb = "ops/web"

	outside  = "8.8.8.8"
	office   = "192.168.7.7"
	outside6 = "2600::1"
)

var podManifests = []string{
	`{metadata: {namespace: shop, name: web, labels: {app: web}}, status: {podIPs: [{ip: 10.0.0.1}, {ip: "fd00::1"}]},
	  spec: {containers: [{name: a, ports: [{name: http, containerPort: 8080}, {name: dns, containerPort: 53, protocol: UDP}]}]}}`,
	`{metadata: {namespace: shop, name: db, labels: {app: db}}, status: {podIPs: [{ip: 10.0.0.2}, {ip: "fd00::2"}]},
	  spec: {containers: [{name: a, ports: [{name: http, containerPort: 9090}]}],
	  initContainers: [{name: i, ports: [{name: setup, containerPort: 7000}]}, {name: s, restartPolicy: Always, ports: [{name: side, containerPort: 7001}]}]}}`,
	`{metadata: {namespace: shop, name: node-agent, labels: {app: web}}, status: {podIPs: [{ip: 172.16.0.1}]},
	  spec: {hostNetwork: true, containers: [{name: a, ports: [{name: http, containerPort: 8080}]}]}}`,
	`{metadata: {namespace: ops, name: prom, labels: {app: prom}}, status: {podIPs: [{ip: 10.0.1.1}, {ip: "fd00::101"}]}, spec: {containers: [{name: a}]}}`,
	`{metadata: {namespace: ops, name: web, labels: {app: web}}, status: {podIPs: [{ip: 10.0.1.2}, {ip: "fd00::102"}]}, spec: {containers: [{name: a}]}}`,
}

var namespaceManifests = []string{`{metadata: {name: shop, labels: {team: a}}}`, `{metadata: {name: ops, labels: {team: b}}}`}

func read[T any](t *testing.T, manifest string) T {
	t.Helper()
	var out T
	require.NoError(t, yaml.UnmarshalStrict([]byte(manifest), &out), manifest)
	return out
}

// clusterWith is the small cluster with policies in the namespace shop of the given specs.
func clusterWith(t *testing.T, specs ...string) *oracle.Cluster {
	t.Helper()
	c := &oracle.Cluster{}
	for _, m := range namespaceManifests {
		c.Namespaces = append(c.Namespaces, read[corev1.Namespace](t, m))
	}
	for _, m := range podManifests {
		c.Pods = append(c.Pods, read[corev1.Pod](t, m))
	}
	for _, s := range specs {
		c.Policies = append(c.Policies, networkingv1.NetworkPolicy{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop"}, Spec: read[networkingv1.NetworkPolicySpec](t, s),
		})
	}
	return c
}

// at is the endpoint of a pod ("shop/web", its first address; "shop/web@6", its second), or else of an address.
func at(t *testing.T, c *oracle.Cluster, text string) oracle.Endpoint {
	t.Helper()
	if ip, err := netip.ParseAddr(text); err == nil {
		return oracle.Endpoint{IP: ip}
	}
	name, family := text, 0
	if n := len(text) - len("@6"); text[n:] == "@6" {
		name, family = text[:n], 1
	}
	for i := range c.Pods {
		pod := &c.Pods[i]
		if pod.Namespace+"/"+pod.Name == name {
			return oracle.Endpoint{Pod: pod, IP: netip.MustParseAddr(pod.Status.PodIPs[family].IP)}
		}
	}
	t.Fatalf("no pod %s", text)
	return oracle.Endpoint{}
}

type conn struct {
	from, to string
	protocol corev1.Protocol
	port     int32
	allowed  bool
}

const (
	tcp  = corev1.ProtocolTCP
	udp  = corev1.ProtocolUDP
	sctp = corev1.ProtocolSCTP
)

func TestAllowed(t *testing.T) {
	const (
		selectWeb = `podSelector: {matchLabels: {app: web}}`
		inWeb     = `{` + selectWeb + `, policyTypes: [Ingress], ingress: `
		outWeb    = `{` + selectWeb + `, policyTypes: [Egress], egress: `
	)
	for name, test := range map[string]struct {
		specs  []string
		cilium bool
		conns  []conn
	}{
		"if there are no NetworkPolicies, then all traffic is allowed": {nil, false, []conn{
			{web, db, tcp, 80, true}, {outside, web, udp, 53, true}, {web, outside, sctp, 1, true}, {prom, db, tcp, 80, true},
		}},
		"default deny all ingress: an empty podSelector selects all pods of the namespace, and only ingress is isolated": {
			[]string{`{podSelector: {}, policyTypes: [Ingress]}`}, false, []conn{
				{web, db, tcp, 80, false}, {outside, web, tcp, 80, false}, {web, outside, tcp, 80, true}, {web, prom, tcp, 80, true}, {outside, prom, tcp, 80, true},
			}},
		"default deny all egress: replies aside, nothing goes out, and ingress stays open": {
			[]string{`{podSelector: {}, policyTypes: [Egress]}`}, false, []conn{
				{web, db, tcp, 80, false}, {web, outside, tcp, 80, false}, {outside, web, tcp, 80, true}, {prom, web, tcp, 80, true},
			}},
		"default deny all": {[]string{`{podSelector: {}, policyTypes: [Ingress, Egress]}`}, false, []conn{
			{web, db, tcp, 80, false}, {web, outside, tcp, 80, false}, {outside, web, tcp, 80, false}, {prom, opsWeb, tcp, 80, true},
		}},
		"if policyTypes is absent and there is no egress rule, then only ingress is isolated, an empty egress list or none": {
			[]string{`{podSelector: {}, egress: []}`}, false, []conn{{web, outside, tcp, 80, true}, {outside, web, tcp, 80, false}}},
		"if policyTypes is absent and there are egress rules, then ingress is isolated, too": {
			[]string{`{podSelector: {}, egress: [{ports: [{port: 443}]}]}`}, false, []conn{
				{web, outside, tcp, 443, true}, {web, outside, tcp, 80, false}, {outside, web, tcp, 443, false},
			}},
		"if policyTypes leaves out a direction, then its rules have no effect": {
			[]string{`{podSelector: {}, policyTypes: [Ingress], egress: [{ports: [{port: 443}]}]}`}, false, []conn{{web, outside, tcp, 80, true}}},
		"allow all ingress: one empty rule allows everything, whatever else there is": {
			[]string{inWeb + `[]}`, inWeb + `[{}]}`}, false, []conn{{outside, web, sctp, 7, true}, {db, web, tcp, 80, true}}},
		"if from is an empty list, then it is the same as none: all sources": {
			[]string{inWeb + `[{from: [], ports: [{port: 80}]}]}`}, false, []conn{
				{outside, web, tcp, 80, true}, {agent, web, tcp, 80, true}, {outside, web, tcp, 81, false},
			}},
		"if ports is an empty list, then it is the same as none: all ports": {
			[]string{inWeb + `[{from: [{podSelector: {}}], ports: []}]}`}, false, []conn{{db, web, udp, 5, true}, {outside, web, udp, 5, false}}},
		"a policy says nothing of pods that it does not select, nor of other namespaces": {
			[]string{inWeb + `[]}`}, false, []conn{{outside, db, tcp, 80, true}, {outside, opsWeb, tcp, 80, true}, {outside, web, tcp, 80, false}}},
		"policies are additive: their union is allowed, and no policy takes from another": {
			[]string{inWeb + `[{ports: [{port: 80}]}]}`, inWeb + `[{ports: [{port: 81}]}]}`, inWeb + `[]}`}, false, []conn{
				{outside, web, tcp, 80, true}, {outside, web, tcp, 81, true}, {outside, web, tcp, 82, false},
			}},
		"both the egress of the source and the ingress of the destination must allow it": {
			[]string{`{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}]}]}`,
				outWeb + `[{to: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 80}, {port: 81}]}]}`}, false, []conn{
				{web, db, tcp, 80, true}, {web, db, tcp, 81, false}, {web, db, tcp, 82, false}, {outside, db, tcp, 80, false}, {web, prom, tcp, 80, false},
			}},
		"traffic must match both ports and from": {
			[]string{inWeb + `[{from: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 80}]}]}`}, false, []conn{
				{db, web, tcp, 80, true}, {db, web, tcp, 81, false}, {prom, web, tcp, 80, false},
			}},
		"a podSelector alone selects pods of the policy's own namespace": {
			[]string{inWeb + `[{from: [{podSelector: {}}]}]}`}, false, []conn{{db, web, tcp, 80, true}, {prom, web, tcp, 80, false}, {outside, web, tcp, 80, false}}},
		"a namespaceSelector alone selects all pods of the namespaces, and nothing outside": {
			[]string{inWeb + `[{from: [{namespaceSelector: {matchLabels: {team: b}}}]}]}`}, false, []conn{
				{prom, web, tcp, 80, true}, {opsWeb, web, tcp, 80, true}, {db, web, tcp, 80, false}, {outside, web, tcp, 80, false},
			}},
		"an empty namespaceSelector selects all namespaces": {
			[]string{inWeb + `[{from: [{namespaceSelector: {}}]}]}`}, false, []conn{{prom, web, tcp, 80, true}, {db, web, tcp, 80, true}, {outside, web, tcp, 80, false}}},
		"a namespaceSelector and a podSelector in one item: both must match": {
			[]string{inWeb + `[{from: [{namespaceSelector: {matchLabels: {team: b}}, podSelector: {matchLabels: {app: prom}}}]}]}`}, false, []conn{
				{prom, web, tcp, 80, true}, {opsWeb, web, tcp, 80, false}, {db, web, tcp, 80, false},
			}},
		"a namespaceSelector and a podSelector as two items: either may match": {
			[]string{inWeb + `[{from: [{namespaceSelector: {matchLabels: {team: b}}}, {podSelector: {matchLabels: {app: db}}}]}]}`}, false, []conn{
				{prom, web, tcp, 80, true}, {opsWeb, web, tcp, 80, true}, {db, web, tcp, 80, true}, {outside, web, tcp, 80, false},
			}},
		"the control plane sets the label kubernetes.io/metadata.name on all namespaces": {
			[]string{inWeb + `[{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ops}}}]}]}`}, false, []conn{
				{prom, web, tcp, 80, true}, {db, web, tcp, 80, false},
			}},
		"In, NotIn, Exists and DoesNotExist: a missing key satisfies NotIn and DoesNotExist": {
			[]string{
				inWeb + `[{from: [{podSelector: {matchExpressions: [{key: app, operator: In, values: [db, x]}]}}], ports: [{port: 1}]}]}`,
				inWeb + `[{from: [{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [db]}]}}], ports: [{port: 2}]}]}`,
				inWeb + `[{from: [{podSelector: {matchExpressions: [{key: tier, operator: NotIn, values: [x]}]}}], ports: [{port: 3}]}]}`,
				inWeb + `[{from: [{podSelector: {matchExpressions: [{key: tier, operator: Exists}]}}], ports: [{port: 4}]}]}`,
				inWeb + `[{from: [{podSelector: {matchExpressions: [{key: tier, operator: DoesNotExist}, {key: app, operator: Exists}]}}], ports: [{port: 5}]}]}`,
			}, false, []conn{{db, web, tcp, 1, true}, {db, web, tcp, 2, false}, {db, web, tcp, 3, true}, {db, web, tcp, 4, false}, {db, web, tcp, 5, true}}},
		"an ipBlock allows its range, less what except names": {
			[]string{inWeb + `[{from: [{ipBlock: {cidr: 8.8.0.0/16, except: [8.8.9.0/24, 8.8.8.9/32]}}]}]}`}, false, []conn{
				{outside, web, tcp, 80, true}, {"8.8.8.9", web, tcp, 80, false}, {"8.8.9.1", web, tcp, 80, false}, {"8.9.0.0", web, tcp, 80, false}, {"8.8.255.255", web, tcp, 80, true},
			}},
		"what except leaves out, another peer may allow again": {
			[]string{inWeb + `[{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [8.0.0.0/8]}}, {ipBlock: {cidr: 8.8.8.8/32}}]}]}`}, false, []conn{
				{outside, web, tcp, 80, true}, {"8.8.8.9", web, tcp, 80, false},
			}},
		"a range of one address family says nothing of the other": {
			[]string{inWeb + `[{from: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: 4}]}, {from: [{ipBlock: {cidr: "::/0", except: ["2600::/32"]}}], ports: [{port: 6}]}]}`}, false, []conn{
				{outside, web, tcp, 4, true}, {outside6, web + "@6", tcp, 4, false}, {outside6, web + "@6", tcp, 6, false}, {"2601::1", web + "@6", tcp, 6, true}, {outside, web, tcp, 6, false},
			}},
		"an ipBlock matches pods by the address that they use": {
			[]string{inWeb + `[{from: [{ipBlock: {cidr: 10.0.1.1/32}}]}]}`}, false, []conn{
				{prom, web, tcp, 80, true}, {prom + "@6", web + "@6", tcp, 80, false}, {opsWeb, web, tcp, 80, false},
			}},
		"with Cilium, an ipBlock matches neither pods nor nodes": {
			[]string{inWeb + `[{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}`}, true, []conn{{prom, web, tcp, 80, false}, {agent, web, tcp, 80, false}, {outside, web, tcp, 80, true}}},
		"no policy isolates a pod on the host's network": {
			[]string{`{podSelector: {}, policyTypes: [Ingress, Egress]}`}, false, []conn{{outside, agent, tcp, 80, true}, {agent, outside, tcp, 80, true}, {agent, prom, tcp, 80, true}}},
		"a selector does not find a pod on the host's network, but an ipBlock of its node does, and a rule for all peers": {
			[]string{inWeb + `[{from: [{podSelector: {}}, {namespaceSelector: {}}], ports: [{port: 1}]}, {from: [{ipBlock: {cidr: 172.16.0.0/12}}], ports: [{port: 2}]}, {ports: [{port: 3}]}]}`}, false, []conn{
				{agent, web, tcp, 1, false}, {agent, web, tcp, 2, true}, {agent, web, tcp, 3, true},
			}},
		"the protocol of a port is TCP unless it says otherwise": {
			[]string{inWeb + `[{ports: [{port: 53}]}, {ports: [{port: 54, protocol: UDP}, {port: 55, protocol: SCTP}]}]}`}, false, []conn{
				{outside, web, tcp, 53, true}, {outside, web, udp, 53, false}, {outside, web, tcp, 54, false}, {outside, web, udp, 54, true}, {outside, web, sctp, 55, true}, {outside, web, udp, 55, false},
			}},
		"a port item without port matches every port of its protocol": {
			[]string{inWeb + `[{ports: [{protocol: UDP}]}]}`}, false, []conn{{outside, web, udp, 1, true}, {outside, web, udp, 65535, true}, {outside, web, tcp, 1, false}}},
		"endPort: the range is inclusive": {
			[]string{outWeb + `[{ports: [{port: 32000, endPort: 32768}]}]}`}, false, []conn{
				{web, outside, tcp, 31999, false}, {web, outside, tcp, 32000, true}, {web, outside, tcp, 32500, true}, {web, outside, tcp, 32768, true}, {web, outside, tcp, 32769, false}, {web, outside, udp, 32500, false},
			}},
		"a named port is the container port of that name and protocol on the pod that is connected to": {
			[]string{`{podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: http}, {port: dns}, {port: dns, protocol: UDP}]}]}`}, false, []conn{
				{outside, web, tcp, 8080, true}, {outside, web, tcp, 9090, false}, {outside, db, tcp, 9090, true}, {outside, db, tcp, 8080, false},
				{outside, web, udp, 8080, false}, {outside, web, tcp, 53, false}, {outside, web, udp, 53, true},
			}},
		"a named port in egress is resolved on the destination, and an address outside has none": {
			[]string{outWeb + `[{ports: [{port: http}]}]}`}, false, []conn{
				{web, db, tcp, 9090, true}, {web, db, tcp, 8080, false}, {web, prom, tcp, 8080, false}, {web, outside, tcp, 8080, false}, {web, agent, tcp, 8080, false},
			}},
		"a named port beside an ipBlock is resolved on pods in the range": {
			[]string{outWeb + `[{to: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: http}]}]}`}, false, []conn{{web, db, tcp, 9090, true}, {web, db, tcp, 80, false}, {web, "10.9.9.9", tcp, 9090, false}}},
		"a name counts on a restartable init container, and not on another": {
			[]string{`{podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: setup}, {port: side}]}]}`}, false, []conn{{outside, db, tcp, 7000, false}, {outside, db, tcp, 7001, true}}},
		"a pod cannot block access to itself": {
			[]string{`{podSelector: {}, policyTypes: [Ingress, Egress]}`}, false, []conn{{web, web, tcp, 80, true}}},
		"the example of the documentation": {
			[]string{`
podSelector:
  matchLabels: {app: db}
policyTypes: [Ingress, Egress]
ingress:
- from:
  - ipBlock: {cidr: 172.17.0.0/16, except: [172.17.1.0/24]}
  - namespaceSelector: {matchLabels: {team: b}}
  - podSelector: {matchLabels: {app: web}}
  ports: [{protocol: TCP, port: 6379}]
egress:
- to:
  - ipBlock: {cidr: 10.0.0.0/24}
  ports: [{protocol: TCP, port: 5978}]
`}, false, []conn{
				{web, db, tcp, 6379, true}, {prom, db, tcp, 6379, true}, {"172.17.0.255", db, tcp, 6379, true}, {"172.17.2.0", db, tcp, 6379, true},
				{"172.17.1.255", db, tcp, 6379, false}, {web, db, tcp, 6380, false}, {office, db, tcp, 6379, false}, {agent, db, tcp, 6379, false},
				{db, "10.0.0.77", tcp, 5978, true}, {db, web, tcp, 5978, true}, {db, prom, tcp, 5978, false}, {db, "10.0.0.77", udp, 5978, false},
			}},
	} {
		t.Run(name, func(t *testing.T) {
			c := clusterWith(t, test.specs...)
			c.Cilium = test.cilium
			for _, x := range test.conns {
				got := oracle.Allowed(c, at(t, c, x.from), at(t, c, x.to), x.protocol, x.port)
				assert.Equal(t, x.allowed, got.Allowed, "%s → %s %s/%d: %+v", x.from, x.to, x.protocol, x.port, got)
			}
		})
	}
}

func TestAnswerTellsTheSides(t *testing.T) {
	c := clusterWith(t,
		`{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress]}`,
		`{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{}]}`)
	ask := func(from, to string) oracle.Answer { return oracle.Allowed(c, at(t, c, from), at(t, c, to), tcp, 80) }
	assert.Equal(t, oracle.Answer{EgressOK: true, EgressIsolated: true, IngressIsolated: true}, ask(web, db))
	assert.Equal(t, oracle.Answer{EgressOK: true, IngressIsolated: true}, ask(outside, db))
	assert.Equal(t, oracle.Answer{Allowed: true, EgressOK: true, IngressOK: true, EgressIsolated: true}, ask(web, outside))
	assert.Equal(t, oracle.Answer{Allowed: true, EgressOK: true, IngressOK: true}, ask(prom, web))
}

func TestANamespaceThatNoObjectDescribesHasItsNameAsLabelAlone(t *testing.T) {
	c := clusterWith(t, `{podSelector: {}, policyTypes: [Ingress], ingress: [
		{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ops}}}], ports: [{port: 1}]},
		{from: [{namespaceSelector: {matchLabels: {team: b}}}], ports: [{port: 2}]}]}`)
	c.Namespaces = c.Namespaces[:1]
	assert.True(t, oracle.Allowed(c, at(t, c, prom), at(t, c, web), tcp, 1).Allowed)
	assert.False(t, oracle.Allowed(c, at(t, c, prom), at(t, c, web), tcp, 2).Allowed)
}

func TestWhatTheAPIServerRefusesMatchesNothing(t *testing.T) {
	c := clusterWith(t, `{podSelector: {}, policyTypes: [Ingress], ingress: [
		{from: [{}], ports: [{port: 1}]},
		{from: [{podSelector: {matchExpressions: [{key: app, operator: Like, values: [d]}]}}], ports: [{port: 2}]}]}`)
	assert.False(t, oracle.Allowed(c, at(t, c, db), at(t, c, web), tcp, 1).Allowed)
	assert.False(t, oracle.Allowed(c, at(t, c, db), at(t, c, web), tcp, 2).Allowed)
}
