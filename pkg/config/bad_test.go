package config_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/config"
)

func TestBadConfigurationsAreRefusedWithAllThatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string // with the file's name left out
	}{
		"if a field is unknown, then the nearest is named": {
			"mod: audit\nmutations: {policyType: true, zzz: 1}\n",
			[]string{
				`1: mod: unknown field: did you mean "mode"?`,
				`2: mutations.policyType: unknown field: did you mean "policyTypes"?`,
				`2: mutations.zzz: unknown field: known here are copyNamespaceLabels, dnsEgress, namespaceLabels, namespaceNameLabel, policyTypes`,
			},
		},
		"if a field has the wrong case, then it is unknown": {"Mode: audit", []string{`1: Mode: unknown field: did you mean "mode"?`}},
		"if a field is there twice, then both lines are told": {
			"ratchet: true\nrules: {}\nratchet: false\ndefaults:\n  warn: baseline\n  warn: baseline\n",
			[]string{`3: ratchet: is there twice, first in line 1`, `6: defaults.warn: is there twice, first in line 5`},
		},
		"if everything is wrong, then everything is told": {
			"mode: 5\ndefaults: restricted\nratchet: maybe\nexemptions: {users: bob, groups: [1, [], ~, \"\", \" a\"]}\nclaims: {gracePeriod: 10}\ncluster: []\n",
			[]string{
				`1: mode: Invalid value: "5": must be a string, not a number: put it in quotes`,
				`2: defaults: Invalid value: "restricted": must be a mapping, not a string`,
				`3: ratchet: Invalid value: "maybe": must be true or false, not a string`,
				`4: exemptions.groups[0]: Invalid value: "1": must be a string, not a number: put it in quotes`,
				`4: exemptions.groups[1]: must be a string, not a list`,
				`4: exemptions.groups[2]: must be a string, not null`,
				`4: exemptions.groups[3]: must not be empty`,
				`4: exemptions.groups[4]: Invalid value: " a": must not have blanks around it`,
				`4: exemptions.users: Invalid value: "bob": must be a list, not a string`,
				`5: claims.gracePeriod: Invalid value: "10": must be a duration, as in 90s, 10m or 1h30m`,
				`6: cluster: must be a mapping, not a list`,
			},
		},
		"if a word is none of those there are, then those are named": {
			"mode: dry-run\ndefaults: {enforce: high}\nloadBalancer: {provider: aws}\nisolateNamespaces: egress\n",
			[]string{
				`1: mode: Unsupported value: "dry-run": supported values: "enforce", "audit"`,
				`2: defaults.enforce: unknown level "high": use privileged, baseline or restricted`,
				`3: loadBalancer.provider: Unsupported value: "aws": supported values: "none", "gke"`,
				`4: isolateNamespaces: Unsupported value: "egress": supported values: "none", "ingress", "all"`,
			},
		},
		"if a time is nothing or less, then it is refused": {
			"claims: {gracePeriod: 0s}\naudit: {interval: -1m}\n",
			[]string{`1: claims.gracePeriod: Invalid value: "0s": must be longer than nothing`, `2: audit.interval: Invalid value: "-1m0s": must be longer than nothing`},
		},
		"if a rule is unknown, then the nearest is named": {
			"rules:\n  open-dor: off\n  nonsense: {}\n",
			[]string{`2: rules.open-dor: there is no such rule: did you mean "open-door"?`, `3: rules.nonsense: there is no such rule: portcullis rules lists those there are`},
		},
		"if a rule is no mapping, then it says what it must be": {
			"rules:\n  open-door: on\n  open-window: baseline\n",
			[]string{`2: rules.open-door: Invalid value: "on": must be off, or a mapping as in {level: restricted}`, `3: rules.open-window: Invalid value: "baseline": must be off, or a mapping as in {level: restricted}`},
		},
		"if a rule's level is none, then those there are are named": {
			"rules:\n  open-door: {level: privileged}\n  open-window: {level: [off]}\n",
			[]string{`2: rules.open-door.level: Unsupported value: "privileged": supported values: "off", "baseline", "restricted"`, `3: rules.open-window.level: supported values: "off", "baseline", "restricted"`},
		},
		"if a parameter is unknown, then the nearest is named": {
			"rules:\n  open-door:\n    wid: {}\n    wide: {ipv5: 1}\n  open-window: {names: []}\n",
			[]string{
				`3: rules.open-door.wid: unknown field: did you mean "wide"?`,
				`4: rules.open-door.wide.ipv5: unknown field: did you mean "ipv4"?`,
				`5: rules.open-window.names: unknown field: known here are level`,
			},
		},
		"if a parameter has the wrong type, then it says which it must have": {
			"rules:\n  open-door:\n    wide: {ipv4: 8.5, ipv6: \"16\"}\n    names: admin\n    strict: 1\n    ports: [0, 65536, -1, x]\n    labels: {a: 1}\n    least: low\n",
			[]string{
				`3: rules.open-door.wide.ipv4: Invalid value: "8.5": must be a whole number, not a fraction`,
				`3: rules.open-door.wide.ipv6: Invalid value: "16": must be a whole number, not a string`,
				`4: rules.open-door.names: Invalid value: "admin": must be a list, not a string`,
				`5: rules.open-door.strict: Invalid value: "1": must be true or false, not a number`,
				`6: rules.open-door.ports[1]: Invalid value: "65536": must be a whole number from 0 to 65535`,
				`6: rules.open-door.ports[2]: Invalid value: "-1": must be a whole number from 0 to 65535`,
				`6: rules.open-door.ports[3]: Invalid value: "x": must be a whole number from 0 to 65535, not a string`,
				`7: rules.open-door.labels[a]: Invalid value: "1": must be a string, not a number: put it in quotes`,
				`8: rules.open-door.least: unknown level "low": use privileged, baseline or restricted`,
			},
		},
		"if the rule itself refuses parameters, then each of its reasons is told": {
			"rules:\n  open-door: {wide: {ipv4: 33, ipv6: 129}}\n",
			[]string{`2: rules.open-door: wide.ipv4 must be from 0 to 32`, `2: rules.open-door: wide.ipv6 must be from 0 to 128`},
		},
		"if an exempt namespace is a pattern or no name, then it is refused": {
			"exemptions:\n  namespaces:\n  - kube-*\n  - Shop\n",
			[]string{
				`3: exemptions.namespaces[0]: Invalid value: "kube-*": must be the name of a namespace: patterns are not read`,
				`4: exemptions.namespaces[1]: Invalid value: "Shop": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`,
			},
		},
		"if a CIDR is not as an API server takes it, then it says how to write it": {
			"cluster:\n  cidrs:\n    pods: [10.0.0.1/8]\n    services: [010.0.0.0/8, \"::ffff:10.0.0.0/104\"]\n    nodes: [10.0.0.0, \"\", banana/8]\n  trustedCIDRs: [10.0.0.0/33]\nloadBalancer: {sourceRanges: [fe80::1/64, 0.0.0.0/0]}\n",
			[]string{
				`3: cluster.cidrs.pods[0]: Invalid value: "10.0.0.1/8": must not have bits set beyond the prefix length: write 10.0.0.0/8`,
				`4: cluster.cidrs.services[0]: Invalid value: "010.0.0.0/8": must not have leading zeros: write 10.0.0.0/8`,
				`4: cluster.cidrs.services[1]: Invalid value: "::ffff:10.0.0.0/104": must not be an IPv4-mapped IPv6 address: write 10.0.0.0/8`,
				`5: cluster.cidrs.nodes[0]: Invalid value: "10.0.0.0": must be a CIDR, as in 10.0.0.0/8 or 2001:db8::/32: a single address is a /32 or /128`,
				`5: cluster.cidrs.nodes[1]: Invalid value: "": must be a CIDR, as in 10.0.0.0/8 or 2001:db8::/32`,
				`5: cluster.cidrs.nodes[2]: Invalid value: "banana/8": must be a CIDR, as in 10.0.0.0/8 or 2001:db8::/32`,
				`6: cluster.trustedCIDRs[0]: Invalid value: "10.0.0.0/33": must be a CIDR, as in 10.0.0.0/8 or 2001:db8::/32`,
				`7: loadBalancer.sourceRanges[0]: Invalid value: "fe80::1/64": must not have bits set beyond the prefix length: write fe80::/64`,
			},
		},
		"if the trusted networks are everything, then they are refused": {
			"cluster: {trustedCIDRs: [0.0.0.0/1, 128.0.0.0/1]}\n",
			[]string{`1: cluster.trustedCIDRs: must not cover every address of a family: nothing would count as the public internet`},
		},
		"if the CNI is misspelt or no name, then it is refused": {"cluster: {cni: cillium}", []string{`1: cluster.cni: Invalid value: "cillium": did you mean "cilium"?`}},
		"if the CNI is no name, then it is refused":             {"cluster: {cni: My CNI}", []string{`1: cluster.cni: Invalid value: "My CNI": must be a lower-case name, as in calico or cilium`}},
		"if a way to DNS names nothing, or not enough, then it says what is missing": {
			"cluster:\n  dns:\n  - ports: [53, 0]\n  - podSelector: {}\n  - namespaceSelector:\n      matchExpressions:\n      - {key: a, operator: in, values: [b]}\n  - namespaceSelector: {matchLabels: {a b: c}}\n  - namespaceSelector: {matchLabels: {a: b}, matchExpressions: [{key: a, operator: DoesNotExist}]}\n  - namespaceSelector: {matchExpressions: [{key: a, operator: In}]}\n",
			[]string{
				`3: cluster.dns[0]: needs a namespaceSelector with a podSelector, or cidrs`,
				`3: cluster.dns[0].ports[1]: Invalid value: 0: must be from 1 to 65535`,
				`4: cluster.dns[1].namespaceSelector: say in which namespaces the podSelector selects; {} means all`,
				`7: cluster.dns[2].namespaceSelector.matchExpressions[0].operator: "in" is not one of In, NotIn, Exists, DoesNotExist`,
				`8: cluster.dns[3].namespaceSelector.matchLabels[a b]: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`,
				`9: cluster.dns[4].namespaceSelector: no labels can match it`,
				`10: cluster.dns[5].namespaceSelector.matchExpressions[0].values: must not be empty when operator is In`,
			},
		},
		"if labels are reserved, bad or in each other's way, then they are refused": {
			"mutations:\n  namespaceNameLabel: {key: kubernetes.io/metadata.name}\n  namespaceLabels:\n    kubernetes.io/metadata.name: x\n    portcullis.dev/enforce: low\n    team: a b\n  copyNamespaceLabels: [team, team, portcullis.dev/enforce]\n",
			[]string{
				`2: mutations.namespaceNameLabel.key: Invalid value: "kubernetes.io/metadata.name": is the API server's own label`,
				`4: mutations.namespaceLabels[kubernetes.io/metadata.name]: Invalid value: "kubernetes.io/metadata.name": is the API server's own label`,
				`4: mutations.namespaceLabels[kubernetes.io/metadata.name]: Invalid value: "x": is the label that namespaceNameLabel sets to the Namespace's name`,
				`5: mutations.namespaceLabels[portcullis.dev/enforce]: "low" is no level, so restricted is enforced. Use privileged, baseline or restricted.`,
				`6: mutations.namespaceLabels[team]: Invalid value: "a b": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`,
				`7: mutations.copyNamespaceLabels[1]: Duplicate value: "team"`,
				`7: mutations.copyNamespaceLabels[2]: Invalid value: "portcullis.dev/enforce": is a setting of Namespaces, and has no meaning on a NetworkPolicy`,
			},
		},
		"if the name label is a setting, then it is refused": {
			"mutations: {namespaceNameLabel: {key: portcullis.dev/enforce}}",
			[]string{`1: mutations.namespaceNameLabel.key: Invalid value: "portcullis.dev/enforce": must not be one of Portcullis's own settings`},
		},
		"if the version is unknown, then nothing else is looked at": {
			"apiVersion: config.portcullis.dev/v2\nmood: x\n",
			[]string{`1: apiVersion: Unsupported value: "config.portcullis.dev/v2": supported values: "config.portcullis.dev/v1alpha1"`},
		},
		"if the kind is another, then nothing else is looked at": {
			"apiVersion: config.portcullis.dev/v1alpha1\nkind: NetworkPolicy\nspec: {}\n",
			[]string{`2: kind: Unsupported value: "NetworkPolicy": supported values: "GuardConfiguration"`},
		},
		"if there are two documents, then the second is refused": {"mode: audit\n---\nmode: enforce\n", []string{`3: there is a second document: write one configuration in one file`}},
		"if it is a list, then it is refused":                    {"- mode: audit\n", []string{"1: must be a mapping, as in `mode: audit`, not a list"}},
		"if it is a word, then it is refused":                    {"audit", []string{"1: must be a mapping, as in `mode: audit`, not a string"}},
		"if it is no YAML, then the line is told":                {"mode: audit\nrules: {\n", []string{`2: this is no YAML: did not find expected node content`}},
		"if it has tabs, then the line is told":                  {"rules:\n\topen-door: off\n", []string{`2: this is no YAML: found character that cannot start any token`}},
		"if it is no UTF-8, then it is refused":                  {"mode: \xff\xfe\n", []string{`this is no YAML: invalid leading UTF-8 octet`}},
		"if it has anchors and aliases, then they are refused": {
			"exemptions:\n  users: &a [x]\n  groups: *a\n",
			[]string{`2: exemptions.users: anchors and aliases are not read here: write the value itself`, `3: exemptions.groups: anchors and aliases are not read here: write the value itself`},
		},
		"if it has a merge key, then it is refused": {
			"defaults: {<<: {enforce: baseline}}\n", []string{`1: defaults: only plain names are fields here: no merge keys, aliases, lists or mappings`},
		},
		"if a key is a list, then it is refused":   {"[a]: b\n", []string{`1: only plain names are fields here: no merge keys, aliases, lists or mappings`}},
		"if a value has a tag, then it says which": {"mode: !secret audit\n", []string{`1: mode: Invalid value: "audit": must be a string, not a value with the tag !secret: put it in quotes`}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Load([]byte(c.text), "guard.yaml", catalogue(t))
			var bad *config.Error
			require.True(t, errors.As(err, &bad), "%v", err)
			var got []string
			for _, p := range bad.Problems {
				assert.Equal(t, "guard.yaml", p.File)
				got = append(got, strings.TrimLeft(strings.TrimPrefix(p.String(), "guard.yaml:"), " "))
			}
			assert.Equal(t, c.want, got)
			assert.Equal(t, len(c.want), strings.Count(err.Error(), "\n")+1, "one line for each")
		})
	}
}

func TestIfTheTextIsHugeThenItIsNotRead(t *testing.T) {
	_, err := config.Load([]byte(strings.Repeat("a", 1<<20+1)), "guard.yaml", catalogue(t))
	assert.EqualError(t, err, "guard.yaml: the file has more than 1 MiB")
}

func TestIfAValueIsLongThenTheMessageIsShort(t *testing.T) {
	_, err := config.Load([]byte("ratchet: "+strings.Repeat("é", 10_000)), "guard.yaml", catalogue(t))
	require.Error(t, err)
	assert.Less(t, len(err.Error()), 300)
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(everything))
	f.Add([]byte("mode: 5\nrules: {open-door: {wide: {ipv4: [1]}, labels: {a: ~}}, x: off}\n"))
	f.Add([]byte("a: &a [*a]\n<<: *a\n? [x]\n: y\n"))
	f.Add([]byte("cluster: {dns: [{namespaceSelector: {matchExpressions: [{key: a, operator: In}]}, cidrs: [::/0]}]}"))
	f.Add([]byte("--- !!map\nmode: !!binary eA==\n---\n"))
	cat := catalogue(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := config.Load(data, "f", cat)
		if err != nil {
			var bad *config.Error
			require.True(t, errors.As(err, &bad))
			require.NotEmpty(t, bad.Problems)
			for _, p := range bad.Problems {
				require.NotEmpty(t, p.Message)
				require.NotContains(t, p.String(), "\n")
			}
			return
		}
		printed, err := c.YAML()
		require.NoError(t, err)
		again, err := config.Load(printed, "again", cat)
		require.NoError(t, err, "%s", printed)
		require.Equal(t, c.Object, again.Object)
	})
}
