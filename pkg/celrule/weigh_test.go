package celrule

import (
	"strings"
	"testing"

	celtypes "github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/stretchr/testify/assert"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

func TestACallIsRefusedOnlyIfItCostsMoreThanAnExpressionMay(t *testing.T) {
	text := func(n int) ref.Val { return celtypes.String(strings.Repeat("a", n)) }
	list := func(n, length int) ref.Val {
		items := make([]string, n)
		for i := range items {
			items[i] = strings.Repeat("a", length)
		}
		return celtypes.DefaultTypeAdapter.NativeToValue(items)
	}
	for function, c := range map[string]struct{ least, most []ref.Val }{
		"matches":         {[]ref.Val{text(10_000), text(2_500)}, []ref.Val{text(10_000), text(5_000)}},
		"find":            {[]ref.Val{text(100), text(9_000)}, []ref.Val{text(100), text(11_000)}},
		"findAll":         {[]ref.Val{text(250_000), text(100), celtypes.Int(1)}, []ref.Val{text(250_000), text(200), celtypes.Int(1)}},
		"distinct":        {[]ref.Val{list(6_000, 1)}, []ref.Val{list(7_000, 1)}},
		"sets.contains":   {[]ref.Val{list(10, 1), list(4_000, 1)}, []ref.Val{list(50_000, 1), list(1_000, 1)}},
		"sets.equivalent": {[]ref.Val{list(6_000, 1), list(6_000, 1)}, []ref.Val{list(7_000, 1), list(7_000, 1)}},
		"sets.intersects": {[]ref.Val{list(40_000, 1), list(900, 1)}, []ref.Val{list(40_000, 1), list(1_100, 1)}},
		"indexOf":         {[]ref.Val{text(250_000), text(700)}, []ref.Val{text(250_000), text(900)}},
		"lastIndexOf":     {[]ref.Val{text(250_000), text(700)}, []ref.Val{text(250_000), text(900)}},
		"replace":         {[]ref.Val{text(250_000), text(1), text(30)}, []ref.Val{text(250_000), text(1), text(50)}},
		"join":            {[]ref.Val{list(5_000, 1_900), text(10)}, []ref.Val{list(5_000, 1_900), text(200)}},
		"lists.range":     {[]ref.Val{celtypes.Int(1_000_000)}, []ref.Val{celtypes.Int(1_000_001)}},
	} {
		assert.LessOrEqual(t, weigh(function)(c.least), uint64(celconfig.PerCallLimit), function)
		assert.Greater(t, weigh(function)(c.most), uint64(celconfig.PerCallLimit), function)
	}
	assert.Equal(t, uint64(0), weigh("lists.range")([]ref.Val{celtypes.Int(-1)}))
	assert.Greater(t, weigh("replace")([]ref.Val{text(10_000), text(0), text(2_000)}), uint64(celconfig.PerCallLimit), "an empty text is found everywhere")
	assert.Nil(t, weigh("startsWith"))
}
