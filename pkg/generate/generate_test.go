package generate_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"

	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/engine"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/generate"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/rules"
	"github.com/portcullis-dev/portcullis/pkg/source/manifest"
)

func configuration(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Load([]byte(text), "config.yaml", rules.Catalogue())
	require.NoError(t, err)
	return c
}

// world is what manifests describe, and their policies.
func world(t *testing.T, text string) (*model.Snapshot, []*model.Policy) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "input.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	in, err := manifest.Load(t.Context(), []string{path}, nil)
	require.NoError(t, err)
	require.Empty(t, in.Problems)
	return in.Store.Snapshot(configuration(t, "").Facts), in.Policies
}

// found is what all rules find of a policy as it stands in the world.
func found(t *testing.T, world *model.Snapshot, p *model.Policy) []string {
	t.Helper()
	var out []string
	for _, f := range engine.New(configuration(t, "").Rules).Evaluate(world, model.Change{OldPolicy: p, NewPolicy: p}) {
		out = append(out, f.Rule+": "+f.Message)
	}
	return out
}

func create(s *model.Snapshot, policies ...generate.Policy) *model.Snapshot {
	for _, p := range policies {
		s = s.With(model.Change{Operation: model.Create, NewPolicy: p.Compiled()})
	}
	return s
}

const podsOfShop = `{apiVersion: v1, kind: Pod, metadata: {name: web-0, namespace: shop, labels: {app: web}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: db-0, namespace: shop, labels: {app: db}}, spec: {containers: [{name: db, ports: [{name: sql, containerPort: 5432}]}]}}
`

func TestADefaultDenyWithDNSHasNoFinding(t *testing.T) {
	for name, c := range map[string]struct{ objects, config string }{
		"no pods":         {},
		"pods":            {objects: podsOfShop},
		"OpenShift's DNS": {objects: podsOfShop, config: "cluster: {dns: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: openshift-dns}}, podSelector: {matchExpressions: [{key: dns, operator: Exists}]}, ports: [5353]}]}"},
		"two ways":        {config: "cluster: {dns: [{cidrs: [169.254.20.10/32]}, {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}]}"},
	} {
		store, _ := world(t, c.objects+"\n")
		facts := configuration(t, c.config).Facts
		dns, err := generate.AllowDNS("shop", &facts)
		if c.config == "" {
			dns, err = generate.AllowDNS("shop", store.Facts())
		}
		require.NoError(t, err, name)
		deny := generate.DefaultDeny("shop", model.Ingress, model.Egress)
		after := create(store, dns, deny)
		if c.config == "" { // the world's facts are those of the default configuration
			assert.Empty(t, found(t, after, dns.Compiled()), name)
			assert.Empty(t, found(t, after, deny.Compiled()), name)
		}
		assert.Len(t, dns.Object.Spec.Egress, max(len(facts.DNS), 1), name)
		for _, rule := range dns.Object.Spec.Egress {
			assert.NotEmpty(t, rule.To, "%s: DNS to anywhere is a way out", name)
			assert.Len(t, rule.Ports, 2, name)
		}
	}
	store, _ := world(t, podsOfShop)
	alone := generate.DefaultDeny("shop", model.Egress)
	assert.Len(t, found(t, create(store, alone), alone.Compiled()), 1, "without DNS, the pods are cut off from it")
	_, err := generate.AllowDNS("shop", &model.Facts{})
	assert.ErrorIs(t, err, generate.ErrNoDNS)
}

func TestADefaultDenySaysItsDirections(t *testing.T) {
	for want, directions := range map[string][]model.Direction{
		"default-deny": {model.Ingress, model.Egress}, "default-deny-ingress": {model.Ingress}, "default-deny-egress": {model.Egress},
	} {
		p := generate.DefaultDeny("", directions...)
		assert.Equal(t, want, p.Object.Name)
		assert.Len(t, p.Object.Spec.PolicyTypes, len(directions))
		assert.Empty(t, p.Object.Namespace)
		assert.Equal(t, "default", p.Compiled().Namespace)
	}
}

func TestWhatIsOneSidedIsNotWithItsComplement(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "rules", "testdata", "one-sided-allow", "bad", "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, path := range files {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		before, policies := world(t, string(text))
		written, left, after := generate.Complement(before, policies)
		assert.NotEmpty(t, written, path)
		assert.Empty(t, left, path)
		for _, p := range policies {
			assert.Empty(t, reach.NewView(after).OneSided(p), "%s: %s", path, p.Subject())
		}
		for _, w := range written {
			assert.Empty(t, found(t, after, w.Compiled()), "%s: %s", path, w.Object.Name)
		}
		again, _, _ := generate.Complement(after, policies)
		assert.Empty(t, again, "%s: nothing is left to be written", path)
	}
}

const denied = podsOfShop + `---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: default-deny, namespace: shop}, spec: {podSelector: {}, policyTypes: [Ingress, Egress]}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: default-deny, namespace: ops}, spec: {podSelector: {}, policyTypes: [Ingress, Egress]}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: ops, labels: {team: ops}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: agent-0, namespace: ops, labels: {app: agent}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: api-0, namespace: ops, labels: {app: api}}, spec: {containers: [{name: api, ports: [{containerPort: 8443}, {containerPort: 9090}]}]}}
---
`

func TestWhatAComplementIs(t *testing.T) {
	policy := func(name, spec string) string {
		return "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: " + name + ", namespace: shop}, spec: " + spec + "}\n---\n"
	}
	for name, c := range map[string]struct {
		policies string
		want     []string // name: spec without DNS
		left     []string
	}{
		"a name of a port is its number for egress": {
			policy("db", "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: sql}]}]}"),
			[]string{"shop/allow-to-db: {egress: [{ports: [{port: 5432, protocol: TCP}], to: [{podSelector: {matchLabels: {app: db}}}]}], podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]}"}, nil},
		"a name of a port stays for ingress": {
			policy("web", "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: sql}]}]}"),
			[]string{"shop/allow-from-web: {ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: sql, protocol: TCP}]}], podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress]}"}, nil},
		"a range stays a range, and rules for the same pods are one": {
			policy("db", "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5000, endPort: 5999}]}, {from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 6000}, {port: 5000, endPort: 5999}]}]}"),
			[]string{"shop/allow-to-db: {egress: [{ports: [{endPort: 5999, port: 5000, protocol: TCP}, {port: 6000, protocol: TCP}], to: [{podSelector: {matchLabels: {app: db}}}]}], podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]}"}, nil},
		"every port of another namespace's pods is those that they declare": {
			policy("web", "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {team: ops}}, podSelector: {matchLabels: {app: api}}}]}]}"),
			[]string{"ops/allow-from-shop-web: {ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}, podSelector: {matchLabels: {app: web}}}], ports: [{port: 8443, protocol: TCP}, {port: 9090, protocol: TCP}]}], podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress]}"}, nil},
		"every port of another namespace's pods that declare none is left": {
			policy("web", "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {team: ops}}, podSelector: {matchLabels: {app: agent}}}]}]}"),
			nil, []string{"shop/web spec.egress[0].to[0]"}},
		"pods that are not isolated are not isolated by a complement": {
			"{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: db, namespace: free}, spec: {podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {}}], ports: [{port: 5432}]}]}}\n---\n" +
				"{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web, namespace: free}, spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]}}\n---\n" +
				"{apiVersion: v1, kind: Pod, metadata: {name: db-0, namespace: free, labels: {app: db}}}\n---\n" +
				"{apiVersion: v1, kind: Pod, metadata: {name: web-0, namespace: free, labels: {app: web}}}\n---\n",
			nil, []string{"free/db spec.ingress[0].from[0]"}},
		"what one complement allows is not written again": {
			policy("db", "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}]}") +
				policy("db-too", "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}]}"),
			[]string{"shop/allow-to-db: {egress: [{ports: [{port: 5432, protocol: TCP}], to: [{podSelector: {matchLabels: {app: db}}}]}], podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]}"}, nil},
		"a name that is taken is not taken again": {
			policy("allow-to-db", "{podSelector: {matchLabels: {app: other}}, policyTypes: [Ingress]}") +
				policy("db", "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}]}"),
			[]string{"shop/allow-to-db-2: {egress: [{ports: [{port: 5432, protocol: TCP}], to: [{podSelector: {matchLabels: {app: db}}}]}], podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]}"}, nil},
		"a peer of several namespaces and no podSelector": {
			policy("db", "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{namespaceSelector: {}}], ports: [{port: 5432}]}]}"),
			[]string{
				"ops/allow-to-shop-db: {egress: [{ports: [{port: 5432, protocol: TCP}], to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}, podSelector: {matchLabels: {app: db}}}]}], podSelector: {}, policyTypes: [Egress]}",
				"shop/allow-to-db: {egress: [{ports: [{port: 5432, protocol: TCP}], to: [{podSelector: {matchLabels: {app: db}}}]}], podSelector: {}, policyTypes: [Egress]}",
			}, nil},
	} {
		before, policies := world(t, denied+c.policies)
		written, left, after := generate.Complement(before, policies)
		var got, of []string
		for _, w := range written {
			spec := *w.Object.Spec.DeepCopy()
			spec.Egress = slices.DeleteFunc(spec.Egress, func(r networkingv1.NetworkPolicyEgressRule) bool {
				return len(r.Ports) == 2 && r.Ports[0].Port.IntVal == 53
			})
			got = append(got, w.Object.Namespace+"/"+w.Object.Name+": "+flow(t, spec))
			assert.Empty(t, found(t, after, w.Compiled()), "%s: %s", name, w.Object.Name)
		}
		for _, l := range left {
			of = append(of, l.Policy.String()+" "+l.Path)
			assert.NotEmpty(t, l.Why)
		}
		assert.Equal(t, normal(t, c.want), got, name)
		assert.Equal(t, c.left, of, name)
	}
}

// flow is the spec as JSON, with its keys sorted.
func flow(t *testing.T, spec any) string {
	t.Helper()
	text, err := yaml.Marshal(spec)
	require.NoError(t, err)
	out, err := yaml.YAMLToJSON(text)
	require.NoError(t, err)
	return string(out)
}

func normal(t *testing.T, wants []string) []string {
	t.Helper()
	var out []string
	for _, want := range wants {
		name, spec, _ := strings.Cut(want, ": ")
		text, err := yaml.YAMLToJSON([]byte(spec))
		require.NoError(t, err)
		out = append(out, name+": "+string(text))
	}
	return out
}

// A policy for every pod of a namespace would isolate those that no policy isolates, as soon as they are made.
func TestPodsThatDoNotExistYetAreNotIsolatedByAComplementUnlessAllAre(t *testing.T) {
	before, policies := world(t, `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: app, namespace: new}, spec: {podSelector: {matchLabels: {tier: app}}, policyTypes: [Ingress, Egress],
  egress: [{to: [{podSelector: {}}], ports: [{port: 5432}]}, {to: [{podSelector: {matchLabels: {tier: app}}}], ports: [{port: 9000}]}]}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: rest, namespace: new}, spec: {podSelector: {matchExpressions: [{key: tier, operator: NotIn, values: [app, web]}]}, policyTypes: [Ingress]}}
`)
	written, left, after := generate.Complement(before, policies)
	require.Len(t, written, 1)
	assert.Equal(t, map[string]string{"tier": "app"}, written[0].Object.Spec.PodSelector.MatchLabels)
	require.Len(t, left, 1)
	assert.Equal(t, "new/app spec.egress[0].to[0]", left[0].Policy.String()+" "+left[0].Path)
	web := model.NewHypothetical("new", map[string]string{"tier": "web"})
	assert.False(t, reach.NewView(after).Isolated(web, model.Ingress), "pods of tier web stay as they are")
}

func TestAComplementLetsItsPodsAskDNSOnlyIfTheyCannot(t *testing.T) {
	dns := `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: allow-dns, namespace: shop}, spec: {podSelector: {}, policyTypes: [Egress],
  egress: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]}]}}
---
`
	db := "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: db, namespace: shop}, spec: {podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}]}}\n"
	for text, rules := range map[string]int{denied + db: 2, denied + dns + db: 1} {
		before, policies := world(t, text)
		written, _, _ := generate.Complement(before, policies)
		require.Len(t, written, 1)
		assert.Len(t, written[0].Object.Spec.Egress, rules)
		assert.Equal(t, finding.KindNetworkPolicy, written[0].Object.Kind)
	}
}
