package celrule

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	celtypes "github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// An expression that yields neither true nor false has met one of two things:
//
//   - A fact that Portcullis does not know. It is a CEL unknown, which spreads as far as the answer depends on it, and comes
//     before errors. The rule is undetermined, whatever its failure policy: who asks, of an object as it stands; and an object
//     that was not kept.
//   - An error: a field that is absent, a text that cannot be read, a limit that is met, a fault of the program. By the failure
//     policy Ignore the rule is undetermined, by Fail it is violated. Two errors are about facts that are not known in truth, and
//     leave the rule undetermined: those of an expression about oldObject, of an object as it stands, since it may replace another
//     one; and about namespaceObject where no Namespace was read. The latter is a violation at admission all the same: there the
//     namespace exists, and is read again before anything is denied.

// FailurePolicy is what becomes of an object for which an expression fails.
type FailurePolicy uint8

// The failure policies, as of a ValidatingAdmissionPolicy.
const (
	Ignore FailurePolicy = iota // the rule is undetermined
	Fail                        // the rule is violated
)

// The ids of what is unknown.
const (
	unknownRequester int64 = iota + 1
	unknownObject
)

func unknown(id int64, variable string) ref.Val {
	return celtypes.NewUnknown(id, celtypes.NewAttributeTrail(variable))
}

// missing says what the answer depends on.
func missing(u *celtypes.Unknown) string {
	for _, id := range u.IDs() {
		if id == unknownRequester {
			return "the answer depends on request.userInfo, and nobody asks for an object that is judged as it stands"
		}
	}
	return "the object itself is not at hand"
}

// limit is an error for the size of what is judged, rather than for its content.
type limit struct{ words string }

func (l *limit) Error() string { return l.words }

func tooMany(what string) error {
	return &limit{fmt.Sprintf("%s has more than %d entries, which is as far as a custom rule looks", what, most)}
}

var (
	errBudget = &limit{"the custom rules before it cost more than all of them may in one review"}
	errTurns  = &limit{fmt.Sprintf("its loops take more than %d turns", mostTurns)}
	errSteps  = &limit{"what the policy allows takes longer to work out than a custom rule waits"}
)

// fail reports that the expression has failed.
func (c *custom) fail(p *rule.Pass, in *input, expression *program, err error) {
	why := legible(err.Error())
	if c.FailurePolicy == Ignore {
		p.Undetermined("The expression of this rule could not be evaluated: %s", why)
		return
	}
	if guess := in.guess(expression); guess != "" {
		p.Undetermined("The expression of this rule could not be evaluated: %s, and %s", why, guess)
		return
	}
	c.report(p, in, expression, "The expression of this rule failed ("+why+"), which counts as a violation by its failurePolicy", c.mend(in.kind, err))
}

// guess says which fact that is not known an error may be about; empty if there is none.
func (in *input) guess(p *program) string {
	switch {
	case in.change.Operation != model.Exists:
	case in.policy != nil && p.mentions(varNamespaceObject) && !in.world.NamespaceOrImplied(in.policy.Namespace).Meta.Described:
		return "the Namespace " + in.policy.Namespace + " is not in the input"
	case p.mentions(varOldObject):
		return "it is not known which object this one replaces"
	}
	return ""
}

// mend says what to do about an expression that has failed.
func (c *custom) mend(kind string, err error) string {
	subject := "policy"
	if kind == finding.KindNamespace {
		subject = "Namespace"
	}
	var tooLarge *limit
	var cancelled interpreter.EvalCancelledError
	var inContent *celtypes.Err
	switch {
	case errors.As(err, &tooLarge), errors.As(err, &cancelled):
		return "Make the " + subject + " shorter and what it allows narrower, or let the expression bound what it looks at, as in size(…) <= 100 && …"
	case !errors.As(err, &inContent):
		return "Report this as a bug of Portcullis, with the " + subject + " and the rule"
	case c.Fix != "":
		return strings.TrimSuffix(c.Fix, ".") + "; if that is done, let the expression test for what may be absent, with has(…) or .?field"
	}
	return "Give the " + subject + " what the expression reads, or let the expression test for what may be absent, with has(…) or .?field"
}

// longestReason is how much is told of an error, in characters. Errors quote what whoever writes a policy has written.
const longestReason = 200

// legible is an error's text on one line, short, and without what a terminal would take as a command.
func legible(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, s)
	return clip(oneLine(s), longestReason)
}

// tellable is whether a text may be a message: one line that can be printed.
func tellable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r != ' ' && !unicode.IsPrint(r) })
}
