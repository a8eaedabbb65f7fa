package generate

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
)

// Left is a peer of which the other side cannot be written.
type Left struct {
	Policy finding.Subject
	Path   string
	Why    string // in a sentence
}

// Complement writes the other side of every peer that the policies allow on their side only (reach.OneSided): for each of the
// peer's namespaces, a policy for the pods that the peer selects, to or from the pods that the policy selects, on its ports. What
// one written policy allows is not written again for another.
//
// The pods written for are isolated in that direction already. If they do not reach DNS, a policy for egress lets them.
// A rule without ports is complemented by the ports that the pods declare, where it is about two namespaces.
func Complement(world *model.Snapshot, policies []*model.Policy) (out []Policy, left []Left, after *model.Snapshot) {
	policies = slices.SortedFunc(slices.Values(policies), func(a, b *model.Policy) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	for _, p := range policies {
		drafts, not := draft(reach.NewView(world), p)
		left = append(left, not...)
		for _, d := range drafts {
			if v := reach.NewView(world); d.needed(v) {
				written := d.write(v)
				out = append(out, written)
				world = world.With(model.Change{Operation: model.Create, NewPolicy: written.Compiled()})
			}
		}
	}
	return out, left, world
}

// other is a policy to be written: for the pods of one selector of one namespace.
type other struct {
	of        *model.Policy
	direction model.Direction // of the policy to be written
	namespace string
	selector  *metav1.LabelSelector
	key       string
	ports     []networkingv1.NetworkPolicyPort // none for every port
	every     bool                             // every port
	pods      []*model.PodClass
	found     []reach.OneSided
}

// draft gathers what is one-sided in the policy.
func draft(v *reach.View, p *model.Policy) (drafts []*other, left []Left) {
	for _, o := range v.OneSided(p) {
		byNamespace := map[string][]*model.PodClass{}
		var namespaces []string
		for _, c := range o.Others {
			if byNamespace[c.Namespace] == nil {
				namespaces = append(namespaces, c.Namespace)
			}
			byNamespace[c.Namespace] = append(byNamespace[c.Namespace], c)
		}
		for _, namespace := range namespaces {
			path := fmt.Sprintf("spec.%s[%d].%s[%d]", o.Direction.Field(), o.Rule, o.Direction.PeersField(), o.Peer)
			way := o.Direction.Opposite()
			free := slices.IndexFunc(byNamespace[namespace], func(c *model.PodClass) bool { return !v.Isolated(c, way) })
			if free >= 0 {
				left = append(left, Left{p.Subject(), path, fmt.Sprintf("the peer selects %s as well, which is not isolated for %s and would be: select the other pods alone first",
					byNamespace[namespace][free].Name(), way.Field())})
				continue
			}
			if selector := peerSelector(p, &o); byNamespace[namespace][0].Hypothetical && !isolatesAll(v, namespace, &selector, way) {
				left = append(left, Left{p.Subject(), path, fmt.Sprintf("no pod of the peer exists yet in namespace %s, and not all that it may select are isolated for %s: "+
					"give the pods' manifests as well", namespace, way.Field())})
				continue
			}
			ports, every, ok := portsFor(p, &o, byNamespace[namespace])
			if !ok {
				left = append(left, Left{p.Subject(), path,
					"the rule is for every port of another namespace's pods, and these declare none: list the ports in the rule first"})
				continue
			}
			drafts = add(drafts, v, p, o, namespace, ports, every, byNamespace[namespace])
		}
	}
	return drafts, left
}

// peerSelector is the peer's podSelector; "If PodSelector is not set", all pods.
func peerSelector(p *model.Policy, o *reach.OneSided) model.Selector {
	if s := p.Rules[o.Direction][o.Rule].Peers[o.Peer].PodSelector; s != nil {
		return *s
	}
	return model.Selector{}
}

// isolatesAll says whether a policy of the namespace isolates every pod that the selector can ever select.
func isolatesAll(v *reach.View, namespace string, selector *model.Selector, d model.Direction) bool {
	return slices.ContainsFunc(v.World().NamespaceOrImplied(namespace).Policies, func(p *model.Policy) bool {
		return p.Isolates(d) && selector.Implies(&p.PodSelector)
	})
}

// add puts a peer into the draft of its selector.
func add(drafts []*other, v *reach.View, p *model.Policy, o reach.OneSided, namespace string, ports []networkingv1.NetworkPolicyPort, every bool, pods []*model.PodClass) []*other {
	selector, key := &metav1.LabelSelector{}, namespace+"\n"+o.Direction.String()
	if s := p.Rules[o.Direction][o.Rule].Peers[o.Peer].PodSelector; s != nil {
		selector, key = s.LabelSelector(), key+"\n"+s.String()
	}
	at := slices.IndexFunc(drafts, func(d *other) bool { return d.key == key })
	if at < 0 {
		at = len(drafts)
		drafts = append(drafts, &other{of: p, direction: o.Direction.Opposite(), namespace: namespace, selector: selector, key: key})
	}
	d := drafts[at]
	d.found, d.pods, d.every = append(d.found, o), append(d.pods, pods...), d.every || every
	for _, port := range ports {
		same := func(other networkingv1.NetworkPolicyPort) bool { return samePort(other, port) }
		if !slices.ContainsFunc(d.ports, same) {
			d.ports = append(d.ports, port)
		}
	}
	return drafts
}

func samePort(a, b networkingv1.NetworkPolicyPort) bool {
	return *a.Protocol == *b.Protocol && (a.Port == nil) == (b.Port == nil) && (a.Port == nil || *a.Port == *b.Port) &&
		(a.EndPort == nil) == (b.EndPort == nil) && (a.EndPort == nil || *a.EndPort == *b.EndPort)
}

// needed says whether any of the pods still cannot connect, with what has been written before.
func (d *other) needed(v *reach.View) bool {
	still := v.OneSided(d.of)
	for i := range d.found {
		same := func(o reach.OneSided) bool {
			return o.Direction == d.found[i].Direction && o.Rule == d.found[i].Rule && o.Peer == d.found[i].Peer
		}
		if slices.ContainsFunc(still, same) {
			return true
		}
		o := &d.found[i]
		for _, pod := range d.pods {
			for _, own := range o.Own {
				ports := reach.PortsTowards(&d.of.Rules[o.Direction][o.Rule], own, o.Direction, reach.Endpoint{Class: pod})
				from, to := pod, own
				if o.Direction == model.Egress {
					from, to = own, pod
				}
				if !v.Between(from, to).Possible.ContainsAll(ports) {
					return true
				}
			}
		}
	}
	return false
}

// write writes the policy.
func (d *other) write(v *reach.View) Policy {
	np := newPolicy(d.namespace, d.name(v.World()), d.direction)
	np.Spec.PodSelector = *d.selector
	peer := networkingv1.NetworkPolicyPeer{PodSelector: d.of.PodSelector.LabelSelector()}
	if d.of.Namespace != d.namespace {
		peer.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: d.of.Namespace}}
		if d.of.PodSelector.AlwaysTrue() {
			peer.PodSelector = nil
		}
	}
	ports := d.ports
	if d.every {
		ports = nil
	}
	if d.direction == model.Ingress {
		np.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{peer}, Ports: ports}}
		return Policy{np, fmt.Sprintf("Lets in what %s lets out.", d.of.Subject())}
	}
	np.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{To: []networkingv1.NetworkPolicyPeer{peer}, Ports: ports}}
	comment := fmt.Sprintf("Lets out what %s lets in.", d.of.Subject())
	if slices.ContainsFunc(d.pods, func(c *model.PodClass) bool { return withoutDNS(v, c) }) {
		np.Spec.Egress = append(np.Spec.Egress, dnsRules(v.World().Facts())...)
		comment += " And to DNS, which these pods do not reach."
	}
	return Policy{np, comment}
}

func withoutDNS(v *reach.View, c *model.PodClass) bool {
	dns := v.DNS(c)
	return c.ClusterDNS && !v.ServesDNS(c) && (dns.UDP != reach.Yes || dns.TCP != reach.Yes)
}

// name is a name that no policy of the namespace has.
func (d *other) name(world *model.Snapshot) string {
	name := d.of.Name
	if d.of.Namespace != d.namespace {
		name = d.of.Namespace + "-" + name
	}
	if d.direction == model.Egress {
		name = "allow-to-" + name
	} else {
		name = "allow-from-" + name
	}
	const suffix = len("-1000")
	name = name[:min(len(name), validation.DNS1123SubdomainMaxLength-suffix)]
	out := name
	for i := 2; slices.ContainsFunc(world.NamespaceOrImplied(d.namespace).Policies, func(p *model.Policy) bool { return p.Name == out }); i++ {
		out = fmt.Sprintf("%s-%d", name, i)
	}
	return out
}

// portsFor are the ports of the rule for its other side; every stands for all of them. ok is false if a rule for every port is
// not to be complemented so, and the pods do not tell which ports they have.
func portsFor(p *model.Policy, o *reach.OneSided, pods []*model.PodClass) (ports []networkingv1.NetworkPolicyPort, every, ok bool) {
	r := &p.Rules[o.Direction][o.Rule]
	target := o.Own
	if o.Direction == model.Egress {
		target = pods
	}
	if r.Numeric.ContainsAll(netset.AllOf(netset.TCP)) {
		if pods[0].Namespace == p.Namespace {
			return portsWritten(r, o.Direction, target), r.AllPorts(), true
		}
		ports = declared(target, r.Numeric)
		return ports, false, len(ports) > 0
	}
	return portsWritten(r, o.Direction, target), false, true
}

// declared are the ports that the pods declare, as far as they are among those allowed.
func declared(pods []*model.PodClass, allowed netset.Ports) []networkingv1.NetworkPolicyPort {
	var all netset.Ports
	for _, c := range pods {
		for _, port := range c.Ports {
			all = all.Union(netset.PortsOf(port.Port))
		}
	}
	var out []networkingv1.NetworkPolicyPort
	for span := range all.Intersect(allowed).Ranges() {
		out = append(out, portOf(span))
	}
	return out
}

// portsWritten are the ports as the rule has them. A name in an ingress rule is a number in the egress rule that is written for
// it, where the pods tell.
func portsWritten(r *model.Rule, d model.Direction, target []*model.PodClass) []networkingv1.NetworkPolicyPort {
	var out []networkingv1.NetworkPolicyPort
	for _, spec := range r.Ports {
		if spec.Name == "" {
			for span := range spec.Numbers.Ranges() {
				out = append(out, portOf(span))
			}
			continue
		}
		var numbers netset.Ports
		for _, c := range target {
			if number, known := c.NamedPort(spec.Protocol, spec.Name); known && d == model.Ingress && !c.Hypothetical {
				numbers = numbers.Union(netset.PortsOf(netset.Port{Protocol: spec.Protocol, Number: number}))
			}
		}
		for span := range numbers.Ranges() {
			out = append(out, portOf(span))
		}
		if numbers.IsEmpty() {
			protocol, name := corev1.Protocol(spec.Protocol.String()), intstr.FromString(spec.Name)
			out = append(out, networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: &name})
		}
	}
	return out
}
