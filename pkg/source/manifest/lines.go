package manifest

import (
	"fmt"
	"iter"

	"go.yaml.in/yaml/v3"
)

// maxLines bounds the table of lines of one object, and maxDepth how deep it goes: a NetworkPolicy is 12 levels deep.
const (
	maxLines = 100_000
	maxDepth = 32
)

// resolve is the node that an alias stands for, or the node itself.
func resolve(n *yaml.Node) *yaml.Node {
	for n != nil && (n.Kind == yaml.AliasNode || n.Kind == yaml.DocumentNode) {
		switch {
		case n.Kind == yaml.AliasNode:
			n = n.Alias
		case len(n.Content) > 0:
			n = n.Content[0]
		default:
			return nil
		}
	}
	return n
}

// entries are the keys and values of a mapping. Those that a merge key brings come first, so that the last of one name is
// the one that counts.
func entries(n *yaml.Node) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(key, value *yaml.Node) bool) {
		n = resolve(n)
		if n == nil || n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Tag == "!!merge" && !mergedEntries(n.Content[i+1], yield) {
				return
			}
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Tag != "!!merge" && !yield(n.Content[i], n.Content[i+1]) {
				return
			}
		}
	}
}

// mergedEntries are those of a mapping that is merged, or of a list of them; merges within merges are left out.
func mergedEntries(n *yaml.Node, yield func(key, value *yaml.Node) bool) bool {
	n = resolve(n)
	if n == nil {
		return true
	}
	sources := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		sources = n.Content
	}
	for _, source := range sources {
		source = resolve(source)
		if source == nil || source.Kind != yaml.MappingNode {
			continue
		}
		for i := 0; i+1 < len(source.Content); i += 2 {
			if !yield(source.Content[i], source.Content[i+1]) {
				return false
			}
		}
	}
	return true
}

// child is the value of a key, or nil.
func child(n *yaml.Node, key string) (found *yaml.Node) {
	for k, v := range entries(n) {
		if k.Value == key {
			found = v
		}
	}
	return found
}

// step is one step of a field path: a field, a key of a map, or an index of a list.
type step struct {
	name   string
	mapKey bool
	index  int // of a list, if name is empty and mapKey is not set
}

type steps []step

// String is the path as field.Path writes it.
func (s steps) String() string {
	out := ""
	for _, one := range s {
		switch {
		case one.mapKey:
			out += "[" + one.name + "]"
		case one.name == "":
			out += fmt.Sprintf("[%d]", one.index)
		case out == "":
			out = one.name
		default:
			out += "." + one.name
		}
	}
	return out
}

// locate finds the node of the path, nil if there is none, and the line where its key stands, or that of the deepest node
// there is on the way.
func locate(root *yaml.Node, path steps) (node *yaml.Node, line int) {
	node = resolve(root)
	if node == nil {
		return nil, 0
	}
	line = node.Line
	for _, one := range path {
		var next *yaml.Node
		if one.name == "" && !one.mapKey {
			if node.Kind == yaml.SequenceNode && one.index < len(node.Content) {
				next, line = node.Content[one.index], node.Content[one.index].Line
			}
		} else {
			for k, v := range entries(node) {
				if k.Value == one.name {
					next, line = v, k.Line
				}
			}
		}
		if next = resolve(next); next == nil {
			return nil, line
		}
		node = next
	}
	return node, line
}

// mapFields are the fields whose keys the user chooses.
func isMapField(name string) bool {
	return name == "labels" || name == "annotations" || name == "matchLabels"
}

// lineTable is where the fields of an object stand: by path, the line of the field's key or of the item. Status and managed
// fields are left out.
func lineTable(root *yaml.Node, offset int) map[string]int {
	t := lineWalk{lines: map[string]int{}, offset: offset}
	t.walk(resolve(root), nil, "", false)
	return t.lines
}

type lineWalk struct {
	lines  map[string]int
	offset int
}

func (t *lineWalk) walk(n *yaml.Node, path []byte, field string, inMap bool) {
	if n == nil || len(t.lines) >= maxLines || len(path) > maxDepth*64 {
		return
	}
	switch n.Kind {
	case yaml.MappingNode:
		for k, v := range entries(n) {
			if k.Value == "managedFields" || k.Value == "status" && len(path) == 0 {
				continue
			}
			next := path
			switch {
			case inMap:
				next = append(append(append(next, '['), k.Value...), ']')
			case len(path) == 0:
				next = append(next, k.Value...)
			default:
				next = append(append(next, '.'), k.Value...)
			}
			t.lines[string(next)] = k.Line + t.offset
			t.walk(resolve(v), next, k.Value, !inMap && isMapField(k.Value))
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			next := fmt.Appendf(path, "[%d]", i)
			t.lines[string(next)] = item.Line + t.offset
			t.walk(resolve(item), next, field, false)
		}
	}
}

// duplicates are the keys that one mapping holds twice, each with the line of its last occurrence. Aliases are not followed.
func duplicates(n *yaml.Node) []*yaml.Node {
	var out []*yaml.Node
	if n == nil || n.Kind == yaml.AliasNode {
		return nil
	}
	if n.Kind == yaml.MappingNode {
		seen := make(map[string]bool, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if key.Kind == yaml.ScalarNode && key.Tag != "!!merge" {
				if seen[key.Value] {
					out = append(out, key)
				}
				seen[key.Value] = true
			}
		}
	}
	for _, c := range n.Content {
		out = append(out, duplicates(c)...)
	}
	return out
}

// templateIn is the first scalar that holds a template action ({{ ... }}), annotations left out; nil if there is none.
func templateIn(n *yaml.Node) *yaml.Node {
	if n == nil || n.Kind == yaml.AliasNode {
		return nil
	}
	if n.Kind == yaml.ScalarNode && hasTemplate([]byte(n.Value)) {
		return n
	}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && n.Content[i-1].Value == "annotations" {
			continue
		}
		if found := templateIn(c); found != nil {
			return found
		}
	}
	return nil
}

// expandedSize is about how many bytes a tree takes when its aliases are replaced by what they stand for; more than limit
// if an anchor contains itself.
func expandedSize(n *yaml.Node, limit int, known map[*yaml.Node]int) int {
	if n == nil {
		return 0
	}
	if size, there := known[n]; there {
		return size
	}
	known[n] = limit + 1     // while it is being counted, for what contains itself
	size := len(n.Value) + 2 // and a blank or a comma
	if n.Kind == yaml.AliasNode {
		size += expandedSize(n.Alias, limit, known)
	}
	for _, c := range n.Content {
		if size += expandedSize(c, limit, known); size > limit {
			size = limit + 1
			break
		}
	}
	known[n] = size
	return size
}
