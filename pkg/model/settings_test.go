package model_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
)

var (
	knownRules = []string{"all-ports", "dns-blocked", "internet-ingress", "invalid-setting"}
	noon       = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
)

func level(l finding.Level) *finding.Level { return &l }

// told is each problem as path, message and fix on one line.
func told(problems []model.SettingProblem) []string {
	out := []string{}
	for _, p := range problems {
		out = append(out, fmt.Sprintf("%s: %s %s", p.Path(), p.Message, p.Fix))
	}
	return out
}

func TestNamespaceSettings(t *testing.T) {
	for name, c := range map[string]struct {
		labels, annotations map[string]string
		want                model.NamespaceSettings
		problems            []string
	}{
		"if there are no labels, then nothing is said": {},
		"if the labels name levels, then those are said": {
			labels: map[string]string{"portcullis.dev/enforce": "privileged", "portcullis.dev/warn": "baseline", "portcullis.dev/audit": "restricted"},
			want:   model.NamespaceSettings{Enforce: level(finding.Privileged), Warn: level(finding.Baseline), Audit: level(finding.Restricted)},
		},
		"if the enforce label cannot be read, then it is restricted": {
			labels:   map[string]string{"portcullis.dev/enforce": "strict"},
			want:     model.NamespaceSettings{Enforce: level(finding.Restricted)},
			problems: []string{`metadata.labels[portcullis.dev/enforce]: "strict" is no level, so restricted is enforced. Use privileged, baseline or restricted.`},
		},
		"if the enforce label is empty, then it is restricted": {
			labels:   map[string]string{"portcullis.dev/enforce": ""},
			want:     model.NamespaceSettings{Enforce: level(finding.Restricted)},
			problems: []string{`metadata.labels[portcullis.dev/enforce]: "" is no level, so restricted is enforced. Use privileged, baseline or restricted.`},
		},
		"if the warn and audit labels cannot be read, then they count as absent, and case matters": {
			labels: map[string]string{"portcullis.dev/warn": "Baseline", "portcullis.dev/audit": " restricted"},
			problems: []string{
				`metadata.labels[portcullis.dev/audit]: " restricted" is no level, so the default applies. Use privileged, baseline or restricted.`,
				`metadata.labels[portcullis.dev/warn]: "Baseline" is no level, so the default applies. Use privileged, baseline or restricted.`,
			},
		},
		"if isolate says which directions, then that is said": {
			labels: map[string]string{"portcullis.dev/isolate": "all"},
			want:   model.NamespaceSettings{Isolate: "all"},
		},
		"if isolate says something else, then it cannot be understood": {
			labels:   map[string]string{"portcullis.dev/isolate": "egress"},
			problems: []string{`metadata.labels[portcullis.dev/isolate]: "egress" does not say what to isolate. Use none, ingress or all.`},
		},
		"if a key is misspelt, then the nearest is named": {
			labels:   map[string]string{"portcullis.dev/enforced": "baseline", "portcullis.dev/zzz": "1", "app.kubernetes.io/name": "shop"},
			problems: []string{"metadata.labels[portcullis.dev/enforced]: Portcullis does not know this label, so it has no effect. Did you mean portcullis.dev/enforce?", "metadata.labels[portcullis.dev/zzz]: Portcullis does not know this label, so it has no effect. Remove it."},
		},
		"if a level is an annotation, then it has no effect": {
			annotations: map[string]string{"portcullis.dev/enforce": "baseline", "portcullis.dev/exempt": "all-ports"},
			problems: []string{
				"metadata.annotations[portcullis.dev/enforce]: It is a label of Namespaces, and has no effect here. Set it as a label of the Namespace.",
				"metadata.annotations[portcullis.dev/exempt]: It is an annotation of NetworkPolicies, and has no effect here. Set it as an annotation of the NetworkPolicy.",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := model.ReadNamespaceSettings(c.labels, c.annotations)
			assert.ElementsMatch(t, c.problems, told(got.Problems))
			got.Problems = nil
			assert.Equal(t, c.want, got)
		})
	}
}

func TestExemptions(t *testing.T) {
	const because = "the gateway needs it"
	day := func(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }
	for name, c := range map[string]struct {
		annotations map[string]string
		now         time.Time
		want        model.Exemption
		problems    []string
	}{
		"if there are no annotations, then nothing is exempt": {},
		"if there are rules and a reason, then those rules are exempt": {
			annotations: map[string]string{"portcullis.dev/exempt": "internet-ingress , all-ports,internet-ingress,", "portcullis.dev/exempt-reason": " " + because + "\n"},
			want:        model.Exemption{Rules: []string{"all-ports", "internet-ingress"}, Reason: because},
		},
		"if it has a last day, then it holds until the midnight after it": {
			annotations: map[string]string{"portcullis.dev/exempt": "all-ports", "portcullis.dev/exempt-reason": because, "portcullis.dev/exempt-until": "2027-01-31"},
			want:        model.Exemption{Rules: []string{"all-ports"}, Reason: because, Until: day(2027, 2, 1)},
		},
		"if it is the last second of its last day, then it holds, also by clocks far to the west": {
			annotations: map[string]string{"portcullis.dev/exempt": "all-ports", "portcullis.dev/exempt-reason": because, "portcullis.dev/exempt-until": "2026-08-31"},
			now:         day(2026, 9, 1).Add(-time.Second).In(time.FixedZone("west", -11*3600)),
			want:        model.Exemption{Rules: []string{"all-ports"}, Reason: because, Until: day(2026, 9, 1)},
		},
		"if its last day is over, then it does not hold": {
			annotations: map[string]string{"portcullis.dev/exempt": "all-ports", "portcullis.dev/exempt-reason": because, "portcullis.dev/exempt-until": "2026-08-31"},
			now:         day(2026, 9, 1),
			problems:    []string{"metadata.annotations[portcullis.dev/exempt-until]: The exemption ended with 2026-08-31 (UTC). Mend the policy, or have the exemption renewed."},
		},
		"if the date cannot be read, then it does not hold": {
			annotations: map[string]string{"portcullis.dev/exempt": "all-ports", "portcullis.dev/exempt-reason": because, "portcullis.dev/exempt-until": "31.1.2027"},
			problems:    []string{`metadata.annotations[portcullis.dev/exempt-until]: "31.1.2027" is no date, so the exemption does not hold. Write the last day as in 2027-01-31.`},
		},
		"if there is no such day, then it does not hold": {
			annotations: map[string]string{"portcullis.dev/exempt": "all-ports", "portcullis.dev/exempt-reason": because, "portcullis.dev/exempt-until": "2027-02-30"},
			problems:    []string{`metadata.annotations[portcullis.dev/exempt-until]: "2027-02-30" is no date, so the exemption does not hold. Write the last day as in 2027-01-31.`},
		},
		"if it has no reason, then it does not hold": {
			annotations: map[string]string{"portcullis.dev/exempt": "all-ports"},
			problems:    []string{"metadata.annotations[portcullis.dev/exempt]: The exemption has no reason, so it does not hold. Say why in portcullis.dev/exempt-reason."},
		},
		"if its reason is blank, then it does not hold": {
			annotations: map[string]string{"portcullis.dev/exempt": "all-ports", "portcullis.dev/exempt-reason": " \t"},
			problems:    []string{"metadata.annotations[portcullis.dev/exempt]: The exemption has no reason, so it does not hold. Say why in portcullis.dev/exempt-reason."},
		},
		"if one rule is unknown, then the others are exempt and the nearest is named": {
			annotations: map[string]string{"portcullis.dev/exempt": "internet-ingres,all-ports,*", "portcullis.dev/exempt-reason": because},
			want:        model.Exemption{Rules: []string{"all-ports"}, Reason: because},
			problems: []string{
				`metadata.annotations[portcullis.dev/exempt]: There is no rule "internet-ingres". Did you mean internet-ingress?`,
				`metadata.annotations[portcullis.dev/exempt]: There is no rule "*". See portcullis rules for those there are.`,
			},
		},
		"if it lists nothing, then nothing is exempt": {
			annotations: map[string]string{"portcullis.dev/exempt": " , ", "portcullis.dev/exempt-reason": because},
			problems:    []string{"metadata.annotations[portcullis.dev/exempt]: It lists no rule, so nothing is exempt. List ids of rules, separated by commas."},
		},
		"if there is a reason and a date for nothing, then both are told": {
			annotations: map[string]string{"portcullis.dev/exempt-reason": because, "portcullis.dev/exempt-until": "2027-01-31"},
			problems: []string{
				"metadata.annotations[portcullis.dev/exempt-reason]: There is no portcullis.dev/exempt beside it, so nothing is exempt. List the rules in portcullis.dev/exempt, or remove this annotation.",
				"metadata.annotations[portcullis.dev/exempt-until]: There is no portcullis.dev/exempt beside it, so nothing is exempt. List the rules in portcullis.dev/exempt, or remove this annotation.",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			now := c.now
			if now.IsZero() {
				now = noon
			}
			got, problems := model.ParseExemption(c.annotations, knownRules, now)
			assert.Equal(t, c.want, got)
			assert.ElementsMatch(t, c.problems, told(problems))
		})
	}
}

func TestClaims(t *testing.T) {
	const fix = " Write service/NAME, ingress/NAME, gateway/NAME or route/NAME, several separated by commas."
	at := "metadata.annotations[portcullis.dev/exposed-by]: "
	for name, c := range map[string]struct {
		value    string
		want     []model.Claim
		problems []string
	}{
		"if it names one object, then that is the claim":   {value: "service/web", want: []model.Claim{{Kind: "service", Name: "web"}}},
		"if it names several, then each once, in order":    {value: "gateway/edge , ingress/web.shop,gateway/edge", want: []model.Claim{{Kind: "gateway", Name: "edge"}, {Kind: "ingress", Name: "web.shop"}}},
		"if it names a route, then that is the claim":      {value: "route/web", want: []model.Claim{{Kind: "route", Name: "web"}}},
		"if it is empty, then it names nothing":            {value: "", problems: []string{at + "It names nothing." + fix}},
		"if the kind is unknown, then it is no claim":      {value: "deployment/web", problems: []string{at + `"deployment" is no kind of object that exposes pods.` + fix}},
		"if the kind is capitalised, then it is no claim":  {value: "Service/web", problems: []string{at + `"Service" is no kind of object that exposes pods.` + fix}},
		"if there is no kind, then it is no claim":         {value: "web", problems: []string{at + `"web" does not name an object.` + fix}},
		"if there is no name, then it is no claim":         {value: "service/", problems: []string{at + `"service/" does not name an object.` + fix}},
		"if it names a namespace, too, then it is refused": {value: "service/shop/web", problems: []string{at + `"shop/web" is not the name of an object.` + fix}},
		"if one of two is wrong, then the other counts":    {value: "svc/web,service/web", want: []model.Claim{{Kind: "service", Name: "web"}}, problems: []string{at + `"svc" is no kind of object that exposes pods.` + fix}},
	} {
		t.Run(name, func(t *testing.T) {
			claims, problems := model.ParseClaims(map[string]string{"portcullis.dev/exposed-by": c.value})
			assert.Equal(t, c.want, claims)
			assert.ElementsMatch(t, c.problems, told(problems))
		})
	}
}

func TestOfALongListThatIsWrongTheFirstItemsAreTold(t *testing.T) {
	list := strings.Repeat("x,", 20000)
	_, problems := model.ParseExemption(map[string]string{model.AnnotationExempt: list, model.AnnotationExemptReason: "why"}, knownRules, noon)
	require.Len(t, problems, 17)
	assert.Equal(t, "It lists 19984 more that are no rules.", problems[16].Message)
	_, problems = model.ParseClaims(map[string]string{model.AnnotationExposedBy: list})
	assert.Len(t, problems, 16)
}

func TestPolicySettings(t *testing.T) {
	t.Run("if everything is understood, then there are no problems", func(t *testing.T) {
		got := model.ReadPolicySettings(map[string]string{"app": "web"}, map[string]string{
			"portcullis.dev/exempt": "all-ports", "portcullis.dev/exempt-reason": "legacy", "portcullis.dev/exempt-until": "2027-01-31", "portcullis.dev/exposed-by": "service/web",
		}, knownRules, noon)
		assert.Empty(t, got.Problems)
		assert.True(t, got.Exemption.Covers("all-ports"))
		assert.False(t, got.Exemption.Covers("dns-blocked"))
		require.Len(t, got.Claims, 1)
		assert.Equal(t, "service/web", got.Claims[0].String())
	})
	t.Run("if keys are unknown or misplaced, then each is told, sorted", func(t *testing.T) {
		got := model.ReadPolicySettings(
			map[string]string{"portcullis.dev/enforce": "privileged", "portcullis.dev/exempt": "all-ports"},
			map[string]string{"portcullis.dev/exmpt": "all-ports", "portcullis.dev/Exempt-reason": "x"}, knownRules, noon)
		assert.Equal(t, []string{
			"metadata.annotations[portcullis.dev/Exempt-reason]: Portcullis does not know this annotation, so it has no effect. Did you mean portcullis.dev/exempt-reason?",
			"metadata.labels[portcullis.dev/enforce]: It is a label of Namespaces, and has no effect here. Set it as a label of the Namespace.",
			"metadata.labels[portcullis.dev/exempt]: It is an annotation of NetworkPolicies, and has no effect here. Set it as an annotation of the NetworkPolicy.",
			"metadata.annotations[portcullis.dev/exmpt]: Portcullis does not know this annotation, so it has no effect. Did you mean portcullis.dev/exempt?",
		}, told(got.Problems))
	})
	t.Run("if a value is long and no UTF-8, then the message is short and is", func(t *testing.T) {
		long := make([]byte, 100_000)
		for i := range long {
			long[i] = 0xff
		}
		got := model.ReadPolicySettings(nil, map[string]string{"portcullis.dev/exempt": string(long), "portcullis.dev/exposed-by": string(long)}, knownRules, noon)
		for _, line := range told(got.Problems) {
			assert.Less(t, len(line), 512)
			assert.NotContains(t, line, "\xff")
		}
		assert.Len(t, got.Problems, 3)
	})
}

func TestNearest(t *testing.T) {
	for _, c := range []struct {
		word string
		want string
	}{
		{"internet-ingres", "internet-ingress"},
		{"Internet-Ingress", "internet-ingress"},
		{"dns-blokced", "dns-blocked"},
		{"ports-all", ""},
		{"", ""},
	} {
		t.Run(fmt.Sprintf("the nearest of %q is %q", c.word, c.want), func(t *testing.T) {
			got, ok := model.Nearest(c.word, knownRules)
			assert.Equal(t, c.want, got)
			assert.Equal(t, c.want != "", ok)
		})
	}
}

func FuzzPolicySettings(f *testing.F) {
	f.Add("all-ports", "because", "2027-01-31", "service/web")
	f.Add(",,x", "", "0000-00-00", "/")
	f.Add("all-ports", "r", "9999-12-31", "ingress/,gateway/..")
	f.Fuzz(func(t *testing.T, exempt, reason, until, by string) {
		got := model.ReadPolicySettings(nil, map[string]string{
			"portcullis.dev/exempt": exempt, "portcullis.dev/exempt-reason": reason, "portcullis.dev/exempt-until": until, "portcullis.dev/exposed-by": by,
		}, knownRules, noon)
		for _, id := range got.Exemption.Rules {
			assert.Contains(t, knownRules, id)
		}
		if len(got.Exemption.Rules) > 0 {
			assert.NotEmpty(t, got.Exemption.Reason)
			assert.True(t, noon.Before(got.Exemption.Until), "an exemption that holds has not ended")
		}
		for _, p := range got.Problems {
			assert.NotEmpty(t, p.Message)
			assert.NotEmpty(t, p.Fix)
		}
	})
}
