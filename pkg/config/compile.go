package config

import (
	"net/netip"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portcullis-dev/portcullis/pkg/celrule"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/mutate"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/rule"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// compile turns a valid configuration into what is in force.
func compile(object GuardConfiguration, custom []celrule.Rule, cat *rule.Catalogue, opts []Option) *Config {
	var o options
	for _, option := range opts {
		option(&o)
	}
	if !object.Exemptions.ExcludeDefaults {
		object.Exemptions.Namespaces = union(exemptByDefault[:], object.Exemptions.Namespaces)
	}
	c := &Config{
		Object:  object,
		Rules:   configured(object.Rules, cat),
		Facts:   object.facts(),
		Levels:  verdict.Levels(object.Defaults),
		Mode:    object.Mode,
		Ratchet: object.Ratchet,
		Exemptions: verdict.ExemptNames{
			Namespaces: object.Exemptions.Namespaces, Users: object.Exemptions.Users, Groups: object.Exemptions.Groups,
		},
		Mutations: mutate.Config{
			PolicyTypes:         object.Mutations.PolicyTypes,
			NamespaceNameLabel:  object.Mutations.NamespaceNameLabel.key(),
			NamespaceLabels:     object.Mutations.NamespaceLabels,
			CopyNamespaceLabels: object.Mutations.CopyNamespaceLabels,
			DNSEgress:           object.Mutations.DNSEgress,
		},
		NamespaceMetrics: object.Metrics.NamespaceLabel,
	}
	for _, r := range cat.All() {
		c.RuleIDs = append(c.RuleIDs, r.ID)
	}
	c.addCustom(custom)
	if o.mode != "" {
		c.Mode = o.mode
	}
	c.ExemptOwn(o.namespace)
	return c
}

// ExemptOwn does what the option OwnNamespace does, for who learns the name later. It is not for a Config that is in use.
func (c *Config) ExemptOwn(namespace string) {
	if namespace != "" && !c.Object.Exemptions.ExcludeDefaults {
		c.Exemptions.Namespaces = union(c.Exemptions.Namespaces, []string{namespace})
	}
}

// union is both lists, each name once, in a new slice.
func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, name := range b {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// key is the key of the label, or empty if it is not to be set.
func (l NamespaceNameLabel) key() string {
	if !l.Enabled {
		return ""
	}
	return l.Key
}

// gkeSources are where Google's load balancers and health checks connect from
// (https://cloud.google.com/load-balancing/docs/firewall-rules).
var gkeSources = [...]CIDR{"130.211.0.0/22", "35.191.0.0/16", "209.85.152.0/22", "209.85.204.0/22"}

func (c *GuardConfiguration) facts() model.Facts {
	sources := c.LoadBalancer.SourceRanges
	if c.LoadBalancer.Provider == ProviderGKE {
		sources = slices.Concat(gkeSources[:], sources)
	}
	f := model.Facts{
		CNI:                 c.Cluster.CNI,
		PodCIDRs:            addrsOf(c.Cluster.CIDRs.Pods),
		ServiceCIDRs:        addrsOf(c.Cluster.CIDRs.Services),
		Nodes:               addrsOf(c.Cluster.CIDRs.Nodes),
		Trusted:             addrsOf(c.Cluster.TrustedCIDRs),
		LoadBalancerSources: addrsOf(sources),
		NamespaceNameLabel:  c.Mutations.NamespaceNameLabel.key(),
	}
	for i := range c.Cluster.DNS {
		f.DNS = append(f.DNS, c.Cluster.DNS[i].servers()...)
	}
	return f
}

// defaultDNSPort is where servers listen that are given without ports.
const defaultDNSPort = 53

// servers are the pods and the addresses of one entry, as the alternatives that they are.
func (s *DNS) servers() []model.DNSServer {
	ports := make([]uint16, len(s.Ports))
	for i, p := range s.Ports {
		ports[i] = uint16(p)
	}
	if len(ports) == 0 {
		ports = []uint16{defaultDNSPort}
	}
	var out []model.DNSServer
	if s.NamespaceSelector != nil {
		server := model.DNSServer{Ports: ports, NamespaceSelector: compiled(s.NamespaceSelector), PodSelector: compiled(s.PodSelector)}
		server.Namespace, _ = server.NamespaceSelector.Demands(metadataName)
		if examples := server.PodSelector.Examples(); len(examples) > 0 {
			server.Labels = examples[0]
		}
		out = append(out, server)
	}
	if len(s.CIDRs) > 0 {
		out = append(out, model.DNSServer{Ports: ports, Addrs: addrsOf(s.CIDRs)})
	}
	return out
}

// compiled is the selector; one that is absent selects everything. It is called only once the configuration is validated.
func compiled(s *metav1.LabelSelector) *model.Selector {
	var out model.Selector
	if s != nil {
		// An error would have refused the configuration.
		out, _ = model.CompileSelector(s)
	}
	return &out
}

// addrsOf are the addresses of the ranges, without those that cannot be read.
func addrsOf(cidrs []CIDR) netset.Addrs {
	prefixes := make([]netip.Prefix, 0, len(cidrs))
	for _, c := range cidrs {
		if prefix, _, err := netset.ParseCIDR(string(c)); err == nil {
			prefixes = append(prefixes, prefix)
		}
	}
	return netset.AddrsOf(prefixes...)
}
