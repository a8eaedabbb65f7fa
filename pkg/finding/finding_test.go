package finding_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/netset"
)

func part(key string, ports ...uint16) finding.Part {
	var set netset.Ports
	for _, p := range ports {
		set = set.Union(netset.PortRange(netset.TCP, p, p))
	}
	return finding.Part{Key: key, Conns: netset.ConnsOf(netset.AllIPv4(), set)}
}

func TestAFindingIsWithinOldOnesIfTheyCoverAllOfIt(t *testing.T) {
	of := func(parts ...finding.Part) finding.Finding { return finding.Finding{Rule: "open", Extent: parts} }
	for name, c := range map[string]struct {
		now  finding.Finding
		old  []finding.Finding
		want bool
	}{
		"the same":                   {of(part("web", 80)), []finding.Finding{of(part("web", 80))}, true},
		"less":                       {of(part("web", 80)), []finding.Finding{of(part("web", 80, 81))}, true},
		"more ports":                 {of(part("web", 80, 81)), []finding.Finding{of(part("web", 80))}, false},
		"covered by two together":    {of(part("web", 80, 81)), []finding.Finding{of(part("web", 80)), of(part("web", 81))}, true},
		"other pods":                 {of(part("db", 80)), []finding.Finding{of(part("web", 80))}, false},
		"more pods":                  {of(part("web", 80), part("db", 80)), []finding.Finding{of(part("web", 80))}, false},
		"another rule":               {of(part("web", 80)), []finding.Finding{{Rule: "other", Extent: []finding.Part{part("web", 80)}}}, false},
		"nothing old":                {of(part("web", 80)), nil, false},
		"no connections, the same":   {of(finding.Part{Key: "web"}), []finding.Finding{of(finding.Part{Key: "web"})}, true},
		"no connections, other pods": {of(finding.Part{Key: "db"}), []finding.Finding{of(finding.Part{Key: "web"})}, false},
		"without extent, same path":  {finding.Finding{Rule: "open", Path: "a"}, []finding.Finding{{Rule: "open", Path: "a"}}, true},
		"without extent, other path": {finding.Finding{Rule: "open", Path: "b"}, []finding.Finding{{Rule: "open", Path: "a"}}, false},
	} {
		assert.Equal(t, c.want, c.now.Within(c.old), name)
	}
}

func TestAWitnessNamesTheProtocolUnlessItIsTCP(t *testing.T) {
	for want, w := range map[string]finding.Witness{
		"8.8.8.8 -> shop/web:9090":   {From: "8.8.8.8", To: "shop/web", Port: "TCP/9090"},
		"shop/web -> 8.8.8.8:UDP/53": {From: "shop/web", To: "8.8.8.8", Port: "UDP/53"},
		"shop/web":                   {To: "shop/web"},
		"ops/x -> shop/web":          {From: "ops/x", To: "shop/web"},
	} {
		assert.Equal(t, want, w.String())
		assert.False(t, w.IsZero())
	}
	assert.True(t, finding.Witness{}.IsZero())
}

func TestALevelIncludesTheRulesOfThoseBelow(t *testing.T) {
	assert.True(t, finding.Restricted.Includes(finding.Baseline))
	assert.True(t, finding.Baseline.Includes(finding.Baseline))
	assert.False(t, finding.Baseline.Includes(finding.Restricted))
	assert.False(t, finding.Privileged.Includes(finding.Baseline))
	assert.False(t, finding.Restricted.Includes(finding.Privileged), "nothing is a rule of level privileged")
	for _, l := range []finding.Level{finding.Privileged, finding.Baseline, finding.Restricted} {
		parsed, err := finding.ParseLevel(l.String())
		assert.NoError(t, err)
		assert.Equal(t, l, parsed)
	}
	_, err := finding.ParseLevel("Baseline")
	assert.EqualError(t, err, `unknown level "Baseline": use privileged, baseline or restricted`)
}

func TestFindingsAreSortedByNamespaceNameRuleAndPath(t *testing.T) {
	f := func(namespace, name, rule, path string) finding.Finding {
		return finding.Finding{Subject: finding.Subject{Namespace: namespace, Name: name}, Rule: rule, Path: path}
	}
	fs := []finding.Finding{f("b", "a", "r", ""), f("a", "b", "r", ""), f("a", "a", "s", ""), f("a", "a", "r", "spec.b"), f("a", "a", "r", "spec.a"), f("", "z", "r", "")}
	finding.Sort(fs)
	assert.Equal(t, []finding.Finding{f("", "z", "r", ""), f("a", "a", "r", "spec.a"), f("a", "a", "r", "spec.b"), f("a", "a", "s", ""), f("a", "b", "r", ""), f("b", "a", "r", "")}, fs)
}
