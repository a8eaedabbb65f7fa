// Package isolate keeps default denies in namespaces: a policy portcullis-default-deny, and with isolation in both directions a policy
// portcullis-allow-dns. Which namespaces, the label portcullis.dev/isolate says, or else isolateNamespaces in the configuration.
//
// Where they are asked for, these names are Portcullis's, and whatever has one is overwritten: by nothing that stands in it can a policy
// prove whose it is, as who may write NetworkPolicies may write every label and every managed field. When they are not asked for any
// more they are removed, but only what Portcullis has written, and what is labelled as its own. Namespaces that are exempt or
// terminating are left alone.
package isolate

import (
	"slices"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/generate"
	"github.com/portcullis-dev/portcullis/pkg/model"
)

// The names of the policies, and who owns their fields. model.LabelManagedBy marks them as Portcullis's own.
const (
	DefaultDeny  = model.KeptDefaultDeny
	AllowDNS     = model.KeptAllowDNS
	FieldManager = "portcullis-isolate"
)

// Action is what there is to do in one namespace about one policy.
type Action struct {
	Namespace, Name string
	// Apply is the policy to write; nil to remove the one that is there.
	Apply *networkingv1.NetworkPolicy
	// Old is the policy that is there; nil if there is none.
	Old *model.Policy
}

// Plan is what there is to do so that every namespace has the default denies that are asked for, in the order in which to do
// it: the way to DNS is opened before egress is closed, and closed after it is open.
func Plan(s *model.Snapshot, c *config.Config) ([]Action, error) {
	var out []Action
	for ns := range s.Namespaces() {
		if !ns.Meta.Described || ns.Meta.Terminating || c.Exemptions.Reason(ns.Meta.Name, "", nil) != "" {
			continue
		}
		want, err := wanted(s, ns, c)
		if err != nil {
			return nil, err
		}
		for _, name := range []string{AllowDNS, DefaultDeny} {
			if a, needed := compare(s, ns.Meta.Name, name, want[name]); needed && a.Apply != nil {
				out = append(out, a)
			}
		}
		for _, name := range []string{DefaultDeny, AllowDNS} {
			if a, needed := compare(s, ns.Meta.Name, name, want[name]); needed && a.Apply == nil {
				out = append(out, a)
			}
		}
	}
	return out, nil
}

// wanted are the policies that a namespace is to have, by name.
func wanted(s *model.Snapshot, ns *model.Namespace, c *config.Config) (map[string]*networkingv1.NetworkPolicy, error) {
	isolation := config.Isolation(model.ReadNamespaceSettings(ns.Meta.Labels, nil).Isolate)
	if isolation == "" {
		isolation = c.Object.IsolateNamespaces
	}
	if isolation == config.IsolateNone {
		return nil, nil
	}
	out := map[string]*networkingv1.NetworkPolicy{}
	directions := []model.Direction{model.Ingress}
	if isolation == config.IsolateAll {
		directions = append(directions, model.Egress)
		dns, err := generate.AllowDNS(ns.Meta.Name, s.Facts())
		if err != nil {
			return nil, err
		}
		out[AllowDNS] = ours(dns.Object, AllowDNS)
	}
	deny := generate.DefaultDeny(ns.Meta.Name, directions...)
	out[DefaultDeny] = ours(deny.Object, DefaultDeny)
	return out, nil
}

func ours(np *networkingv1.NetworkPolicy, name string) *networkingv1.NetworkPolicy {
	np.Name = name
	if np.Labels == nil {
		np.Labels = map[string]string{}
	}
	np.Labels[model.LabelManagedBy] = model.ManagedByPortcullis
	return np
}

// compare says what there is to do about one policy, if anything.
func compare(s *model.Snapshot, namespace, name string, want *networkingv1.NetworkPolicy) (a Action, needed bool) {
	have := s.Policy(namespace, name)
	a = Action{Namespace: namespace, Name: name, Apply: want, Old: have}
	switch {
	case have == nil:
		return a, want != nil
	case want == nil:
		return a, have.Kept() && !have.Deleting
	}
	// A policy that is being deleted is in force, and can be edited, for as long as a finalizer holds it.
	return a, !have.Kept() || !same(have, model.CompilePolicy(want, model.Authored{}))
}

// same says whether two policies do the same. Rules of a direction that is not isolated do nothing.
func same(a, b *model.Policy) bool {
	if a.Types != b.Types || !a.PodSelector.Equal(&b.PodSelector) {
		return false
	}
	for _, d := range model.Directions {
		if a.Types[d] && !slices.EqualFunc(a.Rules[d], b.Rules[d], func(x, y model.Rule) bool { return model.SameRule(&x, &y) }) {
			return false
		}
	}
	return true
}
