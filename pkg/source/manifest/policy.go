package manifest

import (
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/portcullis-dev/portcullis/pkg/model"
)

// policy compiles a NetworkPolicy with what its author wrote, and tells what the API server would refuse of it.
func (in *parsing) policy(it item, o *object, np *networkingv1.NetworkPolicy, content map[string]any) {
	authored := authoredIn(content)
	if np.UID != "" {
		// Not a manifest, but an object as the API server has stored it, defaults included.
		authored = model.AuthoredBy(np)
	}
	o.policy = model.CompilePolicy(np, authored)
	o.policy.Source, o.policy.Lines = o.source, o.lines
	o.policy.KeepObject(np)
	if n := templateIn(it.tree()); n != nil {
		in.problem(in.doc.lineOf(n), "%s is left of a template: render it first, as in helm template CHART | portcullis check -", shorten(n.Value))
		return
	}
	in.refuse(o, refusedPolicy(np))
}

func (in *parsing) refuse(o *object, list refusals) {
	for _, r := range list {
		in.problem(lineFor(o.lines, r.path, o.source.Line), "%s: %s", r.path, r.message)
	}
}

// lineFor is the line of the path, or of the nearest field around it that is there.
func lineFor(lines map[string]int, path string, otherwise int) int {
	for path != "" {
		if line, there := lines[path]; there {
			return line
		}
		path = path[:max(0, lastStep(path))]
	}
	return otherwise
}

func lastStep(path string) int {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '.' || path[i] == '[' {
			return i
		}
	}
	return 0
}

// authoredIn is what the manifest says of the fields that the API server would fill in: null is absent.
func authoredIn(content map[string]any) model.Authored {
	spec, _ := content["spec"].(map[string]any)
	types, _ := spec["policyTypes"].([]any)
	out := model.Authored{Known: true, PolicyTypes: len(types) > 0}
	for _, d := range model.Directions {
		if rules, isList := spec[d.Field()].([]any); isList {
			out.Rules[d] = model.WrittenEmpty
			if len(rules) > 0 {
				out.Rules[d] = model.WrittenRules
			}
		}
	}
	return out
}
