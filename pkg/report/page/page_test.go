package page_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/report"
	"github.com/portcullis-dev/portcullis/pkg/report/page"
	"github.com/portcullis-dev/portcullis/pkg/rules"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

func written(t *testing.T, p page.Page) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, p.Write(&out))
	return out.String()
}

func policy(namespace, name string) finding.Subject {
	return finding.Subject{Kind: finding.KindNetworkPolicy, Namespace: namespace, Name: name}
}

func decided(action verdict.Action, f finding.Finding) verdict.Decided {
	return verdict.Decided{Finding: f, Action: action}
}

func sample(scope report.Scope, d ...verdict.Decided) page.Page {
	return page.Page{Title: "check", Report: report.FromDecided(scope, d, nil), Rules: rules.Catalogue().All()}
}

var (
	scope  = report.Scope{Namespaces: 2, Policies: 3, Pods: 4}
	denied = decided(verdict.ActionDeny, finding.Finding{
		Rule: "internet-ingress", Level: finding.Baseline, Severity: finding.High, Subject: policy("shop", "web"), Path: "spec.ingress[0]", Message: "Open.",
		Fix: "Close it.", Witness: finding.Witness{From: "8.8.8.8", To: "shop/web", Port: "TCP/80"}, Patch: []finding.PatchOp{{Op: "remove", Path: "/spec/ingress/0"}},
		Source: finding.Source{File: "web.yaml", Line: 7},
	})
	warned = decided(verdict.ActionWarn, finding.Finding{
		Rule: "all-ports", Level: finding.Restricted, Severity: finding.Low, Subject: policy("ops", "agent"), Path: "spec.egress[0]", Message: "Every port.",
	})
	exempt = decided(verdict.ActionExempt, finding.Finding{Rule: "all-ports", Level: finding.Restricted, Subject: policy("kube-system", "dns"), Message: "Every port."})
)

func TestTheSamePageIsTheSameBytes(t *testing.T) {
	p := sample(scope, denied, warned, exempt)
	assert.Equal(t, written(t, p), written(t, p))
}

func TestThePolicyAllowsExactlyTheStyleAndTheScriptOfThePage(t *testing.T) {
	text := written(t, sample(scope, denied))
	content := regexp.MustCompile(`<meta http-equiv="Content-Security-Policy" content="([^"]*)">`).FindStringSubmatch(text)
	require.NotNil(t, content)
	allowed := html.UnescapeString(content[1])
	assert.Contains(t, allowed, "default-src 'none'")
	assert.NotContains(t, allowed, "unsafe")
	for _, element := range []string{"style", "script"} {
		found := regexp.MustCompile(`(?s)<`+element+`>(.*?)</`+element+`>`).FindAllStringSubmatch(text, -1)
		require.Len(t, found, 1)
		sum := sha256.Sum256([]byte(found[0][1]))
		assert.Contains(t, allowed, element+"-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
	}
	assert.NotRegexp(t, `(src|@import|url\()\s*=?\s*["']?(https?:)?//`, text, "nothing is loaded")
}

func TestHostileNamesAreText(t *testing.T) {
	hostile := `</script><script>x</script><img src=x onerror=x>"'{{.}}`
	f := denied
	f.Finding = finding.Finding{
		Rule: hostile, Level: finding.Baseline, Subject: finding.Subject{Kind: hostile, Namespace: hostile, Name: hostile}, Path: hostile, Message: hostile, Fix: hostile,
		Witness: finding.Witness{From: hostile, To: hostile, Port: hostile}, Patch: []finding.PatchOp{{Op: hostile, Path: hostile, Value: hostile}}, Source: finding.Source{File: hostile, Line: 1},
	}
	p := sample(scope, f)
	p.Title, p.Made = hostile, hostile
	p.Report.Problems = []report.Problem{{File: hostile, Message: hostile}}
	p.Line = func(string, int) (string, bool) { return hostile, true }
	text := written(t, p)
	assert.NotContains(t, text, "<img")
	assert.Equal(t, 1, strings.Count(text, "<script"))
	assert.Contains(t, text, html.EscapeString(`<img src=x`))
}

func TestAFindingShowsWhatIsKnownOfIt(t *testing.T) {
	p := sample(scope, denied)
	p.Line = func(file string, line int) (string, bool) {
		return map[int]string{6: "ingress:", 7: "- from: []", 8: "---"}[line], file == "web.yaml" && line >= 6 && line <= 8
	}
	text := html.UnescapeString(written(t, p))
	for _, want := range []string{"NetworkPolicy <b>shop/web</b>", "spec.ingress[0]", "web.yaml:7", "<i>6</i>ingress:", `<span class="hit"><i>7</i>- from: []`, "8.8.8.8", "TCP/80", "Close it.",
		"remove /spec/ingress/0", `[{"op":"remove","path":"/spec/ingress/0"}]`, "Open to the internet"} {
		assert.Contains(t, text, want)
	}
	assert.NotContains(t, text, "<i>8</i>", "what follows belongs to another object")
}

func TestLinksToFindingsHoldWhenOtherFindingsGo(t *testing.T) {
	id := regexp.MustCompile(`<article class="finding" id="(f-[0-9a-f]+(?:-\d+)?)"[^>]* data-rule="internet-ingress"`)
	both, one := id.FindStringSubmatch(written(t, sample(scope, denied, warned))), id.FindStringSubmatch(written(t, sample(scope, denied)))
	require.NotNil(t, both)
	assert.Equal(t, both, one)
	twice := regexp.MustCompile(`<article class="finding" id="([^"]+)"`).FindAllStringSubmatch(written(t, sample(scope, denied, denied)), -1)
	require.Len(t, twice, 2)
	assert.NotEqual(t, twice[0][1], twice[1][1])
}

func TestTheHeadlineSaysTheOutcome(t *testing.T) {
	for want, p := range map[string]page.Page{
		"1 finding is denied at admission.":          sample(scope, denied, warned),
		"2 findings are denied at admission.":        sample(scope, denied, denied),
		"Nothing is denied; 1 finding warns.":        sample(scope, warned, exempt),
		"Nothing is denied, and nothing warns.":      sample(scope, exempt),
		"Nothing found: 3 policies pass every rule.": sample(scope),
		"There is no NetworkPolicy here.":            sample(report.Scope{}),
	} {
		assert.Contains(t, written(t, p), want)
	}
}

func TestWhatStandsInAClusterIsNotDeniedAnyMore(t *testing.T) {
	p := sample(scope, denied)
	p.Made = "2026-07-01T12:00:00Z"
	assert.Contains(t, written(t, p), "1 finding would be denied at admission.")
	empty := sample(report.Scope{})
	empty.Made = p.Made
	assert.Contains(t, written(t, empty), "portcullis generate default-deny")
}

func TestTheOutlookCountsWhatStricterLevelsWouldDeny(t *testing.T) {
	text := written(t, sample(scope, denied, warned, exempt))
	assert.Contains(t, text, "If <b>restricted</b> were enforced everywhere, 2 findings in 2 namespaces would be denied; <b>baseline</b>: 1 in 1")
	assert.Contains(t, text, `<th scope="row">shop</th><td>1</td><td>1</td><td>1</td>`)
	assert.Contains(t, text, `<th scope="row">ops</th><td>0</td><td>0</td><td>1</td>`)
	assert.NotContains(t, text, `<th scope="row">kube-system</th>`, "what is exempt stays exempt")
}

func TestWhatIsDeniedComesFirst(t *testing.T) {
	text := written(t, sample(scope, denied, warned))
	assert.Less(t, strings.Index(text, `data-group="shop"`), strings.Index(text, `data-group="ops"`))
}

func TestWhatIsFoundOfTheClusterIsToldOfTheCluster(t *testing.T) {
	text := written(t, sample(scope, decided(verdict.ActionWarn, finding.Finding{
		Rule: "cni-not-enforcing", Level: finding.Restricted, Subject: finding.Subject{Kind: finding.KindCluster, Name: "cluster"}, Message: "Nothing enforces policies.",
	})))
	assert.Contains(t, text, `<span class="subject"><b>the cluster</b></span>`)
}
