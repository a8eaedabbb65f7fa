package page

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/report"
	"github.com/portcullis-dev/portcullis/pkg/rule"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// findingsView is the page's part about findings.
type findingsView struct {
	Totals     []total
	Facets     []facet
	Namespaces []namespaceGroup
	Rules      []ruleText
	Outlook    outlook
	Headline   string
	Clean      bool // something was judged, nothing denies and nothing warns
	Nothing    bool // there was nothing to judge
	Cluster    bool // what was judged stands in a cluster
}

// total is the number of findings of one action.
type total struct {
	Action, Label, Explained string
	Count                    int
}

// facet is a list of values to filter by.
type facet struct {
	Name, Label string
	Values      []facetValue
}

type facetValue struct {
	Value, Label string
	Count        int
}

type namespaceGroup struct {
	Name, Label string
	Count       int
	Rules       []ruleGroup
}

type ruleGroup struct {
	ID, Title string
	Findings  []findingView
}

type ruleText struct {
	ID, Title   string
	Level       string
	Why, Remedy []string
	References  []rule.Reference
}

// findingView is one finding as the template shows it.
type findingView struct {
	report.Finding
	ID, Namespace, Label string
	Proof                *finding.Witness
	PatchLines           []string
	PatchJSON            string
	Excerpt              []excerptLine
}

type excerptLine struct {
	Number int
	Text   string
	Hit    bool
}

// clusterWide names the group of what belongs to no namespace. A namespace cannot be called so, as it has a blank.
const clusterWide = "the cluster"

var actions = [...]struct {
	action         verdict.Action
	label, explain string
}{
	{verdict.ActionDeny, "denied", "refused at admission"},
	{verdict.ActionWarn, "warned", "let in with a warning"},
	{verdict.ActionProvisional, "provisional", "would be a violation if pods, Services or claims do not follow"},
	{verdict.ActionUndetermined, "undetermined", "cannot be told from the input"},
	{verdict.ActionAudit, "for the audit", "let in and recorded"},
	{verdict.ActionExempt, "exempt", "let in by an exemption"},
}

func (p *Page) findings() findingsView {
	sum := &p.Report.Summary
	v := findingsView{Clean: sum.Deny+sum.Warn == 0 && sum.Policies+len(p.Report.Findings) > 0, Nothing: sum.Policies+len(p.Report.Findings) == 0, Cluster: p.Made != ""}
	counts := map[verdict.Action]int{}
	used := map[string]int{}
	views := make([]findingView, 0, len(p.Report.Findings))
	for i := range p.Report.Findings {
		f := &p.Report.Findings[i]
		counts[f.Action]++
		views = append(views, p.finding(f, used))
	}
	for _, a := range actions {
		v.Totals = append(v.Totals, total{Action: string(a.action), Label: a.label, Explained: a.explain, Count: counts[a.action]})
	}
	titles := map[string]*rule.Rule{}
	for _, r := range p.Rules {
		titles[r.ID] = r
	}
	v.Namespaces = grouped(views, titles)
	v.Facets = facets(views)
	v.Rules = explained(views, titles)
	v.Outlook = newOutlook(p.Report.Findings)
	v.Headline = headline(p.Report, v.Cluster)
	return v
}

// finding makes the view of one finding. Its id depends on what it says alone, so that a link to it holds in a later page;
// used counts the ids given.
func (p *Page) finding(f *report.Finding, used map[string]int) findingView {
	sum := sha256.Sum256([]byte(strings.Join([]string{f.Rule, f.Subject.Kind, f.Subject.String(), f.Path, f.Message}, "\x00")))
	id := "f-" + hex.EncodeToString(sum[:5])
	used[id]++
	if n := used[id]; n > 1 {
		id = fmt.Sprintf("%s-%d", id, n)
	}
	v := findingView{Finding: *f, ID: id, Namespace: namespaceOf(f.Subject), Label: string(f.Action)}
	if f.WouldDeny {
		v.Label = "would deny"
	}
	if f.Witness != nil && !f.Witness.IsZero() {
		v.Proof = f.Witness
	}
	for _, op := range f.Patch {
		v.PatchLines = append(v.PatchLines, patchLine(op))
	}
	if len(f.Patch) > 0 {
		if text, err := json.Marshal(f.Patch); err == nil {
			v.PatchJSON = string(text)
		}
	}
	if f.Source != nil && f.Path != "" && p.Line != nil {
		v.Excerpt = excerpt(p.Line, *f.Source)
	}
	return v
}

// excerpt is the line and its neighbours. The first line of an object says nothing, so findings without a path have none.
func excerpt(line func(string, int) (string, bool), at finding.Source) []excerptLine {
	var out []excerptLine
	for n := at.Line - 1; n <= at.Line+1; n++ {
		text, ok := line(at.File, n)
		if !ok || strings.HasPrefix(text, "---") {
			if n >= at.Line {
				break
			}
			continue
		}
		out = append(out, excerptLine{Number: n, Text: text, Hit: n == at.Line})
	}
	return out
}

func patchLine(op finding.PatchOp) string {
	switch {
	case op.Op == "remove":
		return "remove " + op.Path
	case op.From != "":
		return op.Op + " " + op.From + " to " + op.Path
	}
	value, err := json.Marshal(op.Value)
	if err != nil {
		value = fmt.Append(nil, op.Value)
	}
	return op.Op + " " + op.Path + " = " + string(value)
}

func namespaceOf(s finding.Subject) string {
	switch {
	case s.Namespace != "":
		return s.Namespace
	case s.Kind == finding.KindNamespace:
		return s.Name
	}
	return clusterWide
}

// grouped puts findings under their namespace and rule: what is denied first, then by name.
func grouped(views []findingView, rules map[string]*rule.Rule) []namespaceGroup {
	byNamespace := map[string]map[string][]findingView{}
	for _, v := range views {
		if byNamespace[v.Namespace] == nil {
			byNamespace[v.Namespace] = map[string][]findingView{}
		}
		byNamespace[v.Namespace][v.Rule] = append(byNamespace[v.Namespace][v.Rule], v)
	}
	out := make([]namespaceGroup, 0, len(byNamespace))
	for _, name := range slices.Sorted(maps.Keys(byNamespace)) {
		g := namespaceGroup{Name: name, Label: name}
		for _, id := range slices.Sorted(maps.Keys(byNamespace[name])) {
			list := byNamespace[name][id]
			slices.SortStableFunc(list, func(a, b findingView) int { return cmp.Compare(rank(a.Action), rank(b.Action)) })
			group := ruleGroup{ID: id, Findings: list}
			if r := rules[id]; r != nil {
				group.Title = r.Doc.Title
			}
			g.Count += len(list)
			g.Rules = append(g.Rules, group)
		}
		slices.SortStableFunc(g.Rules, func(a, b ruleGroup) int {
			return cmp.Compare(rank(a.Findings[0].Action), rank(b.Findings[0].Action))
		})
		out = append(out, g)
	}
	slices.SortStableFunc(out, func(a, b namespaceGroup) int {
		return cmp.Compare(rank(a.Rules[0].Findings[0].Action), rank(b.Rules[0].Findings[0].Action))
	})
	return out
}

func rank(a verdict.Action) int {
	for i, known := range actions {
		if known.action == a {
			return i
		}
	}
	return len(actions)
}

// facets are the values that occur, with how often.
func facets(views []findingView) []facet {
	of := func(name, label string, compare func(a, b facetValue) int, value func(findingView) string) facet {
		counts := map[string]int{}
		for _, v := range views {
			counts[value(v)]++
		}
		f := facet{Name: name, Label: label}
		for _, v := range slices.Sorted(maps.Keys(counts)) {
			f.Values = append(f.Values, facetValue{Value: v, Label: v, Count: counts[v]})
		}
		slices.SortStableFunc(f.Values, compare)
		return f
	}
	byCount := func(a, b facetValue) int { return cmp.Compare(b.Count, a.Count) }
	byName := func(a, b facetValue) int { return cmp.Compare(a.Value, b.Value) }
	severities := []string{"high", "medium", "low", "info"}
	bySeverity := func(a, b facetValue) int {
		return cmp.Compare(slices.Index(severities, a.Value), slices.Index(severities, b.Value))
	}
	return []facet{
		of("level", "Level", byName, func(v findingView) string { return v.Level.String() }),
		of("severity", "Severity", bySeverity, func(v findingView) string { return v.Severity.String() }),
		of("rule", "Rule", byCount, func(v findingView) string { return v.Rule }),
		of("ns", "Namespace", byCount, func(v findingView) string { return v.Namespace }),
	}
}

// explained are the rules that occur.
func explained(views []findingView, rules map[string]*rule.Rule) []ruleText {
	ids := map[string]bool{}
	for _, v := range views {
		ids[v.Rule] = true
	}
	var out []ruleText
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		if r := rules[id]; r != nil {
			out = append(out, ruleText{
				ID: id, Title: r.Doc.Title, Level: r.Level.String(), Why: paragraphs(r.Doc.Why), Remedy: paragraphs(r.Doc.Remedy), References: r.Doc.References,
			})
		}
	}
	return out
}

func paragraphs(text string) []string { return strings.Split(strings.TrimSpace(text), "\n\n") }

// headline is the outcome in one sentence. What stands in a cluster is not denied any more.
func headline(r *report.Report, cluster bool) string {
	s := &r.Summary
	switch {
	case s.Deny > 0 && cluster:
		return plural(s.Deny, "finding", "findings") + " would be denied at admission."
	case s.Deny > 0:
		return plural(s.Deny, "finding is denied", "findings are denied") + " at admission."
	case s.Warn > 0:
		return "Nothing is denied; " + plural(s.Warn, "finding warns.", "findings warn.")
	case len(r.Findings) > 0:
		return "Nothing is denied, and nothing warns."
	case s.Policies == 0:
		return "There is no NetworkPolicy here."
	}
	return "Nothing found: " + plural(s.Policies, "policy passes", "policies pass") + " every rule."
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
