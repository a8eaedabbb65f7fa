package browser

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// node is what the graph shows of a workload, by the title that it has.
func (tb *tab) node(title string) string {
	return fmt.Sprintf(`[...document.querySelectorAll("#graph .node, #graph .box")].find(e => e.querySelector("title").textContent === %q)`, title)
}

// choose clicks on a node or a box.
func (tb *tab) choose(title string) {
	tb.t.Helper()
	require.True(tb.t, eval[bool](tb, tb.node(title)+` !== undefined`), "the graph shows %s", title)
	eval[any](tb, tb.node(title)+`.dispatchEvent(new MouseEvent("click", {bubbles: true}))`)
}

// dimmed says whether a node is dimmed.
func (tb *tab) dimmed(title string) bool {
	tb.t.Helper()
	return eval[bool](tb, `Number(getComputedStyle(`+tb.node(title)+`).opacity) < 0.5`)
}

// overlaps lists the texts of the graph that cover each other.
func (tb *tab) overlaps() []string {
	tb.t.Helper()
	return eval[[]string](tb, `(() => {
		const texts = [...document.querySelectorAll("#graph text")].filter(e => e.checkVisibility()).map(e => [e.textContent, e.getBoundingClientRect()]);
		const bad = [];
		texts.forEach(([a, p], i) => texts.slice(i + 1).forEach(([b, q]) => {
			if (p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 1 && q.top < p.bottom - 1) bad.push(a + " / " + b);
		}));
		return bad;
	})()`)
}

// outgrown lists the texts of nodes and boxes that are wider than what they stand in.
func (tb *tab) outgrown() []string {
	tb.t.Helper()
	return eval[[]string](tb, `[...document.querySelectorAll("#graph .node text, #graph .box .name")].filter(e =>
		e.getBoundingClientRect().right > e.parentElement.querySelector("rect").getBoundingClientRect().right).map(e => e.textContent)`)
}

func TestReachPageShowsTwelveWorkloadsInTheirNamespacesWithPortsOnTheLines(t *testing.T) {
	tb := open(t, written(t, twelve(), "reach"), desk)
	names := eval[[]string](tb, `[...document.querySelectorAll("#graph .node > title")].map(e => e.textContent)`)
	assert.Contains(t, names, "Deployment shop/frontend")
	assert.Contains(t, names, "StatefulSet data/postgres")
	boxes := eval[[]string](tb, `[...document.querySelectorAll("#graph .box > title")].map(e => e.textContent)`)
	assert.Subset(t, boxes, []string{"edge", "shop", "data", "kube-system", "From outside", "To outside"})
	assert.Contains(t, strings.Join(names, "\n"), "The internet")
	labels := eval[[]string](tb, `[...document.querySelectorAll("#graph .label")].map(e => e.textContent)`)
	assert.Contains(t, labels, "TCP/8080")
	assert.Empty(t, tb.overlaps())
	assert.Empty(t, tb.outgrown())
	tb.picture("reach-12-light", false)
}

func TestReachPageSelectsAWorkloadAndDimsTheRest(t *testing.T) {
	tb := open(t, written(t, twelve(), "reach"), desk)
	tb.choose("Deployment shop/cart")
	for _, near := range []string{"Deployment shop/cart", "Deployment shop/frontend", "Deployment shop/checkout", "StatefulSet data/redis"} {
		assert.False(t, tb.dimmed(near), near)
	}
	for _, far := range []string{"Deployment shop/mail", "StatefulSet data/postgres", "Deployment edge/gateway"} {
		assert.True(t, tb.dimmed(far), far)
	}
	side := tb.texts("#side")[0]
	assert.Contains(t, side, "shop/cart")
	assert.Contains(t, side, "Isolated for ingress")
	assert.Contains(t, side, "data/redis TCP/6379")
	assert.Contains(t, eval[string](tb, `location.hash`), "at=shop%2Fcart")
	tb.picture("reach-12-selected", false)
	tb.keys(kb.Escape)
	assert.False(t, tb.dimmed("Deployment shop/mail"), "Escape lets it go")
}

func TestReachPageLinksToAWorkload(t *testing.T) {
	v := desk
	v.hash = "#at=shop%2Fcart"
	tb := open(t, written(t, twelve(), "reach"), v)
	assert.Contains(t, tb.texts("#side h2")[0], "shop/cart")
}

func TestReachPageIsUsedByKeyboard(t *testing.T) {
	tb := open(t, written(t, twelve(), "reach"), desk)
	tb.keys("/postgres", kb.Enter)
	assert.Contains(t, tb.texts("#side h2")[0], "data/postgres")
	eval[any](tb, `document.activeElement.blur()`)
	eval[any](tb, `document.querySelector("#graph [tabindex='0']").focus()`)
	before := eval[string](tb, `document.activeElement.getAttribute("aria-label")`)
	tb.keys(kb.ArrowLeft)
	after := eval[string](tb, `document.activeElement.getAttribute("aria-label")`)
	assert.NotEqual(t, before, after, "arrow keys go from node to node")
	tb.keys(kb.Enter)
	assert.Equal(t, "true", eval[string](tb, `document.activeElement.getAttribute("aria-pressed")`))
	assert.Equal(t, 1, eval[int](tb, `document.querySelectorAll("#graph [tabindex='0']").length`), "the graph is one stop of Tab")
	seen := map[string]bool{}
	eval[any](tb, `document.activeElement.blur()`)
	for range 40 {
		tb.keys(kb.Tab)
		seen[eval[string](tb, `(() => { const e = document.activeElement; return e.closest("#graph") ? "graph" : e.closest("#side") ? "side" : e.id || e.dataset.view || e.className })()`)] = true
	}
	for _, want := range []string{"findings", "reach-search", "reach-ns", "reach-port", "as-list", "unfold", "fit", "graph", "side"} {
		assert.True(t, seen[want], "Tab reaches %s; it reached %v", want, seen)
	}
}

func TestReachPageListsWhatItDraws(t *testing.T) {
	tb := open(t, written(t, twelve(), "reach"), desk)
	tb.click("#as-list")
	rows := strings.Join(tb.texts("#rows tr"), "\n")
	assert.Contains(t, rows, "edge/gatewayshop/frontendTCP/8080")
	assert.Contains(t, tb.texts(".open-list")[0], "data/backup")
	tb.picture("reach-12-list", false)
	tb.keys("/redis")
	for _, row := range tb.texts("#rows tr") {
		assert.Contains(t, row, "redis")
	}
	tb.keys(kb.Escape)
	tb.run(fill("#reach-port", "5432"))
	for _, row := range tb.texts("#rows tr") {
		assert.Regexp(t, "TCP/5432|all ports", row)
	}
}

func TestReachPageFiltersByNamespaceAndPort(t *testing.T) {
	tb := open(t, written(t, twelve(), "reach"), desk)
	lines := func() int { return eval[int](tb, `document.querySelectorAll("#graph .line").length`) }
	all := lines()
	eval[any](tb, `(() => { const s = document.getElementById("reach-ns"); s.value = [...s.options].find(o => o.text === "edge").value; s.dispatchEvent(new Event("input", {bubbles: true})) })()`)
	assert.Less(t, lines(), all)
	boxes := eval[[]string](tb, `[...document.querySelectorAll("#graph .box > title")].map(e => e.textContent)`)
	assert.NotContains(t, boxes, "data", "it has no connection with edge")
	eval[any](tb, `(() => { const s = document.getElementById("reach-ns"); s.value = "-1"; s.dispatchEvent(new Event("input", {bubbles: true})) })()`)
	tb.run(fill("#reach-port", "udp/53"))
	assert.Less(t, lines(), all)
	assert.Positive(t, lines())
}

func TestReachPageShowsTheFindingsBeside(t *testing.T) {
	tb := open(t, written(t, twelve(), "reach"), desk)
	tb.choose("Deployment edge/gateway")
	tb.picture("reach-12-findings", false)
	links := tb.texts("#side .finding-links a")
	require.NotEmpty(t, links)
	tb.click("#side .finding-links a")
	tb.until(`document.activeElement.classList.contains("finding")`)
	assert.Equal(t, links[0], eval[string](tb, `document.activeElement.dataset.rule`), "the link leads to the finding")
	assert.Empty(t, tb.texts("#canvas"))
	tb.click("[data-view=reach]")
	assert.NotEmpty(t, tb.texts("#canvas"))
}

func TestReachPageFoldsTwoHundredWorkloadsIntoNamespaces(t *testing.T) {
	file := written(t, twoHundred(), "reach")
	tb := open(t, file, view{width: 1440, height: 900})
	assert.Equal(t, 20, eval[int](tb, `document.querySelectorAll("#graph .box[aria-label^=Namespace]").length`))
	assert.Less(t, eval[int](tb, `document.querySelectorAll("#graph .node").length`), 10)
	assert.Empty(t, tb.overlaps())
	assert.Empty(t, tb.outgrown())
	tb.picture("reach-200-light", false)

	tb.choose("team-03")
	assert.Equal(t, 10, eval[int](tb, `[...document.querySelectorAll("#graph .node > title")].filter(e => e.textContent.includes(" team-03/")).length`))
	assert.Empty(t, tb.overlaps())
	assert.False(t, tb.dimmed("team-04"))
	tb.picture("reach-200-one", false)
	tb.choose("Deployment team-03/service-9")
	assert.Empty(t, tb.overlaps())
	assert.True(t, tb.dimmed("team-08"))
	tb.picture("reach-200-selected", false)
	tb.keys(kb.Escape)
	tb.click("#unfold")
	assert.Equal(t, 200, eval[int](tb, `[...document.querySelectorAll("#graph .node > title")].filter(e => e.textContent.includes("/")).filter(e => !e.textContent.includes(".")).length`))
	assert.Empty(t, tb.overlaps())
	tb.picture("reach-200-unfolded", false)
}

func TestReachPageDrawsTheSameEveryTime(t *testing.T) {
	file := written(t, twoHundred(), "reach")
	picture := func() string {
		return eval[string](open(t, file, desk), `document.getElementById("graph").outerHTML`)
	}
	assert.Equal(t, picture(), picture())
}

func TestReachPageHasEnoughContrastInLightAndDark(t *testing.T) {
	for name, input := range map[string]string{"12": twelve(), "200": twoHundred()} {
		file := written(t, input, "reach")
		for _, v := range []view{desk, deskDark, phone} {
			tb := open(t, file, v)
			assert.Empty(t, tb.contrasts())
			tb.picture(fmt.Sprintf("reach-%s-%d-%t", name, v.width, v.dark), false)
		}
	}
}

func TestReachPageFitsAPhone(t *testing.T) {
	tb := open(t, written(t, twelve(), "reach"), phone)
	assert.LessOrEqual(t, eval[int](tb, `document.documentElement.scrollWidth`), 390, "nothing sticks out")
	assert.NotEmpty(t, tb.texts("#rows tr"), "a phone gets the list first")
	tb.click("#as-graph")
	assert.NotEmpty(t, eval[int](tb, `document.querySelectorAll("#graph .node").length`))
	tb.picture("reach-12-phone-graph", false)
}

func TestReachPageDrawsNoMeshOfWorkloadsWithoutPolicies(t *testing.T) {
	var m manifestWriter
	for i := range 30 {
		m.workload("Deployment", fmt.Sprintf("ns-%d", i%3), fmt.Sprintf("open-%d", i), 1, 80)
	}
	m.workload("Deployment", "ns-0", "guarded", 1, 443)
	m.policy("ns-0", "guarded", []string{rule("from", everywhere, tcp(443))}, nil)
	m.workload("Deployment", "ns-1", "silent", 1, 80)
	m.policy("ns-1", "silent", nil, nil)
	tb := open(t, written(t, m.String(), "reach"), desk)
	assert.Equal(t, 1, eval[int](tb, `document.querySelectorAll("#graph .line").length`))
	tb.choose("All that is open out")
	assert.Contains(t, tb.texts("#side .ends")[0], "ns-0/guarded TCP/443")
	assert.False(t, tb.dimmed("Deployment ns-0/guarded"))
	assert.True(t, tb.dimmed("Deployment ns-1/silent"))
	tb.keys(kb.Escape)
	assert.Len(t, eval[[]string](tb, `[...document.querySelectorAll("#graph .node.unisolated .detail")].filter(e => e.textContent.endsWith("1 pod · open in, out")).map(e => e.textContent)`), 30)
	assert.Empty(t, tb.overlaps())
	tb.picture("reach-open", false)
}

func TestReachPageOfNothing(t *testing.T) {
	tb := open(t, written(t, "apiVersion: v1\nkind: Service\nmetadata: {name: s}\n", "reach"), desk)
	assert.Contains(t, tb.texts("#graph-hint")[0], "Nothing to draw")
	tb.click("#as-list")
	require.NotEmpty(t, tb.texts("#connections .none"))
	assert.Contains(t, tb.texts("#connections .none")[0], "no workload in the input")
}

func TestReachPageIsNotInjectedInto(t *testing.T) {
	hostile := `</script><img src=x onerror=document.title="taken"><b>`
	input := fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: %q, namespace: %q}\nspec: {containers: [{name: c, image: i}]}\n", hostile, hostile)
	tb := open(t, written(t, input, "reach"), desk)
	assert.Equal(t, "Portcullis reach of input.yaml", eval[string](tb, `document.title`))
	assert.Zero(t, eval[int](tb, `document.querySelectorAll("img").length`))
	assert.Equal(t, 2, eval[int](tb, `document.scripts.length`))
}

func TestReachPageReadsWithoutScripts(t *testing.T) {
	tb := open(t, withoutScripts(t, written(t, twelve(), "reach")), desk)
	assert.NotEmpty(t, tb.texts("#rows tr"))
	assert.NotEmpty(t, tb.texts(".finding"))
}
