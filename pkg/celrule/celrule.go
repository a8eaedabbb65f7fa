// Package celrule makes rules of what users write in the configuration: an expression in CEL, the language of
// ValidatingAdmissionPolicies, with the same libraries and the same limits, over the object, the request, and facts that
// only the engine knows.
//
//   - The expression says what is to hold: true is fine, false is a finding.
//   - One that fails, at an absent field or at its cost limit, is undetermined, or false if the rule says so. CEL absorbs an
//     error that does not matter, as on one side of || where the other is true.
//   - Facts are computed when the expression comes to them.
package celrule

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// Spec is a custom rule as it is configured.
type Spec struct {
	ID       string
	Level    finding.Level
	Severity finding.Severity
	// Expression is to be true.
	Expression string
	// Message says what is the case where it is not, and MessageExpression, if not empty, says so more closely: Message
	// stands where that fails, or does not yield a line of text.
	Message, MessageExpression string
	// Fix says what to do; empty if it goes without saying.
	Fix string
	// Path is the field that findings are about; empty for the whole object.
	Path string
	// Subjects are finding.KindNetworkPolicy, finding.KindNamespace, or both.
	Subjects []string
	// Operations are those that the rule judges. An object as it stands is judged as though it were created.
	Operations []model.Operation
	// FailurePolicy is what becomes of an object for which Expression fails.
	FailurePolicy FailurePolicy
}

// Rule is a custom rule, compiled.
type Rule struct {
	rule.Configured
	// Objects is whether the rule looks at objects themselves: see model.Facts.Objects.
	Objects bool
}

// Compile compiles the rule. The errors are at at's fields expression and messageExpression.
func (c *Compiler) Compile(s Spec, at *field.Path) (Rule, field.ErrorList) {
	compiled := custom{Spec: s, programs: map[string]programs{}}
	var errs field.ErrorList
	objects := false
	for _, kind := range s.Subjects {
		expression, problems := c.program(kind, s.Expression, isCondition, at.Child("expression"))
		p := programs{expression: expression}
		if s.MessageExpression != "" {
			message, more := c.program(kind, s.MessageExpression, isText, at.Child("messageExpression"))
			p.message, problems = message, append(problems, more...)
		}
		if len(problems) > 0 && len(s.Subjects) > 1 {
			for _, e := range problems {
				e.Detail = "for a " + kind + ": " + e.Detail
			}
		}
		errs = append(errs, problems...)
		compiled.programs[kind] = p
		objects = objects || len(problems) == 0 && p.looksAtObjects()
	}
	if len(errs) > 0 {
		return Rule{}, errs
	}
	r := &rule.Rule{ID: s.ID, Level: s.Level, Severity: s.Severity, Subjects: s.Subjects, Custom: true, Run: compiled.run, Doc: s.doc()}
	return Rule{Configured: r.Default(), Objects: objects}, nil
}

// doc is what a person may read of the rule.
func (s *Spec) doc() rule.Doc {
	remedy := s.Fix
	if remedy == "" {
		remedy = "Change the object so that the expression is true."
	}
	return rule.Doc{
		Title: s.Message,
		Why:   "The configuration asks for it.",
		Finds: fmt.Sprintf("%s that %s and for which this is %s: `%s`", s.things(), s.verbs(), s.untrue(), strings.TrimSpace(s.Expression)),
		References: []rule.Reference{{
			Title: "Kubernetes: Common Expression Language", URL: "https://kubernetes.io/docs/reference/using-api/cel/",
		}},
		Remedy: remedy,
	}
}

// things are the subjects, for a sentence.
func (s *Spec) things() string {
	words := make([]string, len(s.Subjects))
	for i, kind := range s.Subjects {
		words[i] = kind + "s"
		if kind == finding.KindNetworkPolicy {
			words[i] = "NetworkPolicies"
		}
	}
	return strings.Join(words, " and ")
}

// verbs are the operations, for a sentence.
func (s *Spec) verbs() string {
	var words []string
	for _, o := range s.Operations {
		words = append(words, map[model.Operation]string{model.Create: "are created", model.Update: "are changed", model.Delete: "are deleted"}[o])
	}
	return strings.Join(words, " or ")
}

// untrue is what the expression is of those that are found, for a sentence.
func (s *Spec) untrue() string {
	if s.FailurePolicy == Fail {
		return "false or fails"
	}
	return "false"
}

// judges says whether the rule is about the operation.
func (s *Spec) judges(o model.Operation) bool { return slices.Contains(s.Operations, effective(o)) }

// effective is the operation that an expression sees.
func effective(o model.Operation) model.Operation {
	if o == model.Exists {
		return model.Create
	}
	return o
}
