package admission_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portcullis-dev/portcullis/pkg/admission"
	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/rules"
)

// custom is a fixture with one custom rule.
func custom(t *testing.T, expression string, more ...string) *fixture {
	t.Helper()
	f := newFixture(t)
	text := fmt.Sprintf("customRules:\n- id: acme\n  level: baseline\n  message: It is not so\n  fix: Make it so\n  expression: >-\n    %s\n", expression)
	for _, line := range more {
		text += "  " + line + "\n"
	}
	var err error
	f.config, err = config.Load([]byte(text), "guard.yaml", rules.Catalogue())
	require.NoError(t, err)
	f.store.KeepObjects(f.config.Facts.Objects)
	_, err = f.store.Apply(space("shop", nil))
	require.NoError(t, err)
	return f
}

func TestACustomRuleSeesTheRequestAsTheAPIServerSendsIt(t *testing.T) {
	object, old := policy("owner", "storefront"), policy("owner", "checkout")
	object.Annotations = map[string]string{"contact": "x@example.com", "quoted \"\\": "é\n", "portcullis.dev/exposed-by": "service/web"}
	dryRun := true
	for _, expression := range []string{
		"object.metadata.labels.owner == 'storefront' && oldObject.metadata.labels.owner == 'checkout'",
		"object.metadata.annotations.size() == 3 && object.metadata.annotations.contact == 'x@example.com' && !has(oldObject.metadata.annotations)",
		`object.metadata.annotations['quoted "\\'] == 'é\n'`,
		"object.metadata.namespace == 'shop' && namespaceObject.metadata.name == 'shop' && object.spec.policyTypes == ['Ingress']",
		"request.operation == 'UPDATE' && request.dryRun && request.userInfo.username == 'jane' && 'developers' in request.userInfo.groups && request.userInfo.uid == '7'",
	} {
		for text, allowed := range map[string]bool{expression: true, "!(" + expression + ")": false} {
			r := request(t, admissionv1.Update, object, old)
			r.DryRun, r.UserInfo.UID = &dryRun, "7"
			response := custom(t, text).review(admission.ValidatePath, r)
			assert.Equal(t, allowed, response.Allowed, "%s: %+v", text, response.Result)
		}
	}
}

func TestACustomRuleSeesNamespacesAndTheirAnnotations(t *testing.T) {
	object, old := space("lab", map[string]string{"env": "dev"}), space("lab", nil)
	object.Annotations = map[string]string{"contact": "x@example.com"}
	expression := "object.metadata.annotations.contact == 'x@example.com' && !has(oldObject.metadata.annotations) && object.metadata.labels.env == 'dev'"
	for text, allowed := range map[string]bool{expression: true, "!(" + expression + ")": false} {
		response := custom(t, text, "appliesTo: [namespaces]").review(admission.ValidatePath, request(t, admissionv1.Update, object, old))
		assert.Equal(t, allowed, response.Allowed, "%s: %+v", text, response.Result)
	}
}

func TestACustomRuleDeniesWithItsOwnWordsAndRefersToNoPage(t *testing.T) {
	response := custom(t, "has(object.metadata.labels)", "path: metadata.labels").review(admission.ValidatePath, request(t, admissionv1.Create, policy(), nil))
	require.False(t, response.Allowed)
	assert.Equal(t, "NetworkPolicy shop/web violates 1 rule of level \"baseline\":\n- acme at metadata.labels: It is not so. Fix: make it so.", response.Result.Message)
	assert.Equal(t, []metav1.StatusCause{{Type: "acme", Field: "metadata.labels", Message: "It is not so. Fix: make it so."}}, response.Result.Details.Causes)
	assert.Equal(t, "acme", response.AuditAnnotations["rules"])
}

func TestIfACustomRuleFailsThenTheWriteIsLetThroughWithAWarning(t *testing.T) {
	response := custom(t, "object.metadata.labels.owner != ''").review(admission.ValidatePath, request(t, admissionv1.Create, policy(), nil))
	require.True(t, response.Allowed)
	require.Len(t, response.Warnings, 1)
	assert.Equal(t, "portcullis: undetermined: acme: The expression of this rule could not be evaluated: no such key: labels.", response.Warnings[0])
}

func TestIfACustomRuleFailsAndItsFailurePolicyIsFailThenTheWriteIsDenied(t *testing.T) {
	for text, message := range map[string]string{
		"object.metadata.labels.owner != ''": "acme: The expression of this rule failed (no such key: labels), which counts as a violation by its failurePolicy. " +
			"Fix: make it so; if that is done, let the expression test for what may be absent, with has(…) or .?field.",
		"object.metadata.labels.owner != '' || 'platform' in request.userInfo.groups": "acme: The expression of this rule failed (no such key: labels), which counts as a violation by its failurePolicy. ",
	} {
		response := custom(t, text, "failurePolicy: Fail").review(admission.ValidatePath, request(t, admissionv1.Create, policy(), nil))
		require.False(t, response.Allowed)
		assert.Contains(t, response.Result.Message, message)
	}
	response := custom(t, "object.metadata.labels.owner != ''", "failurePolicy: Fail").review(admission.ValidatePath, request(t, admissionv1.Create, policy("owner", "storefront"), nil))
	assert.True(t, response.Allowed)
}

func TestACustomRuleForDeletionsIsAskedAboutThem(t *testing.T) {
	for more, allowed := range map[string]bool{"operations: [DELETE]": false, "operations: [CREATE, UPDATE]": true} {
		response := custom(t, "request.userInfo.username != 'jane'", more).review(admission.ValidatePath, request(t, admissionv1.Delete, nil, policy()))
		assert.Equal(t, allowed, response.Allowed, more)
	}
}

func TestAnExemptionMayNameACustomRule(t *testing.T) {
	f := custom(t, "has(object.metadata.labels)")
	f.authorize = func(authenticationv1.UserInfo, string, string) (bool, error) { return true, nil }
	exempt := policy()
	exempt.Annotations = map[string]string{"portcullis.dev/exempt": "acme", "portcullis.dev/exempt-reason": "It is old"}
	response := f.review(admission.ValidatePath, request(t, admissionv1.Create, exempt, nil))
	require.True(t, response.Allowed, "%+v", response.Result)
	assert.Equal(t, "acme: It is old", response.AuditAnnotations["exempt"])

	exempt.Annotations["portcullis.dev/exempt"] = "acmee"
	response = f.review(admission.ValidatePath, request(t, admissionv1.Create, exempt, nil))
	require.False(t, response.Allowed)
	assert.Contains(t, response.Result.Message, `invalid-setting at metadata.annotations[portcullis.dev/exempt]: There is no rule "acmee". Fix: did you mean acme?`)
}

func TestWithTheRatchetACustomRuleKnowsWhoAsksForTheOldObject(t *testing.T) {
	f := custom(t, "'platform' in request.userInfo.groups || has(object.metadata.labels)")
	f.config.Ratchet = true
	old, object := policy(), policy()
	object.Spec.PodSelector.MatchLabels = map[string]string{"app": "web"}
	response := f.review(admission.ValidatePath, request(t, admissionv1.Update, object, old))
	require.True(t, response.Allowed, "%+v", response.Result)
	require.NotEmpty(t, response.Warnings)
	assert.Contains(t, response.Warnings[0], "let through, as it was so before: acme: It is not so")
}
