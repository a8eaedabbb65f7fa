package browser

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// manifests of three namespaces: shop is open to the internet, ops cannot resolve names, and quiet is in order.
const manifests = `apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: ops}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web}}
spec: {containers: [{name: c, image: web, ports: [{containerPort: 8443}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: agent-1, namespace: ops, labels: {app: agent}}
spec: {containers: [{name: c, image: agent}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress]
  ingress:
  - from:
    - ipBlock:
        cidr: 0.0.0.0/0
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: agent, namespace: ops}
spec:
  podSelector: {matchLabels: {app: agent}}
  policyTypes: [Egress]
  egress: []
`

func TestCheckPageShowsEveryFindingWithItsProofAndFix(t *testing.T) {
	tb := open(t, written(t, manifests, "check"), desk)
	assert.Contains(t, tb.texts(".headline")[0], "denied at admission")
	assert.Contains(t, tb.texts(".group > h2"), "shop "+eval[string](tb, `document.querySelector('[data-group=shop] .count').textContent`))
	finding := strings.Join(tb.texts(".finding[data-rule=internet-ingress]"), "\n")
	assert.Contains(t, finding, "NetworkPolicy shop/web")
	assert.Contains(t, finding, "spec.ingress[0].from[0].ipBlock.cidr")
	assert.Contains(t, finding, "input.yaml:28")
	assert.Contains(t, finding, "cidr: 0.0.0.0/0", "the line of the manifest")
	assert.Contains(t, finding, "8.8.8.8", "the proof")
	assert.Contains(t, finding, "remove /spec/ingress/0", "the patch")
	assert.NotEmpty(t, tb.texts("#rule-internet-ingress summary"), "why the rule is there")
	tb.picture("check-light", true)
}

func TestCheckPageFiltersByActionLevelRuleAndNamespace(t *testing.T) {
	tb := open(t, written(t, manifests, "check"), desk)
	all := len(tb.texts(".finding"))
	for _, by := range []struct{ click, attribute, value string }{
		{"[data-total=deny]", "action", "deny"},
		{"input[name=level][value=restricted]", "level", "restricted"},
		{"input[name=rule][value=internet-ingress]", "rule", "internet-ingress"},
		{"input[name=ns][value=ops]", "ns", "ops"},
	} {
		tb.click(by.click)
		values := eval[[]string](tb, fmt.Sprintf(`Array.from(document.querySelectorAll(".finding")).filter(e => e.checkVisibility()).map(e => e.dataset[%q])`, by.attribute))
		require.NotEmpty(t, values, by.click)
		assert.Less(t, len(values), all, by.click)
		for _, v := range values {
			assert.Equal(t, by.value, v)
		}
		assert.Equal(t, fmt.Sprintf("%d of %d shown", len(values), all), tb.texts("#shown")[0])
		tb.click("#clear")
		assert.Len(t, tb.texts(".finding"), all)
	}
}

func TestCheckPageSearchesByKeyboard(t *testing.T) {
	tb := open(t, written(t, manifests, "check"), desk)
	tb.keys("/dns ops")
	assert.Equal(t, "dns ops", eval[string](tb, `document.activeElement.value`), "the key / goes to the search")
	shown := tb.texts(".finding")
	require.NotEmpty(t, shown)
	for _, text := range shown {
		assert.Contains(t, strings.ToLower(text), "dns")
	}
	tb.keys(" nowhere-to-be-found")
	assert.Empty(t, tb.texts(".finding"))
	assert.Contains(t, tb.texts("#none")[0], "No finding matches")
	tb.keys(kb.Escape)
	assert.Empty(t, tb.texts("#none"), "Escape clears the search")
	tb.keys(kb.Escape, "j", "j", "k")
	assert.Equal(t, eval[string](tb, `document.querySelector(".finding").id`), eval[string](tb, `document.activeElement.id`), "j and k go from finding to finding")
}

func TestCheckPageCanBeUsedWithTheTabKeyAlone(t *testing.T) {
	tb := open(t, written(t, manifests, "check"), desk)
	seen := map[string]bool{}
	for range 60 {
		tb.keys(kb.Tab)
		at := eval[string](tb, `(() => { const e = document.activeElement; return e.dataset.total || e.name || e.id || e.className || e.tagName })()`)
		visible := eval[bool](tb, `document.activeElement === document.body || getComputedStyle(document.activeElement).outlineStyle !== "none"`)
		assert.True(t, visible, "the focus on %s can be seen", at)
		seen[at] = true
	}
	for _, want := range []string{"skip", "theme", "deny", "search", "by", "rule", "ns", "anchor"} {
		assert.True(t, seen[want], "Tab reaches %s; it reached %v", want, seen)
	}
}

func TestCheckPageGroupsByRule(t *testing.T) {
	tb := open(t, written(t, manifests, "check"), desk)
	all := len(tb.texts(".finding"))
	tb.click("input[name=by][value=rule]")
	headings := strings.Join(tb.texts(".group > h2"), "\n")
	assert.Contains(t, headings, "internet-ingress")
	assert.Len(t, tb.texts(".finding"), all)
	tb.click("input[name=by][value=ns]")
	assert.Contains(t, strings.Join(tb.texts(".group > h2"), "\n"), "shop")
	assert.Len(t, tb.texts(".finding"), all)
}

func TestCheckPageLinksToAFindingAndToAFilter(t *testing.T) {
	file := written(t, manifests, "check")
	first := open(t, file, desk)
	id := eval[string](first, `document.querySelector(".finding[data-rule=internet-ingress] .anchor").hash`)
	first.click("input[name=rule][value=dns-blocked]")
	hash := eval[string](first, `location.hash`)
	assert.Equal(t, "#rule=dns-blocked", hash)

	linked := open(t, file, view{width: 1280, height: 500, hash: id})
	assert.Equal(t, id, "#"+eval[string](linked, `document.activeElement.id`))
	assert.True(t, eval[bool](linked, `(() => { const r = document.activeElement.getBoundingClientRect(); return r.top >= 0 && r.top < innerHeight })()`), "it is in sight")

	filtered := open(t, file, view{width: 1280, height: 900, hash: hash})
	assert.Equal(t, []string{"dns-blocked"}, eval[[]string](filtered, `Array.from(new Set(Array.from(document.querySelectorAll(".finding")).filter(e => e.checkVisibility()).map(e => e.dataset.rule)))`))
	eval[any](filtered, `location.hash = `+fmt.Sprintf("%q", id))
	filtered.click(".finding[data-rule=internet-ingress] .anchor")
}

func TestCheckPageHasEnoughContrastInLightAndDark(t *testing.T) {
	file := written(t, manifests, "check")
	for _, v := range []view{desk, deskDark, phone} {
		tb := open(t, file, v)
		eval[any](tb, `for (const d of document.querySelectorAll("details")) d.open = true`)
		assert.Empty(t, tb.contrasts())
		tb.picture(fmt.Sprintf("check-%d-%t", v.width, v.dark), true)
	}
}

func TestCheckPageChangesItsThemeByTheButton(t *testing.T) {
	tb := open(t, written(t, manifests, "check"), desk)
	background := func() string { return eval[string](tb, `getComputedStyle(document.body).backgroundColor`) }
	light := background()
	tb.click("#theme")
	assert.Equal(t, light, background(), "from auto to light")
	tb.click("#theme")
	assert.NotEqual(t, light, background(), "then dark")
	assert.Empty(t, tb.contrasts())
	tb.click("#theme")
	assert.Equal(t, light, background(), "and back to what the system prefers")
}

func TestCheckPageFitsAPhone(t *testing.T) {
	tb := open(t, written(t, manifests, "check"), phone)
	assert.LessOrEqual(t, eval[int](tb, `document.documentElement.scrollWidth`), 390, "nothing sticks out")
	assert.Empty(t, tb.texts(".facet"), "the filters are folded")
	tb.click("#facets > summary")
	assert.NotEmpty(t, tb.texts(".facet"))
}

func TestCheckPagePrints(t *testing.T) {
	tb := open(t, written(t, manifests, "check"), deskDark)
	assert.Greater(t, len(tb.pdf()), 10_000)
}

func TestCheckPageOfNothing(t *testing.T) {
	tb := open(t, written(t, "apiVersion: v1\nkind: Service\nmetadata: {name: s}\n", "check"), desk)
	assert.Contains(t, tb.texts(".headline")[0], "There is no NetworkPolicy here")
	assert.Contains(t, tb.texts(".next")[0], "portcullis check manifests/", "it says what to do next")
	assert.Empty(t, tb.texts("#filters"))
	tb.picture("check-empty", false)
}

func TestCheckPageListsProblemsOfTheInput(t *testing.T) {
	tb := open(t, written(t, manifests+"---\nkind: NetworkPolicy\napiVersion: networking.k8s.io/v1\nmetadata: {name: Bad_Name}\nspec: {egres: []}\n", "check"), desk)
	assert.Contains(t, strings.Join(tb.texts(".problems li"), "\n"), "egres")
	tb.picture("check-problems", false)
}

func TestCheckPageIsNotInjectedInto(t *testing.T) {
	for _, hostile := range []string{
		`</script><script>document.title="taken"</script>`, `<img src=x onerror=document.title="taken">`, `"><svg onload=document.title='taken'>`, "</style><b>", "{{.Style}}", "`${document.title='taken'}`",
	} {
		quoted := fmt.Sprintf("%q", hostile)
		input := strings.ReplaceAll(manifests, "app: web", "app: "+quoted)
		input += "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: " + quoted + ", namespace: " + quoted + "}\nspec: {podSelector: {}, ingress: [{}], " + quoted + ": 1}\n"
		tb := open(t, written(t, input, "check"), desk)
		assert.Equal(t, "Portcullis check of input.yaml", eval[string](tb, `document.title`))
		assert.Equal(t, 1, eval[int](tb, `document.scripts.length`))
		assert.Zero(t, eval[int](tb, `document.querySelectorAll("img, b b, svg[onload]").length`))
		assert.Contains(t, eval[string](tb, `document.getElementById("main").textContent`), hostile, "and it is shown as it is")
	}
}

func TestCheckPageReadsWithoutScripts(t *testing.T) {
	tb := open(t, withoutScripts(t, written(t, manifests, "check")), desk)
	assert.NotEmpty(t, tb.texts(".finding"))
	assert.Empty(t, tb.texts("#filters"), "what would do nothing is not shown")
}

func TestCheckPageHoldsThousandsOfFindings(t *testing.T) {
	var b strings.Builder
	for i := range 1500 {
		fmt.Fprintf(&b, "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p%d, namespace: ns-%d}\nspec:\n  podSelector: {}\n  ingress:\n  - from: [{ipBlock: {cidr: 0.0.0.0/0}}]\n---\n", i, i%40)
	}
	tb := open(t, written(t, b.String(), "check"), desk)
	n := eval[int](tb, `document.querySelectorAll(".finding").length`)
	assert.Greater(t, n, 4000)
	tb.keys("/p1499")
	found := tb.texts(".finding .subject")
	require.NotEmpty(t, found)
	for _, subject := range found {
		assert.Equal(t, "NetworkPolicy ns-19/p1499", subject)
	}
	tb.picture("check-thousands", false)
}
