package rule_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

func pass(r *rule.Rule, change model.Change) *rule.Pass {
	view := reach.NewView(model.NewStore().Snapshot(model.Facts{}))
	p := rule.NewPass(change, view, view)
	p.Start(r.Default())
	return p
}

func TestAFindingHasTheRulesLevelAndSeverityAndTheSubjectOfTheChange(t *testing.T) {
	r := whole("open-door")
	r.Severity = finding.High
	policy := &model.Policy{Namespace: "shop", Name: "web"}
	for name, c := range map[string]struct {
		change model.Change
		want   finding.Subject
	}{
		"a policy":           {model.Change{NewPolicy: policy}, finding.Subject{Kind: "NetworkPolicy", Namespace: "shop", Name: "web"}},
		"a policy that goes": {model.Change{Operation: model.Delete, OldPolicy: policy}, finding.Subject{Kind: "NetworkPolicy", Namespace: "shop", Name: "web"}},
		"a Namespace":        {model.Change{NewNS: &model.NamespaceMeta{Name: "shop"}}, finding.Subject{Kind: "Namespace", Name: "shop"}},
		"the cluster":        {model.Change{}, finding.Subject{Kind: "Cluster", Name: "cluster"}},
	} {
		p := pass(r, c.change)
		w := finding.Witness{From: "8.8.8.8", To: "shop/web-1", Port: "TCP/80"}
		p.Report(field.NewPath("spec", "ingress").Index(2), w, "%d pods", 3)
		assert.Equal(t, []finding.Finding{{Rule: "open-door", Level: finding.Baseline, Severity: finding.High, Subject: c.want,
			Path: "spec.ingress[2]", Message: "3 pods", Witness: w}}, p.Findings(), name)
	}
}

func TestABuilderAddsWhatNotEveryFindingHas(t *testing.T) {
	p := pass(whole("open-door"), model.Change{})
	op := finding.PatchOp{Op: "remove", Path: "/spec/ingress/0"}
	web, db := finding.Part{Key: "web", Conns: netset.AllConns()}, finding.Part{Key: "db"}
	p.Report(nil, finding.Witness{}, "Open").Fix("Shut it", op).Pods(2).Severity(finding.Low).Covers(web).Covers(db).Provisional("a guard may come")
	p.Undetermined("it is dark in %s", "shop").Fix("Make light")
	assert.Equal(t, []finding.Finding{
		{Rule: "open-door", Level: finding.Baseline, Severity: finding.Low, Outcome: finding.Provisional, Subject: finding.Subject{Kind: "Cluster", Name: "cluster"},
			Message: "Open (provisional: a guard may come)", Fix: "Shut it", Patch: []finding.PatchOp{op}, Pods: 2, Extent: []finding.Part{web, db}},
		{Rule: "open-door", Level: finding.Baseline, Outcome: finding.Undetermined, Subject: finding.Subject{Kind: "Cluster", Name: "cluster"},
			Message: "it is dark in shop", Fix: "Make light"},
	}, p.Findings())
}

type settings struct{ Most int }

func TestARuleReadsItsOwnSettings(t *testing.T) {
	r := whole("open-door")
	r.NewSettings = func() any { return &settings{Most: 3} }
	byDefault := r.Default()
	assert.Equal(t, 3, rule.Settings[*settings](pass(r, model.Change{})).Most)
	byDefault.Settings.(*settings).Most = 4
	assert.Equal(t, 3, r.Default().Settings.(*settings).Most, "defaults are made anew")
	assert.Nil(t, whole("open-door").Default().Settings)
}

func TestARuleIsPrintedWithAllOfItsDocumentation(t *testing.T) {
	r := whole("open-door")
	r.Doc.Params = []rule.Param{{Name: "most", Default: "3", Description: "How many."}}
	text, err := json.Marshal(r)
	require.NoError(t, err)
	assert.JSONEq(t, `{"id": "open-door", "level": "baseline", "severity": "info", "subjects": ["NetworkPolicy"], "title": "Title", "why": "Why", "finds": "Finds",
		"remedy": "Remedy", "references": [{"title": "Docs", "url": ""}], "params": [{"name": "most", "default": "3", "description": "How many."}], "bad": "bad", "good": "good"}`, string(text))
}
