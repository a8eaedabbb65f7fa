package mutate

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portcullis-dev/portcullis/pkg/finding"
)

// Namespace mutates a Namespace as it is about to be written. name is that of the request; it is empty while the API server
// has yet to make one from generateName, and then no label can hold it.
func Namespace(cfg Config, name string, meta *metav1.ObjectMeta) Result {
	var r Result
	if untouchable(meta) {
		return r
	}
	set := labelSetter{labels: maps.Clone(meta.Labels)}
	if key := cfg.NamespaceNameLabel; key != "" && name != "" {
		if old, there := meta.Labels[key]; !there {
			r.add(NamespaceNameLabel, fmt.Sprintf("portcullis: set the label %s=%s, by which NetworkPolicies select this Namespace", key, name), set.set(key, name)...)
		} else if old != name {
			r.add(NamespaceNameLabel, fmt.Sprintf("portcullis: corrected the label %s from %q to %q, the Namespace's name", key, clip(old), name), set.set(key, name)...)
		}
	}
	r.fill(NamespaceLabels, "portcullis: set the labels %s, which this Namespace lacked", &set, cfg.NamespaceLabels)
	return r
}

// fill sets the labels that are missing.
func (r *Result) fill(mutation, format string, set *labelSetter, wanted map[string]string) {
	var ops []finding.PatchOp
	var told []string
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		if _, there := set.labels[key]; there {
			continue
		}
		ops = append(ops, set.set(key, wanted[key])...)
		told = append(told, key+"="+wanted[key])
	}
	if len(ops) > 0 {
		r.add(mutation, fmt.Sprintf(format, clip(strings.Join(told, ","))), ops...)
	}
}

// labelSetter makes the operations that set labels. labels is what they are by then.
type labelSetter struct{ labels map[string]string }

func (s *labelSetter) set(key, value string) []finding.PatchOp {
	if len(s.labels) == 0 {
		s.labels = map[string]string{key: value}
		return []finding.PatchOp{{Op: "add", Path: "/metadata/labels", Value: map[string]string{key: value}}}
	}
	s.labels[key] = value
	// "If the target location specifies an object member that does exist, that member's value is replaced" (RFC 6902, add).
	return []finding.PatchOp{{Op: "add", Path: "/metadata/labels/" + pointerEscaper.Replace(key), Value: value}}
}

// pointerEscaper writes a key as a reference token of a JSON Pointer (RFC 6901).
var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

func untouchable(meta *metav1.ObjectMeta) bool {
	return meta.DeletionTimestamp != nil || metav1.GetControllerOfNoCopy(meta) != nil
}

// clip keeps a text from others short enough for a warning, which is safe up to 256 characters.
func clip(s string) string {
	const most = 120
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
