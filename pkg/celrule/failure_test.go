package celrule_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	"github.com/portcullis-dev/portcullis/pkg/celrule"
	"github.com/portcullis-dev/portcullis/pkg/engine"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// strict is a rule with the failure policy Fail.
func strict(expression string) celrule.Spec {
	s := spec(expression)
	s.FailurePolicy = celrule.Fail
	return s
}

// byJane is a write, of which everything is known.
func byJane(o model.Operation, old, p *model.Policy) model.Change {
	return model.Change{Operation: o, OldPolicy: old, NewPolicy: p, Requester: &model.Requester{Username: "jane", Groups: []string{"developers"}}}
}

func one(t *testing.T, s celrule.Spec, world *model.Snapshot, change model.Change) finding.Finding {
	t.Helper()
	found := judged(t, s, world, change)
	require.Len(t, found, 1, s.Expression)
	return found[0]
}

func TestByTheFailurePolicyFailAnExpressionThatFailsIsViolated(t *testing.T) {
	world, p := read(t, shop, model.Facts{})
	const absent = "Give the policy what the expression reads, or let the expression test for what may be absent, with has(…) or .?field"
	for expression, why := range map[string]string{
		"object.metadata.annotations['a'] == 'b'":                                        "no such key: annotations",
		"object.metadata.labels.team == 'shop'":                                          "no such key: team",
		"pods[7].name == ''":                                                             "index out of bounds: 7",
		"int(object.metadata.name) == 1":                                                 "type conversion error",
		"reach.ingress.cidrs.cidrsWithin([object.metadata.name])":                        `"web" is no CIDR: write it as in 10.0.0.0/8 or 2001:db8::/32, and one address as a /32 or /128`,
		"oldObject.metadata.name == 'web'":                                               "no such key: metadata",
		"namespaceObject.metadata.labels.team == 'shop'":                                 "no such key: team",
		"object.metadata.labels.team == 'shop' || 'platform' in request.userInfo.groups": "no such key: team",
	} {
		f := one(t, strict(expression), world, byJane(model.Create, nil, p))
		assert.Equal(t, finding.Violation, f.Outcome, expression)
		assert.True(t, strings.HasPrefix(f.Message, "The expression of this rule failed ("), f.Message)
		assert.Contains(t, f.Message, why)
		assert.True(t, strings.HasSuffix(f.Message, "), which counts as a violation by its failurePolicy"), f.Message)
		assert.Equal(t, absent, f.Fix, expression)
		assert.Equal(t, finding.Undetermined, one(t, spec(expression), world, byJane(model.Create, nil, p)).Outcome, "by Ignore: %s", expression)
	}
}

func TestAFailureSaysWhatToDo(t *testing.T) {
	world, p := read(t, shop, model.Facts{})
	s := strict("object.metadata.labels.team == 'shop'")
	s.Fix, s.Path = "Add the label team.", "metadata.labels"
	f := one(t, s, world, byJane(model.Create, nil, p))
	assert.Equal(t, "Add the label team; if that is done, let the expression test for what may be absent, with has(…) or .?field", f.Fix)
	assert.Equal(t, "metadata.labels", f.Path)

	s = strict("object.metadata.annotations['contact'] == 'y@example.com'")
	s.Subjects = []string{finding.KindNamespace}
	lab := &world.Namespace("lab").Meta
	f = one(t, s, world, model.Change{Operation: model.Create, NewNS: lab, Requester: &model.Requester{}})
	assert.Equal(t, finding.Violation, f.Outcome)
	assert.Contains(t, f.Fix, "Give the Namespace what the expression reads")
	r, errs := compile(t, s)
	require.Empty(t, errs)
	assert.Contains(t, r.Doc.Finds, "for which this is false or fails: `object.metadata")
}

func TestWhatMeetsALimitIsViolatedByTheFailurePolicyFail(t *testing.T) {
	text := strings.Replace(openToAll, "namespace: shop", "namespace: shop, annotations: {a: "+strings.Repeat("x", 250_000)+"}", 1)
	world, p := read(t, strings.Replace(text, "ingress: [{}]", "ingress:\n  - from:"+strings.Repeat("\n    - ipBlock: {cidr: 192.0.2.1/32}", 101), 1), model.Facts{})
	for expression, why := range map[string]string{
		"!object.metadata.annotations.a.contains('" + strings.Repeat("y", 500) + "')":                                           "operation cancelled: actual cost limit exceeded",
		"object.spec.ingress[0].from.all(a, object.spec.ingress[0].from.all(b, a.ipBlock.cidr == b.ipBlock.cidr))":              "its loops take more than 10000 turns",
		"object.spec.ingress[0].from.all(i, a, object.spec.ingress[0].from.map(b, b).size() > 0)":                               "its loops take more than 10000 turns",
		"!object.spec.ingress[0].from.exists(a, object.spec.ingress[0].from.filter(b, a == b).exists(b, b.ipBlock.cidr == ''))": "its loops take more than 10000 turns",
	} {
		f := one(t, strict(expression), world, byJane(model.Create, nil, p))
		assert.Equal(t, finding.Violation, f.Outcome)
		assert.Equal(t, "The expression of this rule failed ("+why+"), which counts as a violation by its failurePolicy", f.Message)
		assert.Equal(t, "Make the policy shorter and what it allows narrower, or let the expression bound what it looks at, as in size(…) <= 100 && …", f.Fix)
		assert.Equal(t, finding.Undetermined, one(t, spec(expression), world, byJane(model.Create, nil, p)).Outcome)
	}
	fewer := "object.spec.ingress[0].from.all(a, object.spec.ingress[0].from.slice(0, 97).all(b, a.ipBlock.cidr == b.ipBlock.cidr))"
	assert.Empty(t, judged(t, strict(fewer), world, byJane(model.Create, nil, p)), "9898 turns")
}

func TestIfTheRulesBeforeAStrictOneSpendWhatAllMayCostThenItIsViolated(t *testing.T) {
	world, p := read(t, strings.Replace(openToAll, "namespace: shop", "namespace: shop, annotations: {a: "+strings.Repeat("x", 250_000)+"}", 1), model.Facts{})
	costly, errs := compile(t, spec("!object.metadata.annotations.a.contains('"+strings.Repeat("y", 300)+"')"))
	require.Empty(t, errs)
	last := strict("true")
	last.ID = "acme-last"
	r, errs := compile(t, last)
	require.Empty(t, errs)
	rules := append(slices.Repeat([]rule.Configured{costly.Configured}, 6), r.Configured)
	found := engine.New(rules).Evaluate(world, byJane(model.Create, nil, p))
	require.Len(t, found, 1)
	assert.Equal(t, finding.Violation, found[0].Outcome)
	assert.Contains(t, found[0].Message, "failed (the custom rules before it cost more than all of them may in one review)")
	assert.Contains(t, found[0].Fix, "Make the policy shorter")
	assert.Empty(t, engine.New(rules[1:]).Evaluate(world, byJane(model.Create, nil, p)), "five cost less")
}

func TestWhatIsNotKnownIsUndeterminedWhateverTheFailurePolicy(t *testing.T) {
	world, p := read(t, shop, model.Facts{})
	elsewhere, lost := read(t, strings.ReplaceAll(openToAll, "namespace: shop", "namespace: lost"), model.Facts{})
	bare := *p
	bare.Object = nil
	asItStands := model.Change{OldPolicy: p, NewPolicy: p}
	for _, c := range []struct {
		expression string
		world      *model.Snapshot
		change     model.Change
		want       string
	}{
		{"'platform' in request.userInfo.groups", world, asItStands, "nobody asks"},
		{"request.userInfo.?uid.hasValue() && request.?userInfo.hasValue()", world, asItStands, "nobody asks"},
		{"object.metadata.labels.team == 'shop' || 'platform' in request.userInfo.groups", world, asItStands, "nobody asks"},
		{"object.metadata.labels.owner == 'storefront'", world, model.Change{OldPolicy: &bare, NewPolicy: &bare}, "the object itself is not at hand"},
		{"object.metadata.labels.owner == 'storefront'", world, byJane(model.Create, nil, &bare), "the object itself is not at hand"},
		{"oldObject.metadata.name == 'web'", world, asItStands, "no such key: metadata, and it is not known which object this one replaces"},
		{"namespaceObject.metadata.labels.env == 'prod'", elsewhere, model.Change{OldPolicy: lost, NewPolicy: lost}, "no such key: env, and the Namespace lost is not in the input"},
	} {
		f := one(t, strict(c.expression), c.world, c.change)
		assert.Equal(t, finding.Undetermined, f.Outcome, c.expression)
		assert.Contains(t, f.Message, c.want, c.expression)
	}
	f := one(t, strict("namespaceObject.metadata.labels.env == 'prod'"), elsewhere, byJane(model.Create, nil, lost))
	assert.Equal(t, finding.Violation, f.Outcome, "at admission the Namespace is there, and is read again before the denial")
	f = one(t, strict("object.metadata.labels.owner == 'x' || namespaceObject.metadata.labels.team == 'x'"), world, asItStands)
	assert.Equal(t, finding.Violation, f.Outcome, "the Namespace was read")
}

func TestWhatFailedBeforeIsNoExcuseToFailForMore(t *testing.T) {
	policy := func(cidr string) (*model.Snapshot, *model.Policy) {
		return read(t, strings.Replace(shop, "8.8.0.0/16, except: [8.8.8.0/24]", cidr, 1), model.Facts{})
	}
	world, old := policy("8.8.0.0/16")
	s := strict("reach.ingress.cidrs.size() == 0 || object.metadata.labels.team == 'shop'")
	before := judged(t, s, world, model.Change{OldPolicy: old, NewPolicy: old})
	for cidr, within := range map[string]bool{"8.8.4.0/24": true, "8.0.0.0/8": false} {
		_, changed := policy(cidr)
		assert.Equal(t, within, one(t, s, world, byJane(model.Update, old, changed)).Within(before), cidr)
	}
	// As it stands, an object has no predecessor: that an expression about one fails does not say that it was violated.
	s = strict("object.metadata.labels.team == 'shop' || object.metadata.labels.owner == oldObject.metadata.labels.owner")
	assert.Equal(t, finding.Undetermined, one(t, s, world, model.Change{OldPolicy: old, NewPolicy: old}).Outcome)
}

func TestErrorsAreToldBrieflyAndWithoutWhatATerminalWouldObey(t *testing.T) {
	for name, text := range map[string]string{"long": strings.Repeat("x", 100_000), "coloured": "\x1b[31mred\x1b[0m\u202e", "of many lines": "a\nb\tc\u2028d"} {
		world, p := read(t, openToAll, model.Facts{})
		p.Object.Annotations = map[string]string{"a": text}
		for _, s := range []celrule.Spec{spec("int(object.metadata.annotations.a) == 1"), strict("{'b': true}[object.metadata.annotations.a]")} {
			message := one(t, s, world, byJane(model.Create, nil, p)).Message
			assert.Less(t, len(message), 350, name)
			assert.NotRegexp(t, `[[:cntrl:]\x{202e}\x{2028}]`, message, name)
		}
		s := spec("false")
		s.MessageExpression = "object.metadata.annotations.a"
		if name != "long" {
			assert.Equal(t, s.Message, one(t, s, world, byJane(model.Create, nil, p)).Message, name)
		}
	}
}

// drawPolicy draws a policy as whoever writes them may: with what rules rely on, or without.
func drawPolicy(t *rapid.T) *model.Policy {
	words := rapid.MapOfN(rapid.SampledFrom([]string{"owner", "team", "app", "a"}), rapid.SampledFrom([]string{"", "7", "web", "shop-web", "10.0.0.0/8"}), 0, 3)
	peers := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) networkingv1.NetworkPolicyPeer {
		if rapid.Bool().Draw(t, "block") {
			cidr := rapid.SampledFrom([]string{"0.0.0.0/0", "8.8.8.0/24", "10.0.0.0/8", "::/0"}).Draw(t, "cidr")
			return networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: cidr}}
		}
		return networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: words.Draw(t, "podSelector")}}
	}), 0, 3)
	ports := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) networkingv1.NetworkPolicyPort {
		port := rapid.SampledFrom([]*intstr.IntOrString{nil, ptr.To(intstr.FromInt32(80)), ptr.To(intstr.FromString("https"))}).Draw(t, "port")
		return networkingv1.NetworkPolicyPort{Port: port}
	}), 0, 2)
	np := &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", Labels: words.Draw(t, "labels"), Annotations: words.Draw(t, "annotations")},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: words.Draw(t, "selector")},
			Ingress: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) networkingv1.NetworkPolicyIngressRule {
				return networkingv1.NetworkPolicyIngressRule{From: peers.Draw(t, "from"), Ports: ports.Draw(t, "ports")}
			}), 0, 2).Draw(t, "ingress"),
		},
	}
	p := model.CompilePolicy(np, model.Authored{})
	p.KeepObject(np)
	return p
}

// careless are expressions as people write them: true of what they have in mind, and of some objects an error.
var careless = []string{
	"object.metadata.labels.owner != ''", "object.metadata.labels['team'] == namespaceObject.metadata.labels['env']", "object.metadata.name.startsWith(object.metadata.labels.app)",
	"object.spec.ingress.all(r, r.from.all(p, p.ipBlock.cidr != '0.0.0.0/0'))", "object.spec.ingress[0].ports[0].port == 80", "int(object.metadata.annotations.a) < 10",
	"object.spec.ingress.exists(r, r.ports.all(p, p.port == 'https'))", "reach.ingress.cidrs.cidrsWithin([object.metadata.annotations.a])", "pods[0].labels.app == 'web'",
	"object.spec.podSelector.matchLabels.size() > 0", "object.spec.ingress.map(r, r.from[0]).size() < 2", "'developers' in request.userInfo.groups && object.metadata.labels.owner == 'web'",
	"cidr(object.metadata.annotations.a).prefixLength() > 7", "oldObject.metadata.labels == object.metadata.labels", "reach.ingress.pods.all(p, p.labels.app == 'job')",
}

func compiled(t require.TestingT, s celrule.Spec) (*engine.Engine, bool) {
	r, errs := celrule.NewCompiler().Compile(s, field.NewPath("x"))
	if len(errs) > 0 {
		return nil, false
	}
	return engine.New([]rule.Configured{r.Configured}), true
}

func TestNoObjectPassesAStrictRuleWhoseExpressionIsNotTrueOfIt(t *testing.T) {
	world, _ := read(t, shop, model.Facts{})
	passed, denied, failed := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		expression := rapid.OneOf(rapid.SampledFrom(careless), rapid.Custom(func(t *rapid.T) string { return fragment(t, 2) + " == " + fragment(t, 2) })).Draw(t, "expression")
		rule, valid := compiled(t, strict(expression))
		opposite, _ := compiled(t, strict("!("+expression+")"))
		if !valid {
			return
		}
		p := drawPolicy(t)
		change := byJane(model.Create, nil, p)
		if rapid.Bool().Draw(t, "update") {
			change = byJane(model.Update, drawPolicy(t), p)
		}
		found, not := rule.Evaluate(world, change), opposite.Evaluate(world, change)
		for _, f := range slices.Concat(found, not) {
			require.Equal(t, finding.Violation, f.Outcome, "%s: everything is known at admission: %s", expression, f.Message)
		}
		const isFalse = "It is not so"
		switch {
		case len(found) == 0:
			passed++
			require.Len(t, not, 1, "%s passes, and so does its opposite", expression)
			require.Equal(t, isFalse, not[0].Message, "%s passes, and yet its opposite is not false", expression)
		case found[0].Message == isFalse:
			denied++
			require.Empty(t, not, "%s is false, and so its opposite is true", expression)
		default:
			failed++
			require.Len(t, not, 1, "%s fails, and so does its opposite", expression)
			require.Equal(t, found[0].Message, not[0].Message)
		}
	})
	assert.NotZero(t, passed)
	assert.NotZero(t, denied)
	assert.NotZero(t, failed)
}

func TestWhatIsDeterminedAsItStandsIsTheSameWhoeverAsks(t *testing.T) {
	world, _ := read(t, shop, model.Facts{})
	determined, undetermined := 0, 0
	requesters := []*model.Requester{{}, {Username: "jane", UID: "a", Groups: []string{"developers", "x"}}, {Username: "a", Groups: []string{"platform"}}}
	rapid.Check(t, func(t *rapid.T) {
		about := rapid.SampledFrom([]string{
			"request.userInfo", "request.userInfo.groups", "request.userInfo.username", "request.?userInfo", "request.userInfo.groups[?0]", "dyn(request)", "request.userInfo.?uid", "request",
		}).Draw(t, "about")
		form := rapid.SampledFrom([]string{
			"%s == %s", "[%s] == [%s]", "%s in %s", "dyn(%s).exists(x, x == %s)", "has(%s.uid) || %s == true", "type(%s) == type(%s)", "string(%s) == %s", "%s.hasValue() || %s",
			"size(%s) == %s", "%s.orValue('a') == %s", "optional.of(%s).hasValue() && %s", "{'a': %s}.a == %s", "{%s: 1}.size() == %s", "dyn(%s).map(x, x) == %s",
			"(%s == null ? true : %s)", "[dyn(%s)].all(x, x == %s)", "[dyn(%s), %s].exists_one(x, x == 'a')", "optional.ofNonZeroValue(%s) == optional.of(%s)", "dyn(%s).a == %s", "sets.contains([dyn(%s)], [%s])",
		}).Draw(t, "form")
		expression := fmt.Sprintf(form, about, fragment(t, 1))
		s := strict(expression)
		rule, valid := compiled(t, s)
		if !valid {
			return
		}
		p := drawPolicy(t)
		found := rule.Evaluate(world, model.Change{OldPolicy: p, NewPolicy: p})
		if len(found) > 0 && found[0].Outcome == finding.Undetermined {
			undetermined++
			return
		}
		determined++
		for _, who := range requesters {
			change := model.Change{Operation: model.Create, NewPolicy: p, Requester: who}
			require.Equal(t, len(found), len(rule.Evaluate(world, change)), "%s by %v", expression, who)
		}
	})
	assert.NotZero(t, determined)
	assert.NotZero(t, undetermined)
}
