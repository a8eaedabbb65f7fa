package admission

import (
	"context"
	"encoding/json"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
)

// ValidateWith judges a body within the context, without HTTP, and yields the warnings.
func (h *Handler) ValidateWith(ctx context.Context, body []byte) ([]string, error) {
	o, err := h.validate(ctx, body)
	if err != nil {
		return nil, err
	}
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(o.body, &review); err != nil {
		return nil, err
	}
	return review.Response.Warnings, nil
}

// Budget is how long a review with that parameter may take.
func Budget(timeout string) time.Duration { return budget(timeout) }
