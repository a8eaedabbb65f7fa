package e2e

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAnOpenIngressOnAPlainPodIsDeniedWithAWitness(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.pod("api", 9090)
	s.refused(policy("api", "api", openIngress), apply,
		`NetworkPolicy $NS/api violates 1 rule of level "baseline":`,
		"- internet-ingress at spec.ingress[0]", "(8.8.8.8 -> $NS/api:9090)", "Fix: ", "See: portcullis rules internet-ingress")
	s.none()
}

func TestTheSameBehindALoadBalancerServiceIsAdmittedEvenIfBothAreAppliedAtOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.pod("api", 9090)
	s.refused(policy("api", "api", openIngress), apply, "internet-ingress")
	service := `apiVersion: v1
kind: Service
metadata: {name: api}
spec: {type: LoadBalancer, selector: {app: api}, ports: [{port: 443, targetPort: 9090}]}
---
`
	warnings := s.admitted(service+policy("api", "api", openIngress), apply)
	assert.NotContains(t, warnings, "internet-ingress")
	assert.NotContains(t, warnings, "external-ingress")
}

func TestTwoHalvesOfTheInternetAreDenied(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.pod("api", 9090)
	s.refused(policy("api", "api", "  ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/1}}, {ipBlock: {cidr: 128.0.0.0/1}}]}]"), apply,
		"internet-ingress at spec.ingress[0]", "-> $NS/api:9090)")
}

func TestAnUpdateThatOpensAnIngressIsDenied(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.pod("api", 9090)
	s.admitted(policy("api", "api", narrowIngress), apply)
	s.refused(policy("api", "api", openIngress), apply, "internet-ingress")
	s.refused("", []string{"patch", "networkpolicy", "api", "--type=json", `--patch=[{"op":"remove","path":"/spec/ingress/0/from"}]`}, "internet-ingress")
	assert.Len(t, s.stored("api").Spec.Ingress[0].From, 1, "the old one stays")
}

func TestEgressWithoutDNSIsDenied(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.pod("api", 9090)
	s.refused(policy("api-to-db", "api", toDatabase), apply, "dns-blocked", "$NS/api")
}

func TestEgressWithAPolicyThatAllowsDNSIsAdmittedEvenIfBothAreAppliedAtOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.pod("api", 9090)
	both := policy("allow-dns", "api", toDNS) + "---\n" + policy("api-to-db", "api", toDatabase)
	assert.NotContains(t, s.admitted(both, apply), "dns-blocked")
}

func TestDeletingTheLastIsolatingPolicyWarns(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.pod("api", 9090)
	s.admitted(policy("api", "api", narrowIngress), apply)
	s.admitted("", []string{"delete", "networkpolicy", "api"}, "Warning: portcullis: unisolates-pods", "$NS/api")
	s.none()
}

func TestWhereRestrictedIsEnforcedDeletingTheLastIsolatingPolicyIsDenied(t *testing.T) {
	t.Parallel()
	s := newScene(t, "portcullis.dev/enforce", "restricted")
	s.pod("api", 9090)
	s.admitted(policy("api", "api", narrowIngress), apply)
	s.refused("", []string{"delete", "networkpolicy", "api"}, "unisolates-pods")
	s.stored("api")
}

func TestWhatADenialSaysIsInTheAuditLogToo(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.pod("api", 9090)
	s.refused(policy("api", "api", openIngress), apply, "internet-ingress")
	s.audited(
		`"networkpolicies.portcullis.dev/decision":"denied"`, `"networkpolicies.portcullis.dev/level":"baseline"`,
		`"networkpolicies.portcullis.dev/mode":"enforce"`, `"networkpolicies.portcullis.dev/rules":"internet-ingress"`)
}

func TestADryRunRequestIsDeniedAndCountsNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.pod("api", 9090)
	dryRun := []string{"apply", "--filename=-", "--dry-run=server"}
	s.refused(policy("api", "api", openIngress), dryRun, "internet-ingress")
	s.admitted(policy("api", "api", narrowIngress), dryRun)
	s.none()
	after := metrics(t)
	assert.Zero(t, after.Sum(`portcullis_denials_total{mode="*",namespace="`+s.namespace+`",rule="*"}`))
	assert.NotZero(t, after.Sum(`portcullis_admission_reviews_total{decision="denied",dry_run="true",operation="CREATE",resource="networkpolicies",webhook="validate"}`))
	s.refused(policy("api", "api", openIngress), apply, "internet-ingress")
	assert.Equal(t, 1.0, metrics(t).Sum(`portcullis_denials_total{mode="enforce",namespace="`+s.namespace+`",rule="internet-ingress"}`))
}

func TestARatchetLetsTheOldViolationStayAndNotGrow(t *testing.T) {
	t.Parallel()
	s := newScene(t, "portcullis.dev/enforce", "privileged")
	s.pod("api", 9090)
	half := "  policyTypes: [Ingress]\n  ingress: [{from: [{ipBlock: {cidr: 128.0.0.0/1}}], ports: [{port: 9090}]}]"
	s.admitted(policy("api", "api", half), apply)
	s.relabelled("privileged", "baseline")
	s.admitted("", []string{"label", "networkpolicy", "api", "team=a"}, "Warning: portcullis: let through, as it was so before: internet-ingress")
	s.refused(policy("api", "api", openIngress), apply, "internet-ingress")
	s.refused(policy("another", "api", half), apply, "internet-ingress")
}

func TestRelabellingANamespaceToAStricterLevelListsThePoliciesThatViolateIt(t *testing.T) {
	t.Parallel()
	s := newScene(t, "portcullis.dev/enforce", "privileged")
	s.pod("api", 9090)
	s.admitted(policy("open", "api", openIngress), apply)
	s.admitted(policy("narrow", "api", narrowIngress), apply)
	warnings := s.relabelled("privileged", "baseline")
	assert.Contains(t, warnings, s.fill(`Warning: portcullis: existing NetworkPolicy $NS/open violates level "baseline": internet-ingress`))
	assert.NotContains(t, warnings, s.fill("NetworkPolicy $NS/narrow"))
	assert.NotContains(t, s.relabelled("baseline", "privileged"), "violates", "to a laxer level nothing is listed")
}
