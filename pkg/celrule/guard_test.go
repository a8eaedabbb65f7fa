package celrule_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
)

func TestFunctionsThatMultiplyAreAskedBefore(t *testing.T) {
	world, p := read(t, openToAll, model.Facts{})
	long := strings.Repeat("a", 120_000)
	p.Object.Annotations = map[string]string{"text": long, "pattern": strings.Repeat("(a|b)", 20_000), "short": "^a+$"}
	for i := range 7000 {
		p.Object.Annotations[fmt.Sprintf("k%d", i)] = ""
	}
	const a, keys = "object.metadata.annotations", "object.metadata.annotations.map(k, k)"
	for function, expression := range map[string]string{
		"matches":     a + ".short.matches(" + a + ".pattern)",
		"find":        a + ".short.find(" + a + ".pattern) != ''",
		"findAll":     "size(" + a + ".short.findAll(" + a + ".pattern)) > 0",
		"replace":     "size(" + a + ".text.replace('a', " + a + ".text)) > 0",
		"join":        "size(" + keys + ".join(" + a + ".text)) > 0",
		"indexOf":     a + ".text.indexOf(" + a + ".text) == 0",
		"lastIndexOf": a + ".text.lastIndexOf(" + a + ".text) == 0",
	} {
		f := one(t, strict(expression), world, byJane(model.Create, nil, p))
		assert.Equal(t, finding.Violation, f.Outcome, function)
		assert.Contains(t, f.Message, "failed ("+function+" costs more than an expression may)")
		assert.Contains(t, f.Fix, "Make the policy shorter", function)
	}
	f := one(t, strict("size("+a+".map(k, "+a+".text).join()) > 0"), world, byJane(model.Create, nil, p))
	assert.Contains(t, f.Message, "join costs more than an expression may")
}

func TestFunctionsThatAreAskedBeforeDoWhatTheyDo(t *testing.T) {
	world, p := read(t, openToAll, model.Facts{})
	p.Object.Annotations = map[string]string{"text": "a-b-a", "pattern": "^[a-b-]+$", "bad": "["}
	const a = "object.metadata.annotations"
	for _, expression := range []string{
		a + ".text.matches(" + a + ".pattern) && matches(" + a + ".text, 'b') && !" + a + ".text.matches('^b')", a + ".text.find(" + a + ".pattern) == 'a-b-a' && " + a + ".text.find('b.') == 'b-'",
		a + ".text.findAll('[ab]') == ['a', 'b', 'a'] && " + a + ".text.findAll('[ab]', 2) == ['a', 'b']", a + ".text.replace('a', 'c') == 'c-b-c' && " + a + ".text.replace('a', 'c', 1) == 'c-b-a'",
		"['a', 'b'].join() == 'ab' && ['a', 'b'].join('-') == 'a-b' && [].join('') == ''", "['a', 'b', 'a'].distinct() == ['a', 'b']",
		"sets.contains(['a', 'b'], ['a']) && sets.equivalent(['a'], ['a', 'a']) && !sets.intersects(['a'], ['b'])",
		a + ".text.indexOf('a') == 0 && " + a + ".text.indexOf('a', 1) == 4 && " + a + ".text.lastIndexOf('a') == 4 && [1, 2].indexOf(2) == 1 && [1, 2].lastIndexOf(3) == -1", "lists.range(2) == [0, 1]",
		"dyn('a-b').replace('-', '') == 'ab' && dyn(['a']).join() == 'a' && dyn('ab').matches('a')",
	} {
		assert.Empty(t, judged(t, strict(expression), world, byJane(model.Create, nil, p)), expression)
	}
	for _, expression := range []string{a + ".text.matches(" + a + ".bad)", "dyn(1).matches('a')", "dyn([1]).join() == ''", "lists.range(-1) == []"} {
		f := one(t, strict(expression), world, byJane(model.Create, nil, p))
		assert.Contains(t, f.Message, "The expression of this rule failed", expression)
		assert.NotContains(t, f.Message, "internal error", expression)
	}
}
