package model

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/portcullis-dev/portcullis/pkg/finding"
)

// Settings are what users tell Portcullis on their objects, by labels and annotations under portcullis.dev/:
//   - on a Namespace, the labels enforce, warn and audit name a level, and isolate says which default denies are made there;
//   - on a NetworkPolicy, the annotation exempt lists rules, exempt-reason says why (mandatory), exempt-until is the last
//     day (optional, UTC); and exposed-by names what will expose the selected pods.
//
// Values are matched exactly, but blanks around commas are fine. Whatever cannot be understood is a SettingProblem, and so
// is every other key under the prefix: a misspelt setting is one that is not in force.

// The labels of Namespaces and the annotations of NetworkPolicies that Portcullis reads.
const (
	LabelEnforce = SettingsPrefix + "enforce"
	LabelWarn    = SettingsPrefix + "warn"
	LabelAudit   = SettingsPrefix + "audit"
	LabelIsolate = SettingsPrefix + "isolate"

	AnnotationExempt       = SettingsPrefix + "exempt"
	AnnotationExemptReason = SettingsPrefix + "exempt-reason"
	AnnotationExemptUntil  = SettingsPrefix + "exempt-until"
	AnnotationExposedBy    = SettingsPrefix + "exposed-by"
)

// The policies that Portcullis keeps itself, in namespaces that ask for them, have one of two names, and the label
// LabelManagedBy with the value ManagedByPortcullis.
const (
	KeptDefaultDeny = "portcullis-default-deny"
	KeptAllowDNS    = "portcullis-allow-dns"

	LabelManagedBy      = "app.kubernetes.io/managed-by"
	ManagedByPortcullis = "portcullis"
)

// Isolations are the values of LabelIsolate, and of isolateNamespaces in the configuration.
var Isolations = [...]string{"none", "ingress", "all"}

var (
	namespaceLabels   = []string{LabelEnforce, LabelWarn, LabelAudit, LabelIsolate}
	policyAnnotations = []string{AnnotationExempt, AnnotationExemptReason, AnnotationExemptUntil, AnnotationExposedBy}
)

// SettingProblem is a label or annotation that cannot be understood.
type SettingProblem struct {
	Key        string // the whole key
	Annotation bool   // an annotation, and not a label
	Message    string // what is the matter, in a sentence
	Fix        string // what to do, in a sentence
}

// Path is the field of the object.
func (p SettingProblem) Path() *field.Path {
	if p.Annotation {
		return field.NewPath("metadata", "annotations").Key(p.Key)
	}
	return field.NewPath("metadata", "labels").Key(p.Key)
}

// NamespaceSettings is what a Namespace's labels say.
type NamespaceSettings struct {
	// Enforce, Warn and Audit are nil where the label is absent. An unreadable enforce label counts as restricted, and
	// unreadable warn and audit labels count as absent.
	Enforce, Warn, Audit *finding.Level
	// Isolate is one of Isolations; empty if the label is absent or unreadable.
	Isolate  string
	Problems []SettingProblem
}

// ReadNamespaceSettings reads the labels, and the annotations only for what has no business there. The problems are sorted
// by key.
func ReadNamespaceSettings(labels, annotations map[string]string) NamespaceSettings {
	var out NamespaceSettings
	out.Enforce = readLevel(labels, LabelEnforce, &out.Problems)
	if _, there := labels[LabelEnforce]; there && out.Enforce == nil {
		strictest := finding.Restricted
		out.Enforce = &strictest
	}
	out.Warn = readLevel(labels, LabelWarn, &out.Problems)
	out.Audit = readLevel(labels, LabelAudit, &out.Problems)
	if value, there := labels[LabelIsolate]; there {
		if slices.Contains(Isolations[:], value) {
			out.Isolate = value
		} else {
			out.Problems = append(out.Problems, SettingProblem{
				Key: LabelIsolate, Message: fmt.Sprintf("%q does not say what to isolate.", clipped(value)), Fix: "Use none, ingress or all.",
			})
		}
	}
	out.Problems = append(out.Problems, unknownKeys(labels, namespaceLabels, false)...)
	out.Problems = append(out.Problems, unknownKeys(annotations, nil, true)...)
	sortProblems(out.Problems)
	return out
}

func readLevel(labels map[string]string, key string, problems *[]SettingProblem) *finding.Level {
	value, there := labels[key]
	if !there {
		return nil
	}
	level, err := finding.ParseLevel(value)
	if err == nil {
		return &level
	}
	consequence := "the default applies"
	if key == LabelEnforce {
		consequence = "restricted is enforced"
	}
	*problems = append(*problems, SettingProblem{
		Key: key, Message: fmt.Sprintf("%q is no level, so %s.", clipped(value), consequence), Fix: "Use privileged, baseline or restricted.",
	})
	return nil
}

// PolicySettings is what a NetworkPolicy's annotations say.
type PolicySettings struct {
	Exemption Exemption
	Claims    []Claim
	Problems  []SettingProblem
}

// ReadPolicySettings reads the annotations, and the labels only for what has no business there. rules are the ids that
// there are, and now is the time at which an exemption is to hold. The problems are sorted by key.
func ReadPolicySettings(labels, annotations map[string]string, rules []string, now time.Time) PolicySettings {
	var out PolicySettings
	var more []SettingProblem
	out.Exemption, out.Problems = ParseExemption(annotations, rules, now)
	out.Claims, more = ParseClaims(annotations)
	out.Problems = append(out.Problems, more...)
	out.Problems = append(out.Problems, unknownKeys(labels, nil, false)...)
	out.Problems = append(out.Problems, unknownKeys(annotations, policyAnnotations, true)...)
	sortProblems(out.Problems)
	return out
}

// Exemption is what a policy is exempted from. The zero value exempts from nothing.
type Exemption struct {
	Rules  []string // sorted
	Reason string
	// Until is when the exemption ends: the midnight, UTC, after its last day. Zero if it does not end.
	Until time.Time
}

// Covers says whether the exemption is from the rule.
func (e Exemption) Covers(rule string) bool { return slices.Contains(e.Rules, rule) }

const dateFormat = time.DateOnly

// mostTold bounds the problems that are told of one annotation, which may be long.
const mostTold = 16

// ParseExemption reads the exempt annotations. The exemption is the zero value where there is none, and where it does not
// hold: without a reason, past its last day, or with a date that cannot be read. Unknown rules are left out of it.
func ParseExemption(annotations map[string]string, rules []string, now time.Time) (Exemption, []SettingProblem) {
	var problems []SettingProblem
	bad := func(key, fix, format string, args ...any) {
		problems = append(problems, SettingProblem{Key: key, Annotation: true, Fix: fix, Message: fmt.Sprintf(format, args...)})
	}
	list, there := annotations[AnnotationExempt]
	if !there {
		for _, key := range []string{AnnotationExemptReason, AnnotationExemptUntil} {
			if _, alone := annotations[key]; alone {
				bad(key, "List the rules in "+AnnotationExempt+", or remove this annotation.", "There is no %s beside it, so nothing is exempt.", AnnotationExempt)
			}
		}
		return Exemption{}, problems
	}
	var out Exemption
	names := items(list)
	if len(names) == 0 {
		bad(AnnotationExempt, "List ids of rules, separated by commas.", "It lists no rule, so nothing is exempt.")
	}
	unknown := 0
	for _, id := range names {
		if slices.Contains(rules, id) {
			out.Rules = append(out.Rules, id)
			continue
		}
		if unknown++; unknown > mostTold {
			continue
		}
		fix := "See portcullis rules for those there are."
		if near, ok := Nearest(id, rules); ok {
			fix = "Did you mean " + near + "?"
		}
		bad(AnnotationExempt, fix, "There is no rule %q.", clipped(id))
	}
	if more := unknown - mostTold; more > 0 {
		bad(AnnotationExempt, "See portcullis rules for those there are.", "It lists %d more that are no rules.", more)
	}
	slices.Sort(out.Rules)
	out.Rules = slices.Compact(out.Rules)
	holds := true
	if out.Reason = strings.TrimSpace(annotations[AnnotationExemptReason]); out.Reason == "" {
		holds = false
		bad(AnnotationExempt, "Say why in "+AnnotationExemptReason+".", "The exemption has no reason, so it does not hold.")
	}
	if text, limited := annotations[AnnotationExemptUntil]; limited {
		day, err := time.Parse(dateFormat, strings.TrimSpace(text))
		switch out.Until = day.AddDate(0, 0, 1); {
		case err != nil:
			holds = false
			bad(AnnotationExemptUntil, "Write the last day as in 2027-01-31.", "%q is no date, so the exemption does not hold.", clipped(text))
		case !now.Before(out.Until):
			holds = false
			bad(AnnotationExemptUntil, "Mend the policy, or have the exemption renewed.", "The exemption ended with %s (UTC).", day.Format(dateFormat))
		}
	}
	if !holds || len(out.Rules) == 0 {
		return Exemption{}, problems
	}
	return out, problems
}

// Kinds of object that a Claim may name.
var claimKinds = [...]string{"service", "ingress", "gateway", "route"}

// Claim says that the object, in the policy's own namespace, exposes or will expose the selected pods.
type Claim struct{ Kind, Name string }

// String is "service/web", as written.
func (c Claim) String() string { return c.Kind + "/" + c.Name }

// ParseClaims reads the annotation exposed-by: one or several of service/NAME, ingress/NAME, gateway/NAME and route/NAME,
// separated by commas. Claims that cannot be read are left out.
func ParseClaims(annotations map[string]string) ([]Claim, []SettingProblem) {
	list, there := annotations[AnnotationExposedBy]
	if !there {
		return nil, nil
	}
	const fix = "Write service/NAME, ingress/NAME, gateway/NAME or route/NAME, several separated by commas."
	var claims []Claim
	known := map[Claim]bool{}
	var problems []SettingProblem
	bad := func(format string, args ...any) {
		if len(problems) == mostTold {
			return
		}
		problems = append(problems, SettingProblem{Key: AnnotationExposedBy, Annotation: true, Fix: fix, Message: fmt.Sprintf(format, args...)})
	}
	texts := items(list)
	if len(texts) == 0 {
		bad("It names nothing.")
	}
	for _, text := range texts {
		kind, name, cut := strings.Cut(text, "/")
		claim := Claim{Kind: kind, Name: name}
		switch {
		case !cut || name == "":
			bad("%q does not name an object.", clipped(text))
		case !slices.Contains(claimKinds[:], kind):
			bad("%q is no kind of object that exposes pods.", clipped(kind))
		case len(validation.IsDNS1123Subdomain(name)) > 0:
			bad("%q is not the name of an object.", clipped(name))
		case !known[claim]:
			known[claim] = true
			claims = append(claims, claim)
		}
	}
	return claims, problems
}

// items are the parts of a list separated by commas, without the blanks around them; empty ones are left out.
func items(list string) []string {
	return slices.DeleteFunc(splitTrimmed(list), func(item string) bool { return item == "" })
}

func splitTrimmed(list string) []string {
	parts := strings.Split(list, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// unknownKeys are the keys under the prefix that are none of the known ones.
func unknownKeys(all map[string]string, known []string, annotations bool) []SettingProblem {
	var out []SettingProblem
	for key := range all {
		if !strings.HasPrefix(key, SettingsPrefix) || slices.Contains(known, key) {
			continue
		}
		p := SettingProblem{Key: key, Annotation: annotations, Message: "Portcullis does not know this label, so it has no effect.", Fix: "Remove it."}
		if annotations {
			p.Message = "Portcullis does not know this annotation, so it has no effect."
		}
		near, ok := nearestKey(key, known)
		switch {
		case slices.Contains(namespaceLabels, key):
			p.Message = "It is a label of Namespaces, and has no effect here."
			p.Fix = "Set it as a label of the Namespace."
		case slices.Contains(policyAnnotations, key):
			p.Message = "It is an annotation of NetworkPolicies, and has no effect here."
			p.Fix = "Set it as an annotation of the NetworkPolicy."
		case ok:
			p.Fix = "Did you mean " + near + "?"
		}
		out = append(out, p)
	}
	return out
}

// nearestKey compares what follows the prefix, which all of them share.
func nearestKey(key string, known []string) (string, bool) {
	names := make([]string, len(known))
	for i, k := range known {
		names[i] = strings.TrimPrefix(k, SettingsPrefix)
	}
	near, ok := Nearest(strings.TrimPrefix(key, SettingsPrefix), names)
	return SettingsPrefix + near, ok
}

func sortProblems(problems []SettingProblem) {
	slices.SortStableFunc(problems, func(a, b SettingProblem) int { return strings.Compare(a.Key, b.Key) })
}

// clipped keeps the text of others short enough to be quoted in a sentence.
func clipped(s string) string {
	const most = 63
	s = strings.ToValidUTF8(s, "\uFFFD")
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return s
}

// Nearest is the candidate that the word was most probably meant to be, if one is near enough: at most one letter in three
// is wrong, missing or too many. Case does not count, and of two equally near the first is taken.
func Nearest(word string, candidates []string) (string, bool) {
	const longest = 128
	if word == "" || len(word) > longest {
		return "", false
	}
	best, at := "", len(word)/3+1
	for _, c := range candidates {
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < at {
			best, at = c, d
		}
	}
	return best, best != ""
}

// distance is Levenshtein's, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substituted := diagonal
			if a[i] != b[j] {
				substituted++
			}
			diagonal = row[j+1]
			row[j+1] = min(substituted, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
