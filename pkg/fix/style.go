package fix

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// style is how a text is written, for what is added to it.
type style struct {
	// lineBreak is "\n" or "\r\n".
	lineBreak string
	// step is by how much a mapping within a mapping is indented, and dash a sequence within one.
	step, dash int
	// json is whether texts and keys are in quotes, and collections in brackets.
	json bool
	// colon and comma are what stands between brackets: ": " and ", ", without blanks where the text has none.
	colon, comma string
	// unit is what a collection in brackets is indented by that has a line for each of its items.
	unit string
}

func styleOf(text []byte, root *node) style {
	s := style{lineBreak: "\n", step: 2, dash: 2, json: isJSON(text), colon: ": ", comma: ", ", unit: "  "}
	if end := bytes.IndexByte(text, '\n'); end > 0 && text[end-1] == '\r' {
		s.lineBreak = "\r\n"
	}
	var steps, dashes votes
	steps.count(root, yaml.MappingNode)
	dashes.count(root, yaml.SequenceNode)
	s.step, s.dash = steps.winner(s.step), dashes.winner(s.dash)
	if s.json {
		s.ofJSON(text, root)
	}
	return s
}

func (s *style) ofJSON(text []byte, root *node) {
	for i, value := range root.values {
		if root.marks[i] < 0 {
			continue
		}
		if value.start == root.marks[i] {
			s.colon, s.comma = ":", ","
		}
		key := root.keys[i].start
		if indent := text[lineStart(text, key):key]; len(indent) > 0 && len(bytes.TrimLeft(indent, " \t")) == 0 {
			outer := lineStart(text, root.body)
			outer = len(text[outer:]) - len(bytes.TrimLeft(text[outer:], " \t"))
			if outer < len(indent) {
				s.unit = string(indent[outer:])
			}
		}
		return
	}
}

// votes are how often collections within mappings are indented by so much.
type votes struct{ by [17]int }

func (v *votes) count(n *node, kind yaml.Kind) {
	for _, value := range n.values {
		if n.Kind == yaml.MappingNode && n.isBlock() && value.Kind == kind && value.isBlock() {
			if by := value.column - n.column; by >= 0 && by < len(v.by) {
				v.by[by]++
			}
		}
		v.count(value, kind)
	}
}

func (v *votes) winner(otherwise int) int {
	best := slices.Index(v.by[:], slices.Max(v.by[:]))
	if v.by[best] == 0 {
		return otherwise
	}
	return best
}

// fieldOrder is the order in which the Kubernetes documentation writes the fields of a NetworkPolicy.
func fieldOrder() []string {
	return []string{
		"apiVersion", "kind", "metadata", "spec", "name", "namespace", "labels", "annotations", "ipBlock", "namespaceSelector", "podSelector",
		"policyTypes", "ingress", "egress", "from", "to", "ports", "protocol", "port", "endPort", "cidr", "except", "matchLabels",
		"matchExpressions", "key", "operator", "values",
	}
}

func rank(key string) int { return slices.Index(fieldOrder(), key) }

func compareKeys(a, b string) int {
	i, j := rank(a), rank(b)
	if i < 0 || j < 0 {
		return cmp.Or(cmp.Compare(j, i), strings.Compare(a, b)) // those without a rank last
	}
	return cmp.Compare(i, j)
}

// ordered are the keys of a mapping as they are to be written.
func ordered(m map[string]any) []string { return slices.SortedFunc(maps.Keys(m), compareKeys) }

// place is where among its keys a mapping gets a new one: as the documentation orders them, or else by the alphabet, if the
// keys there are do so; or else at the end.
func (s *style) place(n *node, key string) int {
	compare := compareKeys
	byName := func(order func(a, b string) int) bool {
		return slices.IsSortedFunc(n.keys, func(a, b *node) int { return order(a.Value, b.Value) })
	}
	if !byName(compare) {
		if compare = strings.Compare; !byName(compare) {
			return len(n.keys)
		}
	}
	if i := slices.IndexFunc(n.keys, func(k *node) bool { return compare(k.Value, key) > 0 }); i >= 0 {
		return i
	}
	return len(n.keys)
}
