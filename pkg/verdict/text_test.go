package verdict_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

var internetIngress = finding.Finding{
	Rule: "internet-ingress", Level: finding.Baseline, Severity: finding.High, Subject: web,
	Path:    "spec.ingress[0].from[0].ipBlock.cidr",
	Message: "3 pods accept TCP/9090 from the internet (8.8.8.8 -> shop/web-6d4:9090), and no LoadBalancer Service, Ingress or Gateway exposes that port.",
	Fix:     "Allow only TCP/8443, which Service shop/web exposes.",
	Witness: finding.Witness{From: "8.8.8.8", To: "shop/web-6d4", Port: "TCP/9090"}, Pods: 3,
}

func decide(p verdict.Policy, fs ...finding.Finding) verdict.Verdict {
	return verdict.Decide(p, verdict.Exemptions{}, fs, nil)
}

func TestIfOneRuleDeniesThenTheMessageIsThatOfTheContract(t *testing.T) {
	v := decide(verdict.Policy{Levels: defaults}, internetIngress)
	assert.Equal(t, `NetworkPolicy shop/web violates 1 rule of level "baseline":
- internet-ingress at spec.ingress[0].from[0].ipBlock.cidr: 3 pods accept TCP/9090 from the internet (8.8.8.8 -> shop/web-6d4:9090), and no LoadBalancer Service, Ingress or Gateway exposes that port. Fix: allow only TCP/8443, which Service shop/web exposes. See: portcullis rules internet-ingress`, v.Message())
	assert.Equal(t, []metav1.StatusCause{{
		Type: "internet-ingress", Field: "spec.ingress[0].from[0].ipBlock.cidr",
		Message: "3 pods accept TCP/9090 from the internet (8.8.8.8 -> shop/web-6d4:9090), and no LoadBalancer Service, Ingress or Gateway exposes that port. Fix: allow only TCP/8443, which Service shop/web exposes.",
	}}, v.Causes())
	assert.Empty(t, v.Warnings())
}

func TestIfTwoFindingsOfOneRuleAndOneOfAnotherDenyThenTwoRulesAreCounted(t *testing.T) {
	dns := finding.Finding{Rule: "dns-blocked", Level: finding.Baseline, Subject: web, Message: "2 pods cannot reach DNS", Witness: finding.Witness{To: "shop/web-6d4"}}
	warned := found("all-ports", finding.Restricted, finding.Violation)
	v := decide(verdict.Policy{Levels: defaults}, dns, internetIngress, internetIngress, warned)
	lines := strings.Split(v.Message(), "\n")
	require.Len(t, lines, 4)
	assert.Equal(t, `NetworkPolicy shop/web violates 2 rules of level "baseline":`, lines[0])
	assert.Equal(t, "- dns-blocked: 2 pods cannot reach DNS (shop/web-6d4). See: portcullis rules dns-blocked", lines[1])
}

func TestIfTheSubjectIsANamespaceThenItIsNamedWithoutOne(t *testing.T) {
	f := finding.Finding{Rule: "invalid-setting", Level: finding.Baseline, Subject: finding.Subject{Kind: finding.KindNamespace, Name: "shop"},
		Path: "metadata.labels[portcullis.dev/warn]", Message: `"low" is no level.`, Fix: "Use privileged, baseline or restricted."}
	v := decide(verdict.Policy{Levels: verdict.Levels{Enforce: finding.Restricted}}, f)
	assert.Equal(t, `Namespace shop violates 1 rule of level "restricted":
- invalid-setting at metadata.labels[portcullis.dev/warn]: "low" is no level. Fix: use privileged, baseline or restricted. See: portcullis rules invalid-setting`, v.Message())
}

func TestIfThereAreManyDenialsThenTheRestIsCounted(t *testing.T) {
	fs := make([]finding.Finding, 40)
	for i := range fs {
		fs[i] = internetIngress
	}
	v := decide(verdict.Policy{Levels: defaults}, fs...)
	lines := strings.Split(v.Message(), "\n")
	assert.Len(t, lines, 34)
	assert.Equal(t, "- and 8 more", lines[33])
	assert.Len(t, v.Causes(), 40)

	v = decide(verdict.Policy{Levels: defaults}, slices.Repeat(fs, 10)...)
	assert.Len(t, v.Causes(), 256, "an answer is not as long as somebody likes")
}

func TestLines(t *testing.T) {
	for name, c := range map[string]struct {
		f    finding.Finding
		want string
	}{
		"if the fix begins with an abbreviation, then its case is kept": {
			f:    finding.Finding{Rule: "r", Message: "So", Fix: "DNS must be reachable"},
			want: "r: So. Fix: DNS must be reachable. See: portcullis rules r",
		},
		"if the message breaks lines, then it is one line": {
			f:    finding.Finding{Rule: "r", Message: "so\nand\tso\x00", Fix: " "},
			want: "r: so and so. See: portcullis rules r",
		},
		"if the message does not tell the witness, then it is added before the full stop": {
			f:    finding.Finding{Rule: "r", Path: "spec", Message: "Everyone may connect.", Witness: finding.Witness{From: "a/b", To: "c/d", Port: "UDP/53"}},
			want: "r at spec: Everyone may connect (a/b -> c/d:UDP/53). See: portcullis rules r",
		},
		"if the fix asks, then the question mark ends it": {
			f:    finding.Finding{Rule: "r", Message: "So!", Fix: "Did you mean baseline?"},
			want: "r: So! Fix: did you mean baseline? See: portcullis rules r",
		},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, (&verdict.Decided{Finding: c.f}).Line()) })
	}
}

func TestWarnings(t *testing.T) {
	strict := finding.Finding{Rule: "all-ports", Level: finding.Restricted, Subject: web, Path: "spec.ingress[0]", Message: "Every port is open.", Fix: "Name the ports."}
	as := func(outcome finding.Outcome) finding.Finding { f := strict; f.Outcome = outcome; return f }
	body := "all-ports at spec.ingress[0]: Every port is open. Fix: name the ports. See: portcullis rules all-ports"
	enforcing := verdict.Levels{Enforce: finding.Restricted}
	recording := verdict.Levels{Audit: finding.Restricted}
	for name, c := range map[string]struct {
		v    verdict.Verdict
		want []string
	}{
		"if it is warned of, then it says what":                      {decide(verdict.Policy{Levels: defaults}, strict), []string{"portcullis: " + body}},
		"if the mode is audit, then it says that it would be denied": {decide(verdict.Policy{Levels: enforcing, Mode: verdict.ModeAudit}, strict), []string{"portcullis: would be denied: " + body}},
		"if it is provisional, then it says so":                      {decide(verdict.Policy{Levels: enforcing}, as(finding.Provisional)), []string{"portcullis: provisional: " + body}},
		"if it is undetermined, then it says so":                     {decide(verdict.Policy{Levels: enforcing}, as(finding.Undetermined)), []string{"portcullis: undetermined: " + body}},
		"if the ratchet kept it, then it says so": {
			verdict.Decide(verdict.Policy{Levels: enforcing, Ratchet: true}, verdict.Exemptions{}, []finding.Finding{strict}, []finding.Finding{strict}),
			[]string{"portcullis: let through, as it was so before: " + body},
		},
		"if it is only recorded, then there is no warning":                        {decide(verdict.Policy{Levels: recording}, strict), []string{}},
		"if it is provisional and only recorded, then there is no warning":        {decide(verdict.Policy{Levels: recording}, as(finding.Provisional)), []string{}},
		"if it is exempt, then there is no warning":                               {verdict.Decide(verdict.Policy{Levels: enforcing}, verdict.Exemptions{All: "user x is exempt"}, []finding.Finding{strict}, nil), []string{}},
		"if something else is denied, then there is no warning beside the denial": {decide(verdict.Policy{Levels: defaults}, strict, internetIngress), []string{}},
	} {
		t.Run(name, func(t *testing.T) { assert.ElementsMatch(t, c.want, c.v.Warnings()) })
	}
}

func TestIfAWarningIsLongThenItIsCutAtAWordAndStillSaysWhereToLook(t *testing.T) {
	f := internetIngress
	f.Message = strings.Repeat("many words of all kinds ", 40)
	v := decide(verdict.Policy{Levels: defaults, Mode: verdict.ModeAudit}, f)
	require.Len(t, v.Warnings(), 1)
	w := v.Warnings()[0]
	assert.LessOrEqual(t, utf8.RuneCountInString(w), 256)
	assert.Greater(t, utf8.RuneCountInString(w), 240)
	assert.Regexp(t, `\b(many|words|of|all|kinds)… See: portcullis rules internet-ingress$`, w)
}

func TestFitWarnings(t *testing.T) {
	t.Run("if they fit, then they stay", func(t *testing.T) {
		assert.Equal(t, []string{"a", "b"}, verdict.FitWarnings([]string{"a", "b"}))
	})
	t.Run("if one has no blanks, then it is cut all the same", func(t *testing.T) {
		got := verdict.FitWarnings([]string{strings.Repeat("ü", 300)})
		assert.Equal(t, []string{strings.Repeat("ü", 255) + "…"}, got)
	})
	t.Run("if they are exactly 4,096 characters in all, then none is left out", func(t *testing.T) {
		all := make([]string, 16)
		for i := range all {
			all[i] = strings.Repeat("x", 256)
		}
		assert.Equal(t, all, verdict.FitWarnings(all))
	})
	t.Run("if they are too many, then the rest is counted", func(t *testing.T) {
		all := make([]string, 100)
		for i := range all {
			all[i] = fmt.Sprintf("%03d %s", i, strings.Repeat("x", 200))
		}
		got := verdict.FitWarnings(all)
		assert.Equal(t, fmt.Sprintf("portcullis: and %d more", 100-(len(got)-1)), got[len(got)-1])
		assert.Equal(t, all[:len(got)-1], got[:len(got)-1])
		assert.LessOrEqual(t, utf8.RuneCountInString(strings.Join(got, "")), 4096)
		assert.Greater(t, len(got), 15)
	})
}

func TestAuditAnnotations(t *testing.T) {
	strict := found("all-ports", finding.Restricted, finding.Violation)
	exempt := verdict.Exemptions{Annotated: model.Exemption{Rules: []string{"internet-ingress"}, Reason: "legacy"}}
	for name, c := range map[string]struct {
		v    verdict.Verdict
		want map[string]string
	}{
		"if nothing is found, then it is allowed": {
			decide(verdict.Policy{Levels: defaults}), map[string]string{"decision": "allowed", "level": "baseline", "mode": "enforce"},
		},
		"if something is denied, then the rules are those that deny": {
			decide(verdict.Policy{Levels: defaults}, strict, internetIngress),
			map[string]string{"decision": "denied", "level": "baseline", "mode": "enforce", "rules": "internet-ingress"},
		},
		"if the mode is audit, then what would be denied is told apart": {
			decide(verdict.Policy{Levels: defaults, Mode: verdict.ModeAudit}, strict, internetIngress),
			map[string]string{"decision": "warned", "level": "baseline", "mode": "audit", "rules": "all-ports,internet-ingress", "would-deny": "internet-ingress"},
		},
		"if something is only recorded, then it is allowed and recorded": {
			decide(verdict.Policy{Levels: verdict.Levels{Audit: finding.Restricted}}, strict),
			map[string]string{"decision": "allowed", "level": "privileged", "mode": "enforce", "rules": "all-ports"},
		},
		"if annotations exempt, then the rules and the reason are told": {
			verdict.Decide(verdict.Policy{Levels: defaults}, exempt, []finding.Finding{internetIngress}, nil),
			map[string]string{"decision": "exempt", "level": "baseline", "mode": "enforce", "rules": "internet-ingress", "exempt": "internet-ingress: legacy"},
		},
		"if the namespace is exempt, then that is told though nothing is found": {
			verdict.Decide(verdict.Policy{Levels: defaults}, verdict.Exemptions{All: "namespace kube-system is exempt"}, nil, nil),
			map[string]string{"decision": "exempt", "level": "baseline", "mode": "enforce", "exempt": "namespace kube-system is exempt"},
		},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, c.v.AuditAnnotations()) })
	}
}
