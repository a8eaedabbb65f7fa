package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/mutate"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/rule"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// doorSettings are the parameters of the rule open-door, with every kind of parameter.
type doorSettings struct {
	Wide   wideSettings      `json:"wide"`
	Names  []string          `json:"names"`
	Strict bool              `json:"strict"`
	Ports  []uint16          `json:"ports"`
	Labels map[string]string `json:"labels"`
	Least  finding.Level     `json:"least"`
}

type wideSettings struct {
	IPv4 int `json:"ipv4"`
	IPv6 int `json:"ipv6"`
}

func (s *doorSettings) Validate() error {
	var errs []error
	if s.Wide.IPv4 < 0 || s.Wide.IPv4 > 32 {
		errs = append(errs, errors.New("wide.ipv4 must be from 0 to 32"))
	}
	if s.Wide.IPv6 < 0 || s.Wide.IPv6 > 128 {
		errs = append(errs, errors.New("wide.ipv6 must be from 0 to 128"))
	}
	return errors.Join(errs...)
}

// catalogue has a rule with parameters and one without.
func catalogue(t testing.TB) *rule.Catalogue {
	documented := func(id string, level finding.Level) *rule.Rule {
		return &rule.Rule{
			ID: id, Level: level, Subjects: []string{finding.KindNetworkPolicy}, Run: func(*rule.Pass) {},
			Doc: rule.Doc{Title: "t", Why: "w", Finds: "f", Remedy: "r", References: []rule.Reference{{Title: "t", URL: "u"}}, Bad: "b", Good: "g"},
		}
	}
	door := documented("open-door", finding.Baseline)
	door.Doc.Params = []rule.Param{{Name: "wide", Default: "{ipv4: 8, ipv6: 16}", Description: "How much is wide."}}
	door.NewSettings = func() any {
		return &doorSettings{Wide: wideSettings{8, 16}, Names: []string{"admin"}, Least: finding.Baseline}
	}
	cat, err := rule.NewCatalogue(door, documented("open-window", finding.Restricted))
	require.NoError(t, err)
	return cat
}

func load(t testing.TB, text string, opts ...config.Option) *config.Config {
	c, err := config.Load([]byte(text), "guard.yaml", catalogue(t), opts...)
	require.NoError(t, err)
	return c
}

func addrs(t testing.TB, cidrs ...string) netset.Addrs {
	var out netset.Addrs
	for _, c := range cidrs {
		p, _, err := netset.ParseCIDR(c)
		require.NoError(t, err)
		out = out.Union(netset.AddrsOf(p))
	}
	return out
}

func TestIfTheFileIsEmptyThenEverythingHasItsDefault(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "---\n", "{}", "null", "\ufeff", "---\n# a\n---\n", "apiVersion: config.portcullis.dev/v1alpha1\nkind: GuardConfiguration\n"} {
		c := load(t, text)
		assert.Equal(t, verdict.ModeEnforce, c.Mode)
		assert.False(t, c.Ratchet)
		assert.Equal(t, verdict.Levels{Enforce: finding.Baseline, Warn: finding.Restricted, Audit: finding.Restricted}, c.Levels)
		assert.Equal(t, []string{"kube-system", "kube-public", "kube-node-lease"}, c.Exemptions.Namespaces)
		assert.Empty(t, c.Exemptions.Users)
		assert.Empty(t, c.Exemptions.Groups)
		assert.Equal(t, mutate.Config{PolicyTypes: true, NamespaceNameLabel: "networking/namespace", NamespaceLabels: map[string]string{}, CopyNamespaceLabels: []string{}}, c.Mutations)
		assert.Equal(t, model.Facts{NamespaceNameLabel: "networking/namespace"}, c.Facts)
		assert.True(t, c.NamespaceMetrics)
		require.Len(t, c.Rules, 2)
		assert.Equal(t, "open-door", c.Rules[0].ID)
		assert.Equal(t, finding.Baseline, c.Rules[0].Level)
		assert.Equal(t, &doorSettings{Wide: wideSettings{8, 16}, Names: []string{"admin"}, Least: finding.Baseline}, c.Rules[0].Settings)
		assert.Equal(t, finding.Restricted, c.Rules[1].Level)
		assert.Nil(t, c.Rules[1].Settings)
	}
}

const everything = `apiVersion: config.portcullis.dev/v1alpha1
kind: GuardConfiguration
mode: audit
defaults: {enforce: privileged, warn: baseline, audit: baseline}
ratchet: yes
exemptions:
  namespaces: [monitoring, kube-system]
  users: ["system:serviceaccount:argocd:controller"]
  groups: [platform]
rules:
  open-door:
    level: restricted
    wide: {ipv4: 12}
    names: []
    strict: on
    ports: [80, 65535]
    labels: {a: "1"}
    least: restricted
  open-window: {level: baseline}
customRules: []
claims: {gracePeriod: 1h30m}
mutations:
  policyTypes: false
  namespaceNameLabel: {key: example.com/ns}
  namespaceLabels: {team: none, portcullis.dev/warn: restricted}
  copyNamespaceLabels: [team]
  dnsEgress: true
cluster:
  cni: cilium
  cidrs: {pods: [10.244.0.0/16, "fd00:1::/64"], services: [10.96.0.0/12], nodes: [192.168.0.0/24]}
  trustedCIDRs: [203.0.113.0/24]
  dns:
  - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: openshift-dns}}
    podSelector: {matchLabels: {dns: default}}
    cidrs: [169.254.20.10/32]
    ports: [5353]
  - cidrs: [10.0.0.2/32]
loadBalancer: {provider: gke, sourceRanges: [10.1.0.0/16]}
isolateNamespaces: none
audit: {interval: 5m, reports: false}
metrics: {namespaceLabel: false}
`

func TestIfEveryFieldIsSetThenEachTakesEffect(t *testing.T) {
	c := load(t, everything, config.OwnNamespace("portcullis"))
	assert.Equal(t, verdict.ModeAudit, c.Mode)
	assert.True(t, c.Ratchet)
	assert.Equal(t, verdict.Levels{Enforce: finding.Privileged, Warn: finding.Baseline, Audit: finding.Baseline}, c.Levels)
	assert.Equal(t, verdict.ExemptNames{
		Namespaces: []string{"kube-system", "kube-public", "kube-node-lease", "monitoring", "portcullis"},
		Users:      []string{"system:serviceaccount:argocd:controller"}, Groups: []string{"platform"},
	}, c.Exemptions)
	require.Len(t, c.Rules, 2)
	assert.Equal(t, finding.Restricted, c.Rules[0].Level)
	assert.Equal(t, &doorSettings{
		Wide: wideSettings{12, 16}, Names: []string{}, Strict: true, Ports: []uint16{80, 65535}, Labels: map[string]string{"a": "1"}, Least: finding.Restricted,
	}, c.Rules[0].Settings)
	assert.Equal(t, finding.Baseline, c.Rules[1].Level)
	assert.Equal(t, mutate.Config{
		NamespaceNameLabel: "example.com/ns", NamespaceLabels: map[string]string{"team": "none", "portcullis.dev/warn": "restricted"},
		CopyNamespaceLabels: []string{"team"}, DNSEgress: true,
	}, c.Mutations)
	assert.False(t, c.NamespaceMetrics)
	assert.Equal(t, 90*time.Minute, c.Object.Claims.GracePeriod.Duration)

	f := c.Facts
	assert.Equal(t, "cilium", f.CNI)
	assert.Equal(t, "example.com/ns", f.NamespaceNameLabel)
	for _, set := range []struct{ want, got netset.Addrs }{
		{addrs(t, "10.244.0.0/16", "fd00:1::/64"), f.PodCIDRs}, {addrs(t, "10.96.0.0/12"), f.ServiceCIDRs}, {addrs(t, "192.168.0.0/24"), f.Nodes},
		{addrs(t, "203.0.113.0/24"), f.Trusted},
		{addrs(t, "130.211.0.0/22", "35.191.0.0/16", "209.85.152.0/22", "209.85.204.0/22", "10.1.0.0/16"), f.LoadBalancerSources},
	} {
		assert.Equal(t, set.want.String(), set.got.String())
	}
	require.Len(t, f.DNS, 3, "the pods and the addresses of one entry are alternatives")
	assert.Equal(t, []uint16{5353}, f.DNS[0].Ports)
	assert.Equal(t, "openshift-dns", f.DNS[0].Namespace)
	assert.Equal(t, map[string]string{"dns": "default"}, f.DNS[0].Labels)
	assert.True(t, f.DNS[0].PodSelector.Matches(map[string]string{"dns": "default"}))
	assert.False(t, f.DNS[0].PodSelector.Matches(nil))
	assert.Nil(t, f.DNS[1].PodSelector)
	assert.Equal(t, "169.254.20.10/32", f.DNS[1].Addrs.String())
	assert.Equal(t, []uint16{5353}, f.DNS[1].Ports)
	assert.Equal(t, []uint16{53}, f.DNS[2].Ports, "without ports it is 53")
}

func TestRulesAreSwitchedOff(t *testing.T) {
	for _, off := range []string{"off", "Off", "false", "no", `"off"`, "{level: off}", "{level: false}", `{level: "off", wide: {ipv4: 9}}`} {
		t.Run("if it says "+off+", then the rule is off", func(t *testing.T) {
			c := load(t, "rules:\n  open-door: "+off+"\n")
			require.Len(t, c.Rules, 1)
			assert.Equal(t, "open-window", c.Rules[0].ID)
			assert.Equal(t, config.RuleOff, c.Object.Rules["open-door"].Level)
		})
	}
	t.Run("if it says nothing, then the rule is on", func(t *testing.T) {
		assert.Len(t, load(t, "rules:\n  open-door:\n  open-window: {}\n").Rules, 2)
	})
}

func TestExemptNamespaces(t *testing.T) {
	t.Run("if the defaults are excluded, then only those listed are exempt", func(t *testing.T) {
		c := load(t, "exemptions: {excludeDefaults: true, namespaces: [a]}", config.OwnNamespace("portcullis"))
		assert.Equal(t, []string{"a"}, c.Exemptions.Namespaces)
	})
	t.Run("if the own namespace is listed, too, then it is there once", func(t *testing.T) {
		c := load(t, "exemptions: {namespaces: [portcullis]}", config.OwnNamespace("portcullis"))
		assert.Equal(t, []string{"kube-system", "kube-public", "kube-node-lease", "portcullis"}, c.Exemptions.Namespaces)
	})
}

func TestIfTheModeIsGivenAsAnOptionThenItReplacesTheFiles(t *testing.T) {
	assert.Equal(t, verdict.ModeAudit, load(t, "mode: enforce", config.WithMode(verdict.ModeAudit)).Mode)
	assert.Equal(t, verdict.ModeAudit, load(t, "mode: audit", config.WithMode("")).Mode)
}

func TestTheNamespaceNameLabelIsSwitchedByABooleanToo(t *testing.T) {
	off := load(t, "mutations: {namespaceNameLabel: false}")
	assert.Empty(t, off.Mutations.NamespaceNameLabel)
	assert.Empty(t, off.Facts.NamespaceNameLabel)
	assert.Equal(t, "networking/namespace", load(t, "mutations: {namespaceNameLabel: true}").Mutations.NamespaceNameLabel)
	assert.Empty(t, load(t, "mutations: {namespaceNameLabel: {enabled: false}}").Mutations.NamespaceNameLabel)
}

func TestTheConfigurationWithAllDefaultsReadsAsTheSame(t *testing.T) {
	for _, text := range []string{"", everything, "rules: {open-door: off}\nexemptions: {excludeDefaults: true}"} {
		first := load(t, text)
		printed, err := first.YAML()
		require.NoError(t, err)
		second := load(t, string(printed))
		assert.Equal(t, first.Object, second.Object)
		again, err := second.YAML()
		require.NoError(t, err)
		assert.Equal(t, string(printed), string(again))
		for _, line := range []string{"apiVersion: config.portcullis.dev/v1alpha1", "gracePeriod: ", "open-window:\n    level: ", "ipv6: 16"} {
			assert.Contains(t, string(printed), line)
		}
	}
}

func TestAConfigurationIsNotSharedWithAnother(t *testing.T) {
	cat := catalogue(t)
	changed, err := config.Load([]byte("rules: {open-door: {names: [x], wide: {ipv4: 1}}}"), "a", cat)
	require.NoError(t, err)
	other, err := config.Load(nil, "b", cat)
	require.NoError(t, err)
	assert.Equal(t, []string{"x"}, changed.Rules[0].Settings.(*doorSettings).Names)
	assert.Equal(t, []string{"admin"}, other.Rules[0].Settings.(*doorSettings).Names)
	assert.Equal(t, 8, other.Rules[0].Settings.(*doorSettings).Wide.IPv4)
}

func TestLoadFile(t *testing.T) {
	dir := t.TempDir()
	t.Run("if there is no such file, then that is said", func(t *testing.T) {
		path := filepath.Join(dir, "none.yaml")
		_, err := config.LoadFile(path, catalogue(t))
		assert.EqualError(t, err, path+": there is no such file")
	})
	t.Run("if it is a folder, then that is said", func(t *testing.T) {
		_, err := config.LoadFile(dir, catalogue(t))
		assert.EqualError(t, err, dir+": is a folder: name the file in it")
	})
	t.Run("if the file is huge, then it is not read", func(t *testing.T) {
		path := filepath.Join(dir, "huge.yaml")
		require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("#", 1<<20+1)), 0o600))
		_, err := config.LoadFile(path, catalogue(t))
		assert.EqualError(t, err, path+": the file has more than 1 MiB")
	})
	t.Run("if the file is good, then it is loaded", func(t *testing.T) {
		path := filepath.Join(dir, "good.yaml")
		require.NoError(t, os.WriteFile(path, []byte(everything), 0o600))
		c, err := config.LoadFile(path, catalogue(t))
		require.NoError(t, err)
		assert.Equal(t, verdict.ModeAudit, c.Mode)
	})
}
