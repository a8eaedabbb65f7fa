package celrule

import (
	"context"
	"errors"
	"strings"

	"github.com/google/cel-go/cel"
	celtypes "github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/lazy"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// custom is a rule that is run. It is immutable.
type custom struct {
	Spec
	programs map[string]programs // by kind of subject
}

type programs struct{ expression, message *program }

func (p *programs) looksAtObjects() bool {
	for _, variable := range []string{varObject, varOldObject, varNamespaceObject} {
		if p.expression.mentions(variable) || p.message.mentions(variable) {
			return true
		}
	}
	return false
}

// run judges one change.
func (c *custom) run(p *rule.Pass) {
	if !c.judges(p.Change.Operation) {
		return
	}
	in := inputOf(p)
	programs := c.programs[in.kind]
	out, err := in.eval(programs.expression)
	depends, isUnknown := out.(*celtypes.Unknown)
	switch {
	case isUnknown:
		p.Undetermined("The expression of this rule could not be evaluated: %s", missing(depends))
	case err != nil:
		c.fail(p, in, programs.expression, err)
	case out != celtypes.True:
		c.report(p, in, programs.expression, c.message(programs.message, in), c.Fix)
	}
}

// report says that the rule is violated.
func (c *custom) report(p *rule.Pass, in *input, expression *program, message, fix string) {
	var at *field.Path
	if c.Path != "" {
		at = field.NewPath(c.Path)
	}
	b := p.Report(at, finding.Witness{}, "%s", message).Fix(fix)
	if in.policy == nil {
		return
	}
	b.Covers(in.extent(expression.directions)...)
	if expression.mentions(varReach) || expression.mentions(varPods) {
		b.Pods(in.view.Select(in.policy).Pods())
	}
}

// message is what the finding says.
func (c *custom) message(expression *program, in *input) string {
	if expression == nil {
		return c.Message
	}
	out, err := in.eval(expression)
	text, isText := out.(celtypes.String)
	if err != nil || !isText {
		return c.Message
	}
	said := strings.TrimSpace(string(text))
	if said == "" || len(said) > celconfig.MaxEvaluatedMessageExpressionSizeBytes || !tellable(said) {
		return c.Message
	}
	return said
}

// budget is what all custom rules may cost in one review: as much as the rules of a ValidatingAdmissionPolicy.
const budget = celconfig.RuntimeCELCostBudget

// costly is the cost of an expression that counts twice, as the time to count the costs grows with the square of them.
const costly = 2_500

// input is the variables of one review, for all custom rules. They are made when an expression comes to them.
type input struct {
	facts
	kind   string
	change *model.Change
	made   map[string]any
	spent  uint64 // of the budget
}

// eval evaluates an expression, unless the budget is spent.
func (in *input) eval(p *program) (ref.Val, error) {
	if in.spent > budget {
		return nil, errBudget
	}
	out, details, err := p.ContextEval(interrupting{context.Background()}, in)
	if cost := details.ActualCost(); cost != nil {
		in.spent += *cost + min(*cost**cost/costly, celconfig.PerCallLimit)
	}
	if errors.Is(err, interpreter.InterruptError{}) {
		err = errTurns
	}
	return out, err
}

// interrupting interrupts an evaluation where it asks for the first time, which is after mostTurns.
type interrupting struct{ context.Context }

// Done implements context.Context.
func (interrupting) Done() <-chan struct{} {
	closed := make(chan struct{})
	close(closed)
	return closed
}

// Err implements context.Context.
func (interrupting) Err() error { return context.Canceled }

var _ cel.Activation = (*input)(nil)

// inputOf is the input of the review that the pass belongs to.
func inputOf(p *rule.Pass) *input {
	if p.Memo == nil {
		return newInput(p)
	}
	if in, made := (*p.Memo).(*input); made {
		return in
	}
	in := newInput(p)
	*p.Memo = in
	return in
}

func newInput(p *rule.Pass) *input {
	in := &input{change: &p.Change, kind: finding.KindNamespace, made: map[string]any{}}
	in.view, in.world = p.Reach, p.World
	if policy := p.Change.Policy(); policy != nil {
		in.kind, in.policy = finding.KindNetworkPolicy, policy
		if p.Change.NewPolicy == nil {
			// Of a policy that goes, the facts are those of the world that it is still in.
			in.view, in.world = p.Before, p.Prior
		}
	}
	return in
}

// Parent implements cel.Activation.
func (in *input) Parent() cel.Activation { return nil }

// ResolveName implements cel.Activation.
func (in *input) ResolveName(name string) (any, bool) {
	if value, there := in.made[name]; there {
		return value, true
	}
	value := in.variable(name)
	if value == nil {
		return nil, false
	}
	in.made[name] = value
	return value, true
}

func (in *input) variable(name string) any {
	switch name {
	case varObject:
		return in.object(in.change.NewPolicy, in.change.NewNS)
	case varOldObject:
		if in.change.Operation == model.Exists {
			return celtypes.NullValue
		}
		return in.object(in.change.OldPolicy, in.change.OldNS)
	case varNamespaceObject:
		if in.policy == nil {
			return celtypes.NullValue
		}
		return in.object(nil, &in.world.NamespaceOrImplied(in.policy.Namespace).Meta)
	case varRequest:
		return in.request()
	case varReach:
		return in.reach()
	case varPods:
		return in.pods()
	}
	return nil
}

// object is null where the operation has none.
func (in *input) object(p *model.Policy, ns *model.NamespaceMeta) any {
	switch {
	case p != nil && p.Object == nil, ns != nil && ns.Object == nil && ns.Described:
		return unknown(unknownObject, "object")
	case p != nil:
		return policyValue(p.Object, p)
	case ns != nil:
		return namespaceValue(ns, ns.Object)
	}
	return celtypes.NullValue
}

func (in *input) request() ref.Val {
	out := lazy.NewMapValue(celtypes.NewObjectType("portcullis.Request"))
	add := func(name string, value any) {
		out.Append(name, func(*lazy.MapValue) ref.Val { return celtypes.DefaultTypeAdapter.NativeToValue(value) })
	}
	add("operation", effective(in.change.Operation).String())
	add("dryRun", in.change.DryRun)
	if in.policy != nil {
		add("name", in.policy.Name)
		add("namespace", in.policy.Namespace)
	} else {
		add("name", in.change.Namespace().Name)
		add("namespace", in.change.Namespace().Name)
	}
	if who := in.change.Requester; who != nil {
		add("userInfo", fields{"username": who.Username, "uid": who.UID, "groups": texts(who.Groups)})
	} else {
		add("userInfo", unknown(unknownRequester, "request.userInfo"))
	}
	return out
}

// extent is what a finding covers, for the ratchet: what the policy allows in the directions that the expression looks at.
// Where it looks at none, findings are compared by their paths.
func (in *input) extent(directions [2]bool) []finding.Part {
	var out []finding.Part
	for _, d := range model.Directions {
		if !directions[d] {
			continue
		}
		external := make([]netset.Conns, len(in.unlike(d)))
		for i, c := range in.unlike(d) {
			external[i] = reach.PolicyExternal(in.policy, c, d)
		}
		for _, c := range in.view.Select(in.policy).Classes {
			if sort := in.sorts[d].of[c]; len(external) > 0 && !external[sort].IsEmpty() {
				out = append(out, finding.Part{Key: d.Field() + "\n" + c.Key(), Conns: external[sort]})
			}
		}
		named, err := in.named("", d)
		for i := range named {
			open := in.open(d, &named[i])
			if open == nil {
				err = errSteps
				break
			}
			out = append(out, finding.Part{Key: d.Field() + "\npods " + named[i].Key(), Conns: netset.ConnsOf(netset.AllAddrs(), open.Ports)})
		}
		if err != nil {
			out = append(out, finding.Part{Key: d.Field() + "\nmore", Conns: in.beyond(d)})
		}
	}
	return out
}

// beyond stands for what is too much to compare. Of an object as it stands it is nothing, and of one that is written everything, so
// that the latter is never within the former; unless the rules are the same.
func (in *input) beyond(d model.Direction) netset.Conns {
	old, now := in.change.OldPolicy, in.change.NewPolicy
	if in.change.Operation != model.Update || model.SameRules(old.Rules[d], now.Rules[d]) && old.PodSelector.Equal(&now.PodSelector) && old.Isolates(d) == now.Isolates(d) {
		return netset.Conns{}
	}
	return netset.AllConns()
}
