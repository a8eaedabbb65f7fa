package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
	k8syaml "sigs.k8s.io/yaml"
)

// maxGrowth bounds by how much a document may grow by its aliases, beyond twice its size.
const maxGrowth = 1 << 20

// yamlText is a document while it is parsed. Its values are those of sigs.k8s.io/yaml, which kubectl uses; the lines come from
// a second parse, made only where lines are needed.
type yamlText struct {
	*document
	// repeated is whether some mapping holds a key twice.
	repeated bool

	parsed  bool
	root    *yaml.Node
	failure error
}

// tree is the document with its lines, counted from 1 at the document's first; nil if it has none.
func (t *yamlText) tree() *yaml.Node {
	if !t.parsed {
		t.parsed = true
		var root yaml.Node
		if t.failure = yaml.Unmarshal(t.text, &root); t.failure == nil {
			t.root = resolve(&root)
		}
	}
	return t.root
}

// lineOf is where a node of the tree stands in the file.
func (t *yamlText) lineOf(n *yaml.Node) int { return n.Line + t.line - 1 }

// toJSON is the document's value, or the problem because of which it has none.
func (t *yamlText) toJSON() ([]byte, *Problem) {
	source := t.text
	if t.json {
		return source, t.checkEncoding()
	}
	if problem := t.checkEncoding(); problem != nil {
		return nil, problem
	}
	if problem := t.checkAliases(); problem != nil {
		return nil, problem
	}
	raw, err := k8syaml.YAMLToJSONStrict(source)
	if err != nil && strings.Contains(err.Error(), "already set in map") {
		t.repeated = true
		raw, err = k8syaml.YAMLToJSON(source)
	}
	if err != nil {
		return nil, t.syntaxProblem(err)
	}
	return raw, nil
}

// checkEncoding finds what is no text, as kubectl refuses it.
func (t *yamlText) checkEncoding() *Problem {
	source := t.text
	for at := 0; at < len(source); {
		r, size := rune(source[at]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(source[at:])
		}
		switch {
		case r == utf8.RuneError && size == 1:
			return t.problemAt(t.lineAt(at), "is not UTF-8: save the file as UTF-8")
		case r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f:
			return t.problemAt(t.lineAt(at), "holds a control character ("+strconv.QuoteRuneToASCII(r)+"): remove it")
		}
		at += size
	}
	return nil
}

func (t *yamlText) problemAt(line int, message string) *Problem {
	return &Problem{File: t.file, Line: line, Message: message}
}

// checkAliases refuses documents that grow out of all proportion: "billion laughs".
func (t *yamlText) checkAliases() *Problem {
	source := t.text
	if bytes.IndexByte(source, '&') < 0 || bytes.IndexByte(source, '*') < 0 {
		return nil
	}
	if t.tree(); t.failure != nil {
		return t.syntaxProblem(t.failure)
	}
	limit := 2*len(source) + maxGrowth
	if expandedSize(t.root, limit, map[*yaml.Node]int{}) > limit {
		return t.problemAt(t.firstLine(), "its aliases (*name) stand for more than a MiB, or for themselves: write it without them")
	}
	return nil
}

// firstLine is the line of the document's first key.
func (t *yamlText) firstLine() int {
	line := t.line
	for one := range bytes.Lines(t.text) {
		if isMarker(one, "---") {
			one = one[3:]
		}
		if one = bytes.TrimSpace(one); len(one) > 0 && one[0] != '#' && one[0] != '%' {
			return line
		}
		line++
	}
	return t.line
}

var yamlError = regexp.MustCompile(`^(?:yaml: )?(?:unmarshal errors:\n\s*)?(?:line (\d+): )?(.*)`)

// syntaxProblem says where the YAML library stopped, why, and what to do.
func (t *yamlText) syntaxProblem(err error) *Problem {
	if at := templateAt(t.text); at >= 0 {
		return t.problemAt(t.lineAt(at), "is a template and no YAML yet: render it first, as in helm template CHART | portcullis check -")
	}
	m := yamlError.FindStringSubmatch(err.Error())
	line, message := t.firstLine(), m[2]
	if n, err := strconv.Atoi(m[1]); err == nil {
		line = t.line + n - 1
		if strings.HasPrefix(message, "did not find expected") {
			// The library counts the lines of its scanner from 1, and those of its parser from 0.
			line++
		}
		line = min(line, t.lineAt(len(bytes.TrimRight(t.text, " \t\r\n"))))
	}
	if unsupported := (*json.UnsupportedValueError)(nil); errors.As(err, &unsupported) {
		message = "the number " + unsupported.Str + " cannot be stored"
	} else if strings.HasPrefix(message, "invalid map key") || strings.HasPrefix(message, "unsupported map key") {
		message = "a key is no text"
	}
	return t.problemAt(line, "is not valid YAML: "+message+t.syntaxHint(message, line))
}

// syntaxHint is what usually causes an error of the YAML library.
func (t *yamlText) syntaxHint(message string, line int) string {
	var at []byte
	lines := bytes.Split(t.text, []byte("\n"))
	if n := line - t.line; n >= 0 && n < len(lines) {
		at = lines[n]
	}
	indent := at[:len(at)-len(bytes.TrimLeft(at, " \t"))]
	switch {
	case bytes.IndexByte(indent, '\t') >= 0:
		return " (indented with a tab: use spaces)"
	case strings.Contains(message, "mapping values are not allowed"):
		return " (is the indentation right, and is a text that holds \": \" in quotes?)"
	case strings.Contains(message, "unexpected end of stream"), strings.Contains(message, "unexpected document indicator"):
		return " (a quote or a bracket is not closed)"
	case strings.Contains(message, "did not find expected key"), strings.Contains(message, "could not find expected ':'"),
		strings.Contains(message, "did not find expected '-' indicator"):
		return " (check the indentation here and in the line before)"
	case strings.Contains(message, "cannot start any token"):
		return " (put the text in quotes)"
	}
	return ""
}

func hasTemplate(b []byte) bool { return templateAt(b) >= 0 }

// templateAt is where a template action begins outside of comments; -1 if nowhere.
func templateAt(b []byte) int {
	at := 0
	for line := range bytes.Lines(b) {
		if i := bytes.Index(line, []byte("{{")); i >= 0 && !bytes.HasPrefix(bytes.TrimSpace(line), []byte("#")) {
			return at + i
		}
		at += len(line)
	}
	return -1
}
