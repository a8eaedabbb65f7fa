package admission

import (
	"encoding/json"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/metrics"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// Keys of the audit annotations, beside those of verdict.AuditAnnotations. The API server puts the name of the webhook before each, so that an audit event has
// networkpolicies.portcullis.dev/decision; a key that has a prefix already it drops.
const (
	auditDecision = "decision"
	auditMode     = "mode"
	auditExempt   = "exempt"
	auditMutated  = "mutated"
)

// outcome is the answer to a review, and what is to be counted and logged once it is given.
type outcome struct {
	body []byte // an AdmissionReview

	resource, operation string // labels of metrics
	dryRun              bool
	decision            metrics.Decision
	denials             []denial
	findings            []counted
	mutations           []string
}

// denial is one rule that denies, or would with another mode.
type denial struct {
	first    finding.Finding
	wouldBe  bool // but for the mode audit
	user     string
	findings int // of the rule
}

type counted struct {
	rule   string
	level  finding.Level
	action string
}

// outcomeOf is the outcome of a review of which nothing is decided yet.
func outcomeOf[New, Old any](r *request[New, Old]) *outcome {
	return &outcome{resource: r.Resource.Resource, operation: r.Operation, dryRun: r.DryRun}
}

// failed is the outcome of a review that is not answered, of which o is known; o may be nil.
func (o *outcome) failed() *outcome {
	if o == nil {
		return &outcome{decision: metrics.Error}
	}
	return &outcome{resource: o.resource, operation: o.operation, dryRun: o.dryRun, decision: metrics.Error}
}

// record counts and logs an answered review. A dry run has no side effects: of its metrics there is only the review itself.
func (h *Handler) record(webhook string, o *outcome, took time.Duration) {
	h.options.Recorder.Review(metrics.Review{
		Webhook: webhook, Resource: o.resource, Operation: o.operation, Decision: o.decision, DryRun: o.dryRun, Duration: took,
	})
	for _, d := range o.denials {
		h.options.Log.Info(deniedText(d.wouldBe), "rule", d.first.Rule, "subject", d.first.Subject.String(), "kind", d.first.Subject.Kind,
			"operation", o.operation, "user", clip(d.user), "path", d.first.Path, "witness", d.first.Witness.String(),
			"findings", d.findings, "dryRun", o.dryRun)
	}
	if o.dryRun {
		return
	}
	for _, d := range o.denials {
		h.options.Recorder.Denial(metrics.Denial{Rule: d.first.Rule, Namespace: o.namespaceOf(&d), WouldBe: d.wouldBe})
	}
	for _, f := range o.findings {
		h.options.Recorder.Finding(f.rule, f.level, f.action)
	}
	for _, m := range o.mutations {
		h.options.Recorder.Mutation(m)
	}
}

func deniedText(wouldBe bool) string {
	if wouldBe {
		return "would be denied"
	}
	return "denied"
}

// namespaceOf is the namespace to count a denial for; none for a Namespace that is not made because of it, as nothing would ever take such
// names off the metrics again.
func (o *outcome) namespaceOf(d *denial) string {
	s := d.first.Subject
	switch {
	case s.Kind != finding.KindNamespace:
		return s.Namespace
	case o.operation == create && !d.wouldBe:
		return ""
	}
	return s.Name
}

// answer is what the API server is told.
type answer struct {
	uid      types.UID
	allowed  bool
	denial   *metav1.Status
	warnings []string
	patch    []finding.PatchOp
	audit    map[string]string
}

func (a *answer) annotate(key, value string) {
	if value == "" {
		return
	}
	if a.audit == nil {
		a.audit = map[string]string{}
	}
	a.audit[key] = value
}

// encode is the AdmissionReview that holds the answer.
func (a *answer) encode() ([]byte, error) {
	response := &admissionv1.AdmissionResponse{
		UID: a.uid, Allowed: a.allowed, Result: a.denial, Warnings: verdict.FitWarnings(a.warnings), AuditAnnotations: a.audit,
	}
	if len(a.patch) > 0 {
		patch, err := json.Marshal(a.patch)
		if err != nil {
			return nil, err
		}
		jsonPatch := admissionv1.PatchTypeJSONPatch
		response.Patch, response.PatchType = patch, &jsonPatch
	}
	review := admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Response: response,
	}
	return json.Marshal(&review)
}
