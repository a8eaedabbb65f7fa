package celrule_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/portcullis-dev/portcullis/pkg/celrule"
	"github.com/portcullis-dev/portcullis/pkg/engine"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// FuzzExpression: whatever the expression, it is refused with a message or it judges, and never by a fault of the program.
func FuzzExpression(f *testing.F) {
	for _, seed := range []string{
		"", "true", "object", "reach.ingress.cidrs.cidrsWithin(['10.0.0.0/8'])", "object.spec.ingress.all(r, r.from.all(p, has(p.ipBlock)))",
		"pods.map(p, p.labels).exists(l, 'a' in l)", "request.userInfo.groups == []", "'\\u0000'.matches('a*')", "[[[[]]]] == dyn(1)", "object.metadata.?labels[?'a'].hasValue()",
		"reach == reach", "type(reach.ingress) == type(object)", "string(reach) == ''", "dyn(reach.ingress).all(k, k == k)", "dyn(request).map(k, k).size() > 0", "cel.bind(x, reach.egress, x.internet)",
	} {
		f.Add(seed)
	}
	world, p := read(f, shop, model.Facts{})
	c := celrule.NewCompiler()
	f.Fuzz(func(t *testing.T, expression string) { evaluated(t, c, expression, world, p) })
}

// evaluated evaluates an expression as a condition and as a message; 1 if it is valid as either.
func evaluated(t require.TestingT, c *celrule.Compiler, expression string, world *model.Snapshot, p *model.Policy) (valid int) {
	asMessage := spec("false")
	asMessage.MessageExpression = expression
	for _, s := range []celrule.Spec{spec(expression), strict(expression), spec("dyn(" + expression + ") == 1"), asMessage} {
		r, errs := c.Compile(s, field.NewPath("x"))
		for _, e := range errs {
			require.NotEmpty(t, e.Detail)
			require.NotContains(t, e.Detail, "panic")
		}
		if len(errs) > 0 {
			continue
		}
		valid = 1
		e := engine.New([]rule.Configured{r.Configured})
		for _, change := range []model.Change{
			{OldPolicy: p, NewPolicy: p}, {Operation: model.Delete, OldPolicy: p, Requester: &model.Requester{}},
		} {
			for _, f := range e.Evaluate(world, change) {
				require.NotEmpty(t, f.Message)
				require.False(t, strings.Contains(f.Message, "internal error"), "%s: %s", expression, f.Message)
				require.False(t, strings.Contains(f.Fix, "bug of Portcullis"), "%s: %s", expression, f.Message)
			}
		}
	}
	return valid
}
