package fix

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// node is a node of the YAML tree with where its text begins and ends.
type node struct {
	*yaml.Node
	start int // of its anchor or tag, or else of its text
	body  int // of its text
	end   int
	// flow is whether the node stands between brackets, or is in brackets itself.
	flow bool
	// column is that of the keys or dashes of a collection that is not in brackets, in bytes from the start of the line.
	column int
	keys   []*node // of a mapping
	values []*node // of a mapping, or the items of a sequence
	// marks are where the dashes of a sequence stand, or the places after the colons of a mapping (-1 for a key that has none);
	// none if the collection is in brackets and a sequence.
	marks []int
	// bare is a mapping of one pair that is an item between brackets and has none of its own.
	bare bool
}

// place is where the entry or item stands.
func (n *node) place(i int) (start, end int) {
	switch {
	case n.Kind == yaml.MappingNode && n.marks[i] < 0:
		return n.keys[i].start, n.keys[i].end
	case n.Kind == yaml.MappingNode:
		return n.keys[i].start, n.values[i].end
	case n.flow:
		return n.values[i].start, n.values[i].end
	}
	return n.marks[i], n.values[i].end
}

// isBlock is whether the node is a collection that is not in brackets.
func (n *node) isBlock() bool { return isContainer(n.Node) && !n.flow }

func isContainer(n *yaml.Node) bool { return n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode }

// errOdd is a text whose tree does not lie where it is expected.
var errOdd = errors.New("is written in a way that is not understood well enough to edit it")

// mostDepth is how deep trees go that are edited.
const mostDepth = 100

// parse yields the tree of a document.
func parse(text []byte) (root *node, err error) {
	defer func() {
		if failure := recover(); failure != nil {
			root, err = nil, fmt.Errorf("cannot be parsed: %v", failure)
		}
	}()
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("cannot be parsed: %w", err)
	}
	if len(document.Content) != 1 {
		return nil, errOdd
	}
	b := builder{text: text, lines: lineStarts(text)}
	root = b.node(document.Content[0], -1, false, 0)
	if b.odd {
		return nil, errOdd
	}
	return root, nil
}

// lineStarts are where lines start, as the YAML library counts them.
func lineStarts(text []byte) []int {
	out := []int{0}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\n' || c == '\r' && (i+1 == len(text) || text[i+1] != '\n'):
			out = append(out, i+1)
		case c == 0xC2 && bytes.HasPrefix(text[i:], []byte("\u0085")):
			out = append(out, i+2)
		case c == 0xE2 && (bytes.HasPrefix(text[i:], []byte("\u2028")) || bytes.HasPrefix(text[i:], []byte("\u2029"))):
			out = append(out, i+3)
		}
	}
	return out
}

type builder struct {
	text  []byte
	lines []int
	odd   bool
}

func (b *builder) at(i int) byte {
	if i < 0 || i >= len(b.text) {
		return 0
	}
	return b.text[i]
}

// offset is where the node begins.
func (b *builder) offset(n *yaml.Node) int {
	if n.Line < 1 || n.Line > len(b.lines) {
		b.odd = true
		return 0
	}
	at := b.lines[n.Line-1]
	for range n.Column - 1 {
		_, size := utf8.DecodeRune(b.text[min(at, len(b.text)):])
		at += size
	}
	return at
}

// node finds where a node ends. indent is the column of the collection around it that is not in brackets, -1 if there is none.
func (b *builder) node(from *yaml.Node, indent int, flow bool, depth int) *node {
	n := &node{Node: from, start: b.offset(from), flow: flow || from.Style&yaml.FlowStyle != 0}
	if b.odd = b.odd || depth > mostDepth; b.odd {
		return n
	}
	n.body, n.end = n.start, n.start
	empty := from.Kind == yaml.ScalarNode && from.Value == "" && from.Style&^yaml.TaggedStyle == 0
	for b.at(n.body) == '&' || b.at(n.body) == '!' {
		for n.body < len(b.text) && !isBlank(b.at(n.body)) && !isBreak(b.at(n.body)) && (!n.flow || strings.IndexByte(",[]{}", b.at(n.body)) < 0) {
			n.body++
		}
		n.end = n.body
		if next := b.skip(n.body); !empty || b.at(next) == '&' || b.at(next) == '!' {
			n.body = next
		}
	}
	switch from.Kind {
	case yaml.AliasNode:
		n.end = n.body + 1 + len(from.Value)
	case yaml.ScalarNode:
		if !empty {
			n.end = b.scalar(n, indent)
		}
	case yaml.MappingNode:
		b.mapping(n, indent, depth)
	case yaml.SequenceNode:
		b.sequence(n, indent, depth)
	}
	return n
}

func (b *builder) mapping(n *node, indent, depth int) {
	at := n.body
	if n.flow {
		if n.bare = b.at(at) != '{'; !n.bare {
			at++
		}
	} else if len(n.Content) > 0 {
		n.column = b.column(b.offset(n.Content[0]))
		indent = n.column
	}
	for i := 0; i+1 < len(n.Content) && !b.odd; i += 2 {
		key := b.node(n.Content[i], indent, n.flow, depth+1)
		n.keys = append(n.keys, key)
		if !n.flow {
			// "? key" is not edited.
			b.odd = b.odd || i == 0 && key.start != n.body || i > 0 && !isFirst(b.text, key.start)
		}
		if colon := b.skip(key.end); b.at(colon) == ':' {
			n.marks = append(n.marks, colon+1)
			n.values = append(n.values, b.node(n.Content[i+1], indent, n.flow, depth+1))
		} else {
			b.odd = b.odd || !n.flow
			n.marks = append(n.marks, -1)
			n.values = append(n.values, &node{Node: n.Content[i+1], start: key.end, body: key.end, end: key.end, flow: true})
		}
		_, at = n.place(i / 2)
	}
	n.end = at
	if n.flow && !n.bare {
		n.end = b.closing(at, '}')
	}
}

func (b *builder) sequence(n *node, indent, depth int) {
	at := n.body
	if n.flow {
		at++
	} else {
		n.column = b.column(n.body)
		indent = n.column
	}
	for i := 0; i < len(n.Content) && !b.odd; i++ {
		if !n.flow {
			dash := b.skip(at)
			b.odd = b.odd || b.at(dash) != '-' || b.column(dash) != n.column
			n.marks = append(n.marks, dash)
		}
		n.values = append(n.values, b.node(n.Content[i], indent, n.flow, depth+1))
		_, at = n.place(i)
	}
	n.end = at
	if n.flow {
		n.end = b.closing(at, ']')
	}
}

// closing is the place after the bracket that ends a collection.
func (b *builder) closing(at int, bracket byte) int {
	if at = b.skip(at); b.at(at) == ',' {
		at = b.skip(at + 1)
	}
	b.odd = b.odd || b.at(at) != bracket
	return at + 1
}

// skip is the next place that is neither blank nor comment.
func (b *builder) skip(at int) int {
	for at < len(b.text) {
		switch c := b.text[at]; {
		case isBlank(c) || isBreak(c):
			at++
		case c == '#' && (at == 0 || isBlank(b.text[at-1]) || isBreak(b.text[at-1])):
			at = b.lineEnd(at)
		default:
			return at
		}
	}
	return at
}

// column is how many bytes there are before a place in its line.
func (b *builder) column(at int) int { return at - lineStart(b.text, at) }

func (b *builder) lineEnd(at int) int { return lineEnd(b.text, at) }

func isBlank(c byte) bool { return c == ' ' || c == '\t' }
func isBreak(c byte) bool { return c == '\n' || c == '\r' }

// isFirst is whether nothing but blanks stands before a place in its line.
func isFirst(text []byte, at int) bool {
	return len(bytes.TrimLeft(text[lineStart(text, at):at], " \t")) == 0
}

// lineStart and lineEnd are where the line of a place starts, and where its line break is.
func lineStart(text []byte, at int) int { return bytes.LastIndexByte(text[:at], '\n') + 1 }

func lineEnd(text []byte, at int) int {
	if n := bytes.IndexAny(text[at:], "\r\n"); n >= 0 {
		return at + n
	}
	return len(text)
}

// nextLine is where the next line starts, or the end of the text.
func nextLine(text []byte, at int) int {
	if n := bytes.IndexByte(text[at:], '\n'); n >= 0 {
		return at + n + 1
	}
	return len(text)
}
