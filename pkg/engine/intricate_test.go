package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/engine"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// nested has so many rules, each for fewer ports than the one before and for an address of its own, from 9.0.0.0 on.
func nested(rules int) string {
	var b strings.Builder
	b.WriteString(`{policyTypes: [Ingress], ingress: [`)
	for i := range rules {
		fmt.Fprintf(&b, "{from: [{ipBlock: {cidr: 9.0.%d.%d/32}}], ports: [{port: %d, endPort: %d}]},", i>>7, i&127<<1, 1+i, 65535-i)
	}
	return b.String() + "]}"
}

// apart has so many rules for an address and a port of their own.
func apart(rules int) string {
	var b strings.Builder
	b.WriteString(`{policyTypes: [Ingress], ingress: [`)
	for i := range rules {
		fmt.Fprintf(&b, "{from: [{ipBlock: {cidr: 9.0.%d.%d/32}}], ports: [{port: %d}]},", i>>7, i&127<<1, 1+i)
	}
	return b.String() + "]}"
}

// wide has one rule for every port of so many addresses.
func wide(addrs int) string {
	var b strings.Builder
	b.WriteString(`{policyTypes: [Ingress], ingress: [{from: [`)
	for i := range addrs {
		fmt.Fprintf(&b, "{ipBlock: {cidr: 9.1.%d.%d/32}},", i>>7, i&127<<1)
	}
	return b.String() + "]}]}"
}

func TestAPolicyThatIsTooIntricateIsNotJudgedAndSaysSo(t *testing.T) {
	e := engine.New([]rule.Configured{
		a("look", func(p *rule.Pass) { p.Report(nil, finding.Witness{}, "judged") }),
	})
	intricate, plain := policy(t, "web", nested(1200)), policy(t, "web", denyAll)
	other := func(spec string) *model.Policy { return policy(t, "other", spec) }
	for name, c := range map[string]struct {
		there    []*model.Policy
		change   model.Change
		unjudged bool
		judged   bool
	}{
		"it is made":                            {nil, model.Change{Operation: model.Create, NewPolicy: intricate}, true, false},
		"it stands":                             {[]*model.Policy{intricate}, model.Change{OldPolicy: intricate, NewPolicy: intricate}, true, false},
		"it takes the place of a plain one":     {[]*model.Policy{plain}, model.Change{Operation: model.Update, OldPolicy: plain, NewPolicy: intricate}, true, false},
		"it is replaced by a plain one":         {[]*model.Policy{intricate}, model.Change{Operation: model.Update, OldPolicy: intricate, NewPolicy: plain}, false, true},
		"it is deleted":                         {[]*model.Policy{intricate}, model.Change{Operation: model.Delete, OldPolicy: intricate}, false, false},
		"a plain one is made beside it":         {[]*model.Policy{other(nested(1200))}, model.Change{Operation: model.Create, NewPolicy: plain}, true, false},
		"two are so together":                   {[]*model.Policy{other(wide(2000))}, model.Change{Operation: model.Create, NewPolicy: policy(t, "web", apart(2000))}, true, false},
		"one is for other pods":                 {[]*model.Policy{other(strings.Replace(nested(1200), "{", "{podSelector: {matchLabels: {app: db}}, ", 1))}, model.Change{Operation: model.Create, NewPolicy: policy(t, "web", internet)}, false, true},
		"old and new are so together":           {[]*model.Policy{policy(t, "web", wide(2000))}, model.Change{Operation: model.Update, OldPolicy: policy(t, "web", wide(2000)), NewPolicy: policy(t, "web", apart(2000))}, false, true},
		"many rules that have nothing to share": {nil, model.Change{Operation: model.Create, NewPolicy: policy(t, "web", apart(8000))}, false, true},
		"many addresses":                        {nil, model.Change{Operation: model.Create, NewPolicy: policy(t, "web", wide(16000))}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := e.Review(world(t, c.there...), c.change)
			assert.Equal(t, c.unjudged, r.Unjudged != "", r.Unjudged)
			require.Len(t, r.Findings, 1)
			f := r.Findings[0]
			assert.Equal(t, "look", f.Rule)
			if c.judged {
				assert.Equal(t, "judged", f.Message)
				return
			}
			assert.Equal(t, finding.Undetermined, f.Outcome)
			assert.Contains(t, f.Message, "overlap in more ways than can be compared")
			assert.Empty(t, r.Diff())
		})
	}
}
