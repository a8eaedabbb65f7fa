package celrule_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis-dev/portcullis/pkg/celrule"
	"github.com/portcullis-dev/portcullis/pkg/engine"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

const openToAll = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress: [{}]
  egress: [{ports: [{port: 443}]}]
  policyTypes: [Ingress]
`

// holds asserts that the expressions are true of the policy as it stands.
func holds(t *testing.T, world *model.Snapshot, p *model.Policy, expressions ...string) {
	t.Helper()
	for _, e := range expressions {
		assert.Empty(t, judged(t, spec(e), world, model.Change{OldPolicy: p, NewPolicy: p}), e)
		assert.Len(t, judged(t, spec("!("+e+")"), world, model.Change{OldPolicy: p, NewPolicy: p}), 1, e)
	}
}

func TestARuleWithoutPeersIsForEverybody(t *testing.T) {
	world, p := read(t, shop[:strings.Index(shop, "---\napiVersion: networking")]+"---"+openToAll, model.Facts{})
	holds(t, world, p, "reach.ingress.cidrs == ['0.0.0.0/0', '::/0']", "reach.ingress.allNamespaces", "reach.ingress.namespaces.map(n, n.name) == ['lab', 'shop']",
		"reach.ingress.ports.portsWithin(['TCP/1-65535', 'UDP/1-65535', 'SCTP/1-65535'])")
}

func TestIfADirectionIsNotIsolatedThenItsRulesHaveNoEffect(t *testing.T) {
	world, p := read(t, openToAll, model.Facts{})
	holds(t, world, p, "!reach.egress.isolates", "reach.egress.cidrs == []", "reach.egress.ports == []", "!reach.egress.allNamespaces", "reach.egress.namespaces == []", "reach.egress.pods == []")
}

func TestTheClusterAndTrustedNetworksAreNoInternet(t *testing.T) {
	world, p := read(t, openToAll, model.Facts{Trusted: netset.AllIPv4(), PodCIDRs: netset.AllIPv6()})
	holds(t, world, p, "!reach.ingress.internet", "reach.ingress.internetPorts == []")
}

func TestPodsThatDoNotExistYetAreNotAmongPodsAndYetJudgedByReach(t *testing.T) {
	world, p := read(t, strings.ReplaceAll(openToAll, "[{}]", "[{ports: [{port: https}]}]"), model.Facts{})
	holds(t, world, p, "pods == []", "reach.ingress.internet", "reach.ingress.internetPorts.size() == 1")
}

func TestAtADeletionThereIsNoObjectAndTheFactsAreOfWhatGoes(t *testing.T) {
	world, p := read(t, shop, model.Facts{})
	change := model.Change{Operation: model.Delete, OldPolicy: p, Requester: &model.Requester{Username: "jane"}}
	for _, e := range []string{
		"object == null", "oldObject.metadata.name == 'web'", "request.operation == 'DELETE'", "reach.ingress.internet", "pods[0].count == 2",
		"request.userInfo.username == 'jane' && request.userInfo.groups == []", "namespaceObject.metadata.name == 'shop'",
	} {
		assert.Empty(t, judged(t, spec(e), world, change), e)
		assert.Len(t, judged(t, spec("!("+e+")"), world, change), 1, e)
	}
}

func TestARuleJudgesOnlyTheOperationsThatItAsksFor(t *testing.T) {
	world, p := read(t, shop, model.Facts{})
	for asked, want := range map[model.Operation][]model.Operation{
		model.Create: {model.Create, model.Exists}, model.Update: {model.Update}, model.Delete: {model.Delete},
	} {
		s := spec("false")
		s.Operations = []model.Operation{asked}
		for _, o := range []model.Operation{model.Exists, model.Create, model.Update, model.Delete} {
			change := model.Change{Operation: o, OldPolicy: p, NewPolicy: p}
			if o == model.Delete {
				change.NewPolicy = nil
			}
			wanted := 0
			for _, w := range want {
				if w == o {
					wanted = 1
				}
			}
			assert.Len(t, judged(t, s, world, change), wanted, "%s judged by a rule for %s", o, asked)
		}
	}
}

func TestIfTheExpressionFailsThenTheRuleIsUndetermined(t *testing.T) {
	world, p := read(t, shop, model.Facts{})
	bare := *p
	bare.Object = nil
	asItStands := model.Change{OldPolicy: p, NewPolicy: p}
	for _, c := range []struct {
		expression string
		change     model.Change
		want       string
	}{
		{"object.metadata.annotations['a'] == 'b'", asItStands, "no such key: annotations"},
		{"'platform' in request.userInfo.groups", asItStands, "the answer depends on request.userInfo, and nobody asks for an object that is judged as it stands"},
		{"has(request.userInfo.uid)", asItStands, "nobody asks"},
		{"object.spec.ingress.size() > 0", model.Change{OldPolicy: &bare, NewPolicy: &bare}, "the object itself is not at hand"},
		{"pods[7].name == ''", asItStands, "index out of bounds: 7"},
		{"reach.ingress.cidrs.cidrsWithin([object.metadata.name])", asItStands, `"web" is no CIDR`},
		{"reach.ingress.ports.portsOverlap([object.metadata.name])", asItStands, `"web" are no ports`},
		{"reach.ingress.cidrs.wide(int(size(object.metadata.name)) * 11, 0)", asItStands, "the lengths of prefixes"},
		{"int(object.metadata.name) == 1", asItStands, "type conversion error"},
	} {
		found := judged(t, spec(c.expression), world, c.change)
		require.Len(t, found, 1, c.expression)
		assert.Equal(t, finding.Undetermined, found[0].Outcome, c.expression)
		assert.Contains(t, found[0].Message, c.want, c.expression)
		assert.True(t, found[0].Custom)
	}
}

func TestAnErrorThatDoesNotMatterIsAbsorbed(t *testing.T) {
	world, p := read(t, shop, model.Facts{})
	asItStands := model.Change{OldPolicy: p, NewPolicy: p}
	assert.Empty(t, judged(t, spec("'platform' in request.userInfo.groups || reach.ingress.internet"), world, asItStands))
	found := judged(t, spec("'platform' in request.userInfo.groups && !reach.ingress.internet"), world, asItStands)
	require.Len(t, found, 1)
	assert.Equal(t, finding.Violation, found[0].Outcome)
}

func TestIfAnExpressionCostsTooMuchAtRunTimeThenTheRuleIsUndetermined(t *testing.T) {
	peers := strings.Repeat("\n    - ipBlock: {cidr: 192.0.2.1/32}", 1200)
	world, p := read(t, strings.Replace(openToAll, "ingress: [{}]", "ingress:\n  - from:"+peers, 1), model.Facts{})
	expression := "object.spec.ingress[0].from.all(a, object.spec.ingress[0].from.all(b, a.ipBlock.cidr == b.ipBlock.cidr))"
	found := judged(t, spec(expression), world, model.Change{OldPolicy: p, NewPolicy: p})
	require.Len(t, found, 1)
	assert.Equal(t, finding.Undetermined, found[0].Outcome)
	assert.Contains(t, found[0].Message, "its loops take more than 10000 turns")
}

func TestIfTheRulesOfAReviewCostTooMuchTogetherThenTheLastOnesAreUndetermined(t *testing.T) {
	long := strings.Repeat("x", 250_000)
	world, p := read(t, strings.Replace(openToAll, "namespace: shop", "namespace: shop, annotations: {a: "+long+"}", 1), model.Facts{})
	r, errs := compile(t, spec("!object.metadata.annotations.a.contains('"+strings.Repeat("y", 300)+"')"))
	require.Empty(t, errs)
	found := engine.New(slices.Repeat([]rule.Configured{r.Configured}, 30)).Evaluate(world, model.Change{OldPolicy: p, NewPolicy: p})
	require.Len(t, found, 1, "30 that are alike, and each costs less than the limit for one")
	assert.Equal(t, finding.Undetermined, found[0].Outcome)
	assert.Contains(t, found[0].Message, "the custom rules before it cost more than all of them may in one review")
}

func TestIfThereAreMorePeersThanARuleLooksAtThenItIsUndeterminedUnlessItNeedNotLook(t *testing.T) {
	var text strings.Builder
	text.WriteString(openToAll)
	for i := range 5001 {
		fmt.Fprintf(&text, "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: n-%d}\n", i)
	}
	world, p := read(t, text.String(), model.Facts{})
	asItStands := model.Change{OldPolicy: p, NewPolicy: p}
	found := judged(t, spec("reach.ingress.namespaces.size() > 0"), world, asItStands)
	require.Len(t, found, 1)
	assert.Equal(t, finding.Undetermined, found[0].Outcome)
	assert.Contains(t, found[0].Message, "reach.ingress.namespaces has more than 5000 entries")
	found = judged(t, spec("!reach.ingress.allNamespaces && reach.ingress.namespaces.size() > 0"), world, asItStands)
	require.Len(t, found, 1)
	assert.Equal(t, finding.Violation, found[0].Outcome)
}

func TestAFindingSaysWhatTheMessageExpressionSays(t *testing.T) {
	world, p := read(t, shop, model.Facts{})
	for expression, want := range map[string]string{
		"": "It is not so",
		"'The owner is ' + object.metadata.labels.owner": "The owner is storefront",
		"object.metadata.annotations['a']":               "It is not so", // it fails
		"' '":                                            "It is not so",
		"'two\\nlines'":                                  "It is not so",
		"reach.ingress.ports.join(', ')":                 "TCP/80, TCP/8443, TCP/9000-9002",
	} {
		s := spec("reach.ingress.cidrs == []")
		s.MessageExpression, s.Fix, s.Path, s.Severity = expression, "Close it", "spec.ingress", finding.High
		found := judged(t, s, world, model.Change{OldPolicy: p, NewPolicy: p})
		require.Len(t, found, 1)
		f := found[0]
		assert.Equal(t, want, f.Message, expression)
		assert.Equal(t, []any{"acme", finding.Baseline, finding.High, "Close it", "spec.ingress", 2}, []any{f.Rule, f.Level, f.Severity, f.Fix, f.Path, f.Pods})
	}
}

func TestTheRatchetSeesWhenThePolicyAllowsMore(t *testing.T) {
	policy := func(cidr, env string) (*model.Snapshot, *model.Policy) {
		return read(t, strings.NewReplacer("8.8.0.0/16, except: [8.8.8.0/24]", cidr, "matchLabels: {env: dev}", env).Replace(shop), model.Facts{})
	}
	world, old := policy("8.8.0.0/16", "matchLabels: {env: dev}")
	find := func(s celrule.Spec, cidr, env string) finding.Finding {
		_, changed := policy(cidr, env)
		found := judged(t, s, world, model.Change{Operation: model.Update, OldPolicy: old, NewPolicy: changed})
		require.Len(t, found, 1)
		return found[0]
	}
	before := judged(t, spec("!reach.ingress.internet"), world, model.Change{OldPolicy: old, NewPolicy: old})
	assert.True(t, find(spec("!reach.ingress.internet"), "8.8.4.0/24", "matchLabels: {env: dev}").Within(before), "less of the internet")
	assert.False(t, find(spec("!reach.ingress.internet"), "8.0.0.0/8", "matchLabels: {env: dev}").Within(before), "more of the internet")
	assert.False(t, find(spec("!reach.ingress.internet"), "8.8.4.0/24", "matchLabels: {env: prod}").Within(before), "other pods")
	plain := judged(t, spec("false"), world, model.Change{OldPolicy: old, NewPolicy: old})
	assert.True(t, find(spec("false"), "8.0.0.0/8", "matchLabels: {env: dev}").Within(plain), "a rule that does not look at reach")
}

func TestARuleForNamespacesSeesTheNamespace(t *testing.T) {
	world, _ := read(t, shop, model.Facts{})
	ns := &world.Namespace("shop").Meta
	for _, e := range []string{
		"object.metadata.labels.env == 'prod' && object.metadata.annotations.contact != '' && object.kind == 'Namespace'",
		"namespaceObject == null", "oldObject == null", "request.name == 'shop' && request.namespace == 'shop'",
	} {
		for expression, want := range map[string]int{e: 0, "!(" + e + ")": 1} {
			s := spec(expression)
			s.Subjects = []string{finding.KindNamespace}
			assert.Len(t, judged(t, s, world, model.Change{OldNS: ns, NewNS: ns}), want, expression)
		}
	}
	implied := &world.NamespaceOrImplied("other").Meta
	s := spec("has(object.metadata.annotations)")
	s.Subjects = []string{finding.KindNamespace}
	found := judged(t, s, world, model.Change{OldNS: implied, NewNS: implied})
	require.Len(t, found, 1)
	assert.Equal(t, finding.Violation, found[0].Outcome, "a Namespace that no object describes has no annotations")
}

func TestBadExpressionsAreRefusedWithTheirPositions(t *testing.T) {
	deep := "true"
	for i := range 6 {
		deep = fmt.Sprintf("object.spec.ingress.all(x%d, %s)", i, deep)
	}
	for expression, want := range map[string]string{
		"objct.spec == null":                            `line 1, column 1: there is no objct: did you mean object?`,
		"true &&\n  object.spec.igress":                 `line 2, column 14: undefined field 'igress'`,
		"object.spec.ingress.all(r,":                    `line 1, column 27: Syntax error:`,
		"object.metadata.name":                          "must yield true or false, and yields string",
		"object.spec.ingress[0].ports[0].port":          "must yield true or false, and yields dyn",
		"reach.ingres.internet":                         `line 1, column 6: undefined field 'ingres'`,
		"object.metadata.name == 7":                     `found no matching overload for '_==_' applied to '(string, int)'`,
		"reach.ingress.cidrs.cidrsWithin(['10.0.0.0'])": `line 1, column 34: "10.0.0.0" is no CIDR: write it as in 10.0.0.0/8`,
		"reach.ingress.ports.portsWithin([\n'443'])":    `line 2, column 1: "443" are no ports: write them as in TCP/443`,
		"object.metadata.name.matches('[')":             "invalid matches argument",
		deep:                                            "costs too much",
		"request.userInfo.extra == null":                `undefined field 'extra'`,
		"":                                              "Syntax error",
	} {
		_, errs := compile(t, spec(expression))
		require.NotEmpty(t, errs, expression)
		assert.Equal(t, "customRules[0].expression", errs[0].Field)
		assert.Contains(t, errs[0].Detail, want, expression)
		assert.NotContains(t, errs.ToAggregate().Error(), "\n", expression)
	}
	s := spec("true")
	s.MessageExpression = "1"
	_, errs := compile(t, s)
	require.Len(t, errs, 1)
	assert.Equal(t, `customRules[0].messageExpression: Forbidden: must yield a text, and yields int`, errs[0].Error())
	s = spec("reach.ingress.internet")
	s.Subjects = append(s.Subjects, finding.KindNamespace)
	_, errs = compile(t, s)
	require.Len(t, errs, 1)
	assert.Contains(t, errs[0].Detail, "for a Namespace: line 1, column 1: there is no reach here: known are object, oldObject, namespaceObject, request")
}

func TestARuleTellsWhetherItLooksAtObjects(t *testing.T) {
	for expression, want := range map[string]bool{
		"reach.ingress.internet": false, "pods == [] && request.name == ''": false, "object == null": true, "oldObject == null": true,
		"namespaceObject == null": true, "pods.all(p, has(object.metadata))": true,
	} {
		r, errs := compile(t, spec(expression))
		require.Empty(t, errs)
		assert.Equal(t, want, r.Objects, expression)
	}
}

// fragment draws a part of an expression; most of what is made of them is refused, and some is not.
func fragment(t *rapid.T, depth int) string {
	leaf := rapid.SampledFrom([]string{
		"true", "0", "-1", "1.5", "'a'", "'10.0.0.0/8'", "'TCP/80'", "null", "[]", "['x', '::/0']", "{}", "object", "oldObject", "namespaceObject", "request", "reach", "pods", "x",
		"object.spec.ingress", "object.spec.egress", "object.metadata.labels", "object.metadata.name", "reach.ingress", "reach.egress", "reach.ingress.cidrs", "reach.ingress.ports",
		"reach.egress.pods", "reach.egress.namespaces", "reach.ingress.connections", "reach.ingress.internet", "request.userInfo", "request.userInfo.groups",
		"oldObject.spec.podSelector.matchLabels", "9223372036854775807", "b'\\xff'", "type(reach)", "type(object)", "timestamp(0)", "optional.none()",
	})
	if depth == 0 {
		return leaf.Draw(t, "leaf")
	}
	sub := func() string { return fragment(t, depth-1) }
	switch rapid.IntRange(0, 14).Draw(t, "form") {
	case 0:
		return fmt.Sprintf("(%s == %s)", sub(), sub())
	case 1:
		return fmt.Sprintf("(%s && %s)", sub(), sub())
	case 2:
		return fmt.Sprintf("(%s || %s)", sub(), sub())
	case 3:
		return fmt.Sprintf("%s.all(x, %s)", sub(), sub())
	case 4:
		return fmt.Sprintf("%s.map(x, %s)", sub(), sub())
	case 5:
		return fmt.Sprintf("(%s in %s)", sub(), sub())
	case 6:
		return fmt.Sprintf("%s[%s]", sub(), sub())
	case 7:
		return fmt.Sprintf("(%s ? %s : %s)", sub(), sub(), sub())
	case 8:
		return fmt.Sprintf("dyn(%s)", sub())
	case 9:
		return fmt.Sprintf("%s.%s(%s)", sub(), rapid.SampledFrom([]string{"cidrsWithin", "cidrsOverlap", "portsWithin", "portsOverlap", "startsWith", "contains"}).Draw(t, "function"), sub())
	case 10:
		return fmt.Sprintf("%s.wide(%s, %s)", sub(), sub(), sub())
	case 11:
		return fmt.Sprintf("%s(%s)", rapid.SampledFrom([]string{"size", "string", "int", "cidr", "ip", "!", "has", "type"}).Draw(t, "function"), sub())
	case 12:
		return fmt.Sprintf("(%s + %s)", sub(), sub())
	case 13:
		return fmt.Sprintf("dyn(%s).%s", sub(), rapid.SampledFrom([]string{"spec", "labels", "ingress", "name", "?x", "open"}).Draw(t, "field"))
	}
	return leaf.Draw(t, "leaf")
}

func TestNoExpressionPanics(t *testing.T) {
	world, p := read(t, shop, model.Facts{})
	c := celrule.NewCompiler()
	ran := 0
	rapid.Check(t, func(t *rapid.T) {
		ran += evaluated(t, c, fragment(t, 3), world, p)
	})
	assert.NotZero(t, ran, "not one expression was valid")
}
