// Package verdict turns findings into a verdict. It is pure.
//
// Each finding gets one action:
//   - exempt, if the configuration lets everything of the namespace, user or group through, or if an honoured annotation
//     exempts the policy from the rule;
//   - provisional and undetermined, if the finding is no certain violation: these never deny;
//   - deny, if the namespace enforces the rule's level. But it is warn where the mode is audit (and what would have been is
//     told), and where the ratchet is on and the old object had all of the finding already;
//   - warn, if the namespace warns at the rule's level; else audit, if it records it. What is below all three levels is left
//     out.
package verdict

import (
	"fmt"
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
)

// Levels are the levels at which a namespace's findings deny, warn and are recorded. The zero value asks for nothing.
type Levels struct {
	Enforce finding.Level `json:"enforce"`
	Warn    finding.Level `json:"warn"`
	Audit   finding.Level `json:"audit"`
}

// LevelsOf are the levels of a Namespace by its labels, with the defaults for the labels that are absent. An unreadable
// enforce label counts as restricted, and unreadable warn and audit labels count as absent.
func LevelsOf(labels map[string]string, defaults Levels) Levels {
	said := model.ReadNamespaceSettings(labels, nil)
	out := defaults
	for _, level := range []struct{ said, to *finding.Level }{{said.Enforce, &out.Enforce}, {said.Warn, &out.Warn}, {said.Audit, &out.Audit}} {
		if level.said != nil {
			*level.to = *level.said
		}
	}
	return out
}

// Shows says whether any of the levels asks for rules of level l.
func (l Levels) Shows(level finding.Level) bool {
	return l.Enforce.Includes(level) || l.Warn.Includes(level) || l.Audit.Includes(level)
}

// Mode is whether violations are refused, cluster-wide.
type Mode string

// The modes. ModeAudit is the dry run: nothing is denied, and what would have been is told.
const (
	ModeEnforce Mode = "enforce"
	ModeAudit   Mode = "audit"
)

// Modes are all modes.
var Modes = [...]Mode{ModeEnforce, ModeAudit}

// ParseMode reads a mode, exactly as written in the configuration.
func ParseMode(s string) (Mode, error) {
	if m := Mode(s); slices.Contains(Modes[:], m) {
		return m, nil
	}
	return "", fmt.Errorf("unknown mode %q: use enforce or audit", s)
}

// Policy is how strictly findings are judged.
type Policy struct {
	Levels Levels
	Mode   Mode // the zero value is ModeEnforce
	// Ratchet lets a finding pass that the old object had already.
	Ratchet bool
}

// Exemptions are what is let through whatever is found. The zero value exempts from nothing.
type Exemptions struct {
	// All says why everything is exempt, as in "namespace kube-system is exempt"; empty if it is not. See ExemptNames.
	All string
	// Annotated is what the policy's own annotations exempt it from. Leave it out where they are not honoured.
	Annotated model.Exemption
}

func (e *Exemptions) reason(rule string) (string, bool) {
	if e.All != "" {
		return e.All, true
	}
	return e.Annotated.Reason, e.Annotated.Covers(rule)
}

// ExemptNames are the namespaces, users and groups that the configuration exempts.
type ExemptNames struct{ Namespaces, Users, Groups []string }

// Reason says why a write is exempt, in a sentence without a period; empty if it is not. The namespace is that of the
// object, or the Namespace itself; user and groups are the requester's, and are left empty where there is none.
func (n *ExemptNames) Reason(namespace, user string, groups []string) string {
	switch {
	case namespace != "" && slices.Contains(n.Namespaces, namespace):
		return "namespace " + namespace + " is exempt"
	case user != "" && slices.Contains(n.Users, user):
		return "user " + user + " is exempt"
	}
	for _, g := range groups {
		if slices.Contains(n.Groups, g) {
			return "group " + g + " is exempt"
		}
	}
	return ""
}

// Action is what is done about a finding, in the words of the JSON report.
type Action string

// The actions.
const (
	ActionDeny         Action = "deny"
	ActionWarn         Action = "warn"
	ActionAudit        Action = "audit"
	ActionExempt       Action = "exempt"
	ActionProvisional  Action = "provisional"
	ActionUndetermined Action = "undetermined"
)

// Decided is a finding with what is done about it.
type Decided struct {
	finding.Finding
	Action Action
	// WouldDeny is whether only the mode audit made it a warning.
	WouldDeny bool
	// Kept is whether only the ratchet made it a warning.
	Kept bool
	// ExemptReason is why the finding is let through, for ActionExempt.
	ExemptReason string
	// ExemptInSource is whether the policy's own annotation exempts it, rather than the configuration.
	ExemptInSource bool
	// More is how many more there are like this one, of the same rule and object and with the same action, where not all are listed.
	More int

	told bool // the namespace enforces or warns at its level
}

// Verdict is what is decided of a change, or of an object as it stands.
type Verdict struct {
	Policy  Policy
	Denied  bool
	Decided []Decided // in the order of the findings
	// Exempt says why everything is exempt, as Exemptions.All does.
	Exempt string
}

// Decide judges the findings. old is what is found of the object as it was before an update, for the ratchet; there is none
// for other operations. Only what was a violation counts there: what was provisional has not been let through for good.
func Decide(p Policy, e Exemptions, findings, old []finding.Finding) Verdict {
	v := Verdict{Policy: p, Exempt: e.All}
	if p.Ratchet {
		old = slices.DeleteFunc(slices.Clone(old), func(f finding.Finding) bool { return f.Outcome != finding.Violation })
	} else {
		old = nil
	}
	for i := range findings {
		if !p.Levels.Shows(findings[i].Level) {
			continue
		}
		d := p.decide(findings[i], &e, old)
		v.Denied = v.Denied || d.Action == ActionDeny
		if v.Decided == nil {
			v.Decided = make([]Decided, 0, len(findings)-i)
		}
		v.Decided = append(v.Decided, d)
	}
	return v
}

func (p *Policy) decide(f finding.Finding, e *Exemptions, old []finding.Finding) Decided {
	enforced, warned := p.Levels.Enforce.Includes(f.Level), p.Levels.Warn.Includes(f.Level)
	d := Decided{Finding: f, told: enforced || warned}
	reason, exempt := e.reason(f.Rule)
	switch {
	case exempt:
		d.Action, d.ExemptReason, d.ExemptInSource = ActionExempt, reason, e.All == ""
	case f.Outcome == finding.Provisional:
		d.Action = ActionProvisional
	case f.Outcome == finding.Undetermined:
		d.Action = ActionUndetermined
	case enforced && f.Within(old):
		d.Action, d.Kept = ActionWarn, true
	case enforced && p.Mode == ModeAudit:
		d.Action, d.WouldDeny = ActionWarn, true
	case enforced:
		d.Action = ActionDeny
	case warned:
		d.Action = ActionWarn
	default:
		d.Action = ActionAudit
	}
	return d
}
