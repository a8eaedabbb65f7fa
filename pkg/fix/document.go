package fix

import (
	"bytes"
	"encoding/json"

	"go.yaml.in/yaml/v3"

	"github.com/portcullis-dev/portcullis/pkg/finding"
)

// Document is the text of one YAML document or JSON value, parsed once for the patches of all its objects.
type Document struct {
	text []byte
	root *node
	err  error
	// shared is whether there are aliases.
	shared bool
}

// NewDocument parses a text. It has no byte order mark.
func NewDocument(text []byte) *Document {
	d := &Document{text: text}
	if d.root, d.err = parse(text); d.err == nil {
		s := state{aliased: map[string]bool{}}
		s.aliases(d.root.Node)
		d.shared = len(s.aliased) > 0
	}
	return d
}

// Root is the tree of the text, or why there is none.
func (d *Document) Root() (*yaml.Node, error) {
	if d.err != nil {
		return nil, d.err
	}
	return d.root.Node, nil
}

// Edits are what does the patch to an object of the document, as the function Edits has it.
func (d *Document) Edits(object string, patch []finding.PatchOp) ([]Edit, error) {
	if d.err != nil {
		return nil, d.err
	}
	from, to, inner := d.excerpt(object)
	edits, err := Edits(d.text[from:to], inner, patch)
	if err != nil {
		return nil, err
	}
	return Shift(edits, from), nil
}

// excerpt is a part of the text that is a document as well and holds the object, and the object's JSON Pointer there: an
// item of a long list need not be edited with all others.
func (d *Document) excerpt(object string) (from, to int, inner string) {
	whole := len(d.text)
	tokens := splitPointer(object)
	if len(tokens) == 0 || d.shared {
		return 0, whole, object
	}
	var in *node
	n := d.root
	i := 0
	for _, token := range tokens {
		if in, i = n, n.index(token); i < 0 {
			return 0, whole, object
		}
		n = in.values[i]
	}
	switch {
	case isJSON(d.text[n.start:n.end]):
		line := lineStart(d.text, n.start)
		switch {
		case !isFirst(d.text, n.start):
			return n.start, n.end, ""
		case bytes.IndexByte(d.text[line:n.start], '\t') < 0: // YAML has no tabs before the first token
			return line, n.end, ""
		}
	case in.Kind == yaml.SequenceNode && in.isBlock() && n.isBlock() && isFirst(d.text, in.marks[i]):
		s := state{text: d.text}
		return lineStart(d.text, in.marks[i]), s.foot(n.end, in.column), "/0"
	}
	return 0, whole, object
}

// isJSON is whether the text is a JSON object.
func isJSON(text []byte) bool {
	trimmed := bytes.TrimSpace(text)
	return len(trimmed) > 0 && trimmed[0] == '{' && json.Valid(trimmed)
}
