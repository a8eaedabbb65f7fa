package fix

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/portcullis-dev/portcullis/pkg/finding"
)

// editor is a text that is being edited.
type editor struct {
	text   []byte
	object []string
	kept   *History
}

// do does one operation of a patch.
func (e *editor) do(op finding.PatchOp) error {
	value, err := plain(op.Value)
	if err != nil {
		return err
	}
	path := slices.Concat(e.object, splitPointer(op.Path))
	from := slices.Concat(e.object, splitPointer(op.From))
	switch op.Op {
	case "add":
		return e.add(path, content{value: value})
	case "replace":
		return e.replace(path, value)
	case "remove":
		return e.remove(path)
	case "copy":
		moved, err := e.take(from)
		if err != nil {
			return err
		}
		return e.add(path, moved)
	case "move":
		moved, err := e.take(from)
		if err != nil {
			return err
		}
		if err := e.remove(from); err != nil {
			return err
		}
		return e.add(path, moved)
	case "test":
		return nil // the patch has been applied to the value before
	}
	return fmt.Errorf("a patch with the operation %q cannot be written into text", op.Op)
}

// content is what is to be written: a value, and where it is moved from, its text.
type content struct {
	value any
	// text is that of a collection that is not in brackets, with the column that it has there; empty if there is none.
	text   string
	column int
}

// take is the value at a path.
func (e *editor) take(path []string) (content, error) {
	s, err := e.read()
	if err != nil {
		return content{}, err
	}
	chain, err := s.find(path)
	if err != nil {
		return content{}, err
	}
	value, _ := valueAt(s.value, path)
	out := content{value: value}
	if n := chain[len(chain)-1]; n.isBlock() && n.start == n.body {
		out.text, out.column = string(s.text[n.start:n.end]), n.column
	}
	return out, nil
}

// state is a text between two edits.
type state struct {
	text  []byte
	root  *node
	value any
	style style
	// aliased are the names of the anchors that something refers to.
	aliased map[string]bool
}

func (e *editor) read() (*state, error) {
	root, err := parse(e.text)
	if err != nil {
		return nil, err
	}
	text, err := meaning(e.text)
	if err != nil {
		return nil, errOdd
	}
	value, err := decode(text)
	if err != nil {
		return nil, err
	}
	s := &state{text: e.text, root: root, value: value, style: styleOf(e.text, root), aliased: map[string]bool{}}
	s.aliases(root.Node)
	return s, nil
}

func (s *state) aliases(n *yaml.Node) {
	if n.Kind == yaml.AliasNode {
		s.aliased[n.Value] = true
	}
	for _, c := range n.Content {
		s.aliases(c)
	}
}

// write makes edits of the text as it is by now.
func (e *editor) write(edits ...Edit) error {
	slices.SortStableFunc(edits, func(a, b Edit) int { return a.Start - b.Start })
	for i := 1; i < len(edits); i++ {
		if edits[i].Start < edits[i-1].End {
			return errOdd
		}
	}
	e.text = Apply(e.text, edits)
	e.kept.Add(edits)
	return nil
}

// find are the nodes on the way to the path, the first and the last included.
func (s *state) find(path []string) ([]*node, error) {
	n := s.root
	chain := []*node{n}
	for i := 0; ; i++ {
		if err := s.editable(n); err != nil {
			return nil, err
		}
		if i == len(path) {
			return chain, nil
		}
		at := n.index(path[i])
		if at < 0 {
			if n.Kind == yaml.MappingNode && n.merges() {
				return nil, fmt.Errorf("is written with a merge key (<<): fix it by hand, where its anchor stands")
			}
			return nil, errOdd
		}
		n = n.values[at]
		chain = append(chain, n)
	}
}

func (s *state) editable(n *node) error {
	switch {
	case n.Kind == yaml.AliasNode:
		return fmt.Errorf("holds *%s, which stands for what is written elsewhere: fix it by hand", n.Value)
	case n.Anchor != "" && s.aliased[n.Anchor]:
		return fmt.Errorf("holds &%s, which other places refer to: fix it by hand", n.Anchor)
	}
	return nil
}

// removable says whether nothing in the node is referred to from elsewhere.
func (s *state) removable(n *node) error {
	if n.Anchor != "" && s.aliased[n.Anchor] {
		return s.editable(n)
	}
	for _, child := range n.values {
		if err := s.removable(child); err != nil {
			return err
		}
	}
	return nil
}

// index is where the entry or item of that name is; -1 if there is none.
func (n *node) index(token string) int {
	switch n.Kind {
	case yaml.MappingNode:
		return slices.IndexFunc(n.keys, func(k *node) bool { return k.Value == token && k.Kind == yaml.ScalarNode && k.Tag != "!!merge" })
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(token); err == nil && i >= 0 && i < len(n.values) {
			return i
		}
	}
	return -1
}

func (n *node) merges() bool {
	return slices.ContainsFunc(n.keys, func(k *node) bool { return k.Tag == "!!merge" })
}

// errWhole is a patch of more than an object's fields.
var errWhole = errors.New("cannot be replaced as a whole")

// parent finds the collection that holds the last token of the path.
func (e *editor) parent(path []string) (s *state, chain []*node, last string, err error) {
	if len(path) <= len(e.object) {
		return nil, nil, "", errWhole
	}
	if s, err = e.read(); err != nil {
		return nil, nil, "", err
	}
	last = path[len(path)-1]
	if chain, err = s.find(path[:len(path)-1]); err != nil {
		return nil, nil, "", err
	}
	if in := chain[len(chain)-1]; in.bare || !isContainer(in.Node) {
		return nil, nil, "", errOdd
	}
	return s, chain, last, nil
}

// add is RFC 6902's: "If the target location specifies an array index, a new value is inserted into the array at the
// specified index", and "if the target location specifies an object member that does exist, that member's value is replaced".
func (e *editor) add(path []string, what content) error {
	s, chain, last, err := e.parent(path)
	if err != nil {
		return err
	}
	in := chain[len(chain)-1]
	at := len(in.values)
	switch i := in.index(last); {
	case in.Kind == yaml.MappingNode && i >= 0:
		return e.replace(path, what.value)
	case in.Kind == yaml.MappingNode:
		at = s.style.place(in, last)
	case last == "-" || last == strconv.Itoa(len(in.values)):
	case i >= 0:
		at = i
	default:
		return errOdd
	}
	return e.write(s.insert(chain, at, last, what)...)
}

// remove takes out an entry or an item.
func (e *editor) remove(path []string) error {
	s, chain, last, err := e.parent(path)
	if err != nil {
		return err
	}
	in := chain[len(chain)-1]
	i := in.index(last)
	if i < 0 {
		_, err := s.find(path)
		return err
	}
	if err := s.removable(in.values[i]); err != nil {
		return err
	}
	return e.write(s.remove(chain, i)...)
}

// replace puts a value in the place of another. Of collections it changes only what differs.
func (e *editor) replace(path []string, value any) error {
	s, chain, last, err := e.parent(path)
	if err != nil {
		return err
	}
	in := chain[len(chain)-1]
	i := in.index(last)
	if i < 0 {
		_, err := s.find(path)
		return err
	}
	n := in.values[i]
	if err := s.editable(n); err != nil {
		return err
	}
	old, _ := valueAt(s.value, path)
	if reflect.DeepEqual(old, value) {
		return nil
	}
	if !isEmpty(old) && !isEmpty(value) && !n.bare && !n.merges() {
		switch now := value.(type) {
		case map[string]any:
			if was, same := old.(map[string]any); same {
				return e.replaceEntries(path, n, was, now)
			}
		case []any:
			if was, same := old.([]any); same {
				return e.replaceItems(path, was, now)
			}
		}
	}
	if err := s.removable(n); err != nil {
		return err
	}
	return e.write(s.set(chain, i, value)...)
}

func (e *editor) replaceEntries(path []string, n *node, old, now map[string]any) error {
	for _, key := range ordered(now) {
		err := error(nil)
		if _, there := old[key]; there {
			err = e.replace(below(path, key), now[key])
		} else {
			err = e.add(below(path, key), content{value: now[key]})
		}
		if err != nil {
			return err
		}
	}
	for _, key := range n.keys {
		if _, stays := now[key.Value]; !stays {
			if err := e.remove(below(path, key.Value)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *editor) replaceItems(path []string, old, now []any) error {
	head := 0
	for head < min(len(old), len(now)) && reflect.DeepEqual(old[head], now[head]) {
		head++
	}
	tail := 0
	for tail < min(len(old), len(now))-head && reflect.DeepEqual(old[len(old)-1-tail], now[len(now)-1-tail]) {
		tail++
	}
	both := min(len(old), len(now)) - tail
	for i := head; i < both; i++ {
		if err := e.replace(below(path, strconv.Itoa(i)), now[i]); err != nil {
			return err
		}
	}
	for i := both; i < len(now)-tail; i++ {
		if err := e.add(below(path, strconv.Itoa(i)), content{value: now[i]}); err != nil {
			return err
		}
	}
	for range len(old) - tail - both {
		if err := e.remove(below(path, strconv.Itoa(both))); err != nil {
			return err
		}
	}
	return nil
}

func below(path []string, token string) []string { return append(slices.Clone(path), token) }
