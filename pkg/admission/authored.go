package admission

import (
	"bytes"
	"maps"
	"slices"

	json "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portcullis-dev/portcullis/pkg/model"
)

// authoredBy is what the author of the policy wrote, read from the object's annotation and managed fields. old is the policy
// that is replaced; nil if there is none.
func authoredBy(o, old *object, np *networkingv1.NetworkPolicy) (model.Authored, error) {
	if o.settled() {
		return model.Authored{}, nil
	}
	applied, err := o.applied()
	if err != nil {
		return model.Authored{}, err
	}
	manifest, err := o.Metadata.Annotations.manifest()
	if err != nil {
		return model.Authored{}, err
	}
	np.ManagedFields = applied
	np.Annotations = maps.Clone(np.Annotations)
	if np.Annotations == nil {
		np.Annotations = map[string]string{}
	}
	np.Annotations[model.LastApplied] = manifest
	authored := model.AuthoredBy(np)
	if !authored.Known || authored.PolicyTypes || old == nil || old.Spec == nil {
		return authored, nil
	}
	// The manifest has no policyTypes, but this write, which is not an apply of it, may: kubectl edit, patch and replace
	// leave the evidence of the last apply as it was.
	if slices.Equal(old.Spec.PolicyTypes, o.Spec.PolicyTypes) ||
		!bytes.Equal(old.Metadata.Annotations.lastApplied, o.Metadata.Annotations.lastApplied) {
		return authored, nil
	}
	before, err := old.applied()
	if err != nil {
		return model.Authored{}, err
	}
	if !slices.EqualFunc(before, applied, sameFields) {
		return authored, nil
	}
	authored.PolicyTypes = true
	return authored, nil
}

// settled says whether nothing that the author may have written could matter: the manifest has policyTypes, and no section of
// a direction that the object's policyTypes leave out. The manifest is looked at as it stands in the body, where a quote
// within it is a backslash and a quote, and so never one of the quotes of a text within it. kubectl writes it without blanks;
// one in another form is read in full.
func (o *object) settled() bool {
	manifest := o.Metadata.Annotations.lastApplied
	there := len(manifest) > 0
	if there && !bytes.Contains(manifest, []byte(`\"policyTypes\":[\"`)) || len(o.Metadata.ManagedFields) > 0 {
		return false
	}
	for _, d := range model.Directions {
		if there && !slices.Contains(o.Spec.PolicyTypes, networkingv1.PolicyType(d.String())) && bytes.Contains(manifest, []byte(`\"`+d.Field()+`\"`)) {
			return false
		}
	}
	return true
}

// manifest is the manifest that kubectl left; empty if there is none.
func (a *annotations) manifest() (string, error) {
	if len(a.lastApplied) == 0 || a.lastApplied.Kind() == 'n' {
		return "", nil
	}
	text, err := jsontext.AppendUnquote(nil, a.lastApplied)
	if err != nil {
		return "", refuse("metadata.annotations[%s] cannot be read: %w", model.LastApplied, err)
	}
	return string(text), nil
}

// applied are the managed fields of server-side apply. Those of updates are computed after defaulting and prove nothing; they
// are all that most objects have, and their text is not even decoded.
func (o *object) applied() ([]metav1.ManagedFieldsEntry, error) {
	if len(o.Metadata.ManagedFields) == 0 {
		return nil, nil
	}
	var entries []struct {
		Operation   metav1.ManagedFieldsOperationType `json:"operation"`
		Subresource string                            `json:"subresource"`
		FieldsV1    jsontext.Value                    `json:"fieldsV1"`
	}
	if err := json.Unmarshal(o.Metadata.ManagedFields, &entries); err != nil {
		return nil, refuse("metadata.managedFields cannot be read: %w", err)
	}
	var out []metav1.ManagedFieldsEntry
	for _, e := range entries {
		if e.Operation == metav1.ManagedFieldsOperationApply {
			out = append(out, metav1.ManagedFieldsEntry{
				Operation: e.Operation, Subresource: e.Subresource, FieldsV1: metav1.NewFieldsV1(string(e.FieldsV1)),
			})
		}
	}
	return out, nil
}

func sameFields(a, b metav1.ManagedFieldsEntry) bool {
	return a.Subresource == b.Subresource && a.FieldsV1.GetRawString() == b.FieldsV1.GetRawString()
}
