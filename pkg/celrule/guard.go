package celrule

import (
	"fmt"

	"github.com/google/cel-go/cel"
	celfunctions "github.com/google/cel-go/common/functions"
	celtypes "github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/interpreter"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// CEL counts what a function costs when it is over. For most that is soon enough, as they take no longer than their arguments are long.
// Some multiply: a pattern with a text, each item of a list with each other, a separator with the number of items. If the arguments
// come from the object, whoever writes it decides how long a single call takes, or how much memory. So these are asked before.

// weigh is the function that tells what a call will cost at most, in units of CEL's costs; nil if it need not be asked.
func weigh(function string) func(args []ref.Val) uint64 {
	const (
		comparisons = 40  // of items, to a unit
		characters  = 200 // that are compared, to a unit
		written     = 10  // characters, to a unit
		pattern     = 100 // units for compiling a character of a pattern
	)
	switch function {
	case "matches", "find", "findAll":
		return func(args []ref.Val) uint64 {
			return (size(args[0])+written)/written*(size(args[1])+3)/4 + pattern*size(args[1])
		}
	case "distinct":
		return func(args []ref.Val) uint64 { return size(args[0]) * size(args[0]) / comparisons }
	case "sets.contains", "sets.equivalent", "sets.intersects":
		return func(args []ref.Val) uint64 { return size(args[0]) * size(args[1]) / comparisons }
	case "indexOf", "lastIndexOf":
		return func(args []ref.Val) uint64 { return size(args[0]) * size(args[1]) / characters }
	case "replace":
		return func(args []ref.Val) uint64 {
			times := size(args[0])/max(1, size(args[1])) + 1
			return (size(args[0]) + times*size(args[2])) / written
		}
	case "join":
		return func(args []ref.Val) uint64 {
			l, isList := args[0].(traits.Lister)
			if !isList {
				return 0
			}
			length := uint64(0)
			if len(args) > 1 {
				length = size(l) * size(args[1])
			}
			for it := l.Iterator(); it.HasNext() == celtypes.True && length/written <= celconfig.PerCallLimit; {
				length += size(it.Next())
			}
			return length / written
		}
	case "lists.range":
		return func(args []ref.Val) uint64 {
			n, _ := args[0].(celtypes.Int)
			return uint64(max(n, 0))
		}
	}
	return nil
}

// size is the number of characters or items; 1 for what has neither.
func size(v ref.Val) uint64 {
	if s, sized := v.(traits.Sizer); sized {
		if n, isInt := s.Size().(celtypes.Int); isInt {
			return uint64(n)
		}
	}
	return 1
}

// guarded asks functions before they are called.
func guarded(env *cel.Env) cel.ProgramOption {
	return cel.CustomDecoratorV2(func(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
		call, isCall := i.(interpreter.InterpretableCall)
		if !isCall {
			return i, nil
		}
		cost := weigh(call.Function())
		if cost == nil {
			return i, nil
		}
		binding, err := bindingOf(env, call.Function(), call.OverloadID())
		if err != nil {
			return nil, err
		}
		return interpreter.NewCall(call.ID(), call.Function(), call.OverloadID(), call.Args(), func(args ...ref.Val) ref.Val {
			if cost(args) > celconfig.PerCallLimit {
				return celtypes.WrapErr(&limit{call.Function() + " costs more than an expression may"})
			}
			return invoke(binding, args)
		}), nil
	})
}

// bindingOf is what a call calls: the overload that the compiler has chosen, or what chooses by the arguments.
func bindingOf(env *cel.Env, function, overload string) (*celfunctions.Overload, error) {
	bindings, err := env.Functions()[function].Bindings()
	if err != nil {
		return nil, err
	}
	var chooses *celfunctions.Overload
	for _, b := range bindings {
		switch b.Operator {
		case overload:
			return b, nil
		case function:
			chooses = b
		}
	}
	if chooses == nil {
		return nil, fmt.Errorf("the function %s has no implementation", function)
	}
	return chooses, nil
}

func invoke(b *celfunctions.Overload, args []ref.Val) ref.Val {
	switch {
	case b.OperandTrait != 0 && !args[0].Type().HasTrait(b.OperandTrait):
	case len(args) == 1 && b.Unary != nil:
		return b.Unary(args[0])
	case len(args) == 2 && b.Binary != nil:
		return b.Binary(args[0], args[1])
	case b.Function != nil:
		return b.Function(args...)
	}
	return celtypes.NoSuchOverloadErr()
}
