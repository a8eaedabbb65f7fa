package admission

import (
	"context"
	"maps"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/portcullis-dev/portcullis/pkg/metrics"
	"github.com/portcullis-dev/portcullis/pkg/model"
)

// Operations of a review.
const (
	create = "CREATE"
	update = "UPDATE"
	remove = "DELETE"
)

var operations = map[string]model.Operation{create: model.Create, update: model.Update, remove: model.Delete}

// validate answers what is sent to ValidatePath.
func (h *Handler) validate(ctx context.Context, body []byte) (*outcome, error) {
	r, err := decodeAny[*object, *object](body)
	if err != nil {
		return nil, err
	}
	o, a := outcomeOf(r), &answer{uid: r.UID, allowed: true}
	switch kindOf(r.Resource, r.SubResource) {
	case policyKind:
		err = h.validatePolicy(ctx, r, o, a)
	case namespaceKind:
		err = h.validateNamespace(ctx, r, o, a)
	default:
		o.decision = metrics.Skipped
		a.warnings = []string{foreign(r)}
	}
	if err != nil {
		return o, err
	}
	a.annotate(auditDecision, string(o.decision))
	o.body, err = a.encode()
	return o, err
}

// foreign tells whoever set up the webhook that it is asked about something that it does not judge.
func foreign[New, Old any](r *request[New, Old]) string {
	resource := clip(r.Resource.Resource)
	if r.SubResource != "" {
		resource += "/" + clip(r.SubResource)
	}
	return "portcullis judges networkpolicies (networking.k8s.io/v1) and namespaces (v1) only: take " + resource + " (" +
		clip(strings.TrimPrefix(r.Resource.Group+"/"+r.Resource.Version, "/")) + ") off the rules of this webhook"
}

// subjects checks that the objects which the operation needs are there. The new one is nil on DELETE, the old one on CREATE.
func subjects(r *request[*object, *object]) error {
	k := kindOf(r.Resource, r.SubResource)
	switch r.Operation {
	case create, update:
		if err := r.Object.check("object", k); err != nil {
			return err
		}
		if r.Operation == create {
			return nil
		}
		return r.OldObject.check("oldObject", k)
	case remove:
		return r.OldObject.check("oldObject", k)
	}
	return refuse("request.operation is %q: only CREATE, UPDATE and DELETE are judged", clip(r.Operation))
}

// unevaluated says whether a write is let through as it is: an UPDATE that leaves everything that is judged as it was, and every write
// of an object that is being deleted, so that nothing ever keeps a finalizer from being removed. But one that finalizers keep goes on
// to do what its spec says, for as long as its author likes: another spec is judged.
func unevaluated(operation string, object, old *object) bool {
	deleting := object != nil && object.Metadata.DeletionTimestamp != nil || old != nil && old.Metadata.DeletionTimestamp != nil
	if operation != update {
		return deleting
	}
	if deleting && len(object.Metadata.Finalizers) == 0 {
		return true
	}
	return (deleting || sameSettings(&object.Metadata, &old.Metadata)) && equality.Semantic.DeepEqual(object.Spec, old.Spec)
}

func sameSettings(a, b *metadata) bool {
	return maps.Equal(a.Labels, b.Labels) && maps.Equal(a.Annotations.settings, b.Annotations.settings)
}
