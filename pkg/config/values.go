package config

import (
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// boolSetter is a struct that true or false alone switches.
type boolSetter interface{ setBool(bool) }

// defaulter is an item of a list that has defaults of its own.
type defaulter interface{ setDefaults() }

// value reads n into the variable. What cannot be read leaves it as it is.
func (d *decoder) value(n *yaml.Node, into reflect.Value, at *field.Path) {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		d.forbid(n, at, "anchors and aliases are not read here: write the value itself")
		return
	}
	if into.Kind() == reflect.Pointer {
		fresh := reflect.New(into.Type().Elem())
		d.value(n, fresh.Elem(), at)
		into.Set(fresh)
		return
	}
	switch target := into.Addr().Interface().(type) {
	case *metav1.Duration:
		d.duration(n, target, at)
		return
	case boolSetter:
		if b, ok := boolOf(n); ok {
			target.setBool(b)
			return
		}
	case encoding.TextUnmarshaler:
		if text, ok := d.text(n, at); ok {
			if err := target.UnmarshalText([]byte(text)); err != nil {
				d.forbid(n, at, "%s", clipTo(err.Error(), 3*quoted))
			}
		}
		return
	case json.Unmarshaler:
		d.json(n, target, at)
		return
	}
	switch into.Kind() {
	case reflect.Struct:
		d.structure(n, into, at)
	case reflect.Map:
		d.dictionary(n, into, at)
	case reflect.Slice:
		d.list(n, into, at)
	case reflect.String:
		if text, ok := d.text(n, at); ok {
			into.SetString(text)
		}
	case reflect.Bool:
		if b, ok := boolOf(n); ok {
			into.SetBool(b)
		} else {
			d.add(n, field.TypeInvalid(at, short(n), "must be true or false, not "+describe(n)))
		}
	case reflect.Interface:
		// Anything goes: what it is for says what is wrong with it.
	default:
		d.number(n, into, at)
	}
}

func (d *decoder) structure(n *yaml.Node, into reflect.Value, at *field.Path) {
	fields := fieldsOf(into.Type())
	names := namesOf(fields)
	d.mapping(n, at, child(at), func(key *yaml.Node, at *field.Path, value *yaml.Node) {
		if d.known(key, at, names) && value.ShortTag() != "!!null" {
			d.value(value, into.FieldByIndex(fields[key.Value]), at)
		}
	})
}

// fieldsOf are the fields of a struct by their names in JSON.
func fieldsOf(t reflect.Type) map[string][]int {
	out := map[string][]int{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.IsExported() && name != "-" && name != "" {
			out[name] = f.Index
		}
	}
	return out
}

func namesOf(fields map[string][]int) []string { return slices.Sorted(maps.Keys(fields)) }

func (d *decoder) dictionary(n *yaml.Node, into reflect.Value, at *field.Path) {
	out := reflect.MakeMap(into.Type())
	d.mapping(n, at, at.Key, func(key *yaml.Node, at *field.Path, value *yaml.Node) {
		element := reflect.New(into.Type().Elem()).Elem()
		d.value(value, element, at)
		out.SetMapIndex(reflect.ValueOf(key.Value).Convert(into.Type().Key()), element)
	})
	if n.Kind == yaml.MappingNode {
		into.Set(out)
	}
}

func (d *decoder) list(n *yaml.Node, into reflect.Value, at *field.Path) {
	if n.Kind != yaml.SequenceNode {
		d.add(n, field.TypeInvalid(at, short(n), "must be a list, not "+describe(n)))
		return
	}
	if len(n.Content) == 0 && into.IsNil() {
		return // as if absent, which is how it is printed
	}
	out := reflect.MakeSlice(into.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		d.lines[at.Index(i).String()] = item.Line
		if element, ok := out.Index(i).Addr().Interface().(defaulter); ok {
			element.setDefaults()
		}
		d.value(item, out.Index(i), at.Index(i))
	}
	into.Set(out)
}

func (d *decoder) text(n *yaml.Node, at *field.Path) (string, bool) {
	// YAML reads 2027-01-31 without quotes as a time; in a configuration it is what is written.
	if n.Kind == yaml.ScalarNode && (n.ShortTag() == "!!str" || n.ShortTag() == "!!timestamp") {
		return n.Value, true
	}
	hint := ""
	if n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null" {
		hint = ": put it in quotes"
	}
	d.add(n, field.TypeInvalid(at, short(n), "must be a string, not "+describe(n)+hint))
	return "", false
}

func (d *decoder) duration(n *yaml.Node, into *metav1.Duration, at *field.Path) {
	parsed, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		d.add(n, field.TypeInvalid(at, short(n), "must be a duration, as in 90s, 10m or 1h30m"))
		return
	}
	into.Duration = parsed
}

func (d *decoder) json(n *yaml.Node, into json.Unmarshaler, at *field.Path) {
	var plain any
	text, err := []byte(nil), n.Decode(&plain)
	if err == nil {
		text, err = json.Marshal(plain)
	}
	if err == nil {
		err = into.UnmarshalJSON(text)
	}
	if err != nil {
		d.add(n, field.TypeInvalid(at, short(n), clipTo(strings.TrimPrefix(err.Error(), "json: "), 3*quoted)))
	}
}

func (d *decoder) number(n *yaml.Node, into reflect.Value, at *field.Path) {
	tag, fresh := n.ShortTag(), reflect.New(into.Type())
	// The decoder takes quoted numbers for numbers, and drops fractions.
	fits := n.Kind == yaml.ScalarNode && (tag == "!!int" || tag == "!!float" && into.CanFloat())
	if fits && n.Decode(fresh.Interface()) == nil {
		into.Set(fresh.Elem())
		return
	}
	want := "must be a number"
	switch {
	case into.CanInt():
		want = "must be a whole number"
	case into.CanUint():
		want = fmt.Sprintf("must be a whole number from 0 to %d", uint64(1)<<into.Type().Bits()-1)
	}
	switch tag {
	case "!!int":
	case "!!float":
		want += ", not a fraction"
	default:
		want += ", not " + describe(n)
	}
	d.add(n, field.TypeInvalid(at, short(n), want))
}
