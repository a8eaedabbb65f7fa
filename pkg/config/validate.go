package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// Validate says what is wrong with the values, by their paths; but not with the parameters of rules, which are checked as
// they are read.
func (c *GuardConfiguration) Validate() field.ErrorList {
	var all field.ErrorList
	if !slices.Contains(verdict.Modes[:], c.Mode) {
		all = append(all, field.NotSupported(field.NewPath("mode"), c.Mode, verdict.Modes[:]))
	}
	all = append(all, validateCustomRules(c.CustomRules, field.NewPath("customRules"))...)
	if !slices.Contains(model.Isolations[:], string(c.IsolateNamespaces)) {
		all = append(all, field.NotSupported(field.NewPath("isolateNamespaces"), string(c.IsolateNamespaces), model.Isolations[:]))
	}
	all = append(all, positive(c.Audit.Interval, field.NewPath("audit", "interval"))...)
	all = append(all, positive(c.Claims.GracePeriod, field.NewPath("claims", "gracePeriod"))...)
	all = append(all, c.Exemptions.validate(field.NewPath("exemptions"))...)
	all = append(all, c.Mutations.validate(field.NewPath("mutations"))...)
	all = append(all, c.Cluster.validate(field.NewPath("cluster"))...)
	all = append(all, c.LoadBalancer.validate(field.NewPath("loadBalancer"))...)
	return all
}

func positive(d metav1.Duration, at *field.Path) field.ErrorList {
	if d.Duration > 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(at, d.Duration.String(), "must be longer than nothing")}
}

func (e *Exemptions) validate(at *field.Path) field.ErrorList {
	var all field.ErrorList
	for i, name := range e.Namespaces {
		at := at.Child("namespaces").Index(i)
		if strings.ContainsAny(name, "*?[") {
			all = append(all, field.Invalid(at, name, "must be the name of a namespace: patterns are not read"))
			continue
		}
		all = append(all, invalid(at, name, validation.IsDNS1123Label(name))...)
	}
	for _, list := range []struct {
		field string
		names []string
	}{{"users", e.Users}, {"groups", e.Groups}} {
		for i, name := range list.names {
			at := at.Child(list.field).Index(i)
			switch {
			case name == "":
				all = append(all, field.Required(at, "must not be empty"))
			case strings.TrimSpace(name) != name:
				all = append(all, field.Invalid(at, name, "must not have blanks around it"))
			}
		}
	}
	return all
}

// invalid makes an error of each message.
func invalid(at *field.Path, value string, messages []string) field.ErrorList {
	var all field.ErrorList
	for _, m := range messages {
		all = append(all, field.Invalid(at, value, m))
	}
	return all
}

const metadataName = "kubernetes.io/metadata.name"

func (m *Mutations) validate(at *field.Path) field.ErrorList {
	var all field.ErrorList
	key := func(at *field.Path, key string) {
		all = append(all, invalid(at, key, validation.IsQualifiedName(key))...)
		if key == metadataName {
			all = append(all, field.Invalid(at, key, "is the API server's own label"))
		}
	}
	name := m.NamespaceNameLabel
	key(at.Child("namespaceNameLabel", "key"), name.Key)
	if strings.HasPrefix(name.Key, model.SettingsPrefix) {
		all = append(all, field.Invalid(at.Child("namespaceNameLabel", "key"), name.Key, "must not be one of Portcullis's own settings"))
	}
	labels := at.Child("namespaceLabels")
	for _, k := range slices.Sorted(maps.Keys(m.NamespaceLabels)) {
		value := m.NamespaceLabels[k]
		key(labels.Key(k), k)
		all = append(all, invalid(labels.Key(k), value, validation.IsValidLabelValue(value))...)
		if name.Enabled && k == name.Key {
			all = append(all, field.Invalid(labels.Key(k), value, "is the label that namespaceNameLabel sets to the Namespace's name"))
		}
	}
	for _, p := range model.ReadNamespaceSettings(m.NamespaceLabels, nil).Problems {
		all = append(all, field.Forbidden(labels.Key(p.Key), p.Message+" "+p.Fix))
	}
	seen := map[string]bool{}
	for i, k := range m.CopyNamespaceLabels {
		at := at.Child("copyNamespaceLabels").Index(i)
		all = append(all, invalid(at, k, validation.IsQualifiedName(k))...)
		switch {
		case strings.HasPrefix(k, model.SettingsPrefix):
			all = append(all, field.Invalid(at, k, "is a setting of Namespaces, and has no meaning on a NetworkPolicy"))
		case seen[k]:
			all = append(all, field.Duplicate(at, k))
		}
		seen[k] = true
	}
	return all
}

var cniName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// cnis are the names that are known, for a misspelt one.
var cnis = [...]string{
	"antrea", "aws-vpc", "azure-npm", "calico", "cilium", "flannel", "kindnet", "kube-network-policies", "kube-ovn", "kube-router", "openshift-sdn", "ovn-kubernetes", "weave",
}

func (c *Cluster) validate(at *field.Path) field.ErrorList {
	var all field.ErrorList
	if c.CNI != "" && !slices.Contains(cnis[:], c.CNI) {
		if near, ok := model.Nearest(c.CNI, cnis[:]); ok {
			all = append(all, field.Invalid(at.Child("cni"), c.CNI, fmt.Sprintf("did you mean %q?", near)))
		} else if !cniName.MatchString(c.CNI) {
			all = append(all, field.Invalid(at.Child("cni"), c.CNI, "must be a lower-case name, as in calico or cilium"))
		}
	}
	for _, list := range []struct {
		at    *field.Path
		cidrs []CIDR
	}{
		{at.Child("cidrs", "pods"), c.CIDRs.Pods}, {at.Child("cidrs", "services"), c.CIDRs.Services},
		{at.Child("cidrs", "nodes"), c.CIDRs.Nodes}, {at.Child("trustedCIDRs"), c.TrustedCIDRs},
	} {
		errs := validateCIDRs(list.cidrs, list.at)
		all = append(all, errs...)
		if addrs := addrsOf(list.cidrs); len(errs) == 0 && (addrs.ContainsAll(netset.AllIPv4()) || addrs.ContainsAll(netset.AllIPv6())) {
			all = append(all, field.Forbidden(list.at, "must not cover every address of a family: nothing would count as the public internet"))
		}
	}
	for i := range c.DNS {
		all = append(all, c.DNS[i].validate(at.Child("dns").Index(i))...)
	}
	return all
}

func (s *DNS) validate(at *field.Path) field.ErrorList {
	var all field.ErrorList
	if s.NamespaceSelector == nil && s.PodSelector != nil {
		all = append(all, field.Required(at.Child("namespaceSelector"), "say in which namespaces the podSelector selects; {} means all"))
	}
	if s.NamespaceSelector == nil && s.PodSelector == nil && len(s.CIDRs) == 0 {
		all = append(all, field.Required(at, "needs a namespaceSelector with a podSelector, or cidrs"))
	}
	for _, selector := range []struct {
		name string
		*metav1.LabelSelector
	}{{"namespaceSelector", s.NamespaceSelector}, {"podSelector", s.PodSelector}} {
		if selector.LabelSelector != nil {
			all = append(all, validateSelector(selector.LabelSelector, at.Child(selector.name))...)
		}
	}
	all = append(all, validateCIDRs(s.CIDRs, at.Child("cidrs"))...)
	for i, p := range s.Ports {
		if p == 0 {
			all = append(all, field.Invalid(at.Child("ports").Index(i), 0, "must be from 1 to 65535"))
		}
	}
	return all
}

func validateSelector(s *metav1.LabelSelector, at *field.Path) field.ErrorList {
	var all field.ErrorList
	for _, key := range slices.Sorted(maps.Keys(s.MatchLabels)) {
		at := at.Child("matchLabels").Key(key)
		all = append(all, invalid(at, key, validation.IsQualifiedName(key))...)
		all = append(all, invalid(at, s.MatchLabels[key], validation.IsValidLabelValue(s.MatchLabels[key]))...)
	}
	for i, e := range s.MatchExpressions {
		all = append(all, invalid(at.Child("matchExpressions").Index(i).Child("key"), e.Key, validation.IsQualifiedName(e.Key))...)
	}
	compiled, err := model.CompileSelector(s)
	if err != nil {
		name, detail, _ := strings.Cut(err.Error(), ": ")
		return append(all, field.Forbidden(at.Child(name), detail))
	}
	if !compiled.Satisfiable() {
		all = append(all, field.Forbidden(at, "no labels can match it"))
	}
	return all
}

func (l *LoadBalancer) validate(at *field.Path) field.ErrorList {
	var all field.ErrorList
	if providers := []Provider{ProviderNone, ProviderGKE}; !slices.Contains(providers, l.Provider) {
		all = append(all, field.NotSupported(at.Child("provider"), l.Provider, providers))
	}
	return append(all, validateCIDRs(l.SourceRanges, at.Child("sourceRanges"))...)
}

func validateCIDRs(cidrs []CIDR, at *field.Path) field.ErrorList {
	var all field.ErrorList
	for i, c := range cidrs {
		prefix, deviations, err := netset.ParseCIDR(string(c))
		switch {
		case err != nil && !strings.Contains(string(c), "/") && c != "":
			all = append(all, field.Invalid(at.Index(i), string(c), "must be a CIDR, as in 10.0.0.0/8 or 2001:db8::/32: a single address is a /32 or /128"))
		case err != nil:
			all = append(all, field.Invalid(at.Index(i), string(c), "must be a CIDR, as in 10.0.0.0/8 or 2001:db8::/32"))
		case len(deviations) > 0:
			words := make([]string, len(deviations))
			for j, d := range deviations {
				words[j] = string(d)
			}
			all = append(all, field.Invalid(at.Index(i), string(c), fmt.Sprintf("%s: write %s", strings.Join(words, " and "), prefix)))
		}
	}
	return all
}
