package fix

import (
	"bytes"
	"encoding/json"
	"strings"

	"go.yaml.in/yaml/v3"
	k8syaml "sigs.k8s.io/yaml"
)

// entry is an entry or item as a block that begins in that column; its further lines are indented.
func (s *style) entry(kind yaml.Kind, key string, what content, column int) string {
	if kind == yaml.SequenceNode {
		return "- " + s.block(what, column+2)
	}
	return s.scalar(key, 0) + ":" + s.after(what, column)
}

// after is a value as it follows a key that stands in that column.
func (s *style) after(what content, column int) string {
	if !isCollection(what.value) || isEmpty(what.value) {
		return " " + s.inline(what.value, 0)
	}
	column = s.below(what.value, column)
	return s.lineBreak + spaces(column) + s.block(what, column)
}

// below is the column of a collection under a key that stands in column.
func (s *style) below(value any, column int) int {
	if _, isList := value.([]any); isList {
		return column + s.dash
	}
	return column + s.step
}

// block is a value that begins in that column.
func (s *style) block(what content, column int) string {
	if what.text != "" {
		return moved(what.text, column-what.column)
	}
	if isEmpty(what.value) {
		return s.inline(what.value, 0)
	}
	var lines []string
	switch v := what.value.(type) {
	case map[string]any:
		for _, key := range ordered(v) {
			lines = append(lines, s.entry(yaml.MappingNode, key, content{value: v[key]}, column))
		}
	case []any:
		for _, item := range v {
			lines = append(lines, s.entry(yaml.SequenceNode, "", content{value: item}, column))
		}
	default:
		return s.inline(v, 0)
	}
	return strings.Join(lines, s.lineBreak+spaces(column))
}

func spaces(n int) string { return strings.Repeat(" ", n) }

// moved is a text whose lines but the first are indented by so much more or less.
func moved(text string, by int) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		switch {
		case out.Len() == 0 || strings.Trim(line, "\r\n") == "":
		case by > 0:
			line = spaces(by) + line
		default:
			line = strings.TrimPrefix(line, spaces(min(-by, len(line)-len(strings.TrimLeft(line, " ")))))
		}
		out.WriteString(line)
	}
	return out.String()
}

// inline is a value in one line, with the quotes that the style of another scalar has.
func (s *style) inline(value any, like yaml.Style) string {
	switch v := value.(type) {
	case map[string]any:
		var parts []string
		for _, key := range ordered(v) {
			parts = append(parts, s.scalar(key, 0)+s.colon+s.inline(v[key], 0))
		}
		return "{" + strings.Join(parts, s.comma) + "}"
	case []any:
		var parts []string
		for _, item := range v {
			parts = append(parts, s.inline(item, 0))
		}
		return "[" + strings.Join(parts, s.comma) + "]"
	case string:
		return s.scalar(v, like)
	}
	return encode(value)
}

// spread is a collection in brackets with a line for each item, the lines after the first indented.
func (s *style) spread(value any, indent string) string {
	if isEmpty(value) || !isCollection(value) {
		return s.inline(value, 0)
	}
	var lines []string
	brackets := "[]"
	switch v := value.(type) {
	case map[string]any:
		brackets = "{}"
		for _, key := range ordered(v) {
			lines = append(lines, s.scalar(key, 0)+s.colon+s.spread(v[key], indent+s.unit))
		}
	case []any:
		for _, item := range v {
			lines = append(lines, s.spread(item, indent+s.unit))
		}
	}
	next := s.lineBreak + indent + s.unit
	return brackets[:1] + next + strings.Join(lines, ","+next) + s.lineBreak + indent + brackets[1:]
}

// scalar is a text, in quotes where it needs them, or where the style has them.
func (s *style) scalar(text string, like yaml.Style) string {
	const quotes = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle
	if s.json || strings.ContainsAny(text, "\n\r\t\u0085\u2028\u2029\ufeff") {
		return encode(text)
	}
	n := yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Tag: "!!str", Value: text, Style: like & quotes}}}
	out, err := yaml.Marshal(&n)
	out = bytes.TrimSpace(out)
	if err != nil || len(out) < 3 || bytes.IndexByte(out, '\n') >= 0 {
		return encode(text)
	}
	// Kubernetes reads YAML 1.1, where y is a boolean.
	var read []any
	if k8syaml.Unmarshal(out, &read) != nil || len(read) != 1 || read[0] != any(text) {
		return encode(text)
	}
	if out = out[1 : len(out)-1]; out[0] == '\'' && like&yaml.SingleQuotedStyle == 0 {
		return encode(text)
	}
	return string(out)
}

func encode(value any) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return "null"
	}
	return strings.TrimSpace(out.String())
}
