package verdict_test

import (
	"fmt"
	"slices"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

var (
	anyLevel  = rapid.SampledFrom([]finding.Level{finding.Privileged, finding.Baseline, finding.Restricted})
	anyLevels = rapid.Custom(func(t *rapid.T) verdict.Levels {
		return verdict.Levels{Enforce: anyLevel.Draw(t, "enforce"), Warn: anyLevel.Draw(t, "warn"), Audit: anyLevel.Draw(t, "audit")}
	})
	anyPolicy = rapid.Custom(func(t *rapid.T) verdict.Policy {
		return verdict.Policy{Levels: anyLevels.Draw(t, "levels"), Mode: rapid.SampledFrom(verdict.Modes[:]).Draw(t, "mode"), Ratchet: rapid.Bool().Draw(t, "ratchet")}
	})
	anyFinding = rapid.Custom(func(t *rapid.T) finding.Finding {
		f := finding.Finding{
			Rule:    rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "rule"),
			Level:   rapid.SampledFrom([]finding.Level{finding.Baseline, finding.Restricted}).Draw(t, "level"),
			Outcome: rapid.SampledFrom([]finding.Outcome{finding.Violation, finding.Provisional, finding.Undetermined}).Draw(t, "outcome"),
			Subject: web,
			Path:    rapid.SampledFrom([]string{"", "spec", "spec.ingress[0]"}).Draw(t, "path"),
			Message: rapid.String().Draw(t, "message"),
			Fix:     rapid.OneOf(rapid.Just(""), rapid.String()).Draw(t, "fix"),
		}
		if rapid.Bool().Draw(t, "witnessed") {
			f.Witness = finding.Witness{From: "8.8.8.8", To: "shop/web", Port: "TCP/80"}
		}
		if lo := rapid.IntRange(0, 9).Draw(t, "port"); lo > 0 {
			f = on(f, fmt.Sprintf("TCP/%d-%d", lo, rapid.IntRange(lo, 9).Draw(t, "to")))
		}
		return f
	})
	anyFindings   = rapid.SliceOfN(anyFinding, 0, 40)
	anyExemptions = rapid.Custom(func(t *rapid.T) verdict.Exemptions {
		return verdict.Exemptions{
			All:       rapid.SampledFrom([]string{"", "", "", "namespace shop is exempt"}).Draw(t, "all"),
			Annotated: model.Exemption{Rules: rapid.SliceOf(rapid.SampledFrom([]string{"a", "b"})).Draw(t, "exempt"), Reason: "because"},
		}
	})
)

type input struct {
	policy     verdict.Policy
	exemptions verdict.Exemptions
	found, old []finding.Finding
}

func (in input) decide() verdict.Verdict {
	return verdict.Decide(in.policy, in.exemptions, in.found, in.old)
}

func draw(t *rapid.T) input {
	return input{anyPolicy.Draw(t, "policy"), anyExemptions.Draw(t, "exemptions"), anyFindings.Draw(t, "found"), anyFindings.Draw(t, "old")}
}

func TestAStricterLevelNeverLetsThroughWhatALaxerOneDenies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := draw(t)
		lax := in.decide()
		in.policy.Levels.Enforce = max(in.policy.Levels.Enforce, anyLevel.Draw(t, "stricter"))
		in.policy.Levels.Warn, in.policy.Levels.Audit = anyLevel.Draw(t, "other warn"), anyLevel.Draw(t, "other audit")
		if lax.Denied && !in.decide().Denied {
			t.Fatal("denied at the laxer level alone")
		}
	})
}

func TestWhatIsNeverDenied(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := draw(t)
		v := in.decide()
		denied := slices.ContainsFunc(v.Decided, func(d verdict.Decided) bool { return d.Action == verdict.ActionDeny })
		assert.Equal(t, denied, v.Denied)
		if in.policy.Mode == verdict.ModeAudit || in.exemptions.All != "" || in.policy.Levels.Enforce == finding.Privileged {
			assert.False(t, v.Denied, "in mode audit, for the exempt and in privileged namespaces nothing is denied")
		}
		for _, d := range v.Decided {
			if d.Action == verdict.ActionDeny || d.WouldDeny {
				assert.Equal(t, finding.Violation, d.Outcome, "what is not certain never denies")
				assert.False(t, in.exemptions.Annotated.Covers(d.Rule))
				assert.True(t, in.policy.Levels.Enforce.Includes(d.Level))
				assert.False(t, in.policy.Ratchet && d.Within(violations(in.old)))
			}
			assert.True(t, !d.WouldDeny || d.Action == verdict.ActionWarn && in.policy.Mode == verdict.ModeAudit)
			assert.Equal(t, d.Action == verdict.ActionExempt, d.ExemptReason != "")
		}
	})
}

func violations(fs []finding.Finding) []finding.Finding {
	return slices.DeleteFunc(slices.Clone(fs), func(f finding.Finding) bool { return f.Outcome != finding.Violation })
}

func TestModeAuditMarksExactlyWhatModeEnforceDenies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := draw(t)
		in.policy.Mode = verdict.ModeEnforce
		enforced := in.decide()
		in.policy.Mode = verdict.ModeAudit
		dry := in.decide()
		if !assert.Len(t, dry.Decided, len(enforced.Decided)) {
			return
		}
		for i := range dry.Decided {
			assert.Equal(t, enforced.Decided[i].Action == verdict.ActionDeny, dry.Decided[i].WouldDeny)
			if !dry.Decided[i].WouldDeny {
				assert.Equal(t, enforced.Decided[i].Action, dry.Decided[i].Action)
			}
		}
	})
}

func TestTheRatchetNeverDeniesMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := draw(t)
		in.policy.Ratchet = true
		with := in.decide()
		in.policy.Ratchet = false
		if with.Denied && !in.decide().Denied {
			t.Fatal("denied only with the ratchet")
		}
		in.policy.Ratchet, in.old = true, in.found
		assert.False(t, in.decide().Denied, "a change that changes no finding is let through")
	})
}

func TestNothingThatALevelAsksForIsLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := draw(t)
		shown := 0
		for _, f := range in.found {
			if in.policy.Levels.Shows(f.Level) {
				shown++
			}
		}
		before := slices.Clone(in.old)
		assert.Len(t, in.decide().Decided, shown)
		assert.Equal(t, before, in.old, "the input is left alone")
	})
}

func TestTextsKeepTheirBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := draw(t).decide()
		total := 0
		warnings := v.Warnings()
		for _, w := range warnings {
			n := utf8.RuneCountInString(w)
			total += n
			assert.LessOrEqual(t, n, 256)
			assert.True(t, utf8.ValidString(w))
			for _, r := range w {
				assert.False(t, unicode.IsControl(r), "a control character in %q", w)
			}
		}
		assert.LessOrEqual(t, total, 4096)
		assert.False(t, v.Denied && len(warnings) > 0, "no warnings beside a denial")
		assert.Equal(t, v.Denied, v.Message() != "")
		assert.Equal(t, v.Denied, len(v.Causes()) > 0)
		assert.True(t, utf8.ValidString(v.Message()))
		annotations := v.AuditAnnotations()
		assert.Equal(t, v.Denied, annotations["decision"] == "denied")
		for key, value := range annotations {
			assert.NotContains(t, key, "/")
			assert.NotEmpty(t, value)
		}
	})
}
