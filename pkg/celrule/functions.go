package celrule

import (
	"fmt"
	"net/netip"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/interpreter"

	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// The functions compare lists of CIDRs and of ports as the sets that they stand for, so that it does not matter how a set is
// split into ranges:
//
//	<CIDRs>.cidrsWithin(<CIDRs>), <CIDRs>.cidrsOverlap(<CIDRs>)
//	<ports>.portsWithin(<ports>), <ports>.portsOverlap(<ports>)
//	<CIDRs>.wide(ipv4 bits, ipv6 bits): whether there are as many addresses as in one prefix of that length
//
// What cannot be read as a CIDR or as ports is an error.

// function is a member function of a list of texts.
type function struct {
	name string
	args []*cel.Type
	call func(args ...ref.Val) ref.Val
}

func memberFunctions() []function {
	texts := cel.ListType(cel.StringType)
	return []function{
		{"cidrsWithin", []*cel.Type{texts, texts}, compare(addrsOf, func(a, b netset.Addrs) bool { return b.ContainsAll(a) })},
		{"cidrsOverlap", []*cel.Type{texts, texts}, compare(addrsOf, netset.Addrs.Overlaps)},
		{"portsWithin", []*cel.Type{texts, texts}, compare(portsOf, func(a, b netset.Ports) bool { return b.ContainsAll(a) })},
		{"portsOverlap", []*cel.Type{texts, texts}, compare(portsOf, netset.Ports.Overlaps)},
		{"wide", []*cel.Type{texts, cel.IntType, cel.IntType}, wide},
	}
}

func (f *function) overload() string { return "portcullis_list_" + f.name }

// functions declares the functions, with what they cost: ten units for each item, for reading it and for the algebra.
func functions() []cel.EnvOption {
	var out []cel.EnvOption
	for _, f := range memberFunctions() {
		out = append(out,
			cel.Function(f.name, cel.MemberOverload(f.overload(), f.args, cel.BoolType, cel.FunctionBinding(f.call))),
			cel.CostEstimatorOptions(checker.OverloadCostEstimate(f.overload(), estimateItems)))
	}
	return out
}

const perItem = 10

func estimateItems(estimator checker.CostEstimator, target *checker.AstNode, args []checker.AstNode) *checker.CallEstimate {
	cost := checker.FixedCostEstimate(1)
	for _, node := range append([]checker.AstNode{*target}, args...) {
		size := node.ComputedSize()
		if size == nil {
			size = estimator.EstimateSize(node)
		}
		if size != nil {
			cost = cost.Add(size.MultiplyByCostFactor(perItem))
		}
	}
	return &checker.CallEstimate{CostEstimate: cost}
}

// trackers count what the functions cost at run time.
func trackers() []interpreter.CostTrackerOption {
	var out []interpreter.CostTrackerOption
	for _, f := range memberFunctions() {
		out = append(out, interpreter.OverloadCostTracker(f.overload(), func(args []ref.Val, _ ref.Val) *uint64 {
			cost := uint64(1)
			for _, a := range args {
				if l, isList := a.(traits.Lister); isList {
					cost += perItem * uint64(l.Size().(types.Int))
				}
			}
			return &cost
		}))
	}
	return out
}

// compare reads both lists as sets, and compares them.
func compare[Set any](read func([]string) (Set, error), is func(a, b Set) bool) func(...ref.Val) ref.Val {
	return func(args ...ref.Val) ref.Val {
		var sets [2]Set
		for i := range sets {
			items, err := itemsOf(args[i])
			if err == nil {
				sets[i], err = read(items)
			}
			if err != nil {
				return types.WrapErr(err)
			}
		}
		return types.Bool(is(sets[0], sets[1]))
	}
}

func wide(args ...ref.Val) ref.Val {
	items, err := itemsOf(args[0])
	if err != nil {
		return types.WrapErr(err)
	}
	addrs, err := addrsOf(items)
	if err != nil {
		return types.WrapErr(err)
	}
	v4, v6 := args[1].(types.Int), args[2].(types.Int)
	if v4 < 0 || v4 > 32 || v6 < 0 || v6 > 128 {
		return types.NewErr("wide(%d, %d): the lengths of prefixes are 0 to 32 and 0 to 128", v4, v6)
	}
	return types.Bool(addrs.HasAtLeast(int(v4), int(v6)))
}

// checks are what literals among the arguments of the functions are checked by, by the functions' names.
func checks(name string) func(text string) error {
	switch name {
	case "cidrsWithin", "cidrsOverlap", "wide":
		return func(text string) error {
			_, err := addrsOf([]string{text})
			return err
		}
	case "portsWithin", "portsOverlap":
		return func(text string) error {
			_, err := portsOf([]string{text})
			return err
		}
	}
	return nil
}

// itemsOf are the texts of a list.
func itemsOf(v ref.Val) ([]string, error) {
	l, isList := v.(traits.Lister)
	if !isList {
		return nil, fmt.Errorf("no such overload")
	}
	out := make([]string, 0, int(l.Size().(types.Int)))
	for it := l.Iterator(); it.HasNext() == types.True; {
		item := it.Next()
		text, isText := item.(types.String)
		if !isText {
			return nil, fmt.Errorf("%v is not a text", item.Type())
		}
		out = append(out, string(text))
	}
	return out, nil
}

func addrsOf(cidrs []string) (netset.Addrs, error) {
	prefixes := make([]netip.Prefix, len(cidrs))
	for i, c := range cidrs {
		prefix, _, err := netset.ParseCIDR(c)
		if err != nil {
			return netset.Addrs{}, fmt.Errorf("%q is no CIDR: write it as in 10.0.0.0/8 or 2001:db8::/32, and one address as a /32 or /128", clip(c, longestQuote))
		}
		prefixes[i] = prefix
	}
	return netset.AddrsOf(prefixes...), nil
}

func portsOf(items []string) (netset.Ports, error) {
	sets := make([]netset.Ports, len(items))
	for i, item := range items {
		var err error
		if sets[i], err = netset.ParsePorts(item); err != nil {
			return netset.Ports{}, fmt.Errorf("%q are no ports: write them as in TCP/443, UDP/53 or TCP/8000-8999", clip(item, longestQuote))
		}
	}
	return netset.UnionPorts(sets...), nil
}

// longestQuote is how much of a text an error quotes, in characters.
const longestQuote = 63

// clip keeps what a message quotes short.
func clip(s string, most int) string {
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return s
}
