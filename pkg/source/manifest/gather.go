package manifest

import (
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
)

// objectKey identifies an object in a cluster; API versions of one kind are one.
type objectKey struct{ group, kind, namespace, name string }

func (o *object) key() objectKey {
	group := o.kind.group
	if group == "extensions" {
		group = "apps"
	}
	return objectKey{group, o.kind.name, o.namespace, o.name}
}

// String is the object for people: "NetworkPolicy shop/web".
func (o *object) String() string {
	if o.namespace == "" {
		return o.kind.name + " " + o.name
	}
	return o.kind.name + " " + o.namespace + "/" + o.name
}

// gather puts the objects and problems of all documents into the result, in the order of the input. Of two objects with one
// name the last counts, as when both are applied; that they differ is a problem.
func gather(result *Result, parsed []parsedDocument) {
	last, generated := map[objectKey]*object{}, map[objectKey]int{}
	for i := range parsed {
		result.Problems = append(result.Problems, parsed[i].problems...)
		for j := range parsed[i].objects {
			o := &parsed[i].objects[j]
			if o.generated {
				o.makeName(generated)
			}
			if before := last[o.key()]; before != nil && before.digest != o.digest {
				result.Problems = append(result.Problems, Problem{File: o.source.File, Line: o.source.Line, Message: fmt.Sprintf(
					"%s differs from the one at %s:%d: only this one, the last, counts", o, before.source.File, before.source.Line)})
			}
			last[o.key()] = o
		}
	}
	for i := range parsed {
		for j := range parsed[i].objects {
			switch o := &parsed[i].objects[j]; {
			case last[o.key()] == o:
				result.keep(o)
			case o.policy != nil && o.source != last[o.key()].source:
				if result.Repeated == nil {
					result.Repeated = map[finding.Subject]finding.Source{}
				}
				result.Repeated[o.policy.Subject()] = o.source
			}
		}
	}
}

// makeName makes a name of a generateName: the first object keeps the prefix for its name, and the others get a number.
func (o *object) makeName(made map[objectKey]int) {
	key := o.key()
	made[key]++
	if n := made[key]; n > 1 {
		o.name += strconv.Itoa(n)
	}
	if meta, ok := o.decoded.(interface{ SetName(string) }); ok {
		meta.SetName(o.name)
	}
	if o.policy != nil {
		o.policy.Name = o.name
	}
}

func (r *Result) keep(o *object) {
	r.Objects++
	if o.policy != nil {
		r.Store.SetPolicy(o.policy)
		r.Policies = append(r.Policies, o.policy)
		return
	}
	if ns, isNamespace := o.decoded.(*corev1.Namespace); isNamespace {
		meta := model.NewNamespaceMeta(ns)
		meta.Source, meta.Lines = o.source, o.lines
		meta.KeepObject(ns)
		r.Store.SetNamespace(meta)
		r.Namespaces = append(r.Namespaces, meta)
		return
	}
	if _, err := r.Store.Apply(o.decoded); err != nil {
		r.Problems = append(r.Problems, Problem{File: o.source.File, Line: o.source.Line, Message: err.Error()})
	}
}
