package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/portcullis-dev/portcullis/pkg/celrule"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// Limits of a custom rule: its texts end up in answers of the API server, which are short, and every rule costs time at every
// review.
const (
	mostCustomRules   = 200
	longestID         = 63
	longestMessage    = 512
	longestExpression = 16 << 10
)

var (
	customID   = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	customPath = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9]*((\.[a-zA-Z][a-zA-Z0-9]*)|(\[[^\[\]]+\]))*$`)
)

func validateCustomRules(rules []CustomRule, at *field.Path) field.ErrorList {
	var all field.ErrorList
	if len(rules) > mostCustomRules {
		all = append(all, field.Forbidden(at, fmt.Sprintf("%d rules are more than the %d that there may be", len(rules), mostCustomRules)))
	}
	ids := map[string]bool{}
	for i := range rules {
		all = append(all, rules[i].validate(at.Index(i))...)
		if ids[rules[i].ID] && rules[i].ID != "" {
			all = append(all, field.Duplicate(at.Index(i).Child("id"), rules[i].ID))
		}
		ids[rules[i].ID] = true
	}
	return all
}

func (r *CustomRule) validate(at *field.Path) field.ErrorList {
	var all field.ErrorList
	switch id := at.Child("id"); {
	case r.ID == "":
		all = append(all, field.Required(id, "is missing: give the rule a name, as in acme-owner"))
	case !customID.MatchString(r.ID) || len(r.ID) > longestID:
		all = append(all, field.Invalid(id, r.ID, fmt.Sprintf("must be lower-case letters, digits and single hyphens, at most %d, as in acme-owner", longestID)))
	}
	if r.Level == finding.Privileged {
		all = append(all, field.Required(at.Child("level"), "must be baseline or restricted"))
	}
	if strings.TrimSpace(r.Expression) == "" {
		all = append(all, field.Required(at.Child("expression"), "is missing: say what has to be true, as in has(object.metadata.labels)"))
	}
	if strings.TrimSpace(r.Message) == "" {
		all = append(all, field.Required(at.Child("message"), "is missing: say what is the case where the expression is false"))
	}
	if r.Path != "" && !customPath.MatchString(r.Path) {
		all = append(all, field.Invalid(at.Child("path"), r.Path, "must be a field, as in spec.ingress or metadata.labels[owner]"))
	}
	for _, text := range []struct {
		name, value string
		most        int
		line        bool
	}{
		{"message", r.Message, longestMessage, true}, {"fix", r.Fix, longestMessage, true}, {"path", r.Path, longestMessage, true},
		{"expression", r.Expression, longestExpression, false}, {"messageExpression", r.MessageExpression, longestExpression, false},
	} {
		switch at := at.Child(text.name); {
		case len(text.value) > text.most:
			all = append(all, field.Forbidden(at, fmt.Sprintf("must not be longer than %d bytes", text.most)))
		case text.line && strings.ContainsAny(strings.TrimSpace(text.value), "\n\r"):
			all = append(all, field.Forbidden(at, "must be one line"))
		}
	}
	all = append(all, oneOfEach(r.AppliesTo, resources(), at.Child("appliesTo"))...)
	all = append(all, oneOfEach(r.Operations, operations(), at.Child("operations"))...)
	if known := []FailurePolicy{FailurePolicyIgnore, FailurePolicyFail}; !slices.Contains(known, r.FailurePolicy) {
		all = append(all, field.NotSupported(at.Child("failurePolicy"), r.FailurePolicy, known))
	}
	if slices.Contains(r.Operations, OperationDelete) && !slices.Contains(r.AppliesTo, ResourcePolicies) {
		all = append(all, field.Forbidden(at.Child("operations"), "the deletion of a Namespace is never judged: take DELETE off the list"))
	}
	return all
}

func resources() []Resource { return []Resource{ResourcePolicies, ResourceNamespaces} }

func operations() []Operation {
	return []Operation{OperationCreate, OperationUpdate, OperationDelete}
}

// oneOfEach wants at least one of the known words, and each once.
func oneOfEach[T ~string](words, known []T, at *field.Path) field.ErrorList {
	var all field.ErrorList
	if len(words) == 0 {
		all = append(all, field.Required(at, "must not be empty"))
	}
	for i, w := range words {
		switch {
		case !slices.Contains(known, w):
			all = append(all, field.NotSupported(at.Index(i), w, known))
		case slices.Contains(words[:i], w):
			all = append(all, field.Duplicate(at.Index(i), w))
		}
	}
	return all
}

// readable says whether what a rule is compiled of is not told to be wrong already.
func readable(at *field.Path, bad map[string]bool) bool {
	for path := range bad {
		for _, name := range []string{"appliesTo", "expression", "messageExpression"} {
			if strings.HasPrefix(path, at.Child(name).String()) {
				return false
			}
		}
	}
	return !bad[at.String()]
}

// compileCustomRules compiles the rules that can be; bad are the fields of which a problem is told already.
func compileCustomRules(rules []CustomRule, cat *rule.Catalogue, bad map[string]bool) ([]celrule.Rule, field.ErrorList) {
	if len(rules) == 0 || len(rules) > mostCustomRules {
		return nil, nil
	}
	compiler := celrule.NewCompiler()
	var out []celrule.Rule
	var all field.ErrorList
	for i := range rules {
		at := field.NewPath("customRules").Index(i)
		if cat.Find(rules[i].ID) != nil {
			all = append(all, field.Forbidden(at.Child("id"), fmt.Sprintf("%s is a rule of Portcullis: name yours differently", rules[i].ID)))
		}
		if !readable(at, bad) {
			continue
		}
		r, errs := compiler.Compile(rules[i].spec(), at)
		all = append(all, errs...)
		out = append(out, r)
	}
	return out, all
}

func (r *CustomRule) spec() celrule.Spec {
	s := celrule.Spec{
		ID: r.ID, Level: r.Level, Severity: r.Severity, Expression: r.Expression, Message: strings.TrimSpace(r.Message),
		MessageExpression: r.MessageExpression, Fix: strings.TrimSpace(r.Fix), Path: r.Path,
	}
	if r.FailurePolicy == FailurePolicyFail {
		s.FailurePolicy = celrule.Fail
	}
	for _, a := range r.AppliesTo {
		switch a {
		case ResourcePolicies:
			s.Subjects = append(s.Subjects, finding.KindNetworkPolicy)
		case ResourceNamespaces:
			s.Subjects = append(s.Subjects, finding.KindNamespace)
		}
	}
	for _, o := range []model.Operation{model.Create, model.Update, model.Delete} {
		if slices.Contains(r.Operations, Operation(o.String())) {
			s.Operations = append(s.Operations, o)
		}
	}
	return s
}

// addCustom adds custom rules to those of the catalogue.
func (c *Config) addCustom(custom []celrule.Rule) {
	for _, r := range custom {
		c.Rules = append(c.Rules, r.Configured)
		c.RuleIDs = append(c.RuleIDs, r.ID)
		c.Facts.Objects = c.Facts.Objects || r.Objects
	}
	slices.SortFunc(c.Rules, func(a, b rule.Configured) int { return cmp.Compare(a.ID, b.ID) })
	slices.Sort(c.RuleIDs)
}
