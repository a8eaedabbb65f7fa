package admission_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portcullis-dev/portcullis/pkg/metrics"
	"github.com/portcullis-dev/portcullis/pkg/model"
)

func TestNamespaces(t *testing.T) {
	label := func(key, value string) map[string]string { return map[string]string{key: value} }
	by := func(subResource string, r *admissionv1.AdmissionRequest) *admissionv1.AdmissionRequest {
		r.SubResource = subResource
		return r
	}
	deleting := space("shop", label(model.LabelEnforce, "strict"))
	deleting.DeletionTimestamp = &metav1.Time{Time: time.Unix(1_700_000_000, 0)}
	for name, c := range map[string]struct {
		request  *admissionv1.AdmissionRequest
		decision metrics.Decision
	}{
		"if the labels are fine, then it is allowed": {
			request(t, admissionv1.Create, space("new", label(model.LabelEnforce, "restricted")), nil), metrics.Allowed},
		"if the level is unknown, then it is denied": {
			request(t, admissionv1.Create, space("new", label(model.LabelEnforce, "strict")), nil), metrics.Denied},
		"if an update brings an unknown level, then it is denied": {
			request(t, admissionv1.Update, space("shop", label(model.LabelWarn, "strict")), space("shop", nil)), metrics.Denied},
		"if an unknown level comes with the status, then it is denied": {by("status",
			request(t, admissionv1.Update, space("shop", label(model.LabelEnforce, "strict")), space("shop", nil))), metrics.Denied},
		"if an unknown level comes with the finalizers, then it is denied": {by("finalize",
			request(t, admissionv1.Update, space("shop", label(model.LabelEnforce, "strict")), space("shop", nil))), metrics.Denied},
		"if the status alone changes, then it is not evaluated": {by("status",
			request(t, admissionv1.Update, space("shop", nil), space("shop", nil))), metrics.Skipped},
		"if the unknown level was there before, then it is let through with a warning": {
			request(t, admissionv1.Update, space("shop", map[string]string{model.LabelEnforce: "strict", "a": "b"}), space("shop", label(model.LabelEnforce, "strict"))), metrics.Warned},
		"if no label changes, then it is not evaluated": {
			request(t, admissionv1.Update, space("shop", label(model.LabelEnforce, "strict")), space("shop", label(model.LabelEnforce, "strict"))), metrics.Skipped},
		"if it is being deleted, then it is not evaluated": {
			request(t, admissionv1.Update, deleting, space("shop", nil)), metrics.Skipped},
		"if it is deleted, then nothing is refused": {
			request(t, admissionv1.Delete, nil, space("shop", label(model.LabelEnforce, "strict"))), metrics.Skipped},
		"if it is exempt, then it is let through": {
			request(t, admissionv1.Create, space("exempt", label(model.LabelEnforce, "strict")), nil), metrics.Exempt},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.config.Exemptions.Namespaces = []string{"exempt"}
			got := f.review("/validate", c.request)
			assert.Equal(t, c.decision != metrics.Denied, got.Allowed)
			assert.Equal(t, c.decision, f.counts.last().Decision)
			assert.Equal(t, "namespaces", f.counts.last().Resource)
			if c.decision == metrics.Denied {
				counted := c.request.Name
				if c.request.Operation == admissionv1.Create {
					counted = "" // it is not made
				}
				assert.Equal(t, counted, f.counts.denials[0].Namespace)
				assert.Equal(t, "namespaces", got.Result.Details.Kind)
				assert.Contains(t, got.Result.Details.Causes[0].Field, "metadata.labels[portcullis.dev/")
			}
		})
	}
}

func TestIfAPanicMeetsANamespaceThenItIsAnError(t *testing.T) {
	f := newFixture(t)
	f.config = nil
	w := f.post("/validate", body(t, request(t, admissionv1.Create, space("new", nil), nil)))
	assert.Equal(t, http.StatusInternalServerError, w.Code)
}

// relabelled has policies that violate all-ports, which is a rule of level restricted.
func relabelled(t *testing.T, violating, fine int) *fixture {
	f := newFixture(t)
	for i := range violating + fine {
		np := policy()
		np.Name = fmt.Sprintf("p%02d", i)
		if i < violating {
			np.Labels["all-ports"] = violation
		}
		f.store.SetPolicy(model.CompilePolicy(np, model.Authored{}))
	}
	return f
}

func TestRelabellingToAStricterLevelListsThePoliciesThatViolateIt(t *testing.T) {
	level := func(l string) map[string]string { return map[string]string{model.LabelEnforce: l} }
	t.Run("if some violate it, then they are listed with their rules", func(t *testing.T) {
		got := relabelled(t, 2, 3).review("/validate", request(t, admissionv1.Update, space("shop", level("restricted")), space("shop", nil)))
		require.True(t, got.Allowed)
		assert.Equal(t, []string{
			`portcullis: existing NetworkPolicy shop/p00 violates level "restricted": all-ports`,
			`portcullis: existing NetworkPolicy shop/p01 violates level "restricted": all-ports`,
		}, got.Warnings)
	})
	t.Run("if many violate it, then ten are listed and the rest is counted", func(t *testing.T) {
		got := relabelled(t, 14, 0).review("/validate", request(t, admissionv1.Update, space("shop", level("restricted")), space("shop", nil)))
		require.Len(t, got.Warnings, 11)
		assert.Equal(t, "portcullis: and 4 more existing NetworkPolicies violate it", got.Warnings[10])
	})
	t.Run("if the level is not stricter, then nothing is listed", func(t *testing.T) {
		f := relabelled(t, 2, 0)
		for _, to := range []string{"privileged", "baseline"} {
			assert.Empty(t, f.review("/validate", request(t, admissionv1.Update, space("shop", level(to)), space("shop", nil))).Warnings)
		}
		assert.Empty(t, f.review("/validate", request(t, admissionv1.Update, space("shop", nil), space("shop", level("restricted")))).Warnings)
	})
	t.Run("if a policy is exempt from the rule, then it is not listed", func(t *testing.T) {
		f := relabelled(t, 1, 0)
		np := policy("all-ports", violation)
		np.Annotations[model.AnnotationExempt], np.Annotations[model.AnnotationExemptReason] = "all-ports", "a demo"
		f.store.SetPolicy(model.CompilePolicy(np, model.Authored{}))
		got := f.review("/validate", request(t, admissionv1.Update, space("shop", level("restricted")), space("shop", nil)))
		assert.Len(t, got.Warnings, 1)
	})
}
