package celrule_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/portcullis-dev/portcullis/pkg/celrule"
	"github.com/portcullis-dev/portcullis/pkg/engine"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rule"
	"github.com/portcullis-dev/portcullis/pkg/source/manifest"
)

// shop has a policy that selects the pods web-0 and web-1, and names peers of every kind.
const shop = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {env: prod}, annotations: {contact: "x@example.com"}}
---
apiVersion: v1
kind: Namespace
metadata: {name: lab, labels: {env: dev}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop, labels: {owner: storefront}}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from:
    - ipBlock: {cidr: 8.8.0.0/16, except: [8.8.8.0/24]}
    - ipBlock: {cidr: 10.0.0.0/9}
    - ipBlock: {cidr: 10.128.0.0/9}
    ports:
    - port: https
    - port: 80
  - from:
    - podSelector: {matchLabels: {app: job}}
    - namespaceSelector: {matchLabels: {env: dev}}
    ports:
    - {port: 9000, endPort: 9002}
  egress:
  - to:
    - podSelector: {matchLabels: {app: db}}
    ports:
    - port: pg
  - to:
    - ipBlock: {cidr: 192.0.2.0/24}
    ports:
    - {port: 53, protocol: UDP}
---
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: shop, labels: {app: web}}
spec: {containers: [{name: c, ports: [{name: https, containerPort: 8443}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web}}
spec: {containers: [{name: c, ports: [{name: https, containerPort: 8443}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db-0, namespace: shop, labels: {app: db}}
spec: {containers: [{name: c, ports: [{name: pg, containerPort: 5432}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: test-0, namespace: lab, labels: {app: test}}
spec: {containers: [{name: c}]}
`

// read yields the world of the manifests, and its first policy.
func read(t testing.TB, text string, facts model.Facts) (*model.Snapshot, *model.Policy) {
	t.Helper()
	result, err := manifest.Load(t.Context(), []string{manifest.Stdin}, strings.NewReader(text))
	require.NoError(t, err)
	require.Empty(t, result.Problems)
	require.NotEmpty(t, result.Policies)
	return result.Store.Snapshot(facts), result.Policies[0]
}

func spec(expression string) celrule.Spec {
	return celrule.Spec{
		ID: "acme", Level: finding.Baseline, Severity: finding.Medium, Expression: expression, Message: "It is not so",
		Subjects: []string{finding.KindNetworkPolicy}, Operations: []model.Operation{model.Create, model.Update, model.Delete},
	}
}

func compile(t testing.TB, s celrule.Spec) (celrule.Rule, field.ErrorList) {
	t.Helper()
	return celrule.NewCompiler().Compile(s, field.NewPath("customRules").Index(0))
}

// judged is what the rule finds of a change.
func judged(t testing.TB, s celrule.Spec, world *model.Snapshot, change model.Change) []finding.Finding {
	t.Helper()
	r, errs := compile(t, s)
	require.Empty(t, errs, s.Expression)
	return engine.New([]rule.Configured{r.Configured}).Evaluate(world, change)
}

func TestFacts(t *testing.T) {
	world, policy := read(t, shop, model.Facts{})
	for _, expression := range []string{
		"reach.ingress.isolates && reach.egress.isolates",
		"reach.ingress.internet && !reach.egress.internet",
		"reach.ingress.internetCIDRs.cidrsWithin(['8.8.0.0/16']) && !reach.ingress.internetCIDRs.cidrsOverlap(['8.8.8.0/24'])",
		"reach.ingress.internetPorts == ['TCP/80', 'TCP/8443']",
		"reach.ingress.cidrs[size(reach.ingress.cidrs) - 1] == '10.0.0.0/8'",
		"reach.ingress.connections.size() == 1 && reach.ingress.connections[0].ports == ['TCP/80', 'TCP/8443']",
		"reach.ingress.ports == ['TCP/80', 'TCP/8443', 'TCP/9000-9002']",
		"!reach.ingress.allNamespaces && reach.ingress.namespaces.map(n, n.name) == ['shop', 'lab']",
		"reach.ingress.namespaces.exists_one(n, n.labels.env == 'dev')",
		"reach.ingress.pods.map(p, [p.name, p.namespace, p.labels.app, string(p.count)] + p.open) == [['test-0', 'lab', 'test', '1', 'TCP/9000-9002']]",
		"reach.egress.cidrs == ['192.0.2.0/24']",
		"reach.egress.ports == ['TCP/5432', 'UDP/53']",
		"reach.egress.pods.map(p, p.name + p.open[0]) == ['db-0TCP/5432']",
		"pods.size() == 1 && pods[0].count == 2 && pods[0].name == 'web-0' && pods[0].ports.map(p, p.name + p.protocol + string(p.port)) == ['httpsTCP8443']",
		"object.metadata.labels.owner == 'storefront' && object.spec.ingress[0].ports[0].port == 'https' && object.spec.ingress[0].ports[1].port == 80",
		"object.spec.ingress[1].ports[0].endPort - 9000 == 2",
		"oldObject == null",
		"namespaceObject.metadata.labels.env == 'prod' && namespaceObject.metadata.annotations.contact.endsWith('example.com')",
		"request.operation == 'CREATE' && request.name == 'web' && request.namespace == 'shop' && !request.dryRun",
		"ip('10.0.0.1').family() == 4 && cidr('10.0.0.0/8').containsIP('10.0.0.1') && quantity('1Gi').isGreaterThan(quantity('1Mi')) && 'abc'.find('b') == 'b' && [1, 2].isSorted()",
		"reach.ingress.cidrs.wide(8, 64) && !reach.ingress.cidrs.wide(7, 0)",
	} {
		assert.Empty(t, judged(t, spec(expression), world, model.Change{OldPolicy: policy, NewPolicy: policy}), expression)
		assert.Len(t, judged(t, spec("!("+expression+")"), world, model.Change{OldPolicy: policy, NewPolicy: policy}), 1, expression)
	}
}
