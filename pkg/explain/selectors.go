package explain

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
)

// passing says whether a label is of one pod, one revision or one release, so that a selector by it does not last.
func passing(key string) bool {
	switch key {
	case "pod-template-hash", "controller-revision-hash", "pod-template-generation", "rollouts-pod-template-hash",
		"statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index", "controller-uid", "job-name",
		"batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name", "batch.kubernetes.io/job-completion-index",
		"helm.sh/chart", "app.kubernetes.io/version", "app.kubernetes.io/managed-by":
		return true
	}
	return false
}

// selectorFor is a selector of pods of one namespace that selects all of the classes and as few others as can be.
func selectorFor(ns *model.Namespace, classes []*model.PodClass) metav1.LabelSelector {
	var best metav1.LabelSelector
	fewest := -1
	for _, s := range []metav1.LabelSelector{ownSelector(ns, classes), commonLabels(classes)} {
		narrow(&s, ns, classes)
		if n := len(others(&s, ns, classes)); fewest < 0 || n < fewest {
			best, fewest = s, n
		}
	}
	return best
}

// ownSelector demands what the workload demands that all of the classes are pods of.
func ownSelector(ns *model.Namespace, classes []*model.PodClass) metav1.LabelSelector {
	for i := range ns.Workloads {
		w := &ns.Workloads[i]
		pods := ns.PodsOf(w)
		if slices.ContainsFunc(classes, func(c *model.PodClass) bool { return !slices.Contains(pods, c) }) {
			continue
		}
		out := metav1.LabelSelector{}
		for key, value := range classes[0].Labels {
			if demanded, ok := w.Selector.Demands(key); ok && demanded == value && !passing(key) {
				metav1.AddLabelToSelector(&out, key, value)
			}
		}
		if len(out.MatchLabels) > 0 {
			return out
		}
	}
	return commonLabels(classes)
}

// commonLabels demands the labels that all of the classes have, with the values that they have.
func commonLabels(classes []*model.PodClass) metav1.LabelSelector {
	out := metav1.LabelSelector{}
	for _, key := range slices.Sorted(maps.Keys(classes[0].Labels)) {
		var values []string
		for _, c := range classes {
			if value, there := c.Labels[key]; there {
				values = append(values, value)
			}
		}
		if len(values) < len(classes) || passing(key) {
			continue
		}
		slices.Sort(values)
		if values = slices.Compact(values); len(values) == 1 {
			metav1.AddLabelToSelector(&out, key, values[0])
		} else {
			out.MatchExpressions = append(out.MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpIn, Values: values})
		}
	}
	return out
}

// others are the pods that a selector selects besides the classes. Those on the host's network are outside of selectors.
func others(s *metav1.LabelSelector, ns *model.Namespace, classes []*model.PodClass) []*model.PodClass {
	compiled, err := model.CompileSelector(s)
	if err != nil {
		return nil
	}
	var out []*model.PodClass
	for _, c := range ns.Classes {
		if !c.HostNetwork && compiled.Matches(c.Labels) && !slices.Contains(classes, c) {
			out = append(out, c)
		}
	}
	return out
}

// narrow adds to the selector what tells other pods from the classes: a label that they have and the classes do not, or one
// of another value.
func narrow(s *metav1.LabelSelector, ns *model.Namespace, classes []*model.PodClass) {
	for _, other := range others(s, ns, classes) {
		if compiled, err := model.CompileSelector(s); err != nil || !compiled.Matches(other.Labels) {
			continue // another requirement excludes it already
		}
		if r, found := telling(other, classes); found {
			s.MatchExpressions = append(s.MatchExpressions, r)
		}
	}
}

// telling is a requirement that all of the classes meet and the other does not. Labels that last come first.
func telling(other *model.PodClass, classes []*model.PodClass) (metav1.LabelSelectorRequirement, bool) {
	keys := slices.SortedFunc(maps.Keys(other.Labels), func(a, b string) int {
		if passing(a) != passing(b) {
			if passing(a) {
				return 1
			}
			return -1
		}
		return strings.Compare(a, b)
	})
	for _, key := range keys {
		absent, different := true, true
		for _, c := range classes {
			value, there := c.Labels[key]
			absent = absent && !there
			different = different && (!there || value != other.Labels[key])
		}
		switch {
		case absent:
			return metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpDoesNotExist}, true
		case different:
			return metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpNotIn, Values: []string{other.Labels[key]}}, true
		}
	}
	// The other has no label of its own: what it lacks tells it.
	for _, key := range slices.Sorted(maps.Keys(classes[0].Labels)) {
		lacks := !slices.ContainsFunc(classes, func(c *model.PodClass) bool { _, there := c.Labels[key]; return !there })
		if _, there := other.Labels[key]; !there && lacks {
			return metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpExists}, true
		}
	}
	return metav1.LabelSelectorRequirement{}, false
}

// peersFor are the peers of a policy that match all that are needed, and as little else as can be; none if none are sure to.
func (x *explainer) peersFor(n *need) []networkingv1.NetworkPolicyPeer {
	var out []networkingv1.NetworkPolicyPeer
	byNamespace := map[string][]*model.PodClass{}
	for _, e := range n.peers {
		switch {
		case e.Outside():
			out = append(out, block(netip.PrefixFrom(e.Addr, e.Addr.BitLen())))
		case e.Class.HostNetwork:
			blocks, ok := x.hostBlocks(n, e)
			if !ok {
				return nil
			}
			out = append(out, blocks...)
		case !slices.Contains(byNamespace[e.Class.Namespace], e.Class):
			byNamespace[e.Class.Namespace] = append(byNamespace[e.Class.Namespace], e.Class)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byNamespace)) {
		pods := selectorFor(x.view.World().NamespaceOrImplied(name), byNamespace[name])
		peer := networkingv1.NetworkPolicyPeer{PodSelector: &pods}
		if name != n.namespace {
			peer.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: name}}
		}
		out = append(out, peer)
	}
	return out
}

// hostBlocks are ipBlocks of the addresses of pods on the host's network, which are those of their nodes, as far as the
// subjects have addresses of the family; ok is false if those are not known, or too many.
func (x *explainer) hostBlocks(n *need, e reach.Endpoint) (out []networkingv1.NetworkPolicyPeer, ok bool) {
	const most = 16
	add := func(prefix netip.Prefix) {
		family := netset.IPv6
		if prefix.Addr().Is4() {
			family = netset.IPv4
		}
		use := slices.ContainsFunc(n.subjects, func(c *model.PodClass) bool { return x.view.MayHave(reach.Endpoint{Class: c}, family) })
		if peer := block(prefix); use && !slices.ContainsFunc(out, func(p networkingv1.NetworkPolicyPeer) bool { return p.IPBlock.CIDR == peer.IPBlock.CIDR }) {
			out = append(out, peer)
		}
	}
	known := false
	for _, one := range podsOf(e) {
		if one.Pod == nil {
			continue
		}
		for _, ip := range one.Pod.IPs {
			known = true
			add(netip.PrefixFrom(ip, ip.BitLen()))
		}
	}
	if !known {
		for _, prefix := range x.view.World().Facts().Nodes.Prefixes() {
			add(prefix)
		}
	}
	return out, len(out) > 0 && len(out) <= most
}

func block(prefix netip.Prefix) networkingv1.NetworkPolicyPeer {
	return networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: prefix.String()}}
}
