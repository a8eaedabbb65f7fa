package report_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/report"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

func TestWhatIsFoundOfTheClusterIsToldOfTheCluster(t *testing.T) {
	r := report.FromDecided(report.Scope{}, []verdict.Decided{{Action: verdict.ActionWarn, Finding: finding.Finding{
		Rule: "cni-not-enforcing", Level: finding.Restricted, Subject: finding.Subject{Kind: finding.KindCluster, Name: "cluster"}, Message: "Nothing enforces policies.",
	}}}, nil)
	for format, c := range map[string]struct {
		write func(io.Writer) error
		want  string
	}{
		"text":   {func(w io.Writer) error { return r.Text(w, report.TextOptions{}) }, "the cluster\n  WARN cni-not-enforcing"},
		"github": {r.GitHub, "title=cni-not-enforcing in the cluster::"},
		"junit":  {func(w io.Writer) error { return r.JUnit(w, report.JUnitOptions{}) }, `<testcase name="the cluster" classname="cluster"`},
		"sarif":  {func(w io.Writer) error { return r.SARIF(w, report.SARIFOptions{}) }, `"fullyQualifiedName": "the cluster"`},
		"json":   {r.JSON, `"kind": "Cluster",`},
	} {
		t.Run(format, func(t *testing.T) {
			var out bytes.Buffer
			require.NoError(t, c.write(&out))
			assert.Contains(t, out.String(), c.want)
			assert.NotContains(t, out.String(), "Cluster cluster")
		})
	}
}
