package celrule

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	celast "github.com/google/cel-go/common/ast"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/library"

	"github.com/portcullis-dev/portcullis/pkg/model"
)

// An expression may cost as much as the API server lets one cost, and loop less often:
//   - at run time, a million units (PerCallLimit, as an expression of a ValidatingAdmissionPolicy), and ten thousand turns of
//     loops, as the time that CEL takes to count the costs grows with the square of the turns of a loop;
//   - by the estimate at load, ten million (as a validation rule of a CustomResourceDefinition), where lists and maps of
//     unknown size are taken to have 64 entries, and texts 256 characters.
const (
	estimateLimit = 10_000_000
	assumedItems  = 64
	assumedText   = 256
	mostTurns     = 10_000
)

// Compiler compiles the rules of one configuration. It is not safe for concurrent use.
type Compiler struct {
	environments map[string]*cel.Env // by kind of subject
}

// NewCompiler makes a compiler.
func NewCompiler() *Compiler { return &Compiler{environments: map[string]*cel.Env{}} }

// environment is what expressions about a kind of subject are compiled by. An error is a fault of the program.
func (c *Compiler) environment(kind string) (*cel.Env, error) {
	if env := c.environments[kind]; env != nil {
		return env, nil
	}
	env, err := newEnvironment(kind)
	c.environments[kind] = env
	return env, err
}

// program is an expression, ready to be evaluated.
type program struct {
	cel.Program
	variables []string // that it mentions
	// directions are those of reach that it looks at.
	directions [2]bool
}

func (p *program) mentions(variable string) bool {
	return p != nil && slices.Contains(p.variables, variable)
}

// result is what an expression is to yield.
type result struct {
	*cel.Type
	words string
}

var (
	isCondition = result{cel.BoolType, "true or false"}
	isText      = result{cel.StringType, "a text"}
)

func (c *Compiler) program(kind, expression string, want result, at *field.Path) (*program, field.ErrorList) {
	fail := func(format string, args ...any) (*program, field.ErrorList) {
		return nil, field.ErrorList{field.Forbidden(at, fmt.Sprintf(format, args...))}
	}
	env, err := c.environment(kind)
	if err != nil {
		return nil, field.ErrorList{field.InternalError(at, err)}
	}
	ast, issues := env.Compile(expression)
	if issues.Err() != nil {
		var errs field.ErrorList
		for _, e := range issues.Errors() {
			errs = append(errs, field.Forbidden(at, position(e.Location.Line(), e.Location.Column())+words(e.Message, kind)))
		}
		return nil, errs
	}
	if !ast.OutputType().IsExactType(want.Type) {
		return fail("must yield %s, and yields %s", want.words, ast.OutputType())
	}
	if errs := literals(ast, at); len(errs) > 0 {
		return nil, errs
	}
	cost, err := env.EstimateCost(ast, &library.CostEstimator{SizeEstimator: sizes{}})
	if err != nil {
		return fail("its cost cannot be estimated: %s", oneLine(err.Error()))
	}
	if cost.Max > estimateLimit {
		return fail("costs too much: %d units by the estimate, and %d are allowed: loop over fewer lists within one another", cost.Max, estimateLimit)
	}
	compiled, err := env.Program(ast, guarded(env), cel.CostLimit(celconfig.PerCallLimit), cel.CostTrackerOptions(trackers()...), cel.InterruptCheckFrequency(mostTurns))
	if err != nil {
		return fail("cannot be compiled: %s", oneLine(err.Error()))
	}
	out := &program{Program: compiled}
	out.look(ast)
	return out, nil
}

// position says where in the expression, counted from 1: "line 2, column 7: ".
func position(line, column int) string {
	if line < 1 {
		return ""
	}
	return fmt.Sprintf("line %d, column %d: ", line, column+1)
}

var undeclared = regexp.MustCompile(`^undeclared reference to '([^']+)' \(in container ''\)$`)

// words are the message of the CEL compiler, and what was probably meant.
func words(message, kind string) string {
	name := undeclared.FindStringSubmatch(message)
	if name == nil {
		return oneLine(message)
	}
	out := "there is no " + name[1]
	if near, ok := model.Nearest(name[1], variablesOf(kind)); ok {
		return fmt.Sprintf("%s: did you mean %s?", out, near)
	}
	return fmt.Sprintf("%s here: known are %s", out, strings.Join(variablesOf(kind), ", "))
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// look notes what the expression looks at. Whatever it does with reach but select a direction of it may look at both.
func (p *program) look(ast *cel.Ast) {
	reaches, selects := 0, 0
	celast.PostOrderVisit(ast.NativeRep().Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		switch e.Kind() {
		case celast.IdentKind:
			name := strings.TrimPrefix(e.AsIdent(), ".")
			if name == varReach {
				reaches++
			}
			if !slices.Contains(p.variables, name) {
				p.variables = append(p.variables, name)
			}
		case celast.SelectKind:
			of := e.AsSelect().Operand()
			if of.Kind() != celast.IdentKind || strings.TrimPrefix(of.AsIdent(), ".") != varReach {
				return
			}
			for _, d := range model.Directions {
				if e.AsSelect().FieldName() == d.Field() {
					p.directions[d] = true
					selects++
				}
			}
		}
	}))
	if reaches > selects {
		p.directions = [2]bool{true, true}
	}
}

// literals checks what is written as a literal where a function takes CIDRs or ports.
func literals(ast *cel.Ast, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	celast.PostOrderVisit(ast.NativeRep().Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		if e.Kind() != celast.CallKind {
			return
		}
		check := checks(e.AsCall().FunctionName())
		if check == nil {
			return
		}
		for _, arg := range append([]celast.Expr{e.AsCall().Target()}, e.AsCall().Args()...) {
			if arg.Kind() != celast.ListKind {
				continue
			}
			for _, item := range arg.AsList().Elements() {
				if item.Kind() != celast.LiteralKind {
					continue
				}
				text, _ := item.AsLiteral().Value().(string)
				if err := check(text); err != nil {
					where := ast.NativeRep().SourceInfo().GetStartLocation(item.ID())
					errs = append(errs, field.Forbidden(at, position(where.Line(), where.Column())+err.Error()))
				}
			}
		}
	}))
	return errs
}

// sizes estimates what the types do not tell.
type sizes struct{}

// EstimateSize implements checker.CostEstimator.
func (sizes) EstimateSize(element checker.AstNode) *checker.SizeEstimate {
	size := uint64(assumedItems)
	if t := element.Type(); t != nil && t.Kind() == cel.StringKind {
		size = assumedText
	}
	return &checker.SizeEstimate{Max: size}
}

// EstimateCallCost implements checker.CostEstimator.
func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}
