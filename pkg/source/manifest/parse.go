package manifest

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	kjson "sigs.k8s.io/json"

	"go.yaml.in/yaml/v3"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
)

// parser turns documents into objects. It is immutable, and safe for concurrent use.
type parser struct {
	kinds  kindTable
	shapes *shapes
}

func newParser() *parser { return &parser{kinds: newKindTable(), shapes: newShapes()} }

// parsedDocument is what a document holds.
type parsedDocument struct {
	objects  []object
	problems []Problem
}

// object is one object of a kind that matters.
type object struct {
	kind            *kind
	namespace, name string
	generated       bool // name is only the generateName
	source          finding.Source
	lines           map[string]int // of policies and Namespaces
	digest          [sha256.Size]byte
	decoded         runtime.Object
	policy          *model.Policy // of a NetworkPolicy
}

// parseSafely is parse, but for a document that the YAML library fails on it yields a problem.
func (p *parser) parseSafely(d *document) (out parsedDocument) {
	defer func() {
		if failure := recover(); failure != nil {
			out = parsedDocument{problems: []Problem{{File: d.file, Line: d.line, Message: fmt.Sprintf("cannot be parsed: %v", failure)}}}
		}
	}()
	return p.parse(d)
}

func (p *parser) parse(d *document) parsedDocument {
	if d.failure != nil {
		return parsedDocument{problems: []Problem{*d.failure}}
	}
	t := &yamlText{document: d}
	raw, problem := t.toJSON()
	if problem != nil {
		return parsedDocument{problems: []Problem{*problem}}
	}
	if string(raw) == "null" {
		return parsedDocument{}
	}
	in := parsing{parser: p, doc: t}
	in.value(item{raw: raw, node: t.tree, line: t.firstLine()})
	slices.SortStableFunc(in.out.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return in.out
}

// parsing is the state of parsing one document.
type parsing struct {
	*parser
	doc *yamlText
	out parsedDocument
}

// item is one object, alone in its document or in a list.
type item struct {
	raw  []byte
	node func() *yaml.Node // nil if the document has no tree
	line int
	// apiVersion and kind are those that the list implies, where the item has none.
	apiVersion, kind string
	inList           bool
}

func (in *parsing) problem(line int, format string, args ...any) {
	in.out.problems = append(in.out.problems, Problem{File: in.doc.file, Line: line, Message: fmt.Sprintf(format, args...)})
}

type head struct {
	APIVersion any   `json:"apiVersion"`
	Kind       any   `json:"kind"`
	Items      items `json:"items"`
}

// items is the content of a list, undecoded, or nil if it is none.
type items [][]byte

func (i *items) UnmarshalJSON(data []byte) error {
	var raw []rawValue
	if len(data) == 0 || data[0] != '[' {
		return nil
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(data, &raw); err != nil {
		return err
	}
	*i = make(items, len(raw))
	for n := range raw {
		(*i)[n] = raw[n]
	}
	return nil
}

type rawValue []byte

func (r *rawValue) UnmarshalJSON(data []byte) error {
	*r = append((*r)[:0], data...)
	return nil
}

// value reads one object, or the objects of a list.
func (in *parsing) value(it item) {
	if string(it.raw) == "null" {
		return
	}
	var h head
	if it.raw[0] != '{' || kjson.UnmarshalCaseSensitivePreserveInts(it.raw, &h) != nil {
		in.notAnObject(it, "is not a Kubernetes object, but "+describe(it.raw))
		return
	}
	apiVersion, versionOK := h.APIVersion.(string)
	kindName, kindOK := h.Kind.(string)
	if h.APIVersion == nil && h.Kind == nil && it.kind != "" {
		h.APIVersion, h.Kind = it.apiVersion, it.kind
		apiVersion, kindName, versionOK, kindOK = it.apiVersion, it.kind, true, true
	}
	switch {
	case h.APIVersion == nil && h.Kind == nil:
		in.notAnObject(it, "is not a Kubernetes object: apiVersion and kind are missing")
	case h.Kind == nil || kindName == "" && kindOK:
		in.problem(it.line, "kind is missing")
	case h.APIVersion == nil && kindName != "" || apiVersion == "" && versionOK:
		in.problem(it.line, "apiVersion is missing")
	case !versionOK || !kindOK:
		in.problem(it.line, "apiVersion and kind must be text")
	case strings.HasSuffix(kindName, "List") && h.Items != nil:
		in.list(it, apiVersion, strings.TrimSuffix(kindName, "List"), h.Items)
	default:
		if k := in.kinds.find(apiVersion, kindName); k != nil {
			in.object(it, k, apiVersion)
		} else if message := mistakenPolicy(apiVersion, kindName); message != "" {
			in.problem(it.line, "%s", message)
		}
	}
}

// notAnObject is a problem where the user named the file or an object is expected; a folder holds other YAML as well.
func (in *parsing) notAnObject(it item, message string) {
	if in.doc.named || it.inList {
		in.problem(it.line, "%s", message)
	}
}

func (in *parsing) list(it item, apiVersion, implied string, values items) {
	node := it.tree()
	var nodes []*yaml.Node
	if list := resolve(child(node, "items")); list != nil && list.Kind == yaml.SequenceNode {
		nodes = list.Content
	}
	for i, raw := range values {
		sub := item{raw: raw, line: it.line, apiVersion: apiVersion, kind: implied, inList: true}
		if i < len(nodes) {
			n := resolve(nodes[i])
			sub.line = n.Line + in.doc.line - 1
			sub.node = func() *yaml.Node { return n }
		}
		in.value(sub)
	}
}

func (it *item) tree() *yaml.Node {
	if it.node == nil {
		return nil
	}
	return it.node()
}

// object decodes an object of a kind that matters.
func (in *parsing) object(it item, k *kind, apiVersion string) {
	o := object{kind: k, decoded: k.make(), source: finding.Source{File: in.doc.file, Line: it.line}}
	var err error
	var content map[string]any
	if u, ok := o.decoded.(*unstructured.Unstructured); ok {
		err = kjson.UnmarshalCaseSensitivePreserveInts(it.raw, &u.Object)
		if u.GetKind() == "" {
			u.SetAPIVersion(apiVersion)
			u.SetKind(k.name)
		}
	} else {
		err = kjson.UnmarshalCaseSensitivePreserveInts(it.raw, o.decoded)
	}
	if k.isPolicy() || err != nil {
		if contentErr := kjson.UnmarshalCaseSensitivePreserveInts(it.raw, &content); contentErr != nil {
			in.problem(it.line, "%s cannot be read: %v", k.name, contentErr)
			return
		}
	}
	told := in.tellShape(it, &o, content, err)
	if in.doc.repeated || k.isPolicy() {
		for _, key := range duplicates(it.tree()) {
			in.problem(in.doc.lineOf(key), "%q is there twice, and the last one counts: remove one", key.Value)
		}
	}
	if k.isPolicy() && err != nil {
		return
	}
	meta, ok := o.decoded.(metav1.Object)
	if !ok {
		return
	}
	o.name = meta.GetName()
	if o.name == "" {
		o.name, o.generated = meta.GetGenerateName(), true
	}
	if o.name == "" {
		if !told {
			in.problem(it.line, "%s has no metadata.name", k.name)
		}
		return
	}
	if k.namespaced {
		if o.namespace = meta.GetNamespace(); o.namespace == "" {
			o.namespace = metav1.NamespaceDefault
		}
	}
	o.digest = sha256.Sum256(it.raw)
	if k.isPolicy() || k.isNamespace() {
		o.lines = lineTable(it.tree(), in.doc.line-1)
	}
	switch decoded := o.decoded.(type) {
	case *networkingv1.NetworkPolicy:
		in.policy(it, &o, decoded, content)
	case *corev1.Namespace:
		in.refuse(&o, refusedNamespace(decoded))
	}
	in.out.objects = append(in.out.objects, o)
}

// tellShape adds a problem for each field that does not fit, and one for an error of decoding that none of them explains.
func (in *parsing) tellShape(it item, o *object, content map[string]any, err error) (told bool) {
	if content == nil {
		return false
	}
	mistyped := false
	for _, m := range in.shapes.compare(content, reflect.TypeOf(o.decoded).Elem(), o.kind.isPolicy()) {
		node, line := locate(it.tree(), m.at)
		if line == 0 {
			line = it.line
		} else {
			line += in.doc.line - 1
		}
		if m.unknown {
			in.problem(line, "unknown field %q: %s", m.at.String(), m.hint)
		} else {
			mistyped = true
			in.problem(line, "%s must be %s%s", m.at.String(), m.want, butIs(node, m.want))
		}
		told = true
	}
	if err != nil && !mistyped {
		in.problem(it.line, "%s cannot be read: %v", o.kind.name, err)
		told = true
	}
	return told
}

// butIs says what a node is instead of what is wanted.
func butIs(n *yaml.Node, want string) string {
	switch {
	case n == nil:
		return ""
	case n.Kind == yaml.MappingNode && want == "a list":
		return ", not a mapping: begin its items with a dash"
	case n.Kind == yaml.MappingNode:
		return ", not a mapping"
	case n.Kind == yaml.SequenceNode:
		return ", not a list"
	case want == "text":
		return fmt.Sprintf(": YAML reads %s as a number or a boolean, so write %q", shorten(n.Value), shorten(n.Value))
	}
	return ", not " + shorten(n.Value)
}

func shorten(s string) string {
	if len(s) > 40 {
		return s[:37] + "..."
	}
	return s
}

// describe says what a JSON value is.
func describe(raw []byte) string {
	switch raw[0] {
	case '{':
		return "a mapping that cannot be read"
	case '[':
		return "a list"
	case '"':
		return "text"
	}
	return "the value " + shorten(string(raw))
}
