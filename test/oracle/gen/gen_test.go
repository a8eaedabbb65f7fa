package gen_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"github.com/portcullis-dev/portcullis/test/oracle"
	"github.com/portcullis-dev/portcullis/test/oracle/gen"
)

// without are changes that take one feature out of a cluster. That a feature decides the answer for many of the sampled
// connections is what makes the comparison with pkg/reach worth its name.
func without() map[string]func(*oracle.Cluster) {
	return map[string]func(*oracle.Cluster){
		"policies":                           func(c *oracle.Cluster) { c.Policies = nil },
		"all policies but one":               func(c *oracle.Cluster) { c.Policies = c.Policies[:min(1, len(c.Policies))] },
		"which addresses an ipBlock matches": func(c *oracle.Cluster) { c.Cilium = !c.Cilium },
		"hostNetwork": func(c *oracle.Cluster) {
			for i := range c.Pods {
				c.Pods[i].Spec.HostNetwork = false
			}
		},
		"container ports": func(c *oracle.Cluster) {
			for i := range c.Pods {
				c.Pods[i].Spec.Containers = nil
			}
		},
		"sidecars": func(c *oracle.Cluster) {
			for i := range c.Pods {
				c.Pods[i].Spec.InitContainers = nil
			}
		},
		"the difference between sidecars and other init containers": func(c *oracle.Cluster) {
			always := corev1.ContainerRestartPolicyAlways
			for i := range c.Pods {
				for j := range c.Pods[i].Spec.InitContainers {
					c.Pods[i].Spec.InitContainers[j].RestartPolicy = &always
				}
			}
		},
		"protocols of container ports": func(c *oracle.Cluster) {
			for i := range c.Pods {
				for _, container := range slices.Concat(c.Pods[i].Spec.Containers, c.Pods[i].Spec.InitContainers) {
					for j := range container.Ports {
						container.Ports[j].Protocol = ""
					}
				}
			}
		},
		"namespace labels": func(c *oracle.Cluster) { c.Namespaces = nil },
		"pod labels": func(c *oracle.Cluster) {
			for i := range c.Pods {
				c.Pods[i].Labels = nil
			}
		},
		"podSelectors": ofPolicies(func(p *networkingv1.NetworkPolicySpec) { p.PodSelector = metav1.LabelSelector{} }),
		"policyTypes":  ofPolicies(func(p *networkingv1.NetworkPolicySpec) { p.PolicyTypes = nil }),
		"matchLabels":  ofSelectors(func(s *metav1.LabelSelector) { s.MatchLabels = nil }),
		"In":           ofExpressions(metav1.LabelSelectorOpIn),
		"NotIn":        ofExpressions(metav1.LabelSelectorOpNotIn),
		"Exists":       ofExpressions(metav1.LabelSelectorOpExists),
		"DoesNotExist": ofExpressions(metav1.LabelSelectorOpDoesNotExist),
		"podSelectors of peers beside a namespaceSelector": ofPeers(func(p *networkingv1.NetworkPolicyPeer) {
			if p.NamespaceSelector != nil {
				p.PodSelector = nil
			}
		}),
		"namespaceSelectors beside a podSelector": ofPeers(func(p *networkingv1.NetworkPolicyPeer) {
			if p.PodSelector != nil {
				p.NamespaceSelector = nil
			}
		}),
		"podSelectors alone": ofPeers(func(p *networkingv1.NetworkPolicyPeer) {
			if p.NamespaceSelector == nil && p.IPBlock == nil {
				p.PodSelector = &metav1.LabelSelector{}
			}
		}),
		"namespaceSelectors alone": ofPeers(func(p *networkingv1.NetworkPolicyPeer) {
			if p.PodSelector == nil && p.IPBlock == nil {
				p.NamespaceSelector = &metav1.LabelSelector{}
			}
		}),
		"except": ofPeers(func(p *networkingv1.NetworkPolicyPeer) {
			if p.IPBlock != nil {
				p.IPBlock.Except = nil
			}
		}),
		"IPv4 ranges": ofPeers(onlyRanges("0.0.0.0/0")),
		"IPv6 ranges": ofPeers(onlyRanges("::/0")),
		"endPort":     ofPorts(func(p *networkingv1.NetworkPolicyPort) { p.EndPort = nil }),
		"protocols":   ofPorts(func(p *networkingv1.NetworkPolicyPort) { p.Protocol = nil }),
		"SCTP": ofPorts(func(p *networkingv1.NetworkPolicyPort) {
			if p.Protocol != nil && *p.Protocol == corev1.ProtocolSCTP {
				p.Protocol = nil
			}
		}),
		"numbers": ofPorts(func(p *networkingv1.NetworkPolicyPort) {
			if p.Port != nil && p.Port.Type == intstr.Int && p.EndPort == nil {
				p.Port = nil
			}
		}),
		"named ports": ofPorts(func(p *networkingv1.NetworkPolicyPort) {
			if p.Port != nil && p.Port.Type == intstr.String {
				none := intstr.FromString("none")
				p.Port = &none
			}
		}),
	}
}

func ofPolicies(change func(*networkingv1.NetworkPolicySpec)) func(*oracle.Cluster) {
	return func(c *oracle.Cluster) {
		for i := range c.Policies {
			change(&c.Policies[i].Spec)
		}
	}
}

func ofPeers(change func(*networkingv1.NetworkPolicyPeer)) func(*oracle.Cluster) {
	return ofPolicies(func(spec *networkingv1.NetworkPolicySpec) {
		for _, rule := range spec.Ingress {
			for i := range rule.From {
				change(&rule.From[i])
			}
		}
		for _, rule := range spec.Egress {
			for i := range rule.To {
				change(&rule.To[i])
			}
		}
	})
}

func ofPorts(change func(*networkingv1.NetworkPolicyPort)) func(*oracle.Cluster) {
	return ofPolicies(func(spec *networkingv1.NetworkPolicySpec) {
		for _, rule := range spec.Ingress {
			for i := range rule.Ports {
				change(&rule.Ports[i])
			}
		}
		for _, rule := range spec.Egress {
			for i := range rule.Ports {
				change(&rule.Ports[i])
			}
		}
	})
}

func ofSelectors(change func(*metav1.LabelSelector)) func(*oracle.Cluster) {
	own := ofPolicies(func(spec *networkingv1.NetworkPolicySpec) { change(&spec.PodSelector) })
	peers := ofPeers(func(p *networkingv1.NetworkPolicyPeer) {
		if p.PodSelector != nil {
			change(p.PodSelector)
		}
		if p.NamespaceSelector != nil {
			change(p.NamespaceSelector)
		}
	})
	return func(c *oracle.Cluster) {
		own(c)
		peers(c)
	}
}

func ofExpressions(operator metav1.LabelSelectorOperator) func(*oracle.Cluster) {
	return ofSelectors(func(s *metav1.LabelSelector) {
		var kept []metav1.LabelSelectorRequirement
		for _, e := range s.MatchExpressions {
			if e.Operator != operator {
				kept = append(kept, e)
			}
		}
		s.MatchExpressions = kept
	})
}

// onlyRanges widens every range of the family to all of it.
func onlyRanges(all string) func(*networkingv1.NetworkPolicyPeer) {
	six := all == "::/0"
	return func(p *networkingv1.NetworkPolicyPeer) {
		if p.IPBlock != nil && six == isIPv6(p.IPBlock.CIDR) {
			p.IPBlock = &networkingv1.IPBlock{CIDR: all}
		}
	}
}

func isIPv6(cidr string) bool {
	for _, r := range cidr {
		if r == ':' {
			return true
		}
	}
	return false
}

func copyOf(c *oracle.Cluster) *oracle.Cluster {
	out := &oracle.Cluster{Cilium: c.Cilium}
	for i := range c.Namespaces {
		out.Namespaces = append(out.Namespaces, *c.Namespaces[i].DeepCopy())
	}
	for i := range c.Pods {
		out.Pods = append(out.Pods, *c.Pods[i].DeepCopy())
	}
	for i := range c.Policies {
		out.Policies = append(out.Policies, *c.Policies[i].DeepCopy())
	}
	return out
}

func TestEveryFeatureDecidesManyOfTheSampledConnections(t *testing.T) {
	const clusters = 1500
	decided := map[string]int{}
	var allowed, bySide, all int
	generator := rapid.Custom(gen.Cluster)
	for seed := range clusters {
		c := generator.Example(seed)
		sampled := gen.Connections(c, rand.New(rand.NewPCG(uint64(seed), 0)), 30)
		answers := make([]oracle.Answer, len(sampled))
		for i, x := range sampled {
			answers[i] = oracle.Allowed(c, x.From, x.To, x.Protocol, x.Number)
			all++
			if answers[i].Allowed {
				allowed++
			}
			if answers[i].EgressOK != answers[i].IngressOK {
				bySide++
			}
		}
		for feature, remove := range without() {
			poorer := copyOf(c)
			remove(poorer)
			for i, x := range sampled {
				if oracle.Allowed(poorer, again(poorer, x.From), again(poorer, x.To), x.Protocol, x.Number) != answers[i] {
					decided[feature]++
				}
			}
		}
	}
	t.Logf("%d clusters, %d connections, %d allowed, %d decided by one side", clusters, all, allowed, bySide)
	assert.InDelta(t, 0.5, float64(allowed)/float64(all), 0.2, "share of the sampled connections that are allowed")
	assert.Greater(t, bySide*5, all, "connections that one side allows and the other does not")
	for feature := range without() {
		t.Logf("%s: %d", feature, decided[feature])
		assert.Greater(t, decided[feature]*1000, all, "connections whose answer depends on %s", feature)
	}
}

// again is the same endpoint in the copy of the cluster.
func again(c *oracle.Cluster, e oracle.Endpoint) oracle.Endpoint {
	if e.Pod == nil {
		return e
	}
	for i := range c.Pods {
		if c.Pods[i].Name == e.Pod.Name {
			return oracle.Endpoint{Pod: &c.Pods[i], IP: e.IP}
		}
	}
	return oracle.Endpoint{}
}
