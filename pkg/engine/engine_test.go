package engine_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/portcullis-dev/portcullis/pkg/engine"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// a rule of the id that runs what is given on NetworkPolicies.
func a(id string, run func(*rule.Pass)) rule.Configured {
	r := &rule.Rule{ID: id, Level: finding.Baseline, Severity: finding.Medium, Subjects: []string{finding.KindNetworkPolicy}, Run: run}
	return r.Default()
}

func at(path ...string) *field.Path { return field.NewPath("spec", path...) }

// told are findings as "rule path message".
func told(fs []finding.Finding) []string {
	out := []string{}
	for _, f := range fs {
		out = append(out, f.Rule+" "+f.Path+" "+f.Message)
	}
	return out
}

func TestFindingsAreSortedAndNoneIsThereTwice(t *testing.T) {
	e := engine.New([]rule.Configured{
		a("zeal", func(p *rule.Pass) { p.Report(nil, finding.Witness{}, "whole") }),
		a("care", func(p *rule.Pass) {
			p.Report(at("ingress"), finding.Witness{}, "second")
			p.Report(at("egress"), finding.Witness{}, "first")
			p.Report(at("ingress"), finding.Witness{To: "another witness"}, "second")
		}),
	})
	p := policy(t, "web", denyAll)
	got := e.Evaluate(world(t), model.Change{Operation: model.Create, NewPolicy: p})
	assert.Equal(t, []string{"care spec.egress first", "care spec.ingress second", "zeal  whole"}, told(got))
	for _, f := range got {
		assert.Equal(t, finding.Subject{Kind: finding.KindNetworkPolicy, Namespace: "shop", Name: "web"}, f.Subject)
	}
}

func TestARuleJudgesOnlyItsKindsOfSubject(t *testing.T) {
	var rules []rule.Configured
	for _, kind := range []string{finding.KindNetworkPolicy, finding.KindNamespace, finding.KindCluster} {
		r := a("of-"+kind, func(p *rule.Pass) { p.Report(nil, finding.Witness{}, "seen") })
		r.Subjects = []string{kind}
		rules = append(rules, r)
	}
	e, ns := engine.New(rules), &model.NamespaceMeta{Name: "shop"}
	for name, c := range map[string]struct {
		change model.Change
		want   string
	}{
		"a policy":           {model.Change{Operation: model.Create, NewPolicy: policy(t, "web", denyAll)}, "of-NetworkPolicy  seen"},
		"a policy that goes": {model.Change{Operation: model.Delete, OldPolicy: policy(t, "web", denyAll)}, "of-NetworkPolicy  seen"},
		"a Namespace":        {model.Change{Operation: model.Update, OldNS: ns, NewNS: ns}, "of-Namespace  seen"},
		"nothing":            {model.Change{}, "of-Cluster  seen"},
	} {
		assert.Equal(t, []string{c.want}, told(e.Evaluate(world(t), c.change)), name)
	}
}

func TestARuleSeesTheClusterBeforeAndAfterTheChange(t *testing.T) {
	old, changed := policy(t, "web", denyAll), policy(t, "web", noEgress)
	for name, c := range map[string]struct {
		change        model.Change
		before, after *model.Policy
	}{
		"create": {model.Change{Operation: model.Create, NewPolicy: changed}, nil, changed},
		"update": {model.Change{Operation: model.Update, OldPolicy: old, NewPolicy: changed}, old, changed},
		"delete": {model.Change{Operation: model.Delete, OldPolicy: old}, old, nil},
		"exists": {model.Change{Operation: model.Exists, OldPolicy: old, NewPolicy: old}, old, old},
	} {
		t.Run(name, func(t *testing.T) {
			prior := world(t)
			if c.before != nil {
				prior = world(t, c.before)
			}
			in := func(s *model.Snapshot) *model.Policy {
				if policies := s.Namespace("shop").Policies; len(policies) > 0 {
					return policies[0]
				}
				return nil
			}
			ran := false
			engine.New([]rule.Configured{a("look", func(p *rule.Pass) {
				ran = true
				assert.Same(t, prior, p.Prior)
				assert.Same(t, p.Prior, p.Before.World())
				assert.Same(t, p.World, p.Reach.World())
				assert.Equal(t, c.before, in(p.Prior))
				assert.Equal(t, c.after, in(p.World))
			})}).Evaluate(prior, c.change)
			assert.True(t, ran)
			assert.Equal(t, c.before, in(prior), "the cluster that was given stays as it is")
		})
	}
}

func TestARuleYieldsToOneThatSaysMoreOfTheSame(t *testing.T) {
	report := func(p *rule.Pass) { p.Report(nil, finding.Witness{}, "found") }
	less := a("less", report)
	less.YieldsTo = []string{"more", "absent"}
	for name, c := range map[string]struct {
		more func(*rule.Pass)
		want []string
	}{
		"a violation":          {report, []string{"more  found"}},
		"a provisional one":    {func(p *rule.Pass) { p.Report(nil, finding.Witness{}, "found").Provisional("soon") }, []string{"more  found (provisional: soon)"}},
		"an undetermined one":  {func(p *rule.Pass) { p.Undetermined("who knows") }, []string{"less  found", "more  who knows"}},
		"nothing":              {func(*rule.Pass) {}, []string{"less  found"}},
		"a finding of its own": {func(p *rule.Pass) { p.Report(at("ingress"), finding.Witness{}, "found") }, []string{"more spec.ingress found"}},
	} {
		for _, rules := range [][]rule.Configured{{less, a("more", c.more)}, {a("more", c.more), less}} {
			got := engine.New(rules).Evaluate(world(t), model.Change{Operation: model.Create, NewPolicy: policy(t, "web", denyAll)})
			assert.Equal(t, c.want, told(got), name)
		}
	}
}

func TestAFindingStandsAtTheLineOfItsFieldOrOfTheNearestFieldAround(t *testing.T) {
	peer := at("ingress").Index(0).Child("from").Index(1)
	e := engine.New([]rule.Configured{a("find", func(p *rule.Pass) {
		p.Report(peer, finding.Witness{}, "peer")
		p.Report(peer.Child("ipBlock", "cidr"), finding.Witness{}, "below")
		p.Report(at("egress"), finding.Witness{}, "absent")
		p.Report(nil, finding.Witness{}, "whole")
		p.Report(field.NewPath("metadata", "labels").Key("a.b/c"), finding.Witness{}, "elsewhere")
	})})
	p := policy(t, "web", denyAll)
	p.Source = finding.Source{File: "web.yaml", Line: 2}
	p.Lines = map[string]int{"spec": 6, "spec.ingress[0]": 9, "spec.ingress[0].from[1]": 14}
	lines := map[string]int{}
	for _, f := range e.Evaluate(world(t), model.Change{NewPolicy: p, OldPolicy: p}) {
		assert.Equal(t, "web.yaml", f.Source.File)
		lines[f.Message] = f.Source.Line
	}
	assert.Equal(t, map[string]int{"peer": 14, "below": 14, "absent": 6, "whole": 2, "elsewhere": 2}, lines)

	p.Source = finding.Source{}
	for _, f := range e.Evaluate(world(t), model.Change{NewPolicy: p, OldPolicy: p}) {
		assert.Zero(t, f.Source, "of what comes from an API server, no line is known")
	}
}
