package e2e

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/test/controlplane"
)

// reportDefinitions are the CustomResourceDefinitions of OpenReports.
func reportDefinitions(t *testing.T) string {
	t.Helper()
	dir, err := controlplane.ReportDefinitions(within(t))
	require.NoError(t, err)
	return dir
}

// TestTheAuditWritesEventsAndReports is one of those that run alone: it installs definitions for the whole cluster.
func TestTheAuditWritesEventsAndReports(t *testing.T) {
	s := newScene(t, "portcullis.dev/enforce", "privileged")
	s.reconfigured("ratchet: true\naudit: {reports: true}")
	t.Cleanup(func() { s.reconfigured("ratchet: true") })
	s.admitted(webPods, []string{"apply", "-f", "-"})
	s.admitted(webOpen, []string{"apply", "-f", "-"})
	eventually(t, "there is an Event about the policy", func(context.Context) bool {
		return strings.Contains(s.kubectl("", "get", "events", "--field-selector", "involvedObject.name=web,reason=internet-ingress", "-o", "jsonpath={.items[*].message}").out,
			"accepts TCP/8443 from the internet")
	})
	events := s.kubectl("", "get", "events", "--field-selector", "involvedObject.name=web,reason=internet-ingress", "-o", "name").out
	assert.Len(t, strings.Fields(events), 1, "one for each finding and day")

	s.admitted("", []string{"apply", "-f", reportDefinitions(t)})
	s.admitted("", []string{"wait", "--for=condition=Established", "crd/reports.openreports.io", "crd/clusterreports.openreports.io"})
	named := func() []string {
		return strings.Fields(s.kubectl("", "get", "reports.openreports.io", "-o", "name").out)
	}
	touched := 0
	touch := func() {
		touched++
		s.kubectl("", "annotate", "service", "kubernetes", "--namespace=default", "--overwrite", "e2e/touched="+strings.Repeat("x", touched%7))
	}
	eventually(t, "the definitions are found, and there is a report", func(context.Context) bool {
		touch()
		return len(named()) > 0
	})
	rules := s.kubectl("", "get", named()[0], "-o", "jsonpath={.results[*].policy}").out
	report := s.kubectl("", "get", "reports.openreports.io", "-o", "jsonpath={.items[0].summary.fail}/{.items[0].scope.name}/{.items[0].metadata.ownerReferences[0].kind}/{.items[0].results[*].rule}").out
	assert.True(t, strings.HasPrefix(report, "0/web/NetworkPolicy/") || strings.HasPrefix(report, "1/web/NetworkPolicy/"), report)
	assert.Contains(t, report, "internet-ingress")

	version := func() string {
		return s.kubectl("", "get", named()[0], "-o", "jsonpath={.metadata.resourceVersion}").out
	}
	full := func(interval string) {
		s.reconfigured("ratchet: true\naudit: {reports: true, interval: " + interval + "}")
	} // all is judged anew
	passes := func() int { return strings.Count(wholeLog(t), "the audit has judged all of the cluster") }
	s.admitted("", []string{"patch", named()[0], "--type=merge", "-p", `{"summary":{"skip":77},"results":[]}`})
	full("11m")
	eventually(t, "an edited report is restored", func(context.Context) bool {
		touch()
		return s.kubectl("", "get", named()[0], "-o", "jsonpath={.summary.skip}/{.results[*].policy}").out == "0/"+rules
	})
	restored, before := version(), passes()
	full("1s")
	eventually(t, "all is judged again and again", func(context.Context) bool { return passes() > before+3 })
	assert.Equal(t, restored, version(), "a report that stands as it was written is not written again")

	s.admitted("", []string{"delete", "networkpolicy", "web"})
	eventually(t, "the report is gone with the policy", func(context.Context) bool { return len(named()) == 0 })
	s.admitted("", []string{"delete", "-f", reportDefinitions(t)})
}

func TestADefaultDenyIsKeptWhereTheNamespaceAsksForIt(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	deny := func() string {
		return s.kubectl("", "get", "networkpolicy", "portcullis-default-deny", "--ignore-not-found", "-o", "jsonpath={.spec.policyTypes}{.spec.ingress}").out
	}
	s.admitted("", []string{"label", "namespace", "$NS", "portcullis.dev/isolate=ingress"})
	eventually(t, "the policy is made", func(context.Context) bool { return deny() == `["Ingress"]` })

	s.admitted("", []string{"patch", "networkpolicy", "portcullis-default-deny", "--type=merge", "-p", `{"spec":{"ingress":[{"from":[{"podSelector":{"matchLabels":{"a":"b"}}}]}]}}`})
	eventually(t, "what was edited is restored", func(context.Context) bool { return deny() == `["Ingress"]` || deny() == `["Ingress"][]` })

	s.admitted("", []string{"delete", "networkpolicy", "portcullis-default-deny"})
	eventually(t, "what was deleted is restored", func(context.Context) bool { return strings.HasPrefix(deny(), `["Ingress"]`) })

	labelled := func() bool {
		return s.kubectl("", "get", "networkpolicy", "portcullis-default-deny", "--ignore-not-found", "-o", `jsonpath={.metadata.labels.app\.kubernetes\.io/managed-by}`).out == "portcullis"
	}
	s.admitted("", []string{"label", "networkpolicy", "portcullis-default-deny", "app.kubernetes.io/managed-by-"})
	eventually(t, "its label is put back on", func(context.Context) bool { return labelled() })
	theirs := strings.ReplaceAll(policy("portcullis-default-deny", "nothing", "  policyTypes: [Ingress]"), "metadata: {", "metadata: {labels: {app.kubernetes.io/managed-by: me}, ")
	s.admitted(theirs, []string{"replace", "--force", "-f", "-"})
	eventually(t, "it has its name back from another policy", func(context.Context) bool {
		return labelled() && s.kubectl("", "get", "networkpolicy", "portcullis-default-deny", "-o", "jsonpath={.spec.podSelector}").out == "{}"
	})

	s.admitted("", []string{"label", "namespace", "$NS", "--overwrite", "portcullis.dev/isolate=all"})
	eventually(t, "both directions are isolated, and DNS is open", func(context.Context) bool {
		return strings.HasPrefix(deny(), `["Ingress","Egress"]`) &&
			strings.Contains(s.kubectl("", "get", "networkpolicy", "portcullis-allow-dns", "--ignore-not-found", "-o", "jsonpath={.spec.egress}").out, "kube-dns")
	})

	s.admitted("", []string{"label", "namespace", "$NS", "portcullis.dev/isolate-"})
	eventually(t, "they go with the label", func(context.Context) bool {
		return s.kubectl("", "get", "networkpolicies", "-o", "name").out == ""
	})
}

// TestADefaultDenyHasTheLabelsThatARuleDemands runs alone, as the rule is for the whole cluster.
func TestADefaultDenyHasTheLabelsThatARuleDemands(t *testing.T) {
	const rule = "ratchet: true\ncustomRules: [{id: acme-owner, level: baseline, message: It has no owner, expression: \"'owner' in object.metadata.?labels.orValue({})\"}]\n"
	s := newScene(t, "owner", "payments")
	s.reconfigured(rule)
	t.Cleanup(func() { s.reconfigured("ratchet: true") })
	owner := func() string {
		return s.kubectl("", "get", "networkpolicy", "portcullis-default-deny", "--ignore-not-found", "-o", "jsonpath={.metadata.labels.owner}").out
	}
	s.admitted("", []string{"label", "namespace", "$NS", "portcullis.dev/isolate=ingress"})
	eventually(t, "it is refused, and the log says why", func(context.Context) bool {
		return strings.Contains(logTail(), "the policy cannot be written") && strings.Contains(logTail(), "acme-owner")
	})
	assert.Empty(t, owner())
	s.reconfigured(rule + "mutations: {copyNamespaceLabels: [owner]}")
	eventually(t, "it has the label of the Namespace", func(context.Context) bool { return owner() == "payments" })
}

func TestWhereRestrictedIsEnforcedTheLastPoliciesThatIsolateStay(t *testing.T) {
	t.Parallel()
	s := newScene(t, "portcullis.dev/enforce", "restricted", "portcullis.dev/isolate", "all")
	s.pod("api", 9090)
	names := func() string {
		return s.kubectl("", "get", "networkpolicies", "-o", "jsonpath={.items[*].metadata.name}").out
	}
	const both = "portcullis-allow-dns portcullis-default-deny"
	eventually(t, "both are made", func(context.Context) bool { return names() == both })
	s.admitted("", []string{"label", "namespace", "$NS", "portcullis.dev/isolate-"})
	eventually(t, "the log says why they are not removed", func(context.Context) bool {
		return strings.Contains(wholeLog(t), s.fill(`"the policy cannot be removed","namespace":"$NS"`))
	})
	assert.Equal(t, both, names())
	s.admitted("", []string{"label", "namespace", "$NS", "--overwrite", "portcullis.dev/enforce=baseline"})
	eventually(t, "with the level they go", func(context.Context) bool { return names() == "" })
}

func wholeLog(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(logFile())
	require.NoError(t, err)
	return string(text)
}
