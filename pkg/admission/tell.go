package admission

import (
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portcullis-dev/portcullis/pkg/metrics"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// tell puts the verdict into the answer and into what is counted and logged.
func (j *judged) tell(user authenticationv1.UserInfo, o *outcome, a *answer, group, resource string) {
	o.decision = metrics.Decision(j.Decision())
	for i := range j.Decided {
		d := &j.Decided[i]
		o.findings = append(o.findings, counted{d.Rule, d.Level, string(d.Action)})
		if d.Action == verdict.ActionDeny || d.WouldDeny {
			o.deny(d, user.Username)
		}
	}
	for key, value := range j.AuditAnnotations() {
		a.annotate(key, value)
	}
	if !j.Denied {
		a.warnings = append(j.Warnings(), a.warnings...)
		return
	}
	subject := j.Findings[0].Subject
	a.allowed, a.warnings = false, nil
	a.denial = &metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: j.Message(),
		Details: &metav1.StatusDetails{Name: subject.Name, Group: group, Kind: resource, Causes: j.Causes()},
	}
}

// deny notes a finding that denies, or would: once for each rule.
func (o *outcome) deny(d *verdict.Decided, user string) {
	for i := range o.denials {
		if o.denials[i].first.Rule == d.Rule {
			o.denials[i].findings++
			return
		}
	}
	o.denials = append(o.denials, denial{first: d.Finding, wouldBe: d.WouldDeny, user: user, findings: 1})
}

// add tells one thing more: in a warning, or beside a denial in its message.
func (a *answer) add(text string) {
	if a.denial != nil {
		a.denial.Message += "\n" + text
		return
	}
	a.warnings = append(a.warnings, text)
}
