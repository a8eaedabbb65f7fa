package manifest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/portcullis-dev/portcullis/pkg/model"
)

// A decoder says that a field is unknown or of the wrong type, but not always where, and never what was meant. Here a value
// is compared with the Go type that it is decoded into, so that a message can say all of it.

// misfit is a field that does not fit its type.
type misfit struct {
	at steps
	// unknown is whether there is no such field; otherwise its value is of the wrong type.
	unknown bool
	want    string // "a list", for a wrong type
	hint    string // what to do about an unknown field
}

// shapes knows the fields of types, and where a NetworkPolicy's fields belong. It is immutable once made.
type shapes struct {
	fields map[reflect.Type]map[string]reflect.Type
	// homes are the places of a NetworkPolicy where a field of that name is known: "spec.ingress[].from[]".
	homes map[string][]string
}

func newShapes() *shapes {
	s := &shapes{fields: map[reflect.Type]map[string]reflect.Type{}, homes: map[string][]string{}}
	policy := reflect.TypeFor[networkingv1.NetworkPolicy]()
	s.settle(policy, "")
	s.homes["apiVersion"], s.homes["kind"] = nil, nil
	return s
}

func (s *shapes) settle(t reflect.Type, place string) {
	switch t.Kind() {
	case reflect.Pointer:
		s.settle(t.Elem(), place)
	case reflect.Slice:
		s.settle(t.Elem(), place+"[]")
	case reflect.Struct:
		if isOpaque(t) {
			return
		}
		fields := fieldsOf(t)
		s.fields[t] = fields
		for name, fieldType := range fields {
			isMeta := place == "metadata" && name != "labels" && name != "annotations" && name != "name" && name != "namespace"
			if place != "" && !isMeta {
				s.homes[name] = append(s.homes[name], place)
			}
			s.settle(fieldType, strings.TrimPrefix(place+"."+name, "."))
		}
	}
	for _, places := range s.homes {
		slices.Sort(places)
	}
}

// fieldsOf are the fields of a struct by their JSON names, those of inlined structs included.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case name == "" && (f.Anonymous || options == "inline"):
			maps.Copy(out, fieldsOf(f.Type))
		case name != "":
			out[name] = f.Type
		}
	}
	return out
}

func isOpaque(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]())
}

// compare lists what of the value does not fit the type. Unknown fields are looked for only if asked.
func (s *shapes) compare(value any, t reflect.Type, unknown bool) []misfit {
	c := comparison{shapes: s, unknown: unknown}
	c.compare(value, t, nil)
	return c.found
}

type comparison struct {
	*shapes
	unknown bool
	found   []misfit
}

func (c *comparison) wrong(at steps, want string) {
	c.found = append(c.found, misfit{at: slices.Clone(at), want: want})
}

func (c *comparison) compare(value any, t reflect.Type, at steps) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if value == nil {
		return
	}
	if isOpaque(t) {
		c.compareOpaque(value, t, at)
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		c.compareStruct(value, t, at)
	case reflect.Map:
		m, ok := value.(map[string]any)
		if !ok {
			c.wrong(at, "a mapping")
			return
		}
		for _, key := range slices.Sorted(maps.Keys(m)) {
			c.compare(m[key], t.Elem(), append(at, step{name: key, mapKey: true}))
		}
	case reflect.Slice:
		items, ok := value.([]any)
		switch {
		case ok:
			for i, item := range items {
				c.compare(item, t.Elem(), append(at, step{index: i}))
			}
		case t.Elem().Kind() == reflect.Uint8:
			if _, isText := value.(string); !isText {
				c.wrong(at, "text")
			}
		default:
			c.wrong(at, "a list")
		}
	case reflect.String:
		if _, ok := value.(string); !ok {
			c.wrong(at, "text")
		}
	case reflect.Bool:
		if _, ok := value.(bool); !ok {
			c.wrong(at, "true or false")
		}
	case reflect.Int, reflect.Int32, reflect.Int64:
		if n, ok := value.(int64); !ok || t.Kind() == reflect.Int32 && (n < math.MinInt32 || n > math.MaxInt32) {
			c.wrong(at, "a whole number")
		}
	}
}

func (c *comparison) compareStruct(value any, t reflect.Type, at steps) {
	m, ok := value.(map[string]any)
	if !ok {
		c.wrong(at, "a mapping")
		return
	}
	fields, known := c.fields[t]
	if !known {
		fields = fieldsOf(t)
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		next := append(at, step{name: key})
		if fieldType, there := fields[key]; there {
			c.compare(m[key], fieldType, next)
		} else if c.unknown {
			c.found = append(c.found, misfit{at: slices.Clone(next), unknown: true, hint: c.hint(key, at, fields)})
		}
	}
}

// compareOpaque compares with the types that decode themselves.
func (c *comparison) compareOpaque(value any, t reflect.Type, at steps) {
	_, isText := value.(string)
	switch t {
	case reflect.TypeFor[intstr.IntOrString]():
		if n, ok := value.(int64); !isText && (!ok || n < math.MinInt32 || n > math.MaxInt32) {
			c.wrong(at, "a number or a name")
		}
	case reflect.TypeFor[metav1.Time](), reflect.TypeFor[metav1.MicroTime]():
		if !isText {
			c.wrong(at, "text")
		}
	}
}

// hint says what may have been meant by an unknown field: the nearest field that is known here, or else the place where
// such a field belongs, or else what is known here.
func (c *comparison) hint(key string, at steps, fields map[string]reflect.Type) string {
	if key == "status" && len(at) == 0 {
		return "NetworkPolicies have none since Kubernetes 1.28, so remove it"
	}
	names := slices.Sorted(maps.Keys(fields))
	if near := nearest(key, names); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if homes := c.homes[key]; len(homes) > 0 {
		here := placeOf(at)
		best := slices.MaxFunc(homes, func(a, b string) int { return cmp.Compare(common(a, here), common(b, here)) })
		return "it belongs in " + best
	}
	if len(names) <= 8 {
		return "known here: " + strings.Join(names, ", ")
	}
	return "remove it"
}

// placeOf is the path without its indexes.
func placeOf(at steps) string {
	out := make(steps, len(at))
	copy(out, at)
	for i := range out {
		if out[i].name == "" {
			out[i] = step{mapKey: true}
		}
	}
	return out.String()
}

func common(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// nearest is the name that the word was probably meant to be, or an anagram of: form for from.
func nearest(word string, names []string) string {
	if near, ok := model.Nearest(word, names); ok {
		return near
	}
	letters := func(s string) []byte { return slices.Sorted(slices.Values([]byte(s))) }
	for _, name := range names {
		if len(word) == len(name) && slices.Equal(letters(word), letters(name)) {
			return name
		}
	}
	return ""
}
