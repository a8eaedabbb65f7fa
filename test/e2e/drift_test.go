package e2e

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/finding"
)

// The tests in this file run alone: they restart or reconfigure what the others use.

func TestTheAuditGoesOnAfterTheAPIServerHasRestarted(t *testing.T) {
	s := newScene(t)
	web := finding.Subject{Kind: finding.KindNetworkPolicy, Namespace: s.namespace, Name: "web"}
	s.admitted(webPods, []string{"apply", "-f", "-"})
	s.admitted(webService, []string{"apply", "-f", "-"})
	s.admitted(webOpen, []string{"apply", "-f", "-"})
	eventually(t, "the audit has judged the policy", func(ctx context.Context) bool { return audited(ctx, t, web)["cluster-cidr"] != "" })
	assert.NotContains(t, audited(t.Context(), t, web), "internet-ingress")

	require.NoError(t, shared.cluster.RestartAPIServer(within(t)))
	require.NoError(t, shared.guard.AwaitAsked(within(t), shared.cluster.Admin.Config))
	s.admitted("", []string{"delete", "service", "web"})
	eventually(t, "what has drifted since is in the report", func(ctx context.Context) bool { return audited(ctx, t, web)["internet-ingress"] == "deny" })
}

func TestADryRunOfAViolationLeavesNoEventNoReportAndNoChangeInTheAudit(t *testing.T) {
	s := newScene(t, "portcullis.dev/enforce", "privileged")
	s.reconfigured("ratchet: true\naudit: {reports: true}")
	t.Cleanup(func() { s.reconfigured("ratchet: true") })
	s.admitted("", []string{"apply", "-f", reportDefinitions(t)})
	t.Cleanup(func() { s.admitted("", []string{"delete", "-f", reportDefinitions(t)}) })
	s.admitted("", []string{"wait", "--for=condition=Established", "crd/reports.openreports.io", "crd/clusterreports.openreports.io"})
	s.admitted(webPods, []string{"apply", "-f", "-"})

	s.admitted(webOpen, []string{"apply", "--dry-run=server", "-f", "-"}, "internet-ingress")
	refused := newScene(t)
	refused.admitted(webPods, []string{"apply", "-f", "-"})
	refused.refused(webOpen, []string{"apply", "--dry-run=server", "-f", "-"}, "internet-ingress")

	// Whatever the dry runs had left would be there before what a write after them leaves.
	written := strings.Replace(webOpen, "name: web,", "name: real,", 1)
	s.admitted(written, []string{"apply", "-f", "-"})
	subject := finding.Subject{Kind: finding.KindNetworkPolicy, Namespace: s.namespace, Name: "real"}
	eventually(t, "the audit has judged what was written", func(ctx context.Context) bool { return audited(ctx, t, subject)["internet-ingress"] != "" })
	events := func(s *scene) []string {
		return strings.Fields(s.kubectl("", "get", "events", "--field-selector", "involvedObject.kind=NetworkPolicy", "-o", "jsonpath={.items[*].involvedObject.name}").out)
	}
	reports := func(s *scene) []string {
		return strings.Fields(s.kubectl("", "get", "reports.openreports.io", "-o", "jsonpath={.items[*].scope.name}").out)
	}
	touched := 0
	eventually(t, "there are an Event and a report about what was written", func(context.Context) bool {
		touched++
		s.kubectl("", "annotate", "service", "kubernetes", "--namespace=default", "--overwrite", "e2e/dry="+strings.Repeat("x", touched%7))
		return slices.Contains(events(s), "real") && slices.Contains(reports(s), "real")
	})
	for _, s := range []*scene{s, refused} {
		web := finding.Subject{Kind: finding.KindNetworkPolicy, Namespace: s.namespace, Name: "web"}
		assert.Empty(t, audited(t.Context(), t, web))
		assert.NotContains(t, events(s), "web")
		assert.NotContains(t, reports(s), "web")
	}
}
