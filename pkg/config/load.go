// Package config is the configuration of the guard, GuardConfiguration: strictly read, defaulted, validated, compiled, and
// read again when its file changes. An empty file is a configuration: everything has a default.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation/field"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/mutate"
	"github.com/portcullis-dev/portcullis/pkg/rule"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// Config is a valid configuration, compiled. It is immutable.
type Config struct {
	// Object is the configuration with all defaults, without what options add.
	Object GuardConfiguration
	// Rules are those that are not off, custom ones included, sorted by id.
	Rules []rule.Configured
	// RuleIDs are the ids of all rules, those that are off included, sorted: what an exemption may name.
	RuleIDs []string
	// Facts hold what is configured; what is left empty is to be found in the cluster.
	Facts model.Facts
	// Levels are those of Namespaces without labels.
	Levels  verdict.Levels
	Mode    verdict.Mode
	Ratchet bool
	// Exemptions hold the default namespaces, too, unless they are taken off the list.
	Exemptions verdict.ExemptNames
	Mutations  mutate.Config
	// NamespaceMetrics is whether metrics carry the names of namespaces.
	NamespaceMetrics bool
}

// YAML is the configuration with all defaults; it reads as the same configuration again.
func (c *Config) YAML() ([]byte, error) { return sigsyaml.Marshal(&c.Object) }

// Option adds to a configuration what its file does not say.
type Option func(*options)

type options struct {
	namespace string
	mode      verdict.Mode
}

// OwnNamespace exempts the namespace that Portcullis runs in; empty for none. The configuration's
// exemptions.excludeDefaults takes it off the list again.
func OwnNamespace(name string) Option { return func(o *options) { o.namespace = name } }

// WithMode replaces the mode; empty leaves that of the file.
func WithMode(m verdict.Mode) Option { return func(o *options) { o.mode = m } }

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	File string
	Line int    // counted from 1; 0 if not known
	Path string // of the field; empty for the whole file
	// Message says what is wrong and what is right.
	Message string
}

// String is "guard.yaml:3: mode: ...".
func (p Problem) String() string {
	at := p.File
	if p.Line > 0 {
		at = fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return strings.Join(slices.DeleteFunc([]string{at, p.Path, p.Message}, func(s string) bool { return s == "" }), ": ")
}

// Error is all that is wrong with a configuration, in the order of the file.
type Error struct{ Problems []Problem }

// Error is one line for each problem.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// LoadFile reads the configuration from a file.
func LoadFile(path string, cat *rule.Catalogue, opts ...Option) (*Config, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return Load(data, path, cat, opts...)
}

// readFile never reads more than a little beyond what Load takes.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("%s: there is no such file", path)
	case err != nil:
		return nil, fmt.Errorf("reading the configuration: %w", err)
	case info.IsDir():
		return nil, fmt.Errorf("%s: is a folder: name the file in it", path)
	case info.Size() > maxSize:
		return nil, &Error{Problems: []Problem{{File: path, Message: tooLarge}}}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return data, nil
}

// Load reads a configuration. source is the file's name, for messages. If anything is wrong, the error is an *Error that
// holds every problem.
func Load(data []byte, source string, cat *rule.Catalogue, opts ...Option) (*Config, error) {
	d := decoder{lines: map[string]int{}}
	object := d.read(data, cat)
	custom, errs := compileCustomRules(object.CustomRules, cat, d.told())
	d.tell(errs)
	if len(d.problems) > 0 {
		return nil, d.failure(source)
	}
	return compile(object, custom, cat, opts), nil
}

// read decodes by the version that the file names, and validates.
func (d *decoder) read(data []byte, cat *rule.Catalogue) GuardConfiguration {
	out := Default(cat)
	root := d.document(data)
	if root == nil {
		return out
	}
	header := headerOf(root)
	switch {
	case header.apiVersion != nil && header.apiVersion.Value != APIVersion:
		d.add(header.apiVersion, field.NotSupported(field.NewPath("apiVersion"), short(header.apiVersion), []string{APIVersion}))
		return out
	case header.kind != nil && header.kind.Value != Kind:
		d.add(header.kind, field.NotSupported(field.NewPath("kind"), short(header.kind), []string{Kind}))
		return out
	}
	d.v1alpha1(root, &out, cat)
	d.tell(out.Validate())
	return out
}

// told says of which fields a problem is told.
func (d *decoder) told() map[string]bool {
	out := map[string]bool{}
	for _, p := range d.problems {
		out[p.Field] = true
	}
	return out
}

// tell adds the errors about fields of which nothing is told yet, and that are in nothing which could not be read.
func (d *decoder) tell(errs field.ErrorList) {
	told := d.told()
	var unread []string
	for _, p := range d.problems {
		if p.Type == field.ErrorTypeTypeInvalid {
			unread = append(unread, p.Field+".")
		}
	}
	for _, err := range errs {
		within := func(field string) bool { return strings.HasPrefix(err.Field, field) }
		if !told[err.Field] && !slices.ContainsFunc(unread, within) {
			d.problems = append(d.problems, located{d.lineOf(err.Field), err})
		}
	}
}

// lineOf is where the field stands, or the nearest field around it.
func (d *decoder) lineOf(path string) int {
	for path != "" {
		if line, there := d.lines[path]; there {
			return line
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return 0
}

func (d *decoder) failure(source string) *Error {
	out := &Error{}
	const most = 512
	for _, p := range d.problems {
		path := p.Field
		if path == "<nil>" { // what field.Error makes of the root
			path = ""
		}
		out.Problems = append(out.Problems, Problem{File: source, Line: p.line, Path: clipTo(path, most), Message: clipTo(message(p.Error), most)})
	}
	slices.SortStableFunc(out.Problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Path, b.Path))
	})
	out.Problems = slices.Compact(out.Problems)
	return out
}

// message is the body of a field error, without the type where the detail says it all.
func message(e *field.Error) string {
	if e.Type == field.ErrorTypeForbidden || e.Type == field.ErrorTypeRequired {
		return e.Detail
	}
	if _, omitted := e.BadValue.(field.OmitValueType); omitted {
		return e.Detail
	}
	return e.ErrorBody()
}

// v1alpha1 decodes over the defaults.
func (d *decoder) v1alpha1(root *yaml.Node, out *GuardConfiguration, cat *rule.Catalogue) {
	into := reflect.ValueOf(out).Elem()
	fields := fieldsOf(into.Type())
	names := namesOf(fields)
	d.mapping(root, nil, child(nil), func(key *yaml.Node, at *field.Path, value *yaml.Node) {
		switch {
		case !d.known(key, at, names) || value.ShortTag() == "!!null":
		case key.Value == "rules":
			d.rules(value, out.Rules, cat, at)
		default:
			d.value(value, into.FieldByIndex(fields[key.Value]), at)
		}
	})
}
