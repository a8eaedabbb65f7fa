package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/finding"
)

const acme = `customRules:
- id: acme-owner
  level: restricted
  message: Nobody owns it
  expression: has(object.metadata.labels)
`

// ids are the rules in force.
func ids(c *config.Config) []string {
	var out []string
	for _, r := range c.Rules {
		out = append(out, r.ID)
	}
	return out
}

func TestACustomRuleIsOneOfTheRulesWithItsDefaults(t *testing.T) {
	c := load(t, acme+"rules: {open-door: off}\n")
	assert.Equal(t, []string{"acme-owner", "open-window"}, ids(c))
	assert.Equal(t, []string{"acme-owner", "open-door", "open-window"}, c.RuleIDs, "those that are off may be exempted from, too")
	r := c.Rules[0]
	assert.True(t, r.Custom)
	assert.Equal(t, []any{finding.Restricted, finding.Medium, []string{finding.KindNetworkPolicy}}, []any{r.Level, r.Severity, r.Subjects})
}

func TestObjectsAreKeptOnlyIfACustomRuleLooksAtThem(t *testing.T) {
	assert.False(t, load(t, "").Facts.Objects)
	assert.True(t, load(t, acme).Facts.Objects)
	assert.False(t, load(t, strings.Replace(acme, "has(object.metadata.labels)", "reach.ingress.isolates", 1)).Facts.Objects)
}

func TestCustomRulesSurviveTheWayThroughAFile(t *testing.T) {
	first := load(t, acme+`- id: acme-2
  level: baseline
  severity: info
  message: Too open
  messageExpression: "'x'"
  expression: |
    true ||
      !reach.ingress.internet
  fix: Close it
  path: spec.ingress[0].from
  appliesTo: [networkpolicies]
  operations: [DELETE]
  failurePolicy: Fail
`)
	printed, err := first.YAML()
	require.NoError(t, err)
	second := load(t, string(printed))
	assert.Equal(t, first.Object, second.Object)
	assert.NoError(t, validator(t, generate(t, catalogue(t)))(string(printed)))
}

func TestBadCustomRulesAreRefusedWithAllThatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"if it is empty, then it says what is missing": {
			"customRules: [{}]\n",
			[]string{
				`1: customRules[0].expression: is missing: say what has to be true, as in has(object.metadata.labels)`,
				`1: customRules[0].id: is missing: give the rule a name, as in acme-owner`,
				`1: customRules[0].level: must be baseline or restricted`,
				`1: customRules[0].message: is missing: say what is the case where the expression is false`,
			},
		},
		"if an expression does not compile, then its position is told": {
			strings.Replace(acme, "has(object.metadata.labels)", "|\n    true &&\n      object.spec.igress == null", 1),
			[]string{`5: customRules[0].expression: line 2, column 14: undefined field 'igress'`},
		},
		"if there are two of one id, or one that Portcullis has, then the second is refused": {
			acme + acme[strings.Index(acme, "-"):] + "- {id: open-door, level: baseline, message: x, expression: \"true\"}\n",
			[]string{
				`6: customRules[1].id: Duplicate value: "acme-owner"`,
				`10: customRules[2].id: open-door is a rule of Portcullis: name yours differently`,
			},
		},
		"if words are wrong, then those there are are named": {
			acme + "  severity: grave\n  appliesTo: [pods, networkpolicies, networkpolicies]\n  operations: [create]\n  expresion: x\n  path: spec ingress\n  failurePolicy: fail\n",
			[]string{
				`6: customRules[0].severity: unknown severity "grave": use info, low, medium or high`,
				`7: customRules[0].appliesTo[0]: Unsupported value: "pods": supported values: "networkpolicies", "namespaces"`,
				`7: customRules[0].appliesTo[2]: Duplicate value: "networkpolicies"`,
				`8: customRules[0].operations[0]: Unsupported value: "create": supported values: "CREATE", "UPDATE", "DELETE"`,
				`9: customRules[0].expresion: unknown field: did you mean "expression"?`,
				`10: customRules[0].path: Invalid value: "spec ingress": must be a field, as in spec.ingress or metadata.labels[owner]`,
				`11: customRules[0].failurePolicy: Unsupported value: "fail": supported values: "Ignore", "Fail"`,
			},
		},
		"if it has no subject or operation, then it is refused": {
			acme + "  appliesTo: []\n  operations: []\n",
			[]string{`6: customRules[0].appliesTo: must not be empty`, `7: customRules[0].operations: must not be empty`},
		},
		"if it waits for what is never judged, then it is refused": {
			acme + "  appliesTo: [namespaces]\n  operations: [CREATE, DELETE]\n",
			[]string{`7: customRules[0].operations: the deletion of a Namespace is never judged: take DELETE off the list`},
		},
		"if the id is no slug, the level asks nothing and the message is no line, then each is told": {
			"customRules:\n- {id: Acme_1, level: privileged, message: \"a\\nb\", expression: \"true\"}\n",
			[]string{
				`2: customRules[0].id: Invalid value: "Acme_1": must be lower-case letters, digits and single hyphens, at most 63, as in acme-owner`,
				`2: customRules[0].level: must be baseline or restricted`,
				`2: customRules[0].message: must be one line`,
			},
		},
		"if it is no mapping, then it is refused": {
			"customRules: [x]\n", []string{`1: customRules[0]: Invalid value: "x": must be a mapping, not a string`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Load([]byte(c.text), "guard.yaml", catalogue(t))
			var bad *config.Error
			require.True(t, errors.As(err, &bad), "%v", err)
			var got []string
			for _, p := range bad.Problems {
				got = append(got, strings.TrimPrefix(p.String(), "guard.yaml:"))
			}
			assert.Equal(t, c.want, got)
		})
	}
}

func TestIfACustomRuleChangesThenItIsReloadedAndABadOneIsNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "guard.yaml")
	write := func(text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o644)) }
	write(acme)
	w, reloads := watched(t, path)
	assert.Equal(t, []string{"acme-owner", "open-door", "open-window"}, ids(w.Current()))
	write(strings.Replace(acme, "has(object.metadata.labels)", "has(object.metadata.label)", 1))
	bad := <-reloads
	require.ErrorContains(t, bad.err, "customRules[0].expression: line 1, column 4: undefined field 'label'")
	assert.Equal(t, "acme-owner", ids(w.Current())[0], "the old one stays")
	write(strings.Replace(acme, "acme-owner", "acme-other", 1))
	require.NoError(t, (<-reloads).err)
	assert.Equal(t, "acme-other", ids(w.Current())[0])
}

// FuzzCustomRules: whatever the text, it is refused with problems or yields rules, and never a fault.
func FuzzCustomRules(f *testing.F) {
	for _, seed := range []string{
		acme, "customRules: [{}]", "customRules: [{id: a, level: baseline, message: a, expression: object == null, operations: [DELETE]}]",
		"customRules:\n- {id: a, level: baseline, message: a, messageExpression: \"'a'\", expression: \"[1].all(x, x > 0)\", appliesTo: [namespaces]}\n",
		"customRules: {a: b}", "customRules: [~, 1, [x]]", "customRules:\n- expression: &a 'true'\n  message: *a\n",
	} {
		f.Add([]byte(seed))
	}
	cat := catalogue(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := config.Load(text, "guard.yaml", cat)
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		require.Len(t, c.RuleIDs, len(cat.All())+len(c.Object.CustomRules))
	})
}
