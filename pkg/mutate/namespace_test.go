package mutate_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/mutate"
)

func TestNamespace(t *testing.T) {
	nameOnly := mutate.Config{NamespaceNameLabel: "networking/namespace"}
	add := func(path string, value any) finding.PatchOp {
		return finding.PatchOp{Op: "add", Path: path, Value: value}
	}
	for name, c := range map[string]struct {
		cfg    mutate.Config
		name   string
		labels map[string]string
		want   []finding.PatchOp
		did    []string
	}{
		"if the Namespace has no labels, then it gets labels with its name": {
			nameOnly, "shop", nil,
			[]finding.PatchOp{add("/metadata/labels", map[string]string{"networking/namespace": "shop"})}, []string{mutate.NamespaceNameLabel}},
		"if the label is missing among others, then it is added": {
			nameOnly, "shop", map[string]string{"a": "b"},
			[]finding.PatchOp{add("/metadata/labels/networking~1namespace", "shop")}, []string{mutate.NamespaceNameLabel}},
		"if the label claims another Namespace's name, then it is corrected": {
			nameOnly, "shop", map[string]string{"networking/namespace": "kube-system"},
			[]finding.PatchOp{add("/metadata/labels/networking~1namespace", "shop")}, []string{mutate.NamespaceNameLabel}},
		"if the label is right, then nothing is done": {
			nameOnly, "shop", map[string]string{"networking/namespace": "shop"}, nil, nil},
		"if the name is yet to be made from generateName, then nothing is done": {
			nameOnly, "", nil, nil, nil},
		"if the key is empty, then the mutation is off": {
			mutate.Config{}, "shop", nil, nil, nil},
		"if further labels are configured, then those that are missing are set and the others stay": {
			mutate.Config{NamespaceNameLabel: "n", NamespaceLabels: map[string]string{"team": "none", "env": "dev"}}, "shop", map[string]string{"env": "prod"},
			[]finding.PatchOp{add("/metadata/labels/n", "shop"), add("/metadata/labels/team", "none")},
			[]string{mutate.NamespaceNameLabel, mutate.NamespaceLabels}},
	} {
		t.Run(name, func(t *testing.T) {
			got := mutate.Namespace(c.cfg, c.name, &metav1.ObjectMeta{Name: c.name, Labels: c.labels})
			assert.Equal(t, c.want, got.Patch)
			assert.Equal(t, c.did, got.Mutations)
			assert.Len(t, got.Warnings, len(c.did))
		})
	}
}
