package verdict

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// mostTold bounds the findings that the message of a denial tells, and mostCauses those among its causes.
const (
	mostTold   = 32
	mostCauses = 256
)

// Message is the text of a denial: the rules violated, and one line for each finding that denies, at most 32. It is empty if
// nothing is denied.
func (v *Verdict) Message() string {
	denying := v.with(ActionDeny)
	if len(denying) == 0 {
		return ""
	}
	count := len(ruleIDs(denying))
	var b strings.Builder
	fmt.Fprintf(&b, "%s violates %s of level %q:", denying[0].Subject.Title(), plural(count, "rule", "rules"), v.Policy.Levels.Enforce)
	for i := range denying {
		if i == mostTold {
			fmt.Fprintf(&b, "\n- and %d more", len(denying)-mostTold)
			break
		}
		b.WriteString("\n- ")
		b.WriteString(denying[i].Line())
	}
	return b.String()
}

// Causes are the findings that deny, as the causes of a Status, at most 256: the reason is the rule's id.
func (v *Verdict) Causes() []metav1.StatusCause {
	denying := v.with(ActionDeny)
	denying = denying[:min(len(denying), mostCauses)]
	out := make([]metav1.StatusCause, len(denying))
	for i := range denying {
		d := denying[i]
		out[i] = metav1.StatusCause{Type: metav1.CauseType(d.Rule), Field: d.Path, Message: d.Advice()}
	}
	return out
}

// Line is the finding on one line: "<rule> at <path>: <message> Fix: <fix> See: portcullis rules <rule>".
func (d *Decided) Line() string { return d.head() + d.see() }

func (d *Decided) head() string {
	at := ""
	if d.Path != "" {
		at = " at " + d.Path
	}
	return oneLine(d.Rule+at) + ": " + d.Advice()
}

// Advice is the sentence, and the fix if the rule knows one: "<message> Fix: <fix>".
func (d *Decided) Advice() string { return d.Sentence() + d.remedy() }

// see refers to the rule's page; a custom rule has none.
func (d *Decided) see() string {
	if d.Custom {
		return ""
	}
	return " See: portcullis rules " + d.Rule
}

// remedy is " Fix: allow only TCP/8443.", or empty where the rule knows none.
func (d *Decided) remedy() string {
	fix := stopped(oneLine(d.Fix))
	if fix == "" {
		return ""
	}
	first, size := utf8.DecodeRuneInString(fix)
	if second, _ := utf8.DecodeRuneInString(fix[size:]); unicode.IsLower(second) {
		fix = string(unicode.ToLower(first)) + fix[size:]
	}
	return " Fix: " + fix
}

// Sentence is the message, with the witness in parentheses where the message does not tell it already.
func (d *Decided) Sentence() string {
	message := stopped(oneLine(d.Message))
	witness := oneLine(d.Witness.String())
	if d.Witness.IsZero() || strings.Contains(message, witness) {
		return message
	}
	return strings.TrimSuffix(message, ".") + " (" + witness + ")."
}

// stopped ends a sentence with a full stop, if it has no end yet.
func stopped(s string) string {
	if s == "" || strings.HasSuffix(s, ".") || strings.HasSuffix(s, "!") || strings.HasSuffix(s, "?") || strings.HasSuffix(s, "…") {
		return s
	}
	return s + "."
}

// oneLine makes a text fit for a line of a message, for a header and for a log: valid UTF-8 without control characters,
// line breaks and blanks at the ends.
func oneLine(s string) string {
	if isClean(s) {
		return strings.TrimSpace(s)
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if breaks(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD")))
}

func breaks(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }

// isClean says whether nothing of the text need be replaced for oneLine.
func isClean(s string) bool { return utf8.ValidString(s) && strings.IndexFunc(s, breaks) < 0 }

// where are the findings of which is is true.
func (v *Verdict) where(is func(*Decided) bool) []*Decided {
	var out []*Decided
	for i := range v.Decided {
		if is(&v.Decided[i]) {
			out = append(out, &v.Decided[i])
		}
	}
	return out
}

// with are the findings with that action.
func (v *Verdict) with(a Action) []*Decided {
	return v.where(func(d *Decided) bool { return d.Action == a })
}

// ruleIDs are the rules of the findings, sorted, each once.
func ruleIDs(ds []*Decided) []string {
	out := make([]string, len(ds))
	for i := range ds {
		out[i] = ds[i].Rule
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func plural(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// Warning lengths that every API server passes on: it cuts single warnings to 256 characters and drops what is beyond 4,096
// once they are more in all (k8s.io/apiserver, endpoints/filters/warning.go).
const (
	warningSafe  = 256
	warningTotal = 4096
)

// Warnings tell the client what is wrong and yet let through, one finding each and within what FitWarnings allows. There are
// none beside a denial, none of what is exempt, and none of what is only recorded.
func (v *Verdict) Warnings() []string {
	if v.Denied {
		return nil
	}
	told := v.where((*Decided).warns)
	return fit(len(told), func(i int) string { return told[i].Warning() })
}

// Warning is the finding as a warning of at most 256 characters; empty if it is not one to warn of. What is cut is cut
// before the reference to the rule.
func (d *Decided) Warning() string {
	if !d.warns() {
		return ""
	}
	prefix := "portcullis: "
	switch {
	case d.Action == ActionProvisional:
		prefix += "provisional: "
	case d.Action == ActionUndetermined:
		prefix += "undetermined: "
	case d.WouldDeny:
		prefix += "would be denied: "
	case d.Kept:
		prefix += "let through, as it was so before: "
	}
	see := d.see()
	return cut(prefix+d.head(), warningSafe-utf8.RuneCountInString(see)) + see
}

// warns says whether the finding is one to warn of.
func (d *Decided) warns() bool {
	return d.told && (d.Action == ActionProvisional || d.Action == ActionUndetermined || d.Action == ActionWarn)
}

// FitWarnings makes warnings fit into what an API server passes on: each is cut to 256 characters, and those beyond 4,096 in
// all are left out and counted.
func FitWarnings(warnings []string) []string {
	return fit(len(warnings), func(i int) string { return warnings[i] })
}

// fit is FitWarnings of n warnings, of which those beyond the limit are not even made.
func fit(n int, warning func(int) string) []string {
	out := make([]string, 0, n)
	total := 0
	for len(out) < n && total <= warningTotal {
		text := cut(oneLine(warning(len(out))), warningSafe)
		out = append(out, text)
		total += utf8.RuneCountInString(text)
	}
	if total <= warningTotal {
		return out
	}
	keep := len(out)
	for total > warningTotal-warningSafe {
		keep--
		total -= utf8.RuneCountInString(out[keep])
	}
	return append(out[:keep], fmt.Sprintf("portcullis: and %d more", n-keep))
}

// cut shortens a text to so many characters, at a blank if there is one in its second half, and marks the cut by an
// ellipsis.
func cut(s string, most int) string {
	if len(s) <= most || utf8.RuneCountInString(s) <= most {
		return s
	}
	keep := max(most-1, 0)
	end, blank, n := 0, 0, 0
	for at, r := range s {
		if n == keep {
			end = at
			break
		}
		if r == ' ' && n > keep/2 {
			blank = at
		}
		n++
	}
	if blank > 0 {
		end = blank
	}
	return s[:end] + "…"
}

// Words for how a review ended, as in metrics and audit annotations.
const (
	Allowed = "allowed"
	Denied  = "denied"
	Warned  = "warned"
	Exempt  = "exempt"
)

// Decision is the verdict in one word: denied, exempt if an exemption let something through, warned, or allowed.
func (v *Verdict) Decision() string {
	switch {
	case v.Denied:
		return Denied
	case v.Exempt != "" || len(v.with(ActionExempt)) > 0:
		return Exempt
	case len(v.where((*Decided).warns)) > 0:
		return Warned
	}
	return Allowed
}

// AuditAnnotations are what the API server's audit log is told, by keys without a prefix:
//   - decision, level (enforced in the namespace) and mode;
//   - rules: those that deny if anything is denied; else all of which something is found;
//   - would-deny: the rules that would have denied but for the mode audit;
//   - exempt: why something was let through.
//
// The API server puts the webhook's name and a slash before each key, and refuses keys that have a slash of their own.
func (v *Verdict) AuditAnnotations() map[string]string {
	mode := v.Policy.Mode
	if mode == "" {
		mode = ModeEnforce
	}
	out := map[string]string{"decision": v.Decision(), "level": v.Policy.Levels.Enforce.String(), "mode": string(mode)}
	relevant := v.where(func(d *Decided) bool { return !v.Denied || d.Action == ActionDeny })
	wouldDeny := v.where(func(d *Decided) bool { return d.WouldDeny })
	for key, value := range map[string]string{
		"rules": strings.Join(ruleIDs(relevant), ","), "would-deny": strings.Join(ruleIDs(wouldDeny), ","), "exempt": v.exemptText(),
	} {
		if value != "" {
			out[key] = value
		}
	}
	return out
}

// exemptText is why something is exempt, with the rules if not everything is.
func (v *Verdict) exemptText() string {
	const most = 512
	if v.Exempt != "" {
		return cut(oneLine(v.Exempt), most)
	}
	exempt := v.with(ActionExempt)
	if len(exempt) == 0 {
		return ""
	}
	return cut(strings.Join(ruleIDs(exempt), ",")+": "+oneLine(exempt[0].ExemptReason), most)
}
