package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// ruleLevels are the levels that a rule may have.
var ruleLevels = [...]RuleLevel{RuleOff, RuleLevel(finding.Baseline.String()), RuleLevel(finding.Restricted.String())}

// levelField is the field of a rule's mapping that is no parameter.
const levelField = "level"

// rules reads the field rules: off alone, or a mapping of the level and the parameters of the rule.
func (d *decoder) rules(n *yaml.Node, into map[string]RuleConfiguration, cat *rule.Catalogue, at *field.Path) {
	ids := make([]string, 0, len(cat.All()))
	for _, r := range cat.All() {
		ids = append(ids, r.ID)
	}
	d.mapping(n, at, child(at), func(key *yaml.Node, at *field.Path, value *yaml.Node) {
		r := cat.Find(key.Value)
		if r == nil {
			hint := "portcullis rules lists those there are"
			if near, ok := model.Nearest(key.Value, ids); ok {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			d.forbid(key, at, "there is no such rule: %s", hint)
			return
		}
		into[r.ID] = d.rule(value, r, at)
	})
}

func (d *decoder) rule(n *yaml.Node, r *rule.Rule, at *field.Path) RuleConfiguration {
	out := ruleDefault(r)
	switch level, alone := switchedOff(n), n.Kind == yaml.ScalarNode; {
	case n.ShortTag() == "!!null":
		return out
	case level:
		out.Level = RuleOff
		return out
	case alone:
		d.add(n, field.TypeInvalid(at, short(n), "must be off, or a mapping as in {level: restricted}"))
		return out
	}
	params := map[string][]int{}
	if out.Params != nil {
		params = fieldsOf(reflect.TypeOf(out.Params).Elem())
	}
	names := append([]string{levelField}, namesOf(params)...)
	before := len(d.problems)
	d.mapping(n, at, child(at), func(key *yaml.Node, at *field.Path, value *yaml.Node) {
		switch {
		case !d.known(key, at, names) || value.ShortTag() == "!!null":
		case key.Value == levelField:
			d.ruleLevel(value, &out.Level, at)
		default:
			d.value(value, reflect.ValueOf(out.Params).Elem().FieldByIndex(params[key.Value]), at)
		}
	})
	if v, ok := out.Params.(rule.Validator); ok && len(d.problems) == before {
		if err := v.Validate(); err != nil {
			for _, line := range strings.Split(err.Error(), "\n") {
				d.forbid(n, at, "%s", line)
			}
		}
	}
	return out
}

func (d *decoder) ruleLevel(n *yaml.Node, into *RuleLevel, at *field.Path) {
	switch level := RuleLevel(n.Value); {
	case switchedOff(n):
		*into = RuleOff
	case n.Kind == yaml.ScalarNode && slices.Contains(ruleLevels[:], level):
		*into = level
	default:
		d.add(n, field.NotSupported(at, short(n), ruleLevels[:]))
	}
}

// switchedOff says whether a value is off: YAML 1.1 reads that word as false, and so do the programs that wrote it.
func switchedOff(n *yaml.Node) bool {
	value, isBool := boolOf(n)
	return isBool && !value || n.Kind == yaml.ScalarNode && n.Value == string(RuleOff)
}

// configured are the rules that are not off, sorted by id.
func configured(rules map[string]RuleConfiguration, cat *rule.Catalogue) []rule.Configured {
	var out []rule.Configured
	for _, r := range cat.All() {
		c := rules[r.ID]
		level, err := finding.ParseLevel(string(c.Level))
		if err != nil { // off
			continue
		}
		out = append(out, rule.Configured{Rule: r, Level: level, Settings: c.Params})
	}
	return out
}
