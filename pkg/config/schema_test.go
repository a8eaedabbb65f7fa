package config_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"
	"sigs.k8s.io/yaml"

	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/rule"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// The JSON schema of the configuration is made of the types in types.go, their comments, the defaults, and the parameters
// of the rules of a catalogue. It is stricter than the loader where YAML has several ways to say a thing: null for what is
// absent, and YAML 1.1's yes and no.

type schema = map[string]any

// generator knows what the types alone do not tell.
type generator struct {
	t        testing.TB
	comments map[string]string // by "Type.Field"
}

func newGenerator(t testing.TB) *generator {
	file, err := parser.ParseFile(token.NewFileSet(), "types.go", nil, parser.ParseComments)
	require.NoError(t, err)
	g := &generator{t: t, comments: map[string]string{}}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if fields, ok := spec.Type.(*ast.StructType); ok {
			for _, f := range fields.Fields.List {
				for _, name := range f.Names {
					g.comments[spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
				}
			}
		}
		return true
	})
	return g
}

func enum[T any](values ...T) schema { return schema{"type": "string", "enum": values} }

// of is the schema of a type.
func (g *generator) of(t reflect.Type) schema {
	switch reflect.New(t).Interface().(type) {
	case *verdict.Mode:
		return enum(verdict.Modes[:]...)
	case *finding.Level:
		return enum(finding.Privileged, finding.Baseline, finding.Restricted)
	case *config.Provider:
		return enum(config.ProviderNone, config.ProviderGKE)
	case *config.Isolation:
		return enum(config.IsolateNone, config.IsolateIngress, config.IsolateAll)
	case *config.Resource:
		return enum(config.ResourcePolicies, config.ResourceNamespaces)
	case *config.Operation:
		return enum(config.OperationCreate, config.OperationUpdate, config.OperationDelete)
	case *config.FailurePolicy:
		return enum(config.FailurePolicyIgnore, config.FailurePolicyFail)
	case *finding.Severity:
		return enum(finding.Info, finding.Low, finding.Medium, finding.High)
	case *config.CustomRule:
		return g.customRule(t)
	case *config.CIDR:
		return schema{"type": "string", "pattern": `^[0-9A-Fa-f:.]+/[0-9]{1,3}$`}
	case *config.Port:
		return schema{"type": "integer", "minimum": 1, "maximum": 65535}
	case *config.NamespaceNameLabel:
		return schema{"anyOf": []schema{{"type": "boolean"}, g.object(t)}}
	case *metav1.Duration:
		return schema{"type": "string", "pattern": `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`}
	case *metav1.LabelSelectorOperator:
		return enum(metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn, metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist)
	case *intstr.IntOrString:
		return schema{"anyOf": []schema{{"type": "integer"}, {"type": "string"}}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return g.of(t.Elem())
	case reflect.Struct:
		return g.object(t)
	case reflect.Map:
		return schema{"type": "object", "additionalProperties": g.of(t.Elem())}
	case reflect.Slice:
		return schema{"type": "array", "items": g.of(t.Elem())}
	case reflect.String:
		return schema{"type": "string"}
	case reflect.Bool:
		return schema{"type": "boolean"}
	case reflect.Int, reflect.Int32, reflect.Int64:
		return schema{"type": "integer"}
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return schema{"type": "integer", "minimum": 0, "maximum": uint64(1)<<t.Bits() - 1}
	case reflect.Float64:
		return schema{"type": "number"}
	}
	require.Fail(g.t, "no schema", "for the type %s", t)
	return nil
}

func (g *generator) object(t reflect.Type) schema {
	described := map[string]string{}
	if documented, ok := reflect.New(t).Interface().(interface{ SwaggerDoc() map[string]string }); ok {
		described = documented.SwaggerDoc()
	}
	properties := schema{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		property := g.of(f.Type)
		text := described[name]
		if comment := g.comments[t.Name()+"."+f.Name]; text == "" && comment != "" && strings.HasPrefix(t.PkgPath(), reflect.TypeFor[config.Config]().PkgPath()) {
			text = strings.TrimSpace(strings.TrimPrefix(comment, f.Name))
			for _, verb := range []string{"is ", "are "} {
				text = strings.TrimPrefix(text, verb)
			}
			text = strings.ToUpper(text[:1]) + text[1:]
		}
		if text != "" {
			property["description"] = text
		}
		properties[name] = property
	}
	return schema{"type": "object", "properties": properties, "additionalProperties": false}
}

// customRule has what the type does not tell: what is required, and the defaults.
func (g *generator) customRule(t reflect.Type) schema {
	out := g.object(t)
	out["required"] = []string{"id", "level", "message", "expression"}
	properties := out["properties"].(schema)
	properties["id"].(schema)["pattern"] = "^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
	properties["level"].(schema)["enum"] = []finding.Level{finding.Baseline, finding.Restricted}
	for _, name := range []string{"id", "message", "expression"} {
		properties[name].(schema)["minLength"] = 1
	}
	for _, name := range []string{"appliesTo", "operations"} {
		properties[name].(schema)["minItems"] = 1
		properties[name].(schema)["uniqueItems"] = true
	}
	properties["severity"].(schema)["default"] = finding.Medium
	properties["failurePolicy"].(schema)["default"] = config.FailurePolicyIgnore
	properties["appliesTo"].(schema)["default"] = []config.Resource{config.ResourcePolicies}
	properties["operations"].(schema)["default"] = []config.Operation{config.OperationCreate, config.OperationUpdate}
	return out
}

// generate is the schema of the whole configuration.
func generate(t testing.TB, cat *rule.Catalogue) schema {
	g := newGenerator(t)
	root := g.object(reflect.TypeFor[config.GuardConfiguration]())
	properties := root["properties"].(schema)
	properties["apiVersion"].(schema)["enum"] = []string{config.APIVersion}
	properties["kind"].(schema)["enum"] = []string{config.Kind}
	properties["rules"] = schema{
		"type": "object", "description": properties["rules"].(schema)["description"], "additionalProperties": false, "properties": g.rules(cat),
	}
	c, err := config.Load(nil, "", cat)
	require.NoError(t, err)
	printed, err := json.Marshal(c.Object)
	require.NoError(t, err)
	var defaults map[string]any
	require.NoError(t, json.Unmarshal(printed, &defaults))
	addDefaults(root, defaults)
	root["$schema"] = "http://json-schema.org/draft-07/schema#"
	root["title"] = "Portcullis " + config.Kind + " " + config.APIVersion
	return root
}

func (g *generator) rules(cat *rule.Catalogue) schema {
	out := schema{}
	for _, r := range cat.All() {
		object := schema{"type": "object", "additionalProperties": false, "properties": schema{}}
		if r.NewSettings != nil {
			object = g.object(reflect.TypeOf(r.NewSettings()).Elem())
		}
		properties := object["properties"].(schema)
		require.NotContains(g.t, properties, "level", "rule %s: a parameter cannot be named level", r.ID)
		for _, p := range r.Doc.Params {
			require.Contains(g.t, properties, p.Name, "rule %s documents a parameter that it does not have", r.ID)
			properties[p.Name].(schema)["description"] = p.Description
		}
		properties["level"] = schema{"enum": []any{"off", false, "baseline", "restricted"}, "description": "The level that the rule belongs to, or off."}
		out[r.ID] = schema{"description": r.Doc.Title, "anyOf": []schema{{"enum": []any{"off", false}}, object}}
	}
	return out
}

// addDefaults puts the default of each field into its schema.
func addDefaults(s schema, value any) {
	for _, alternative := range alternatives(s) {
		properties, ok := alternative["properties"].(schema)
		fields, isObject := value.(map[string]any)
		if !ok || !isObject {
			continue
		}
		for name, v := range fields {
			if property, known := properties[name].(schema); known && v != nil {
				addDefaults(property, v)
			}
		}
		return
	}
	s["default"] = value
}

func alternatives(s schema) []schema {
	if any, ok := s["anyOf"].([]schema); ok {
		return any
	}
	return []schema{s}
}

// validator checks YAML against a schema.
func validator(t testing.TB, s schema) func(text string) error {
	encoded, err := json.Marshal(s)
	require.NoError(t, err)
	var parsed spec.Schema
	require.NoError(t, json.Unmarshal(encoded, &parsed))
	v := validate.NewSchemaValidator(&parsed, nil, "", strfmt.Default)
	return func(text string) error {
		var value any
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			return err
		}
		if result := v.Validate(value); !result.IsValid() {
			return fmt.Errorf("%v", result.Errors)
		}
		return nil
	}
}

func TestTheSchemaTakesWhatTheLoaderTakes(t *testing.T) {
	valid := validator(t, generate(t, catalogue(t)))
	printed, err := load(t, "").YAML()
	require.NoError(t, err)
	for _, text := range []string{"{}", everything, string(printed), "rules: {open-door: off}", "rules: {open-door: \"off\", open-window: {level: off}}", "mutations: {namespaceNameLabel: false}"} {
		load(t, text)
		assert.NoError(t, valid(text), "%s", text)
	}
}

func TestTheSchemaRefusesWhatTheLoaderRefuses(t *testing.T) {
	valid := validator(t, generate(t, catalogue(t)))
	for _, text := range []string{
		"[]", "mod: audit", "mode: 5", "mode: x", "apiVersion: v1", "kind: Pod", "defaults: {enforce: high}", "defaults: {enfore: baseline}", "ratchet: 1",
		"exemptions: {users: bob}", "exemptions: {groups: [1]}", "customRules: [{}]", "isolateNamespaces: egress", "audit: {reports: x}", "audit: {interval: 10}",
		"claims: {gracePeriod: ten}", "rules: {nope: off}", "rules: {open-door: baseline}", "rules: {open-door: {level: privileged}}", "rules: {open-door: {wid: {}}}",
		"rules: {open-door: {wide: {ipv4: x}}}", "rules: {open-door: {ports: [65536]}}", "rules: {open-window: {names: []}}", "rules: {open-door: {labels: {a: 1}}}",
		"mutations: {namespaceNameLabel: {on: true}}", "mutations: {namespaceLabels: {a: 1}}", "cluster: {cidrs: {pods: [10.0.0.0]}}", "cluster: {dns: [{ports: [0]}]}",
		"cluster: {dns: [{podSelector: {matchLabel: {}}}]}", "cluster: {dns: [{namespaceSelector: {matchExpressions: [{key: a, operator: in}]}}]}", "loadBalancer: {provider: aws}",
		"metrics: {namespaceLabel: x}",
	} {
		t.Run(text, func(t *testing.T) {
			_, err := config.Load([]byte(text), "guard.yaml", catalogue(t))
			assert.Error(t, err)
			assert.Error(t, valid(text))
		})
	}
}

func TestTheSchemaDescribesEveryFieldAndKnowsItsDefault(t *testing.T) {
	s := generate(t, catalogue(t))
	fields := fieldsOf(s, "")
	assert.NotEmpty(t, fields)
	for _, f := range fields {
		if !strings.HasPrefix(f.path, "rules.") {
			assert.NotEmpty(t, f.schema["description"], f.path)
		}
	}
	at := func(path string) schema {
		i := slices.IndexFunc(fields, func(f fieldSchema) bool { return f.path == path })
		require.GreaterOrEqual(t, i, 0, path)
		return fields[i].schema
	}
	assert.Equal(t, "enforce", at("mode")["default"])
	assert.Equal(t, "networking/namespace", at("mutations.namespaceNameLabel.key")["default"])
	assert.Equal(t, float64(16), at("rules.open-door.wide.ipv6")["default"])
	assert.Equal(t, "baseline", at("rules.open-door.level")["default"])
	assert.Equal(t, "How much is wide.", at("rules.open-door.wide")["description"])
	assert.NotContains(t, at("cluster.cni"), "default", "what is found in the cluster has none")
}

type fieldSchema struct {
	path   string
	schema schema
}

// fieldsOf are the fields of a schema with their paths, sorted; list items are named [].
func fieldsOf(s schema, path string) []fieldSchema {
	var out []fieldSchema
	for _, a := range alternatives(s) {
		if items, ok := a["items"].(schema); ok {
			out = append(out, fieldsOf(items, path+"[]")...)
		}
		properties, _ := a["properties"].(schema)
		for name, property := range properties {
			below := strings.TrimPrefix(path+"."+name, ".")
			out = append(append(out, fieldSchema{below, property.(schema)}), fieldsOf(property.(schema), below)...)
		}
	}
	slices.SortFunc(out, func(a, b fieldSchema) int { return strings.Compare(a.path, b.path) })
	return out
}
