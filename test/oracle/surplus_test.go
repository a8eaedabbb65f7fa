package oracle_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	networkingv1 "k8s.io/api/networking/v1"
	"pgregory.net/rapid"

	judges "github.com/portcullis-dev/portcullis/pkg/engine"
	"github.com/portcullis-dev/portcullis/pkg/generate"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/mutate"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/rule"
	"github.com/portcullis-dev/portcullis/pkg/rules"
	"github.com/portcullis-dev/portcullis/test/oracle"
	"github.com/portcullis-dev/portcullis/test/oracle/gen"
)

func factsOf(c *oracle.Cluster) model.Facts {
	if c.Cilium {
		return model.Facts{CNI: model.CNICilium}
	}
	return model.Facts{CNI: "calico"}
}

// TestWhatIsRedundantChangesNothing takes away all that the rule redundant finds in a cluster, at once. Then every connection is
// allowed or blocked as before, and every pod isolated.
func TestWhatIsRedundantChangesNothing(t *testing.T) {
	const clusters = 2000
	setChecks(t, clusters)
	judge := judges.New([]rule.Configured{rules.Catalogue().Find("redundant").Default()})
	var deleted, patched int
	rapid.Check(t, func(t *rapid.T) {
		c := gen.Cluster(t)
		repeat(t, c)
		world := snapshot(c, factsOf(c), atOnce)
		after := *c
		after.Policies = nil
		for i := range c.Policies {
			np := &c.Policies[i]
			policy := policyOf(world, np)
			if policy == nil {
				t.Fatalf("no policy %s/%s", np.Namespace, np.Name)
			}
			found := judge.Evaluate(world, model.Change{OldPolicy: policy, NewPolicy: policy})
			switch {
			case len(found) == 0:
				after.Policies = append(after.Policies, *np)
			case len(found[0].Patch) == 0:
				deleted++
			default:
				patched++
				mended, err := mutate.Apply(np, found[0].Patch)
				if err != nil {
					t.Fatalf("%s: %v", found[0].Message, err)
				}
				after.Policies = append(after.Policies, *mended)
			}
		}
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		for _, x := range gen.Connections(c, random, 200) {
			was := oracle.Allowed(c, x.From, x.To, x.Port.Protocol, x.Port.Number)
			if is := oracle.Allowed(&after, x.From, x.To, x.Port.Protocol, x.Port.Number); is != was {
				t.Fatalf("%s: %+v with what is redundant, and %+v without\n%s\nwithout:\n%s", x, was, is, gen.YAML(c), gen.YAML(&after))
			}
		}
	})
	t.Logf("%d policies deleted, %d patched", deleted, patched)
	assert.Greater(t, deleted, clusters/20)
	assert.Greater(t, patched, clusters/4)
}

// repeat adds a copy of a policy, so that there is more that is redundant.
func repeat(t *rapid.T, c *oracle.Cluster) {
	if len(c.Policies) == 0 || !rapid.Bool().Draw(t, "repeat") {
		return
	}
	again := c.Policies[rapid.IntRange(0, len(c.Policies)-1).Draw(t, "which")].DeepCopy()
	again.Name = rapid.SampledFrom([]string{"aaa", "zzz"}).Draw(t, "name")
	c.Policies = append(c.Policies, *again)
}

func policyOf(world *model.Snapshot, np *networkingv1.NetworkPolicy) *model.Policy {
	all := world.NamespaceOrImplied(np.Namespace).Policies
	if at := slices.IndexFunc(all, func(p *model.Policy) bool { return p.Name == np.Name }); at >= 0 {
		return all[at]
	}
	return nil
}

// TestOneSidedPeersConnectOnlyWithTheirComplement asks the oracle of every pair of pods of a one-sided peer: none connects, on any
// port, and all that the policy allows does when the complement is there.
func TestOneSidedPeersConnectOnlyWithTheirComplement(t *testing.T) {
	const clusters = 2000
	setChecks(t, clusters)
	var found, written int
	rapid.Check(t, func(t *rapid.T) {
		c := gen.Cluster(t)
		world := snapshot(c, factsOf(c), atOnce)
		view := reach.NewView(world)
		for i := range c.Policies {
			policy := policyOf(world, &c.Policies[i])
			for _, o := range view.OneSided(policy) {
				found++
				if x, is := connected(c, &o); is {
					t.Fatalf("%s/%s %s[%d][%d] is not one-sided: %s\n%s", policy.Namespace, policy.Name, o.Direction, o.Rule, o.Peer, x, gen.YAML(c))
				}
			}
		}
		policies, left, after := generate.Complement(world, allPolicies(world))
		written += len(policies)
		if len(left) > 0 {
			return
		}
		complemented := *c
		complemented.Policies = slices.Clone(c.Policies)
		for _, p := range policies {
			complemented.Policies = append(complemented.Policies, *p.Object)
		}
		for _, policy := range allPolicies(world) {
			if again := reach.NewView(after).OneSided(policy); len(again) > 0 {
				t.Fatalf("%s/%s %s[%d][%d] is one-sided again (%s, %s)\n%s", policy.Namespace, policy.Name, again[0].Direction, again[0].Rule, again[0].Peer, again[0].OwnPod.Name(), again[0].OtherPod.Name(), gen.YAML(&complemented))
			}
			for _, o := range view.OneSided(policy) {
				if _, is := connected(&complemented, &o); !is && exist(&o) {
					t.Fatalf("%s/%s %s[%d][%d] is one-sided with its complement\n%s", policy.Namespace, policy.Name, o.Direction, o.Rule, o.Peer, gen.YAML(&complemented))
				}
			}
		}
	})
	t.Logf("%d one-sided peers, %d complements", found, written)
	assert.Greater(t, found, clusters/10)
	assert.Greater(t, written, clusters/10)
}

func allPolicies(world *model.Snapshot) []*model.Policy {
	var out []*model.Policy
	for ns := range world.Namespaces() {
		out = append(out, ns.Policies...)
	}
	return out
}

// exist says whether the pods on both sides do.
func exist(o *reach.OneSided) bool { return !o.OwnPod.Hypothetical && !o.OtherPod.Hypothetical }

// connected is one connection of two pods of the peer and the policy that the oracle allows.
func connected(c *oracle.Cluster, o *reach.OneSided) (gen.Connection, bool) {
	own, others := endpointsOf(c, o.Own), endpointsOf(c, o.Others)
	for _, a := range own {
		for _, b := range others {
			if a.Pod == b.Pod || a.IP.Is4() != b.IP.Is4() {
				continue
			}
			from, to := b, a
			if o.Direction == model.Egress {
				from, to = a, b
			}
			for _, port := range gen.Ports() {
				if oracle.Allowed(c, from, to, port.Protocol, port.Number).Allowed {
					return gen.Connection{From: from, To: to, Port: port}, true
				}
			}
		}
	}
	return gen.Connection{}, false
}

// endpointsOf are the pods of the classes at their addresses.
func endpointsOf(c *oracle.Cluster, classes []*model.PodClass) []oracle.Endpoint {
	var out []oracle.Endpoint
	for i := range c.Pods {
		pod := &c.Pods[i]
		if slices.ContainsFunc(classes, func(class *model.PodClass) bool {
			return class.Namespace == pod.Namespace && slices.ContainsFunc(class.Pods, func(p model.Pod) bool { return p.Name == pod.Name })
		}) {
			out = append(out, gen.EndpointsOf(pod)...)
		}
	}
	return out
}

// TestEveryOneSidedPeerIsFound looks for peers of selectors by the oracle alone: with the peer as its policy's only one, the policy
// allows something between two pods, and with all policies nothing connects any two pods of them.
func TestEveryOneSidedPeerIsFound(t *testing.T) {
	const clusters = 1000
	setChecks(t, clusters)
	var found int
	rapid.Check(t, func(t *rapid.T) {
		c := gen.Cluster(t)
		world := snapshot(c, factsOf(c), atOnce)
		view := reach.NewView(world)
		for i := range c.Policies {
			policy := policyOf(world, &c.Policies[i])
			told := view.OneSided(policy)
			for _, d := range model.Directions {
				for r := range policy.Rules[d] {
					for j, peer := range policy.Rules[d][r].Peers {
						if !policy.Isolates(d) || peer.IPBlock != nil || !oneSidedByOracle(c, &c.Policies[i], d, r, j) {
							continue
						}
						found++
						if !slices.ContainsFunc(told, func(o reach.OneSided) bool { return o.Direction == d && o.Rule == r && o.Peer == j }) {
							t.Fatalf("%s/%s %s[%d][%d] is one-sided\n%s", policy.Namespace, policy.Name, d, r, j, gen.YAML(c))
						}
					}
				}
			}
		}
	})
	t.Logf("%d one-sided peers", found)
	assert.Greater(t, found, clusters/10)
}

func oneSidedByOracle(c *oracle.Cluster, np *networkingv1.NetworkPolicy, d model.Direction, r, j int) bool {
	alone := *c
	only := np.DeepCopy()
	only.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyType(d.String())}
	selects := np.DeepCopy() // the same peer on every port, to see which pods it is about
	selects.Spec.PolicyTypes = only.Spec.PolicyTypes
	only.Spec.Ingress, only.Spec.Egress, selects.Spec.Ingress, selects.Spec.Egress = nil, nil, nil, nil
	if d == model.Ingress {
		rule := np.Spec.Ingress[r]
		only.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: rule.From[j : j+1], Ports: rule.Ports}}
		selects.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: rule.From[j : j+1]}}
	} else {
		rule := np.Spec.Egress[r]
		only.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{To: rule.To[j : j+1], Ports: rule.Ports}}
		selects.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{To: rule.To[j : j+1]}}
	}
	allows := false
	pods, _ := gen.Endpoints(c)
	for _, own := range pods {
		for _, other := range pods {
			if own.Pod == other.Pod || own.IP.Is4() != other.IP.Is4() {
				continue
			}
			from, to := other, own
			if d == model.Egress {
				from, to = own, other
			}
			let := func(np *networkingv1.NetworkPolicy, port gen.Port) bool {
				alone.Policies = []networkingv1.NetworkPolicy{*np}
				a := oracle.Allowed(&alone, from, to, port.Protocol, port.Number)
				return d == model.Ingress && a.IngressIsolated && a.IngressOK || d == model.Egress && a.EgressIsolated && a.EgressOK
			}
			for _, port := range gen.Ports() {
				if let(selects, port) && oracle.Allowed(c, from, to, port.Protocol, port.Number).Allowed {
					return false
				}
				allows = allows || let(only, port)
			}
		}
	}
	return allows
}
