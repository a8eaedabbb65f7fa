package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/fix"
)

// Content is a file of the input as it is by now, or standard input as it was read.
func (r *Result) Content(file string) ([]byte, error) {
	if file == StdinName {
		return r.stdin, nil
	}
	content, problem := readFile(file)
	if problem != nil {
		return nil, errors.New(problem.Message)
	}
	return content, nil
}

// Text is the content of a file, as what the patches of findings are written into.
type Text struct {
	documents []document
	// parsed are those of the documents that have been asked for, by their index.
	parsed map[int]*fix.Document
	// marks are where byte order marks were left out of the text that the documents are of.
	marks   []int
	failure error
}

// NewText splits a file into its documents.
func NewText(content []byte) *Text {
	t := &Text{parsed: map[int]*fix.Document{}}
	for at := 0; ; {
		n := bytes.Index(content[at:], byteOrderMark)
		if n < 0 {
			break
		}
		if at += n; at == 0 || content[at-1] == '\n' {
			t.marks = append(t.marks, at-len(t.marks)*len(byteOrderMark))
		}
		at += len(byteOrderMark)
	}
	if bytes.Count(content, []byte("\r")) > bytes.Count(content, []byte("\r\n")) {
		t.failure = errors.New("is in a file with lines that end in a carriage return alone: fix it by hand")
		return t
	}
	for _, chunk := range splitYAML(normalise(content)) {
		t.documents = append(t.documents, chunk.splitJSON()...)
	}
	return t
}

// Edits are what does the finding's patch to the content, sorted and without overlap. The subject is looked for where the
// finding's source says. It is not safe for concurrent use. The error says why it cannot be done, in words that follow the subject's name.
func (t *Text) Edits(f *finding.Finding) ([]fix.Edit, error) {
	if t.failure != nil {
		return nil, t.failure
	}
	at := t.at(f.Source.Line)
	// Several JSON values may stand in one line.
	for ; at >= 0; at-- {
		d := &t.documents[at]
		if t.parsed[at] == nil {
			t.parsed[at] = fix.NewDocument(d.text)
		}
		pointer, found, err := d.find(t.parsed[at], f.Subject, f.Source.Line)
		if err != nil {
			return nil, err
		}
		if !found {
			if at > 0 && t.documents[at-1].json && d.line == f.Source.Line {
				continue
			}
			break
		}
		edits, err := t.parsed[at].Edits(pointer, f.Patch)
		if err != nil {
			return nil, err
		}
		return t.inFile(fix.Shift(edits, d.at)), nil
	}
	return nil, fmt.Errorf("is not found at line %d", f.Source.Line)
}

// JSON are the values of a file that holds JSON and nothing else; none of any other.
func (t *Text) JSON() [][]byte {
	var out [][]byte
	for i := range t.documents {
		if !t.documents[i].json {
			return nil
		}
		out = append(out, t.documents[i].text)
	}
	return out
}

// at is the document that the line is in; -1 if there is none.
func (t *Text) at(line int) int {
	at := -1
	for i := range t.documents {
		if t.documents[i].failure == nil && t.documents[i].line <= line {
			at = i
		}
	}
	return at
}

// SizeAt is how many bytes the document has that the line is in: it is parsed for every edit.
func (t *Text) SizeAt(line int) int {
	if at := t.at(line); at >= 0 {
		return len(t.documents[at].text)
	}
	return 0
}

// inFile are edits in the file, of edits in its text without byte order marks.
func (t *Text) inFile(edits []fix.Edit) []fix.Edit {
	shift := func(at int) int {
		before, _ := slices.BinarySearch(t.marks, at+1)
		return at + before*len(byteOrderMark)
	}
	for i := range edits {
		edits[i].Start, edits[i].End = shift(edits[i].Start), shift(edits[i].End)
	}
	return edits
}

// find is the JSON Pointer of an object in the document: of several, the last one that begins at the line or before.
func (d *document) find(parsed *fix.Document, s finding.Subject, line int) (pointer string, found bool, err error) {
	root, err := parsed.Root()
	if err != nil {
		return "", false, err
	}
	var walk func(n *yaml.Node, at, kind string)
	walk = func(n *yaml.Node, at, kind string) {
		if text := scalarIn(n, "kind"); text != "" {
			kind = text
		}
		if list := resolve(child(n, "items")); list != nil && list.Kind == yaml.SequenceNode && strings.HasSuffix(kind, "List") {
			for i, item := range list.Content {
				walk(item, at+"/items/"+strconv.Itoa(i), strings.TrimSuffix(kind, "List"))
			}
			return
		}
		// The first one, and then each that does not begin after the line. The line of an alias's content is that of its anchor.
		if isObject(n, kind, s) && (!found || n.Line+d.line-1 <= line) {
			pointer, found = at, true
		}
	}
	walk(resolve(root), "", "")
	return pointer, found, nil
}

func isObject(n *yaml.Node, kind string, s finding.Subject) bool {
	meta := child(n, "metadata")
	namespace := scalarIn(meta, "namespace")
	if namespace == "" && s.Kind != finding.KindNamespace {
		namespace = "default"
	}
	name := scalarIn(meta, "name")
	generated := scalarIn(meta, "generateName")
	named := name == s.Name || name == "" && generated != "" && strings.HasPrefix(s.Name, generated)
	return kind == s.Kind && named && (namespace == s.Namespace || s.Kind == finding.KindNamespace)
}

func scalarIn(n *yaml.Node, key string) string {
	if value := resolve(child(n, key)); value != nil && value.Kind == yaml.ScalarNode && value.Tag != "!!null" {
		return value.Value
	}
	return ""
}
