package audit_test

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/audit"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// What drifts is what is around a policy; the policy stays as it is.

const (
	team    = `{apiVersion: v1, kind: Namespace, metadata: {name: team, labels: {tier: front}}}`
	retired = `{apiVersion: v1, kind: Namespace, metadata: {name: team, labels: {tier: gone}}}`
	guest   = `{apiVersion: v1, kind: Namespace, metadata: {name: guest}}`
	invited = `{apiVersion: v1, kind: Namespace, metadata: {name: guest, labels: {tier: front}}}`
	client  = `{apiVersion: v1, kind: Pod, metadata: {name: client, namespace: team, labels: {app: client}}, spec: {containers: [{name: main, image: main}]}}`
	// fromFront lets the clients of front namespaces in.
	fromFront = `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web, namespace: shop}, spec: {podSelector: {matchLabels: {app: web}},
  policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchLabels: {tier: front}}, podSelector: {matchLabels: {app: client}}}], ports: [{port: 8443}]}]}}`
)

func TestIfANamespaceIsRelabelledSoThatAPeerMatchesNothingThenThePolicyElsewhereIsJudgedAgain(t *testing.T) {
	s := begin(t, "", web, team, client, fromFront)
	assert.NotContains(t, found(s.next(0), "shop/web"), "peer-matches-nothing")

	s.apply(retired)
	drifted := s.next(5 * time.Second)
	assert.False(t, drifted.Full)
	assert.Contains(t, found(drifted, "shop/web"), "peer-matches-nothing")

	s.apply(team)
	assert.NotContains(t, found(s.next(5*time.Second), "shop/web"), "peer-matches-nothing", "and again when the label is back")
}

func TestIfANamespaceIsRelabelledSoThatAPeerMatchesMoreThenThePolicyElsewhereIsJudgedAgain(t *testing.T) {
	selects := `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web, namespace: shop, annotations: {}}, spec: {podSelector: {matchLabels: {app: web}},
  policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: tier, operator: Exists}]}}], ports: [{port: 8443}]}]}}`
	s := begin(t, "", web, guest, selects)
	assert.Contains(t, found(s.next(0), "shop/web"), "peer-matches-nothing", "nobody is let in")

	s.apply(invited, strings.ReplaceAll(client, "team", "guest"))
	let := s.next(5 * time.Second)
	assert.False(t, let.Full)
	assert.NotContains(t, found(let, "shop/web"), "peer-matches-nothing", "the guest is let in")
}

func TestIfThePodsOfAPeerGoThenThePolicyElsewhereIsJudgedAgain(t *testing.T) {
	s := begin(t, "", web, team, client, fromFront)
	assert.NotContains(t, found(s.next(0), "shop/web"), "peer-matches-nothing")
	s.apply("-Pod team/client")
	assert.Contains(t, found(s.next(5*time.Second), "shop/web"), "peer-matches-nothing")
}

func TestIfANamespaceOfAPeerIsDeletedThenThePolicyElsewhereIsJudgedAgain(t *testing.T) {
	s := begin(t, "", web, team, client, fromFront)
	assert.NotContains(t, found(s.next(0), "shop/web"), "peer-matches-nothing")
	s.apply("-Pod team/client", "-Namespace /team")
	assert.Contains(t, found(s.next(5*time.Second), "shop/web"), "peer-matches-nothing")
}

func TestIfTheOneNamespaceGoesThatASelectorDoesNotMatchThenItIsOpenToAllAndUntilAnotherComes(t *testing.T) {
	const fronts = `{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {tier: front}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: team, labels: {tier: front}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: press, labels: {tier: front}}}`
	s := begin(t, "", web, guest, fronts, client, fromFront)
	assert.NotContains(t, found(s.next(0), "shop/web"), "all-namespaces")

	s.apply("-Namespace /guest")
	open := s.next(5 * time.Second)
	assert.False(t, open.Full)
	assert.Contains(t, found(open, "shop/web"), "all-namespaces")

	s.apply(guest)
	assert.NotContains(t, found(s.next(5*time.Second), "shop/web"), "all-namespaces")
}

func TestIfTheDNSOfTheClusterMovesThenPoliciesThatAllowItByAddressAreJudgedAgain(t *testing.T) {
	const byAddress = `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web, namespace: shop}, spec: {podSelector: {matchLabels: {app: web}},
  policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.0.7.0/24}}], ports: [{port: 53, protocol: UDP}, {port: 53}]}]}}`
	const dns = `{apiVersion: v1, kind: Pod, metadata: {name: dns, namespace: kube-system, labels: {k8s-app: kube-dns}}, spec: {containers: [{name: main, image: main}]},
  status: {podIPs: [{ip: %s}]}}`
	s := begin(t, "cluster: {cni: calico}", web, byAddress, strings.Replace(dns, "%s", "10.0.7.1", 1))
	assert.NotContains(t, found(s.next(0), "shop/web"), "dns-blocked")
	s.apply(strings.Replace(dns, "%s", "10.0.8.1", 1))
	moved := s.next(5 * time.Second)
	assert.False(t, moved.Full)
	assert.Equal(t, verdict.ActionDeny, found(moved, "shop/web")["dns-blocked"])
}

func TestIfNodeLocalDNSCacheMovesThenPoliciesThatAllowItAreJudgedAgain(t *testing.T) {
	const byAddress = `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web, namespace: shop}, spec: {podSelector: {matchLabels: {app: web}},
  policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 169.254.20.10/32}}], ports: [{port: 53, protocol: UDP}, {port: 53}]}]}}`
	const cache = `{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: node-local-dns, namespace: kube-system}, spec: {selector: {matchLabels: {app: c}},
  template: {metadata: {labels: {app: c}}, spec: {hostNetwork: true, containers: [{name: main, image: main, args: [-localip, %s]}]}}}}`
	s := begin(t, "", web, byAddress, strings.Replace(cache, "%s", "169.254.20.10", 1))
	assert.NotContains(t, found(s.next(0), "shop/web"), "dns-blocked")
	s.apply(strings.Replace(cache, "%s", "169.254.25.10", 1))
	assert.Equal(t, verdict.ActionDeny, found(s.next(5*time.Second), "shop/web")["dns-blocked"])
}

func TestIfAPolicyUsesWhatTheCNIIgnoresThenItIsSaidOfTheClusterAtOnce(t *testing.T) {
	s := begin(t, "{cluster: {cni: weave}, rules: {cni-not-enforcing: {withoutEndPort: [weave]}}}", web, balanced, policy(""))
	assert.NotContains(t, found(s.next(0), "cluster"), "cni-not-enforcing")
	s.apply(strings.Replace(policy(""), "port: 8443", "port: 8443, endPort: 8444", 1))
	assert.Contains(t, found(s.next(5*time.Second), "cluster"), "cni-not-enforcing")
}

func TestIfThePodsOfAPolicyGoThenItSelectsNothing(t *testing.T) {
	s := begin(t, "", web, elsewhere, client, policy(""), balanced)
	assert.NotContains(t, found(s.next(0), "shop/web"), "selects-nothing")
	s.apply("-Deployment shop/web")
	assert.Contains(t, found(s.next(5*time.Second), "shop/web"), "selects-nothing")
}

func TestAPolicyFromBeforeWithAnInvalidSettingIsFound(t *testing.T) {
	s := begin(t, "", web, balanced, policy("portcullis.dev/exempt: no-such-rule, portcullis.dev/exempt-reason: migration"))
	assert.Equal(t, verdict.ActionDeny, found(s.next(0), "shop/web")["invalid-setting"])
}

func TestAnExemptionIsListedAndIsNoViolation(t *testing.T) {
	s := begin(t, "", web, internal, policy(`portcullis.dev/exempt: internet-ingress, portcullis.dev/exempt-reason: migration`))
	r := s.next(0)
	i := slices.IndexFunc(r.Items, func(i audit.Item) bool { return i.Rule == "internet-ingress" })
	require.GreaterOrEqual(t, i, 0)
	assert.Equal(t, verdict.ActionExempt, r.Items[i].Action)
	assert.False(t, r.Items[i].Violation())
}

func TestIfANamespaceIsDeletedThenNothingIsFoundInItAnyMore(t *testing.T) {
	s := begin(t, "", web, internal, policy(""), elsewhere,
		`{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {portcullis.dev/enforce: strictest}}}`)
	first := s.next(0)
	assert.Contains(t, found(first, "shop"), "invalid-setting")
	assert.Contains(t, found(first, "shop/web"), "internet-ingress")

	s.apply("-Deployment shop/web", "-Service shop/web", "-NetworkPolicy shop/web", "-Namespace /shop")
	for _, item := range s.next(5 * time.Second).Items {
		assert.NotEqual(t, "shop", item.Subject.Space(), item.Rule)
	}
}

func TestIfAServiceIsRemovedThenThePolicyIsAViolation(t *testing.T) {
	s := begin(t, "", web, policy(""), balanced)
	assert.NotContains(t, found(s.next(0), "shop/web"), "internet-ingress")
	s.apply("-Service shop/web")
	assert.Equal(t, verdict.ActionDeny, found(s.next(5*time.Second), "shop/web")["internet-ingress"])
}

func TestTenThousandFindingsArePublishedByOnePassSortedAndComplete(t *testing.T) {
	const namespaces, policies = 100, 50
	var all []string
	for n := range namespaces {
		ns := "n" + strconv.Itoa(n)
		all = append(all, strings.ReplaceAll(web, "namespace: shop", "namespace: "+ns))
		for p := range policies {
			all = append(all, strings.NewReplacer("name: web,", "name: p"+strconv.Itoa(p)+",", "namespace: shop", "namespace: "+ns).Replace(policy("portcullis.dev/exempt: no-such-rule")))
		}
	}
	s := begin(t, "", strings.Join(all, "\n---\n"))
	r := s.next(0)
	assert.True(t, r.Full)
	assert.True(t, slices.IsSortedFunc(r.Items, func(a, b audit.Item) int { return finding.Compare(a.Finding, b.Finding) }))
	count := map[string]int{}
	for _, item := range r.Items {
		count[item.Rule]++
	}
	assert.Equal(t, namespaces*policies, count["internet-ingress"])
	assert.GreaterOrEqual(t, count["invalid-setting"], namespaces*policies)
	assert.GreaterOrEqual(t, len(r.Items), 10_000)
	assert.Len(t, r.Report().Findings, len(r.Items))
	assert.Empty(t, s.passes, "all of it at once")
}

// TestIfTheLeadIsLostInThePassThenNothingOfItIsSeen has the clock step when the cluster is read: the pass has worked for long, and
// rests after its first namespace.
func TestIfTheLeadIsLostInThePassThenNothingOfItIsSeen(t *testing.T) {
	inOps := strings.NewReplacer("namespace: shop", "namespace: ops")
	s := begin(t, "", web, internal, policy(""), inOps.Replace(web), inOps.Replace(policy("")))
	s.next(0)
	s.stop()
	slow := true
	auditor := audit.New(audit.Options{
		Snapshot: func() (*model.Snapshot, bool) {
			if slow {
				s.clock.Step(time.Minute)
			}
			return s.state.Load(), true
		},
		Changed: s.changed, Config: s.config.Load, Clock: s.clock, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Publish: func(_ context.Context, r *audit.Results) { s.passes <- r },
	})
	run := func() (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			auditor.Run(ctx)
		}()
		return func() {
			cancel()
			<-ended
		}
	}
	stop := run()
	require.Eventually(t, s.clock.HasWaiters, 30*time.Second, time.Millisecond, "the pass rests")
	stop()
	assert.Empty(t, s.passes)
	assert.Nil(t, auditor.Results())

	slow = false
	elected := s.clock.Now()
	stop = run()
	defer stop()
	r := s.next(0)
	assert.True(t, r.Full)
	assert.Equal(t, verdict.ActionDeny, found(r, "shop/web")["internet-ingress"])
	assert.Equal(t, verdict.ActionDeny, found(r, "ops/web")["internet-ingress"], "the namespaces that the lost pass had judged, too")
	for _, item := range r.Items {
		assert.False(t, item.FirstSeen.Before(elected), "nothing is remembered of the lost pass")
	}
	assert.Equal(t, r, auditor.Results())
}
