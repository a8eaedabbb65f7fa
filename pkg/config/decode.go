package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/portcullis-dev/portcullis/pkg/model"
)

// The configuration is read strictly and in one go: a type-directed walk over the YAML finds every unknown or duplicate
// field and every wrong type, each with its path and line, and does not stop at the first. Decoders of general use either
// stop there, or know no paths, or no lines.
//
//   - Values are decoded over defaults; null, and a field that is absent, leave the default.
//   - YAML 1.1's booleans (yes, no, on, off) are booleans where one is wanted, and strings elsewhere.
//   - One document; no anchors, aliases and merge keys, as a configuration is to be read as it stands.

// maxSize is what fits into a ConfigMap.
const (
	maxSize  = 1 << 20
	tooLarge = "the file has more than 1 MiB"
)

// decoder gathers what is wrong, and where the fields stand.
type decoder struct {
	problems []located
	lines    map[string]int // by field path
}

type located struct {
	line int
	*field.Error
}

func (d *decoder) forbid(n *yaml.Node, at *field.Path, format string, args ...any) {
	d.add(n, field.Forbidden(at, fmt.Sprintf(format, args...)))
}

func (d *decoder) add(n *yaml.Node, err *field.Error) {
	d.problems = append(d.problems, located{n.Line, err})
}

var syntaxError = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?(.*)$`)

// document is the one document of the file; nil if it is empty.
func (d *decoder) document(data []byte) *yaml.Node {
	fail := func(line int, format string, args ...any) *yaml.Node {
		d.problems = append(d.problems, located{line, field.Forbidden(nil, fmt.Sprintf(format, args...))})
		return nil
	}
	if len(data) > maxSize {
		return fail(0, tooLarge)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var docs []*yaml.Node
	for {
		var doc yaml.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			parts := syntaxError.FindStringSubmatch(strings.ReplaceAll(err.Error(), "\n", " "))
			line, _ := strconv.Atoi(parts[1]) // absent means 0
			return fail(line, "this is no YAML: %s", parts[2])
		}
		if content := doc.Content[0]; content.ShortTag() != "!!null" {
			docs = append(docs, content)
		}
	}
	switch {
	case len(docs) == 0:
		return nil
	case len(docs) > 1:
		return fail(docs[1].Line, "there is a second document: write one configuration in one file")
	case docs[0].Kind != yaml.MappingNode:
		return fail(docs[0].Line, "must be a mapping, as in `mode: audit`, not %s", describe(docs[0]))
	}
	return docs[0]
}

// mapping calls visit for each entry, with the key's node and its path, unless the key is there twice.
func (d *decoder) mapping(n *yaml.Node, at *field.Path, step func(string) *field.Path, visit func(key *yaml.Node, at *field.Path, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		d.add(n, field.TypeInvalid(at, short(n), "must be a mapping, not "+describe(n)))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		below := step(clip(key.Value))
		switch {
		case key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge":
			d.forbid(key, at, "only plain names are fields here: no merge keys, aliases, lists or mappings")
			continue
		case seen[key.Value] > 0:
			d.forbid(key, below, "is there twice, first in line %d", seen[key.Value])
			continue
		}
		seen[key.Value] = key.Line
		d.lines[below.String()] = key.Line
		visit(key, below, value)
	}
}

// header is what says how to read the rest.
type header struct{ apiVersion, kind *yaml.Node }

// headerOf finds the header; what is null counts as absent, and of two the first is taken.
func headerOf(root *yaml.Node) (h header) {
	for i := len(root.Content) - 2; i >= 0; i -= 2 {
		key, value := root.Content[i], root.Content[i+1]
		switch {
		case value.ShortTag() == "!!null":
		case key.Value == "apiVersion":
			h.apiVersion = value
		case key.Value == "kind":
			h.kind = value
		}
	}
	return h
}

// child steps into a field of at, which is nil at the root.
func child(at *field.Path) func(string) *field.Path {
	return func(name string) *field.Path { return at.Child(name) }
}

// known says whether the field is one of those there are, and else what is wrong.
func (d *decoder) known(key *yaml.Node, at *field.Path, fields []string) bool {
	if slices.Contains(fields, key.Value) {
		return true
	}
	d.forbid(key, at, "unknown field: %s", suggestion(key.Value, fields))
	return false
}

func suggestion(name string, known []string) string {
	if near, ok := model.Nearest(name, known); ok {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "known here are " + strings.Join(known, ", ")
}

// boolOf is what an unquoted scalar means as a boolean, with the words of YAML 1.1 that Kubernetes' tools read as such.
func boolOf(n *yaml.Node) (value, ok bool) {
	if n.Kind != yaml.ScalarNode || n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return false, false
	}
	switch strings.ToLower(n.Value) {
	case "true", "yes", "on":
		return true, true
	case "false", "no", "off":
		return false, true
	}
	return false, false
}

// describe names what a value is.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.ShortTag() {
	case "!!str", "!!timestamp":
		return "a string"
	case "!!bool":
		return "a boolean"
	case "!!int", "!!float":
		return "a number"
	case "!!null":
		return "null"
	}
	return "a value with the tag " + clip(n.Tag)
}

// short is a value as a message quotes it.
func short(n *yaml.Node) any {
	if n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null" {
		return clip(n.Value)
	}
	return field.OmitValueType{}
}

// quoted is how many characters of a text from the file a message quotes.
const quoted = 63

func clip(s string) string { return clipTo(s, quoted) }

// clipTo keeps a text short, and on one line.
func clipTo(s string, most int) string {
	runes := []rune(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s))
	if len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return string(runes)
}
