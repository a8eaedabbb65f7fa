package oracle_test

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/test/oracle"
	"github.com/portcullis-dev/portcullis/test/oracle/gen"
)

// compare says how pkg/reach differs from the oracle on the connection; "" if it does not. The rules that allow the
// connection are compared only if asked for.
func (e *engine) compare(c *oracle.Cluster, conn gen.Connection, want oracle.Answer, grants bool) string {
	got := e.view.Connection(e.end(conn.From), e.end(conn.To), portOf(conn.Port))
	if d := compareAnswer(got, want); d != "" {
		return d
	}
	if grants && !samePod(conn.From.Pod, conn.To.Pod) {
		if d := compareGrants(c, conn, got); d != "" {
			return d
		}
	}
	if conn.From.Pod == nil || conn.To.Pod == nil {
		return e.compareExternal(conn, want)
	}
	if d := e.compareWhole(c, conn); d != "" {
		return d
	}
	return e.compareClasses(c, conn)
}

func compareAnswer(got reach.Answer, want oracle.Answer) string {
	switch {
	case got.Allowed != truth(want.Allowed):
		return fmt.Sprintf("allowed: %s", got.Allowed)
	case got.Egress.Allowed != truth(want.EgressOK):
		return fmt.Sprintf("egress allowed: %s", got.Egress.Allowed)
	case got.Ingress.Allowed != truth(want.IngressOK):
		return fmt.Sprintf("ingress allowed: %s", got.Ingress.Allowed)
	case len(got.Egress.Isolating) > 0 != want.EgressIsolated:
		return fmt.Sprintf("isolated for egress by %d policies", len(got.Egress.Isolating))
	case len(got.Ingress.Isolating) > 0 != want.IngressIsolated:
		return fmt.Sprintf("isolated for ingress by %d policies", len(got.Ingress.Isolating))
	}
	return ""
}

func truth(b bool) reach.Truth {
	if b {
		return reach.Yes
	}
	return reach.No
}

// compareGrants compares the rules that are said to allow the connection with those that, each alone, allow it.
func compareGrants(c *oracle.Cluster, conn gen.Connection, got reach.Answer) string {
	var egress, ingress []string
	for _, p := range c.Policies {
		answer := func(spec networkingv1.NetworkPolicySpec) oracle.Answer {
			alone := *c
			alone.Policies = []networkingv1.NetworkPolicy{{ObjectMeta: p.ObjectMeta, Spec: spec}}
			return oracle.Allowed(&alone, conn.From, conn.To, conn.Protocol, conn.Number)
		}
		isolates := answer(p.Spec)
		for i := range p.Spec.Egress {
			spec := networkingv1.NetworkPolicySpec{PodSelector: p.Spec.PodSelector, PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}, Egress: p.Spec.Egress[i : i+1]}
			if isolates.EgressIsolated && answer(spec).EgressOK {
				egress = append(egress, grantText(p.Namespace, p.Name, i))
			}
		}
		for i := range p.Spec.Ingress {
			spec := networkingv1.NetworkPolicySpec{PodSelector: p.Spec.PodSelector, PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}, Ingress: p.Spec.Ingress[i : i+1]}
			if isolates.IngressIsolated && answer(spec).IngressOK {
				ingress = append(ingress, grantText(p.Namespace, p.Name, i))
			}
		}
	}
	if by := grantTexts(got.Egress.By); !slices.Equal(by, egress) {
		return fmt.Sprintf("egress by %v, oracle %v", by, egress)
	}
	if by := grantTexts(got.Ingress.By); !slices.Equal(by, ingress) {
		return fmt.Sprintf("ingress by %v, oracle %v", by, ingress)
	}
	return ""
}

func grantText(namespace, name string, rule int) string {
	return fmt.Sprintf("%s/%s rule %d", namespace, name, rule)
}

func grantTexts(by []reach.Grant) []string {
	var out []string
	for _, g := range by {
		out = append(out, grantText(g.Policy.Namespace, g.Policy.Name, g.Rule))
	}
	return out
}

// compareExternal looks the connection up in the set of addresses and ports that the pod may exchange with the outside.
func (e *engine) compareExternal(conn gen.Connection, want oracle.Answer) string {
	class, direction, addr, allowed := (*model.PodClass)(nil), model.Egress, conn.To.IP, want.EgressOK
	if conn.From.Pod == nil {
		class, direction, addr, allowed = e.pod(conn.To.Pod).Class, model.Ingress, conn.From.IP, want.IngressOK
	} else {
		class = e.pod(conn.From.Pod).Class
	}
	if got := e.view.External(class, direction); got.Contains(addr, portOf(conn.Port)) != allowed {
		return fmt.Sprintf("external %s is %s", direction, got)
	}
	return ""
}

// compareWhole compares the answer for two pods with all of their addresses: they may use any family that both have.
func (e *engine) compareWhole(c *oracle.Cluster, conn gen.Connection) string {
	got := e.view.Connection(e.pod(conn.From.Pod), e.pod(conn.To.Pod), portOf(conn.Port)).Allowed
	if want := connects(c, conn.From.Pod, conn.To.Pod, conn.Port); got != truth(want) {
		return fmt.Sprintf("allowed by any family: %s, oracle %v", got, want)
	}
	return ""
}

// connects says whether the pods can connect over any family.
func connects(c *oracle.Cluster, from, to *corev1.Pod, port gen.Port) bool {
	for _, a := range gen.EndpointsOf(from) {
		for _, b := range gen.EndpointsOf(to) {
			if a.IP.Is4() == b.IP.Is4() && oracle.Allowed(c, a, b, port.Protocol, port.Number).Allowed {
				return true
			}
		}
	}
	return false
}

// letsOut and letsIn say whether the one pod's own policies allow the other pod at any of its addresses.
func letsOut(c *oracle.Cluster, from, to *corev1.Pod, port gen.Port) bool {
	return slices.ContainsFunc(gen.EndpointsOf(to), func(b oracle.Endpoint) bool {
		return oracle.Allowed(c, gen.EndpointsOf(from)[0], b, port.Protocol, port.Number).EgressOK
	})
}

func letsIn(c *oracle.Cluster, from, to *corev1.Pod, port gen.Port) bool {
	return slices.ContainsFunc(gen.EndpointsOf(from), func(a oracle.Endpoint) bool {
		return oracle.Allowed(c, a, gen.EndpointsOf(to)[0], port.Protocol, port.Number).IngressOK
	})
}

// comparePods says how the pods of the classes differ from those there are.
func (e *engine) comparePods(c *oracle.Cluster) string {
	for ns := range e.view.World().Namespaces() {
		for _, class := range ns.Classes {
			if n := len(podsOf(c, class)); n == 0 || n != len(class.Pods) {
				return fmt.Sprintf("class %s of %d pods, of which %d exist", class.Name(), len(class.Pods), n)
			}
		}
	}
	if len(e.pods) != len(c.Pods) {
		return fmt.Sprintf("%d pods of %d are known", len(e.pods), len(c.Pods))
	}
	return ""
}

// compareClasses compares what is said of all pods of a class, and of some, with the answers for each of its pods. A pod
// with itself is left out, as a class has no such pair.
func (e *engine) compareClasses(c *oracle.Cluster, conn gen.Connection) string {
	from, to := e.pod(conn.From.Pod).Class, e.pod(conn.To.Pod).Class
	froms, tos := podsOf(c, from), podsOf(c, to)
	one := func(p *corev1.Pod) []*corev1.Pod { return []*corev1.Pod{p} }
	for _, q := range []struct {
		name      string
		oneSided  bool
		got       reach.Ports
		from, to  []*corev1.Pod
		connected func(*oracle.Cluster, *corev1.Pod, *corev1.Pod, gen.Port) bool
	}{
		{"egress to the class", true, e.view.Allowed(from, model.Egress, reach.Endpoint{Class: to}), one(conn.From.Pod), tos, letsOut},
		{"ingress from the class", true, e.view.Allowed(to, model.Ingress, reach.Endpoint{Class: from}), froms, one(conn.To.Pod), letsIn},
		{"between the classes", false, e.view.Between(from, to), froms, tos, connects},
	} {
		pairs, connected := 0, 0
		for _, a := range q.from {
			for _, b := range q.to {
				if samePod(a, b) {
					continue
				}
				pairs++
				if q.connected(c, a, b, conn.Port) {
					connected++
				}
			}
		}
		if d := compareShares(q.got, conn.Port, pairs, connected, from != to, from != to && (q.oneSided || oneFamily(froms, tos))); d != "" {
			return fmt.Sprintf("%s: %s, oracle %d of %d pairs", q.name, d, connected, pairs)
		}
	}
	return ""
}

// compareShares compares what is said with how many pairs are connected. What is said of some pairs is exact unless a pod may
// be its own peer; what is said of every pair is exact, too, unless the pairs may use different address families.
func compareShares(got reach.Ports, p gen.Port, pairs, connected int, exactSome, exactEvery bool) string {
	port := portOf(p)
	every, some, possible := got.Every.Contains(port), got.Some.Contains(port), got.Possible.Contains(port)
	switch {
	case every && connected < pairs:
		return "every pair is allowed"
	case exactEvery && !every && connected == pairs:
		return "not every pair is allowed"
	case exactSome && some && connected == 0:
		return "some pair is allowed"
	case !some && connected > 0:
		return "no pair is known to be allowed"
	case !possible && connected > 0:
		return "no pair can be allowed"
	case possible && !some:
		return "it is not known whether any pair is allowed"
	}
	return ""
}

// oneFamily says whether all pods have one address, of the same family.
func oneFamily(pods ...[]*corev1.Pod) bool {
	all := slices.Concat(pods...)
	four := gen.EndpointsOf(all[0])[0].IP.Is4()
	return !slices.ContainsFunc(all, func(p *corev1.Pod) bool {
		ends := gen.EndpointsOf(p)
		return len(ends) > 1 || ends[0].IP.Is4() != four
	})
}

func samePod(a, b *corev1.Pod) bool {
	return a != nil && b != nil && a.Namespace == b.Namespace && a.Name == b.Name
}

func podsOf(c *oracle.Cluster, class *model.PodClass) []*corev1.Pod {
	var out []*corev1.Pod
	for i := range c.Pods {
		pod := &c.Pods[i]
		if pod.Namespace == class.Namespace && slices.ContainsFunc(class.Pods, func(p model.Pod) bool { return p.Name == pod.Name }) {
			out = append(out, pod)
		}
	}
	return out
}
