package report_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/report"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got))
}

func policy(namespace, name string) finding.Subject {
	return finding.Subject{Kind: finding.KindNetworkPolicy, Namespace: namespace, Name: name}
}

var scope = report.Scope{Namespaces: 3, Policies: 12, Pods: 40}

// decided holds one finding of each action, in no order.
func decided() []verdict.Decided {
	return []verdict.Decided{
		{Finding: finding.Finding{Rule: "policy-types-unset", Level: finding.Restricted, Severity: finding.Low, Subject: policy("shop", "web"), Path: "spec",
			Message: "The manifest leaves policyTypes to be guessed.", Fix: "Write policyTypes: [Ingress].",
			Patch:  []finding.PatchOp{{Op: "add", Path: "/spec/policyTypes", Value: []string{"Ingress"}}},
			Source: finding.Source{File: "web.yaml", Line: 5}}, Action: verdict.ActionWarn},
		{Finding: finding.Finding{Rule: "internet-ingress", Level: finding.Baseline, Severity: finding.High, Subject: policy("shop", "web"), Path: "spec.ingress[0].from[0].ipBlock.cidr",
			Message: "3 pods accept TCP/9090 from the internet, and no LoadBalancer Service, Ingress or Gateway exposes that port.",
			Fix:     "Allow only TCP/8443, which Service shop/web exposes.", Witness: finding.Witness{From: "8.8.8.8", To: "shop/web-6d4", Port: "TCP/9090"}, Pods: 3,
			Patch:  []finding.PatchOp{{Op: "remove", Path: "/spec/ingress/0/from/0"}},
			Source: finding.Source{File: "web.yaml", Line: 14}}, Action: verdict.ActionDeny},
		{Finding: finding.Finding{Rule: "invalid-setting", Level: finding.Baseline, Severity: finding.Medium, Subject: finding.Subject{Kind: finding.KindNamespace, Name: "shop"},
			Path: "metadata.labels[portcullis.dev/enforce]", Message: "\"strict\" is no level.", Fix: "Write privileged, baseline or restricted."}, Action: verdict.ActionAudit},
		{Finding: finding.Finding{Rule: "dns-blocked", Level: finding.Baseline, Severity: finding.High, Subject: policy("ops", "agent"),
			Message: "A pod with app=agent cannot reach DNS.", Witness: finding.Witness{To: "ops/(any pod with app=agent)"}}, Action: verdict.ActionProvisional},
		{Finding: finding.Finding{Rule: "internet-egress", Level: finding.Restricted, Severity: finding.Medium, Subject: policy("ops", "agent"),
			Message: "Whether pods are reached is not known."}, Action: verdict.ActionUndetermined},
		{Finding: finding.Finding{Rule: "all-ports", Level: finding.Restricted, Severity: finding.Medium, Subject: policy("kube-system", "dns"), Path: "spec.ingress[0]",
			Message: "Every port is open."}, Action: verdict.ActionExempt, ExemptReason: "namespace kube-system is exempt"},
	}
}

var problems = []report.Problem{
	{File: "x.yaml", Line: 30, Message: "unknown field \"spec.egres\": did you mean \"egress\"?"},
	{File: "x.yaml", Line: 3, Message: "spec must be a mapping, not <x>"},
	{File: "a.yaml", Message: "there is no such file or folder"},
}

func TestTheJSONReportIsTheContract(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, report.FromDecided(scope, decided(), problems).JSON(&out))
	golden(t, "report.json", out.Bytes())
}

func TestTheJSONReportHasTheFieldsOfTheContractInItsOrder(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, report.FromDecided(scope, decided()[1:2], problems[1:2]).JSON(&out))
	var compact bytes.Buffer
	require.NoError(t, json.Compact(&compact, out.Bytes()))
	assert.Equal(t, `{"apiVersion":"report.portcullis.dev/v1alpha1","kind":"Report",`+
		`"summary":{"namespaces":3,"policies":12,"pods":40,"deny":1,"warn":0,"audit":0,"exempt":0,"provisional":0,"undetermined":0},`+
		`"findings":[{"rule":"internet-ingress","level":"baseline","severity":"high","action":"deny",`+
		`"subject":{"kind":"NetworkPolicy","namespace":"shop","name":"web"},"path":"spec.ingress[0].from[0].ipBlock.cidr",`+
		`"message":"3 pods accept TCP/9090 from the internet, and no LoadBalancer Service, Ingress or Gateway exposes that port.",`+
		`"fix":"Allow only TCP/8443, which Service shop/web exposes.","witness":{"from":"8.8.8.8","to":"shop/web-6d4","port":"TCP/9090"},"pods":3,`+
		`"patch":[{"op":"remove","path":"/spec/ingress/0/from/0"}],"source":{"file":"web.yaml","line":14}}],`+
		`"problems":[{"file":"x.yaml","line":3,"message":"spec must be a mapping, not <x>"}]}`, compact.String())
}

func TestIfTheInputIsTheSameThenTheBytesAre(t *testing.T) {
	var want bytes.Buffer
	require.NoError(t, report.FromDecided(scope, decided(), problems).JSON(&want))
	for seed := range uint64(20) {
		shuffled := decided()
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		var got bytes.Buffer
		require.NoError(t, report.FromDecided(scope, shuffled, problems).JSON(&got))
		require.Equal(t, want.String(), got.String())
	}
}

func TestIfNothingIsFoundThenTheListsAreEmptyAndThere(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, report.FromDecided(report.Scope{}, nil, nil).JSON(&out))
	assert.Contains(t, out.String(), `"findings": [],`)
	assert.Contains(t, out.String(), `"problems": []`)
}

func TestOnlyInAuditModeThereIsWouldDeny(t *testing.T) {
	findings := decided()[1:2]
	findings[0].Action, findings[0].WouldDeny = verdict.ActionWarn, true
	r := report.FromDecided(scope, findings, nil)
	var out, text bytes.Buffer
	require.NoError(t, r.JSON(&out))
	assert.Contains(t, out.String(), "\"action\": \"warn\",\n      \"wouldDeny\": true,")
	require.NoError(t, r.Text(&text, report.TextOptions{}))
	assert.Contains(t, text.String(), "  WOULD DENY internet-ingress")
	out.Reset()
	require.NoError(t, report.FromDecided(scope, decided(), nil).JSON(&out))
	assert.NotContains(t, out.String(), "wouldDeny")
}

func lines(file string, line int) (string, bool) {
	text, ok := map[int]string{5: "spec:", 14: "        cidr: 0.0.0.0/0\t# \x1b[2Jall"}[line]
	return text, ok && file == "web.yaml"
}

func TestTheTextIsForPeople(t *testing.T) {
	r := report.FromDecided(scope, decided(), problems)
	for name, o := range map[string]report.TextOptions{
		"report.txt": {Line: lines}, "report-color.txt": {Line: lines, Color: true}, "report-narrow.txt": {Width: 60},
	} {
		var out bytes.Buffer
		require.NoError(t, r.Text(&out, o))
		golden(t, name, out.Bytes())
	}
}

func TestIfNothingIsFoundThenTheTextSaysSo(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, report.FromDecided(report.Scope{Namespaces: 1, Policies: 1}, nil, nil).Text(&out, report.TextOptions{}))
	assert.Equal(t, "1 policy in 1 namespace, 0 pods: nothing found.\n", out.String())
}

func TestWithoutColorsTheTextHasNoEscapesWhateverTheManifestHolds(t *testing.T) {
	findings := decided()
	for i := range findings {
		findings[i].Message += " \x1b[31m\u009b2J"
		findings[i].Fix = "\x1b]0;x\x07"
		findings[i].Subject.Name = "a\x1b[2J"
		findings[i].Source = finding.Source{File: "web.yaml", Line: 14}
		findings[i].Path, findings[i].ExemptReason = "\x1b", "\x1b"
	}
	var out bytes.Buffer
	require.NoError(t, report.FromDecided(scope, findings, problems).Text(&out, report.TextOptions{Line: lines}))
	assert.False(t, strings.ContainsAny(out.String(), "\x1b\u009b\x07"))
}

func TestNoLineIsWiderThanAsked(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, report.FromDecided(scope, decided(), problems).Text(&out, report.TextOptions{Width: 60}))
	for line := range strings.Lines(out.String()) {
		if !strings.HasPrefix(line, "Next:") && !strings.Contains(line, " in 3 namespaces, ") {
			assert.LessOrEqual(t, len(strings.TrimRight(line, "\n")), 60, line)
		}
	}
}

func TestALineThatHoldsTheWholeManifestIsNotShown(t *testing.T) {
	var out bytes.Buffer
	line := func(string, int) (string, bool) { return strings.Repeat("{", 401), true }
	require.NoError(t, report.FromDecided(scope, decided(), problems).Text(&out, report.TextOptions{Line: line}))
	assert.NotContains(t, out.String(), "{{{")
	assert.Contains(t, out.String(), "field: spec.ingress[0].from[0].ipBlock.cidr", "the field is named in its place")
}

func TestTheScopeCountsPodsAndWhatTemplatesAskFor(t *testing.T) {
	store := model.NewStore()
	store.SetNamespace(model.NewNamespaceMeta(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "empty"}}))
	store.SetPod(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "one"}})
	store.SetPod(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "two"}})
	replicas := int32(3)
	_, err := store.Apply(&corev1.ReplicationController{ObjectMeta: metav1.ObjectMeta{Namespace: "ops", Name: "rc"}, Spec: corev1.ReplicationControllerSpec{
		Replicas: &replicas, Template: &corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "rc"}}}}})
	require.NoError(t, err)
	_, err = store.Apply(&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "all"}})
	require.NoError(t, err)
	assert.Equal(t, report.Scope{Namespaces: 3, Policies: 1, Pods: 5}, report.ScopeOf(store.Snapshot(model.Facts{})))
}
