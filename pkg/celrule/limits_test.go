package celrule_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/portcullis-dev/portcullis/pkg/celrule"
	"github.com/portcullis-dev/portcullis/pkg/engine"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// crowd is a cluster of pods in the namespace shop that differ from each other: app is a0, a1 and so on.
func crowd(t *testing.T, pods int) *model.Snapshot {
	t.Helper()
	store := model.NewStore()
	for i := range pods {
		store.SetPod(&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprintf("p-%d", i), Labels: map[string]string{"app": fmt.Sprintf("a%d", i)}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "https", ContainerPort: int32(8443 + i)}}}}},
		})
	}
	return store.Snapshot(model.Facts{})
}

// letsIn is a policy with ingress rules.
func letsIn(rules ...networkingv1.NetworkPolicyIngressRule) *model.Policy {
	np := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}, Spec: networkingv1.NetworkPolicySpec{Ingress: rules}}
	p := model.CompilePolicy(np, model.Authored{})
	p.KeepObject(np)
	return p
}

// odd are the ports 1, 3 and so on.
func odd(n int) []networkingv1.NetworkPolicyPort {
	out := make([]networkingv1.NetworkPolicyPort, n)
	for i := range out {
		out[i].Port = ptr.To(intstr.FromInt32(int32(2*i + 1)))
	}
	return out
}

func app(name string) networkingv1.NetworkPolicyPeer {
	return networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}}
}

// apart are addresses in the cidr that cannot be joined.
func apart(cidr, format string) []networkingv1.NetworkPolicyPeer {
	block := &networkingv1.IPBlock{CIDR: cidr}
	for i := range 100 {
		block.Except = append(block.Except, fmt.Sprintf(format, i+1))
	}
	return []networkingv1.NetworkPolicyPeer{{IPBlock: block}}
}

func TestWhoWritesAPolicyCannotMakeFactsThatAreTooLong(t *testing.T) {
	type rule = networkingv1.NetworkPolicyIngressRule
	repeated := func(n int, make func(i int) rule) []rule {
		var out []rule
		for i := range n {
			out = append(out, make(i))
		}
		return out
	}
	for name, c := range map[string]struct {
		pods            int
		rules           []rule
		expression, why string
	}{
		"addresses":                  {0, []rule{{From: apart("::/0", "2001:db8:%x::1/128")}}, "cidrs", "reach.ingress.cidrs has more than 5000 entries"},
		"addresses on the internet":  {0, []rule{{From: apart("2000::/3", "2001:aaa:%x::1/128")}}, "internetCIDRs", "reach.ingress.internetCIDRs has more than 5000 entries"},
		"addresses of a connection":  {0, []rule{{From: apart("::/0", "2001:db8:%x::1/128")}}, "connections", "reach.ingress.connections.cidrs has more than 5000 entries"},
		"ports":                      {0, []rule{{Ports: odd(6000)}}, "ports", "reach.ingress.ports has more than 5000 entries"},
		"ports open to the internet": {0, []rule{{Ports: odd(6000)}}, "internetPorts", "reach.ingress.internetPorts has more than 5000 entries"},
		"ports open to pods":         {1, []rule{{Ports: odd(6000)}}, "pods", "reach.ingress.pods.open has more than 5000 entries"},
		"connections": {0, repeated(5001, func(i int) rule {
			return rule{From: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: fmt.Sprintf("10.%d.%d.0/24", i/256, i%256)}}}, Ports: []networkingv1.NetworkPolicyPort{{Port: ptr.To(intstr.FromInt32(int32(2*i + 1)))}}}
		}), "connections", "reach.ingress.connections has more than 5000 entries"},
		"the lists of one review together": {30, repeated(30, func(i int) rule {
			return rule{From: []networkingv1.NetworkPolicyPeer{app(fmt.Sprintf("a%d", i))}, Ports: odd(4000 - i)}
		}), "pods", "reach.ingress.pods.open brings the lists of this review to more than 100000 entries"},
		"what takes long": {5000, repeated(1200, func(i int) rule {
			return rule{From: []networkingv1.NetworkPolicyPeer{app(fmt.Sprintf("a%d", i))}}
		}), "pods", "what the policy allows takes longer to work out than a custom rule waits"},
		"names of ports for many pods": {5000, []rule{{Ports: append(odd(1100), networkingv1.NetworkPolicyPort{Port: ptr.To(intstr.FromString("https"))})}},
			"ports", "what the policy allows takes longer to work out than a custom rule waits"},
	} {
		t.Run(name, func(t *testing.T) {
			p := letsIn(c.rules...)
			f := one(t, strict("reach.ingress."+c.expression+".size() >= 0"), crowd(t, c.pods), byJane(model.Create, nil, p))
			assert.Equal(t, finding.Violation, f.Outcome)
			assert.Contains(t, f.Message, c.why)
			assert.Contains(t, f.Fix, "Make the policy shorter and what it allows narrower")
		})
	}
}

func TestWhatIsNotAllWorkedOutIsNoFactOfAnyLaterRule(t *testing.T) {
	p := letsIn(networkingv1.NetworkPolicyIngressRule{Ports: append(odd(1100), networkingv1.NetworkPolicyPort{Port: ptr.To(intstr.FromString("https"))})})
	var rules []rule.Configured
	for i, expression := range []string{"reach.ingress.ports == []", "!reach.ingress.internet", "reach.ingress.cidrs == []", "reach.ingress.pods == []", "reach.ingress.isolates"} {
		s := strict(expression)
		s.ID = fmt.Sprint("acme-", i)
		r, errs := compile(t, s)
		require.Empty(t, errs)
		rules = append(rules, r.Configured)
	}
	found := engine.New(rules).Evaluate(crowd(t, 5000), byJane(model.Create, nil, p))
	require.Len(t, found, 4, "all but the last, which is true")
	for _, f := range found {
		assert.Contains(t, f.Message, "takes longer to work out", f.Rule)
	}
}

func TestPodsThatManyRulesNameAreWhatTheRulesSayTogether(t *testing.T) {
	type rule = networkingv1.NetworkPolicyIngressRule
	port := func(p intstr.IntOrString) []networkingv1.NetworkPolicyPort {
		return []networkingv1.NetworkPolicyPort{{Port: &p}}
	}
	p := letsIn(
		rule{From: []networkingv1.NetworkPolicyPeer{app("a0"), app("a1"), app("a0")}, Ports: port(intstr.FromInt32(80))},
		rule{From: []networkingv1.NetworkPolicyPeer{app("a1")}, Ports: port(intstr.FromString("https"))},
		rule{From: []networkingv1.NetworkPolicyPeer{app("a2"), {NamespaceSelector: &metav1.LabelSelector{}}}, Ports: port(intstr.FromInt32(81))},
	)
	world := crowd(t, 4)
	for _, expression := range []string{
		"reach.ingress.pods.map(p, p.labels.app + '=' + p.open.join('+')) == ['a0=TCP/80-81', 'a1=TCP/80-81+TCP/8443-8446', 'a2=TCP/81', 'a3=TCP/81']",
		"reach.ingress.namespaces.map(n, n.name) == ['shop']", "reach.ingress.ports == ['TCP/80-81', 'TCP/8443-8446']",
	} {
		assert.Empty(t, judged(t, strict(expression), world, byJane(model.Create, nil, p)), expression)
	}
}

func TestTheRatchetDoesNotTakeForTheSameWhatIsTooMuchToCompare(t *testing.T) {
	type rule = networkingv1.NetworkPolicyIngressRule
	every := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{}}
	peers := []networkingv1.NetworkPolicyPeer{every}
	world, old := crowd(t, 5001), letsIn(rule{From: peers, Ports: odd(1)})
	s := spec("!reach.ingress.isolates")
	before := judged(t, s, world, model.Change{OldPolicy: old, NewPolicy: old})
	for name, c := range map[string]struct {
		changed *model.Policy
		within  bool
	}{
		"the same rules":                       {letsIn(rule{From: peers, Ports: odd(1)}), true},
		"another port":                         {letsIn(rule{From: peers, Ports: odd(2)}), false},
		"pods beyond those that are looked at": {letsIn(rule{From: append(peers, app("a5000")), Ports: odd(1)}), false},
	} {
		f := one(t, s, world, byJane(model.Update, old, c.changed))
		assert.Equal(t, c.within, f.Within(before), name)
	}
}

func TestHoweverAnExpressionNamesAVariableItIsSeen(t *testing.T) {
	world, old := read(t, shop, model.Facts{})
	_, wider := read(t, strings.Replace(shop, "8.8.0.0/16, except: [8.8.8.0/24]", "8.0.0.0/8", 1), model.Facts{})
	for _, expression := range []string{
		"!reach.ingress.internet", "!dyn(reach).ingress.internet", "!reach.?ingress.?internet.orValue(true)", "!.reach.ingress.internet",
		"![reach].exists(r, r.ingress.internet)", "!dyn(reach)['ingress'].internet",
	} {
		before := judged(t, spec(expression), world, model.Change{OldPolicy: old, NewPolicy: old})
		require.Len(t, before, 1)
		assert.False(t, one(t, spec(expression), world, byJane(model.Update, old, wider)).Within(before), "%s: more of the internet", expression)
	}
	for _, expression := range []string{".object.metadata.name == 'web'", "[object].all(o, o.metadata.name == 'web')", "dyn(object) != null"} {
		r, errs := compile(t, spec(expression))
		require.Empty(t, errs)
		assert.True(t, r.Objects, expression)
	}
}

func TestRulesJudgeConcurrently(t *testing.T) {
	world, p := read(t, shop, model.Facts{})
	s := strict("object.metadata.labels.team == 'x' || 'platform' in request.userInfo.groups || reach.ingress.pods.all(p, p.labels.app.matches('^[a-z]+$') && p.open.portsWithin(['TCP/1']))")
	s.MessageExpression = "'The owner is ' + object.metadata.labels.owner + reach.ingress.ports.join(', ')"
	e, valid := compiled(t, s)
	require.True(t, valid)
	want := e.Evaluate(world, byJane(model.Create, nil, p))
	require.Len(t, want, 1)
	done := make(chan []finding.Finding)
	for range 8 {
		go func() { done <- e.Evaluate(world, byJane(model.Create, nil, p)) }()
		go func() { // as at a reload
			again, errs := celrule.NewCompiler().Compile(s, nil)
			if len(errs) > 0 || again.Rule == nil {
				done <- nil
				return
			}
			done <- e.Evaluate(world, byJane(model.Create, nil, p))
		}()
	}
	for range 16 {
		assert.Equal(t, want, <-done)
	}
}
