package admission

import (
	"bytes"
	"slices"
	"strings"

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
	np.ManagedFields = applied
	authored := model.AuthoredBy(np)
	if !authored.Known || authored.PolicyTypes || old == nil || old.Spec == nil {
		return authored, nil
	}
	// The manifest has no policyTypes, but this write, which is not an apply of it, may: kubectl edit, patch and replace
	// leave the evidence of the last apply as it was.
	if slices.Equal(old.Spec.PolicyTypes, o.Spec.PolicyTypes) || old.Metadata.Annotations[model.LastApplied] != o.Metadata.Annotations[model.LastApplied] {
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
// a direction that the object's policyTypes leave out. kubectl writes the manifest without blanks; one in another form is
// read in full. Neither key can be in a text within the manifest, where its quotes would be escaped.
func (o *object) settled() bool {
	manifest, there := o.Metadata.Annotations[model.LastApplied]
	if there && !strings.Contains(manifest, `"policyTypes":["`) {
		return false
	}
	if bytes.Contains(o.Metadata.ManagedFields, []byte(`"Apply"`)) {
		return false
	}
	for _, d := range model.Directions {
		if there && !slices.Contains(o.Spec.PolicyTypes, networkingv1.PolicyType(d.String())) && strings.Contains(manifest, `"`+d.Field()+`"`) {
			return false
		}
	}
	return true
}

// applied are the managed fields of server-side apply. Those of updates are computed after defaulting and prove nothing; they
// are all that most objects have, and their text is not even decoded.
func (o *object) applied() ([]metav1.ManagedFieldsEntry, error) {
	if !bytes.Contains(o.Metadata.ManagedFields, []byte(`"Apply"`)) {
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
