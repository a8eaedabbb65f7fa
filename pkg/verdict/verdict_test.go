package verdict_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

var defaults = verdict.Levels{Enforce: finding.Baseline, Warn: finding.Restricted, Audit: finding.Restricted}

var web = finding.Subject{Kind: finding.KindNetworkPolicy, Namespace: "shop", Name: "web"}

func found(rule string, level finding.Level, outcome finding.Outcome) finding.Finding {
	return finding.Finding{Rule: rule, Level: level, Outcome: outcome, Subject: web, Path: "spec", Message: "It is so."}
}

// on is the finding on those ports of one pod class.
func on(f finding.Finding, ports string) finding.Finding {
	set, err := netset.ParsePorts(ports)
	if err != nil {
		panic(err)
	}
	f.Extent = []finding.Part{{Key: "shop/web", Conns: netset.ConnsOf(netset.AllAddrs(), set)}}
	return f
}

func actions(v verdict.Verdict) map[string]verdict.Action {
	out := map[string]verdict.Action{}
	for _, d := range v.Decided {
		out[d.Rule] = d.Action
	}
	return out
}

func TestLevelsOf(t *testing.T) {
	for name, c := range map[string]struct {
		labels map[string]string
		want   verdict.Levels
	}{
		"if there are no labels, then the defaults are in force": {want: defaults},
		"if a label names a level, then it replaces the default": {
			labels: map[string]string{model.LabelEnforce: "privileged", model.LabelWarn: "baseline"},
			want:   verdict.Levels{Enforce: finding.Privileged, Warn: finding.Baseline, Audit: finding.Restricted},
		},
		"if the enforce label cannot be read, then restricted is enforced": {
			labels: map[string]string{model.LabelEnforce: "low"},
			want:   verdict.Levels{Enforce: finding.Restricted, Warn: finding.Restricted, Audit: finding.Restricted},
		},
		"if the warn and audit labels cannot be read, then their defaults are in force": {
			labels: map[string]string{model.LabelWarn: "low", model.LabelAudit: ""},
			want:   defaults,
		},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, verdict.LevelsOf(c.labels, defaults)) })
	}
}

func TestActions(t *testing.T) {
	all := []finding.Finding{
		found("base", finding.Baseline, finding.Violation), found("strict", finding.Restricted, finding.Violation),
		found("maybe", finding.Baseline, finding.Provisional), found("unknown", finding.Baseline, finding.Undetermined),
	}
	type want = map[string]verdict.Action
	for name, c := range map[string]struct {
		policy     verdict.Policy
		exemptions verdict.Exemptions
		want       want
		denied     bool
	}{
		"if the levels are the defaults, then baseline denies and restricted warns": {
			policy: verdict.Policy{Levels: defaults}, denied: true,
			want: want{"base": verdict.ActionDeny, "strict": verdict.ActionWarn, "maybe": verdict.ActionProvisional, "unknown": verdict.ActionUndetermined},
		},
		"if restricted is enforced, then it denies": {
			policy: verdict.Policy{Levels: verdict.Levels{Enforce: finding.Restricted}}, denied: true,
			want: want{"base": verdict.ActionDeny, "strict": verdict.ActionDeny, "maybe": verdict.ActionProvisional, "unknown": verdict.ActionUndetermined},
		},
		"if only the audit level asks for it, then it is recorded": {
			policy: verdict.Policy{Levels: verdict.Levels{Warn: finding.Baseline, Audit: finding.Restricted}},
			want:   want{"base": verdict.ActionWarn, "strict": verdict.ActionAudit, "maybe": verdict.ActionProvisional, "unknown": verdict.ActionUndetermined},
		},
		"if no level asks for it, then it is left out": {
			policy: verdict.Policy{Levels: verdict.Levels{Audit: finding.Baseline}},
			want:   want{"base": verdict.ActionAudit, "maybe": verdict.ActionProvisional, "unknown": verdict.ActionUndetermined},
		},
		"if the namespace is privileged throughout, then nothing is shown": {policy: verdict.Policy{}, want: want{}},
		"if the mode is audit, then nothing is denied": {
			policy: verdict.Policy{Levels: defaults, Mode: verdict.ModeAudit},
			want:   want{"base": verdict.ActionWarn, "strict": verdict.ActionWarn, "maybe": verdict.ActionProvisional, "unknown": verdict.ActionUndetermined},
		},
		"if everything is exempt, then that is what is said of everything": {
			policy: verdict.Policy{Levels: defaults}, exemptions: verdict.Exemptions{All: "namespace shop is exempt"},
			want: want{"base": verdict.ActionExempt, "strict": verdict.ActionExempt, "maybe": verdict.ActionExempt, "unknown": verdict.ActionExempt},
		},
		"if the annotations exempt from one rule, then the others stay": {
			policy: verdict.Policy{Levels: defaults}, exemptions: verdict.Exemptions{Annotated: model.Exemption{Rules: []string{"base"}, Reason: "legacy"}},
			want: want{"base": verdict.ActionExempt, "strict": verdict.ActionWarn, "maybe": verdict.ActionProvisional, "unknown": verdict.ActionUndetermined},
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := verdict.Decide(c.policy, c.exemptions, all, nil)
			assert.Equal(t, c.want, actions(v))
			assert.Equal(t, c.denied, v.Denied)
		})
	}
}

func TestIfTheModeIsAuditThenWhatWouldBeDeniedIsMarked(t *testing.T) {
	v := verdict.Decide(verdict.Policy{Levels: defaults, Mode: verdict.ModeAudit}, verdict.Exemptions{}, []finding.Finding{
		found("base", finding.Baseline, finding.Violation), found("strict", finding.Restricted, finding.Violation),
	}, nil)
	require.Len(t, v.Decided, 2)
	assert.True(t, v.Decided[0].WouldDeny)
	assert.False(t, v.Decided[1].WouldDeny, "a warning of its own would not have denied")
}

func TestExemptionsSayWhy(t *testing.T) {
	f := []finding.Finding{found("base", finding.Baseline, finding.Violation)}
	byName := verdict.Decide(verdict.Policy{Levels: defaults}, verdict.Exemptions{All: "group admins is exempt"}, f, nil)
	assert.Equal(t, "group admins is exempt", byName.Decided[0].ExemptReason)
	annotated := verdict.Decide(verdict.Policy{Levels: defaults}, verdict.Exemptions{Annotated: model.Exemption{Rules: []string{"base"}, Reason: "legacy"}}, f, nil)
	assert.Equal(t, "legacy", annotated.Decided[0].ExemptReason)
}

func TestRatchet(t *testing.T) {
	base := found("base", finding.Baseline, finding.Violation)
	maybe := base
	maybe.Outcome = finding.Provisional
	for name, c := range map[string]struct {
		off       bool
		mode      verdict.Mode
		new, old  finding.Finding
		want      verdict.Action
		kept, was bool
	}{
		"if the old object had the finding, then it warns":                         {new: on(base, "TCP/80"), old: on(base, "TCP/80"), want: verdict.ActionWarn, kept: true},
		"if the change narrows it, then it warns":                                  {new: on(base, "TCP/80"), old: on(base, "TCP/80-90"), want: verdict.ActionWarn, kept: true},
		"if the change widens it, then it denies":                                  {new: on(base, "TCP/80-81"), old: on(base, "TCP/80"), want: verdict.ActionDeny},
		"if the old finding is on other ports, then it denies":                     {new: on(base, "TCP/443"), old: on(base, "TCP/80"), want: verdict.ActionDeny},
		"if the old finding is of another rule, then it denies":                    {new: on(base, "TCP/80"), old: on(found("other", finding.Baseline, finding.Violation), "TCP/80"), want: verdict.ActionDeny},
		"if the old finding was provisional, then it denies":                       {new: on(base, "TCP/80"), old: on(maybe, "TCP/80"), want: verdict.ActionDeny},
		"if the ratchet is off, then it denies":                                    {off: true, new: on(base, "TCP/80"), old: on(base, "TCP/80"), want: verdict.ActionDeny},
		"if the mode is audit, then what the ratchet keeps would not be denied":    {mode: verdict.ModeAudit, new: on(base, "TCP/80"), old: on(base, "TCP/80"), want: verdict.ActionWarn, kept: true},
		"if the mode is audit, then what the ratchet does not keep would be":       {mode: verdict.ModeAudit, new: on(base, "TCP/80"), old: on(base, "TCP/81"), want: verdict.ActionWarn, was: true},
		"if the finding has no extent, then the path tells whether it was there":   {new: base, old: base, want: verdict.ActionWarn, kept: true},
		"if a finding is new and only warned of, then the ratchet does not matter": {new: found("strict", finding.Restricted, finding.Violation), old: base, want: verdict.ActionWarn},
	} {
		t.Run(name, func(t *testing.T) {
			v := verdict.Decide(verdict.Policy{Levels: defaults, Mode: c.mode, Ratchet: !c.off}, verdict.Exemptions{}, []finding.Finding{c.new}, []finding.Finding{c.old})
			require.Len(t, v.Decided, 1)
			assert.Equal(t, c.want, v.Decided[0].Action)
			assert.Equal(t, c.kept, v.Decided[0].Kept)
			assert.Equal(t, c.was, v.Decided[0].WouldDeny)
			assert.Equal(t, c.want == verdict.ActionDeny, v.Denied)
		})
	}
}

func TestExemptNames(t *testing.T) {
	names := verdict.ExemptNames{Namespaces: []string{"kube-system"}, Users: []string{"ops@example.com"}, Groups: []string{"platform"}}
	for name, c := range map[string]struct {
		namespace, user string
		groups          []string
		want            string
	}{
		"if the namespace is listed, then it is exempt":            {namespace: "kube-system", want: "namespace kube-system is exempt"},
		"if the user is listed, then the write is exempt":          {namespace: "shop", user: "ops@example.com", want: "user ops@example.com is exempt"},
		"if one of the groups is listed, then the write is":        {namespace: "shop", user: "x", groups: []string{"a", "platform"}, want: "group platform is exempt"},
		"if nothing is listed, then nothing is exempt":             {namespace: "shop", user: "x", groups: []string{"a"}},
		"if a user is named like a namespace, then nothing is":     {namespace: "shop", user: "kube-system", groups: []string{"ops@example.com"}},
		"if there is no namespace and no user, then nothing is so": {},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, names.Reason(c.namespace, c.user, c.groups)) })
	}
}

func TestModes(t *testing.T) {
	for _, m := range verdict.Modes {
		got, err := verdict.ParseMode(string(m))
		require.NoError(t, err)
		assert.Equal(t, m, got)
	}
	_, err := verdict.ParseMode("dry-run")
	assert.EqualError(t, err, `unknown mode "dry-run": use enforce or audit`)
}
