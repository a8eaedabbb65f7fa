package audit_test

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/portcullis-dev/portcullis/pkg/audit"
	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rules"
	"github.com/portcullis-dev/portcullis/pkg/source/manifest"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// scene is a cluster that is audited, with a clock that stands still until it is told to step.
type scene struct {
	t       *testing.T
	clock   *clocktesting.FakeClock
	store   *model.Store
	state   atomic.Pointer[model.Snapshot]
	config  atomic.Pointer[config.Config]
	changed chan struct{}
	passes  chan *audit.Results
	auditor *audit.Auditor
	stop    func()
	ended   chan struct{}
}

var start = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func begin(t *testing.T, configuration string, manifests ...string) *scene {
	t.Helper()
	s := &scene{
		t: t, clock: clocktesting.NewFakeClock(start), store: model.NewStore(),
		changed: make(chan struct{}, 1), passes: make(chan *audit.Results, 1), ended: make(chan struct{}),
	}
	s.configure(configuration)
	s.apply(manifests...)
	s.auditor = audit.New(audit.Options{
		Snapshot: func() (*model.Snapshot, bool) { return s.state.Load(), true }, Changed: s.changed,
		Config: s.config.Load, Clock: s.clock, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Publish: func(_ context.Context, r *audit.Results) { s.passes <- r },
	})
	ctx, cancel := context.WithCancel(t.Context())
	s.stop = func() {
		cancel()
		<-s.ended
	}
	go func() {
		defer close(s.ended)
		s.auditor.Run(ctx)
	}()
	t.Cleanup(s.stop)
	return s
}

func (s *scene) configure(text string) {
	c, err := config.Load([]byte(text), "guard.yaml", rules.Catalogue())
	require.NoError(s.t, err)
	s.config.Store(c)
}

// apply applies manifests, and removes by name what begins with "-", as in "-Service shop/web".
func (s *scene) apply(manifests ...string) {
	s.t.Helper()
	for _, m := range manifests {
		if name, gone := strings.CutPrefix(m, "-"); gone {
			kind, rest, _ := strings.Cut(name, " ")
			namespace, name, _ := strings.Cut(rest, "/")
			require.NoError(s.t, s.store.Delete(kind, namespace, name))
			continue
		}
		result, err := manifest.LoadOver(s.t.Context(), s.store, []string{manifest.Stdin}, strings.NewReader(m))
		require.NoError(s.t, err)
		require.Empty(s.t, result.Problems)
	}
	facts := s.config.Load().Facts
	facts.Live = true
	s.state.Store(s.store.Snapshot(facts))
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// next is the next pass, for which the clock steps as far as somebody waits for it.
func (s *scene) next(step time.Duration) *audit.Results {
	s.t.Helper()
	deadline := time.After(2 * time.Minute)
	stepped := false
	for {
		select {
		case r := <-s.passes:
			return r
		case <-deadline:
			require.Fail(s.t, "there was no pass")
		default:
		}
		if s.clock.HasWaiters() && !stepped {
			s.clock.Step(step)
			stepped = true
			continue
		}
		if stepped && s.clock.HasWaiters() {
			s.clock.Step(time.Millisecond)
		}
	}
}

// found are the rules found of an object, with what is done about them.
func found(r *audit.Results, subject string) map[string]verdict.Action {
	out := map[string]verdict.Action{}
	for _, item := range r.Items {
		if item.Subject.String() == subject {
			out[item.Rule] = item.Action
		}
	}
	return out
}

const (
	web = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {selector: {matchLabels: {app: web}},
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: web, ports: [{containerPort: 8443}]}]}}}}`
	openWeb = `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web, namespace: shop%s}, spec: {podSelector: {matchLabels: {app: web}},
  policyTypes: [Ingress], ingress: [{ports: [{port: 8443}]}]}}`
	balanced  = `{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 443, targetPort: 8443}]}}`
	internal  = `{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {type: ClusterIP, selector: {app: web}, ports: [{port: 443, targetPort: 8443}]}}`
	elsewhere = `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: deny, namespace: ops}, spec: {podSelector: {}, policyTypes: [Ingress]}}`
)

func policy(annotations string) string {
	if annotations != "" {
		annotations = ", annotations: {" + annotations + "}"
	}
	return strings.Replace(openWeb, "%s", annotations, 1)
}

func TestIfAServiceStopsBeingALoadBalancerThenThePolicyIsAViolation(t *testing.T) {
	s := begin(t, "", web, policy(""), balanced, elsewhere)
	first := s.next(0)
	assert.True(t, first.Full)
	assert.Equal(t, 1, first.FullPasses)
	assert.NotContains(t, found(first, "shop/web"), "internet-ingress")

	s.apply(internal)
	second := s.next(5 * time.Second)
	assert.False(t, second.Full, "only the namespace that has changed is judged")
	assert.Equal(t, 1, second.FullPasses)
	assert.Equal(t, verdict.ActionDeny, found(second, "shop/web")["internet-ingress"])
	assert.Equal(t, second, s.auditor.Results())

	s.apply("-Deployment shop/web", "-NetworkPolicy shop/web", "-Service shop/web")
	third := s.next(5 * time.Second)
	assert.Empty(t, found(third, "shop/web"), "what is gone is no violation any more")
}

func TestAnItemRemembersWhenItWasFoundFirst(t *testing.T) {
	s := begin(t, "audit: {interval: 1h}", web, policy(""), internal)
	first := s.next(0)
	require.NotEmpty(t, first.Items)
	again := s.next(2 * time.Hour)
	assert.True(t, again.Full)
	assert.Equal(t, 2, again.FullPasses)
	require.Len(t, again.Items, len(first.Items))
	for i := range first.Items {
		assert.Equal(t, first.Items[i].FirstSeen, again.Items[i].FirstSeen)
	}
	assert.Greater(t, again.Finished, first.Finished)
}

func TestIfAClaimIsNotKeptInTimeThenItIsAViolation(t *testing.T) {
	s := begin(t, "{claims: {gracePeriod: 10m}, audit: {interval: 24h}}", web, policy("portcullis.dev/exposed-by: service/web"))
	assert.Equal(t, verdict.ActionProvisional, found(s.next(0), "shop/web")["internet-ingress"])

	due := s.next(10 * time.Minute)
	assert.Equal(t, verdict.ActionDeny, found(due, "shop/web")["internet-ingress"])
	for _, item := range due.Items {
		assert.Equal(t, item.Rule == "internet-ingress", item.Overdue, item.Rule)
	}

	s.apply(balanced)
	assert.NotContains(t, found(s.next(5*time.Second), "shop/web"), "internet-ingress", "a claim that is kept late is kept")
}

func TestIfAnExemptionExpiresThenItIsAViolation(t *testing.T) {
	s := begin(t, "audit: {interval: 24h}", web, internal,
		policy(`portcullis.dev/exempt: internet-ingress, portcullis.dev/exempt-reason: migration, portcullis.dev/exempt-until: "2026-05-05"`))
	assert.Equal(t, verdict.ActionExempt, found(s.next(0), "shop/web")["internet-ingress"])
	later := found(s.next(48*time.Hour), "shop/web")
	assert.Equal(t, verdict.ActionDeny, later["internet-ingress"])
	assert.Equal(t, verdict.ActionDeny, later["invalid-setting"])
}

func TestIfTheConfigurationChangesThenEverythingIsJudgedAgain(t *testing.T) {
	s := begin(t, "", web, policy(""), internal)
	require.Contains(t, found(s.next(0), "shop/web"), "internet-ingress")
	s.configure("rules: {internet-ingress: off}")
	s.apply()
	second := s.next(5 * time.Second)
	assert.True(t, second.Full)
	assert.NotContains(t, found(second, "shop/web"), "internet-ingress")
}

func TestIfNothingHasChangedThenNothingIsJudgedUntilTheInterval(t *testing.T) {
	s := begin(t, "audit: {interval: 1h}", web, policy(""), internal)
	s.next(0)
	s.changed <- struct{}{}
	r := s.next(2 * time.Hour)
	assert.True(t, r.Full, "a change of nothing makes no pass")
}

func TestIfSomethingChangesAllTheTimeThenEverythingIsJudgedAfterTheIntervalAllTheSame(t *testing.T) {
	s := begin(t, "audit: {interval: 24h}", web, policy(""))
	first := s.next(0)
	require.True(t, first.Full)
	for _, m := range []string{internal, balanced, internal} {
		s.apply(m)
		require.False(t, s.next(7*time.Hour).Full, "only what has changed is judged")
	}
	r := s.next(7 * time.Hour)
	assert.True(t, r.Full)
	assert.Less(t, r.Finished.Sub(first.Finished), 40*time.Hour, "the interval is that between full passes")
}

func TestIfTheAuditEndsThenItHasNoResults(t *testing.T) {
	s := begin(t, "", web, policy(""))
	s.next(0)
	require.NotNil(t, s.auditor.Results())
	s.stop()
	assert.Nil(t, s.auditor.Results())
}
