package fix

import (
	"bytes"
	"slices"

	"go.yaml.in/yaml/v3"
)

// insert are the edits that put an entry or item before the i-th of the last collection of the chain.
func (s *state) insert(chain []*node, i int, key string, what content) []Edit {
	in := chain[len(chain)-1]
	if in.flow {
		return s.insertBetweenBrackets(chain, i, key, what)
	}
	entry := s.style.entry(in.Kind, key, s.alike(in, what), in.column)
	if i < len(in.values) {
		start, _ := in.place(i)
		if !isFirst(s.text, start) {
			return []Edit{{start, start, entry + s.style.lineBreak + spaces(in.column)}}
		}
		at := s.head(in, i)
		return []Edit{{at, at, spaces(in.column) + entry + s.style.lineBreak}}
	}
	_, end := in.place(i - 1)
	at := s.foot(end, in.column)
	if at == len(s.text) && !bytes.HasSuffix(s.text, []byte("\n")) {
		return []Edit{{at, at, s.style.lineBreak + spaces(in.column) + entry}}
	}
	return []Edit{{at, at, spaces(in.column) + entry + s.style.lineBreak}}
}

// alike puts a text among texts that are in quotes into quotes as well.
func (s *state) alike(in *node, what content) content {
	text, isText := what.value.(string)
	if !isText || in.Kind != yaml.SequenceNode || len(in.values) == 0 {
		return what
	}
	return content{value: what.value, text: s.style.scalar(text, in.values[len(in.values)-1].Style)}
}

func (s *state) insertBetweenBrackets(chain []*node, i int, key string, what content) []Edit {
	in := chain[len(chain)-1]
	around := len(chain) > 1 && chain[len(chain)-2].flow
	if len(in.values) == 0 && !around && !s.style.json {
		var whole any = []any{what.value}
		if in.Kind == yaml.MappingNode {
			whole = map[string]any{key: what.value}
		}
		return s.setIn(chain, whole)
	}
	indent, spread := s.spreads(in)
	var text string
	if spread {
		text = s.style.spread(what.value, indent)
	} else {
		text = s.style.inline(s.alike(in, what).value, s.likeOf(in))
	}
	if in.Kind == yaml.MappingNode {
		text = s.style.scalar(key, 0) + s.style.colon + text
	}
	separator := s.style.comma
	if spread {
		separator = "," + s.style.lineBreak + indent
	}
	switch {
	case len(in.values) == 0 && spread:
		outer := s.style.lineBreak + s.indentOf(in.body)
		return []Edit{{in.body + 1, in.end - 1, s.style.lineBreak + indent + text + outer}}
	case len(in.values) == 0:
		return []Edit{{in.body + 1, in.end - 1, text}}
	case i < len(in.values):
		start, _ := in.place(i)
		return []Edit{{start, start, text + separator}}
	}
	_, end := in.place(i - 1)
	return []Edit{{end, end, separator + text}}
}

// likeOf is the style of the last item, for a further one.
func (s *state) likeOf(in *node) yaml.Style {
	if in.Kind != yaml.SequenceNode || len(in.values) == 0 {
		return 0
	}
	return in.values[len(in.values)-1].Style
}

// spreads says whether a collection in brackets has a line for each item, and how those are indented. One that is empty
// goes by the one that it is in.
func (s *state) spreads(in *node) (indent string, is bool) {
	if len(in.values) > 0 {
		start, _ := in.place(0)
		return s.indentOf(start), isFirst(s.text, start)
	}
	return s.indentOf(in.body) + s.style.unit, s.style.json && bytes.IndexByte(bytes.TrimSpace(s.text), '\n') >= 0
}

// indentOf is what the line of a place begins with.
func (s *state) indentOf(at int) string {
	line := s.text[lineStart(s.text, at):at]
	return string(line[:len(line)-len(bytes.TrimLeft(line, " \t"))])
}

// remove are the edits that take out the i-th entry or item of the last collection of the chain.
func (s *state) remove(chain []*node, i int) []Edit {
	in := chain[len(chain)-1]
	start, end := in.place(i)
	switch {
	case len(in.values) == 1 && in.flow:
		return []Edit{{in.body + 1, in.end - 1, ""}}
	case len(in.values) == 1 && in.Kind == yaml.MappingNode:
		return s.setIn(chain, map[string]any{})
	case len(in.values) == 1:
		return s.setIn(chain, []any{})
	case in.flow && i+1 < len(in.values):
		next, _ := in.place(i + 1)
		return []Edit{{start, next, ""}}
	case in.flow:
		_, before := in.place(i - 1)
		return []Edit{{before, end, ""}}
	case !isFirst(s.text, start):
		return []Edit{{start, nextPlace(s.text, s.head(in, i+1)), ""}}
	}
	return []Edit{{s.head(in, i), s.foot(end, in.column), ""}}
}

// nextPlace is the first place in a line that is not blank.
func nextPlace(text []byte, at int) int {
	for at < len(text) && isBlank(text[at]) {
		at++
	}
	return at
}

// setIn are the edits that put a value in the place of the last node of the chain.
func (s *state) setIn(chain []*node, value any) []Edit {
	n := chain[len(chain)-1]
	if len(chain) == 1 {
		return []Edit{{n.start, n.end, s.style.block(content{value: value}, 0)}}
	}
	in := chain[len(chain)-2]
	return s.set(chain[:len(chain)-1], slices.Index(in.values, n), value)
}

// set are the edits that put a value in the place of the i-th of the last collection of the chain.
func (s *state) set(chain []*node, i int, value any) []Edit {
	in := chain[len(chain)-1]
	n := in.values[i]
	isNull := n.start == n.end
	whole := isCollection(value) && !isEmpty(value)
	switch {
	case in.flow || n.flow && len(n.values) > 0 || !whole && (!n.isBlock() || in.Kind == yaml.SequenceNode):
		return s.setInline(in, i, value)
	case in.Kind == yaml.SequenceNode && isNull:
		return []Edit{{n.start, n.start, " " + s.style.block(content{value: value}, in.column+2)}}
	case in.Kind == yaml.SequenceNode:
		return []Edit{{n.start, n.end, s.style.block(content{value: value}, n.body-lineStart(s.text, n.body))}}
	case n.isBlock():
		begin, end := s.headAt(n.body, n.column, in.marks[i]), s.foot(n.end, in.column)
		if !whole {
			return []Edit{{in.marks[i], in.marks[i], " " + s.style.inline(value, 0)}, {begin, end, ""}}
		}
		column := s.style.below(value, in.column)
		return []Edit{{begin, end, spaces(column) + s.style.block(content{value: value}, column) + s.style.lineBreak}}
	}
	after := lineEnd(s.text, n.end)
	return []Edit{{in.marks[i], n.end, ""}, {after, after, s.style.after(content{value: value}, in.column)}}
}

func (s *state) setInline(in *node, i int, value any) []Edit {
	n := in.values[i]
	switch {
	case in.Kind == yaml.MappingNode && in.marks[i] < 0:
		return []Edit{{n.start, n.start, s.style.colon + s.style.inline(value, 0)}}
	case n.start == n.end:
		return []Edit{{n.start, n.start, " " + s.style.inline(value, 0)}}
	}
	if indent, spread := s.spreads(in); in.flow && spread && isCollection(value) {
		return []Edit{{n.start, n.end, s.style.spread(value, indent)}}
	}
	return []Edit{{n.start, n.end, s.style.inline(value, n.Style)}}
}

// head is where the lines of an entry or item start, with the comments directly above it.
func (s *state) head(in *node, i int) int {
	start, _ := in.place(i)
	least := in.start
	if i > 0 {
		_, least = in.place(i - 1)
	}
	return s.headAt(start, in.column, least)
}

func (s *state) headAt(start, column, least int) int {
	at := lineStart(s.text, start)
	for at > 0 {
		before := lineStart(s.text, at-1)
		if before < least || !s.isComment(before, func(c int) bool { return c == column }) {
			return at
		}
		at = before
	}
	return at
}

// foot is where the lines of an entry or item of that column end, with the comments directly below it that are deeper.
func (s *state) foot(end, column int) int {
	at := nextLine(s.text, end)
	for at < len(s.text) && s.isComment(at, func(c int) bool { return c > column }) {
		at = nextLine(s.text, at)
	}
	return at
}

// isComment is whether the line that starts there is a comment, in a column that is wanted.
func (s *state) isComment(start int, wanted func(column int) bool) bool {
	at := nextPlace(s.text, start)
	return at < len(s.text) && s.text[at] == '#' && wanted(at-start)
}
