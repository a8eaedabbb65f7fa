package admission_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portcullis-dev/portcullis/pkg/metrics"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/mutate"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// lagging gives the fixture a state that is behind: what change does to the store is seen only once the namespace has been read
// again. It yields the namespaces that were.
func (f *fixture) lagging(change func(*model.Store)) *[]string {
	asked := &[]string{}
	newer := model.NewStore()
	newer.SetNamespace(model.NewNamespaceMeta(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}))
	change(newer)
	snapshot := newer.Snapshot(model.Facts{Live: true})
	f.confirm = func(_ context.Context, namespace string) (*model.Snapshot, error) {
		*asked = append(*asked, namespace)
		return snapshot, nil
	}
	return asked
}

func privileged(s *model.Store) {
	s.SetNamespace(model.NewNamespaceMeta(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{model.LabelEnforce: "privileged"}}}))
}

func TestIfTheNamespaceHasChangedSinceThenTheNewStateDecidesInsteadOfADenial(t *testing.T) {
	f := newFixture(t)
	asked := f.lagging(privileged)
	got := f.review("/validate", request(t, admissionv1.Create, policy("internet-ingress", violation), nil))
	assert.True(t, got.Allowed)
	assert.Equal(t, metrics.Warned, f.counts.last().Decision)
	assert.Empty(t, f.counts.denials)
	assert.Equal(t, []string{"shop"}, *asked)
}

func TestIfTheNewStateHasTheViolationTooThenItIsDeniedOnce(t *testing.T) {
	f := newFixture(t)
	f.lagging(func(*model.Store) {})
	got := f.review("/validate", request(t, admissionv1.Create, policy("internet-ingress", violation), nil))
	assert.False(t, got.Allowed)
	assert.Equal(t, []metrics.Denial{{Rule: "internet-ingress", Namespace: "shop"}}, f.counts.denials)
}

func TestIfTheModeIsAuditThenWhatWouldBeDeniedIsConfirmedToo(t *testing.T) {
	f := newFixture(t)
	f.config.Mode = verdict.ModeAudit
	f.lagging(privileged)
	f.review("/validate", request(t, admissionv1.Create, policy("internet-ingress", violation), nil))
	assert.Empty(t, f.counts.denials)
}

func TestIfTheNamespaceHasBegunToTerminateMeanwhileThenNothingIsJudged(t *testing.T) {
	f := newFixture(t)
	f.lagging(func(s *model.Store) {
		s.SetNamespace(model.NewNamespaceMeta(&corev1.Namespace{
			ObjectMeta: metav1.ObjectMeta{Name: "shop"}, Status: corev1.NamespaceStatus{Phase: corev1.NamespaceTerminating},
		}))
	})
	got := f.review("/validate", request(t, admissionv1.Delete, nil, policy("dns-blocked", violation)))
	assert.True(t, got.Allowed)
	assert.Equal(t, metrics.Skipped, f.counts.last().Decision)
}

func TestIfNothingIsDeniedThenNothingIsReadAgain(t *testing.T) {
	f := newFixture(t)
	asked := f.lagging(privileged)
	for _, np := range []*networkingv1.NetworkPolicy{policy(), policy("all-ports", violation), policy("internet-ingress", provisional)} {
		assert.True(t, f.review("/validate", request(t, admissionv1.Create, np, nil)).Allowed)
	}
	assert.Empty(t, *asked)
}

func TestIfTheNamespaceIsNotKnownYetThenItsOwnLabelsDecide(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, f.store.Delete("Namespace", "", "shop"))
	f.lagging(func(s *model.Store) {
		s.SetNamespace(model.NewNamespaceMeta(space("shop", map[string]string{model.LabelEnforce: "restricted", "team": "red"})))
	})
	assert.False(t, f.review("/validate", request(t, admissionv1.Create, policy("all-ports", violation), nil)).Allowed)

	f.config.Mutations = mutate.Config{CopyNamespaceLabels: []string{"team"}}
	got := f.review("/mutate", request(t, admissionv1.Create, policy(), nil))
	assert.JSONEq(t, `[{"op": "add", "path": "/metadata/labels", "value": {"team": "red"}}]`, string(got.Patch))
}

func TestIfTheNamespaceCannotBeReadAgainThenTheDenialStands(t *testing.T) {
	f := newFixture(t)
	f.confirm = func(context.Context, string) (*model.Snapshot, error) {
		return nil, errors.New("the API server is away")
	}
	got := f.review("/validate", request(t, admissionv1.Create, policy("internet-ingress", violation), nil))
	assert.False(t, got.Allowed)
	assert.Contains(t, f.log.String(), "judged by a state that may be behind")
	assert.Contains(t, f.log.String(), "the API server is away")
}

func TestIfReadingAgainTakesTooLongThenTheDenialIsGivenInTime(t *testing.T) {
	f := newFixture(t)
	f.confirm = func(ctx context.Context, _ string) (*model.Snapshot, error) {
		deadline, set := ctx.Deadline()
		require.True(t, set)
		assert.LessOrEqual(t, time.Until(deadline), 500*time.Millisecond)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	r := request(t, admissionv1.Create, policy("internet-ingress", violation), nil)
	assert.False(t, answer(t, f.post("/validate?timeout=1s", body(t, r)), r).Allowed)
}

func TestIfANamespaceIsRelabelledThenPoliciesThatAreNotSeenYetAreListedToo(t *testing.T) {
	f := newFixture(t)
	f.lagging(func(s *model.Store) {
		s.SetPolicy(model.CompilePolicy(policy("all-ports", violation), model.Authored{}))
	})
	got := f.review("/validate", request(t, admissionv1.Update, space("shop", map[string]string{model.LabelEnforce: "restricted"}), space("shop", nil)))
	assert.True(t, got.Allowed)
	assert.Equal(t, []string{`portcullis: existing NetworkPolicy shop/web violates level "restricted": all-ports`}, got.Warnings)
}
