package admission_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/portcullis-dev/portcullis/pkg/metrics"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

func endless(p *rule.Pass) {
	for !p.Stopped() {
		runtime.Gosched()
	}
}

func TestARuleThatIsAtItWhenTheTimeIsUpStopsAndNothingIsDecidedByIt(t *testing.T) {
	slow := func() *networkingv1.NetworkPolicy { return policy("dns-blocked", spin, "internet-ingress", crash) }
	for name, c := range map[string]struct {
		path        string
		object, old *networkingv1.NetworkPolicy
	}{
		"at /validate":                       {"/validate", slow(), nil},
		"at /mutate":                         {"/mutate", types(slow(), "Egress"), nil},
		"in the old object, for the ratchet": {"/validate", policy("internet-ingress", violation), slow()},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.config.Mutations.DNSEgress = true
			operation := admissionv1.Create
			if c.old != nil {
				operation = admissionv1.Update
			}
			w := f.post(c.path+"?timeout=100ms", body(t, request(t, operation, c.object, c.old)))
			assert.Equal(t, 500, w.Code)
			assert.Contains(t, w.Body.String(), "within the time", "and the rule after it, which panics, does not run")
			assert.Equal(t, metrics.Error, f.counts.last().Decision)
		})
	}
}

func TestIfARuleTakesTooLongForAPolicyOfARelabelledNamespaceThenTheWarningSaysHowManyWereLookedAt(t *testing.T) {
	f := newFixture(t)
	for _, p := range []struct{ name, does string }{{"a", violation}, {"b", spin}, {"c", violation}} {
		np := policy("internet-ingress", p.does)
		np.Name = p.name
		_, err := f.store.Apply(np)
		require.NoError(t, err)
	}
	old, now := space("shop", map[string]string{"portcullis.dev/enforce": "privileged"}), space("shop", nil)
	r := request(t, admissionv1.Update, now, old)
	got := answer(t, f.post("/validate?timeout=1s", body(t, r)), r)
	assert.True(t, got.Allowed)
	require.Len(t, got.Warnings, 2)
	assert.Contains(t, got.Warnings[0], "shop/a violates")
	assert.Contains(t, got.Warnings[1], "time to look at 1 of 3")
}
