package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rule"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

var update = flag.Bool("update", false, "write the golden files")

// testRules are three rules that depend on little: one denies at baseline, one warns at restricted, and one cannot tell.
func testRules(t *testing.T) *rule.Catalogue {
	t.Helper()
	doc := rule.Doc{Title: "A title", Why: "Why.", Finds: "What.", Remedy: "How.", Bad: "bad: {}", Good: "good: {}", References: []rule.Reference{{Title: "Docs", URL: "https://kubernetes.io"}}}
	policies := []string{finding.KindNetworkPolicy}
	c, err := rule.NewCatalogue(
		&rule.Rule{ID: "open-rule", Level: finding.Baseline, Severity: finding.High, Subjects: policies, Doc: doc, Run: func(p *rule.Pass) {
			for i, r := range p.Change.NewPolicy.Rules[model.Ingress] {
				if r.AllPeers() {
					p.Report(field.NewPath("spec", "ingress").Index(i), finding.Witness{From: "8.8.8.8", To: "shop/web", Port: "TCP/80"}, "Every peer is allowed.").
						Fix("Name the peers.", finding.PatchOp{Op: "remove", Path: "/spec/ingress/0"}).Pods(2)
				}
			}
		}},
		&rule.Rule{ID: "no-egress", Level: finding.Restricted, Severity: finding.Low, Subjects: policies, Doc: doc, Run: func(p *rule.Pass) {
			if !p.Change.NewPolicy.Isolates(model.Egress) {
				p.Report(field.NewPath("spec", "policyTypes"), finding.Witness{}, "Egress is not restricted.")
			}
		}},
		&rule.Rule{ID: "unsure", Level: finding.Baseline, Severity: finding.Info, Subjects: policies, Doc: doc, Run: func(p *rule.Pass) {
			if p.Change.NewPolicy.Labels["unsure"] != "" {
				p.Undetermined("The pod CIDRs are not known.")
			}
		}},
		&rule.Rule{ID: "unlabelled", Level: finding.Restricted, Severity: finding.Low, Subjects: []string{finding.KindNamespace}, Doc: doc, Run: func(p *rule.Pass) {
			if ns := p.Change.NewNS; ns.Described && ns.Labels["team"] == "" {
				p.Report(field.NewPath("metadata", "labels"), finding.Witness{}, "No team is named.")
			}
		}},
	)
	require.NoError(t, err)
	return c
}

type result struct {
	code     int
	out, err string
}

// command is a command line to try.
type command struct {
	args  []string
	stdin *string // nil for a terminal
	color bool
	rules *rule.Catalogue
}

func (c command) run(t *testing.T) result {
	t.Helper()
	return c.runContext(t.Context(), t)
}

func (c command) runContext(ctx context.Context, t *testing.T) result {
	t.Helper()
	var out, errOut bytes.Buffer
	s := streams{in: strings.NewReader(""), out: &out, err: &errOut, color: c.color}
	if c.stdin != nil {
		s.in, s.piped = strings.NewReader(*c.stdin), true
	}
	if c.rules == nil {
		c.rules = testRules(t)
	}
	p := program{streams: s, rules: c.rules, now: func() time.Time { return time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC) }}
	code := p.run(ctx, append([]string{"portcullis"}, c.args...))
	return result{code, out.String(), errOut.String()}
}

func try(t *testing.T, args ...string) result {
	t.Helper()
	return command{args: args}.run(t)
}

func check(t *testing.T, input string, args ...string) result {
	t.Helper()
	return command{args: append([]string{"check"}, args...), stdin: &input}.run(t)
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

func policy(name, spec string) string {
	namespace := ""
	if ns, rest, found := strings.Cut(name, "/"); found {
		name, namespace = rest, "\n  namespace: "+ns
	}
	return "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: " + name + namespace + "\nspec:\n" + spec
}

const (
	open   = "  ingress:\n  - {}\n  policyTypes: [Ingress, Egress]\n"
	closed = "  policyTypes: [Ingress, Egress]\n"
	half   = "  policyTypes: [Ingress]\n"
	broken = "  podSelecter: {}\n  policyTypes: [Ingress, Egress]\n"
)

func namespace(name, labels string) string {
	return "---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: " + name + "\n  labels: {team: a" + labels + "}\n"
}

func TestTheExitCodeSaysWhatWasFound(t *testing.T) {
	for _, c := range []struct {
		name, input string
		args        []string
		want        int
	}{
		{"if nothing is found, then 0", policy("a", closed), nil, exitOK},
		{"if something is denied, then 1", policy("a", open), nil, exitFindings},
		{"if there are only warnings, then 0", policy("a", half), nil, exitOK},
		{"if there are warnings and --fail-on is warn, then 1", policy("a", half), []string{"--fail-on", "warn"}, exitFindings},
		{"if something is denied and --fail-on is warn, then 1", policy("a", open), []string{"--fail-on=warn"}, exitFindings},
		{"if there is a problem, then 2", policy("a", broken), nil, exitBadInput},
		{"if there are a problem and a denial, then 2", policy("a", broken) + policy("b", open), nil, exitBadInput},
		{"if it is exempt, then 0", policy("kube-system/a", open), nil, exitOK},
		{"if it cannot be told, then 0", strings.Replace(policy("a", closed), "  name: a", "  name: a\n  labels: {unsure: x}", 1), []string{"--fail-on=warn"}, exitOK},
		{"if the level is privileged, then 0", policy("a", open), []string{"--level", "privileged"}, exitOK},
		{"if the level is restricted, then 1", policy("a", half), []string{"--level", "restricted"}, exitFindings},
		{"if there is no policy, then 0", namespace("a", ""), nil, exitOK},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, output := range []string{"text", "json"} {
				assert.Equal(t, c.want, check(t, c.input, append(c.args, "-o", output)...).code)
			}
		})
	}
}

func action(t *testing.T, r result) string {
	t.Helper()
	var out struct {
		Findings []struct {
			Action    string
			WouldDeny bool
		}
	}
	require.NoError(t, json.Unmarshal([]byte(r.out), &out), r.out)
	require.Len(t, out.Findings, 1)
	if out.Findings[0].WouldDeny {
		return "would deny"
	}
	return out.Findings[0].Action
}

func TestTheActionFollowsLabelsConfigurationAndFlags(t *testing.T) {
	configuration := func(text string) string {
		file := filepath.Join(t.TempDir(), "guard.yaml")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		return "--config=" + file
	}
	annotated := func(annotations string) string {
		return strings.Replace(policy("shop/a", open), "metadata:", "metadata:\n  annotations:\n    portcullis.dev/exempt: open-rule\n"+annotations, 1)
	}
	const reason = "    portcullis.dev/exempt-reason: because\n"
	for _, c := range []struct {
		name, input string
		args        []string
		want        string
	}{
		{"if nothing is said, then baseline is enforced", policy("shop/a", open), nil, "deny"},
		{"if the namespace is privileged, then baseline warns", policy("shop/a", open) + namespace("shop", ", portcullis.dev/enforce: privileged"), nil, "warn"},
		{"if the namespace only audits, then it is recorded", policy("shop/a", open) + namespace("shop", ", portcullis.dev/enforce: privileged, portcullis.dev/warn: privileged"), nil, "audit"},
		{"if the namespace is restricted, then restricted denies", policy("shop/a", half) + namespace("shop", ", portcullis.dev/enforce: restricted"), nil, "deny"},
		{"if the label is unreadable, then restricted denies", policy("shop/a", half) + namespace("shop", ", portcullis.dev/enforce: Baseline"), nil, "deny"},
		{"if --level is given, then labels do not count", policy("shop/a", open) + namespace("shop", ", portcullis.dev/enforce: privileged"), []string{"--level=baseline"}, "deny"},
		{"if the default is privileged, then baseline warns", policy("shop/a", open), []string{configuration("defaults: {enforce: privileged}\n")}, "warn"},
		{"if the mode is audit, then it would deny", policy("shop/a", open), []string{configuration("mode: audit\n")}, "would deny"},
		{"if the namespace is exempt by configuration, then it is exempt", policy("shop/a", open), []string{configuration("exemptions: {namespaces: [shop]}\n")}, "exempt"},
		{"if the namespace is exempt by default, then it is exempt", policy("kube-system/a", open), nil, "exempt"},
		{"if the default exemptions are off, then it denies", policy("kube-system/a", open), []string{configuration("exemptions: {excludeDefaults: true}\n")}, "deny"},
		{"if the policy is annotated with a reason, then it is exempt", annotated(reason), nil, "exempt"},
		{"if the annotation has no reason, then it denies", annotated(""), nil, "deny"},
		{"if the annotation is in force, then it is exempt", annotated(reason + "    portcullis.dev/exempt-until: \"2026-07-01\"\n"), nil, "exempt"},
		{"if the annotation has expired, then it denies", annotated(reason + "    portcullis.dev/exempt-until: \"2026-06-30\"\n"), nil, "deny"},
		{"if the rule's level is raised, then it warns", policy("shop/a", open), []string{configuration("rules: {open-rule: {level: restricted}}\n")}, "warn"},
		{"if a Namespace breaks a rule, then it warns", "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {}}\n", nil, "warn"},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.want, action(t, check(t, c.input, append(c.args, "-o", "json")...)))
		})
	}
	t.Run("if the rule is off, then nothing is found", func(t *testing.T) {
		assert.Contains(t, check(t, policy("shop/a", open), configuration("rules: {open-rule: off}\n"), "-o=json").out, `"findings": []`)
	})
}

func TestWhatCannotBeToldIsSaidOnceForARule(t *testing.T) {
	unsure := func(name string) string {
		return strings.Replace(policy(name, closed), "metadata:", "metadata:\n  labels: {unsure: x}", 1)
	}
	r := check(t, unsure("shop/b")+unsure("shop/a")+unsure("zoo/a"), "-o", "json")
	assert.Equal(t, "undetermined", action(t, r))
	assert.Contains(t, r.out, `"name": "a"`)
	assert.Contains(t, r.out, `"undetermined": 1`)
}

func TestProblemsAreListedOnTheErrorStreamAndTheRestIsShown(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{"a.yaml": policy("a", broken), "b.yaml": "a: {{ x }}\n", "c.yaml": policy("c", open)}
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	// The paths are shown as they were given.
	relative := func(args ...string) result {
		r := try(t, append([]string{"check", dir, filepath.Join(dir, "missing.yaml")}, args...)...)
		prefix := dir + string(filepath.Separator)
		return result{r.code, strings.ReplaceAll(r.out, prefix, ""), strings.ReplaceAll(r.err, prefix, "")}
	}
	r := relative()
	assert.Equal(t, exitBadInput, r.code)
	assert.Equal(t, `a.yaml:7: unknown field "spec.podSelecter": did you mean "podSelector"?
b.yaml:1: is a template and no YAML yet: render it first, as in helm template CHART | portcullis check -
missing.yaml: there is no such file or folder: check the path
`, r.err)
	golden(t, "problems.txt", r.out)
	golden(t, "problems.json", relative("-o", "json").out)
}

func TestTheTextOfACheck(t *testing.T) {
	input := policy("shop/a", open) + policy("shop/b", half) + policy("kube-system/dns", open) + namespace("shop", "") +
		"---\napiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop}\n"
	golden(t, "check.txt", check(t, input).out)
	golden(t, "check.json", check(t, input, "-", "-o", "json").out)
	args := []string{"check", "-"}
	golden(t, "check-color.txt", command{args: args, stdin: &input, color: true}.run(t).out)
	assert.Empty(t, check(t, input).err)
}

func TestIfThereIsNoPolicyThenThatIsTold(t *testing.T) {
	r := check(t, namespace("shop", ""))
	assert.Equal(t, "There is no NetworkPolicy in the input.\n", r.err)
	assert.Equal(t, "0 policies in 1 namespace, 0 pods: nothing found.\n", r.out)
}

func TestWrongUsageIsExplained(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "guard.yaml")
	require.NoError(t, os.WriteFile(bad, []byte("mod: audit\nmode: x\n"), 0o644))
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"check"}, "Error: there is nothing to check: name files or folders, pipe manifests in, or take a cluster with --live, as in\n  portcullis check manifests/\n  helm template my-chart | portcullis check -\n  portcullis check --live\nSee portcullis check --help.\n"},
		{[]string{"check", "-o", "pdf", "."}, "Error: --output \"pdf\" is not known: use " + either(formatNames()...) + "\nSee portcullis check --help.\n"},
		{[]string{"check", "--fail-on", "never", "."}, "Error: --fail-on \"never\" is not known: use deny or warn\nSee portcullis check --help.\n"},
		{[]string{"check", "--level", "strict", "."}, "Error: --level: unknown level \"strict\": use privileged, baseline or restricted\nSee portcullis check --help.\n"},
		{[]string{"check", "--nope"}, "Error: unknown flag: --nope\nSee portcullis check --help.\n"},
		{[]string{"check", "--config", filepath.Join(dir, "none"), "."}, "Error: " + filepath.Join(dir, "none") + ": there is no such file\n"},
		{[]string{"check", "--config", bad, "."}, bad + ":1: mod: unknown field: did you mean \"mode\"?\n" + bad + ":2: mode: Unsupported value: \"x\": supported values: \"enforce\", \"audit\"\n"},
		{[]string{"chek"}, "Error: unknown command \"chek\" for \"portcullis\"\n\nDid you mean this?\n\tcheck\n\nSee portcullis --help.\n"},
		{[]string{"rules", "a", "b"}, "Error: portcullis rules wants the id of one rule or nothing, and got 2\nSee portcullis rules --help.\n"},
		{[]string{"rules", "open-rul"}, "Error: there is no rule \"open-rul\": did you mean open-rule?\n"},
		{[]string{"rules", "something-else"}, "Error: there is no rule \"something-else\": portcullis rules lists them all\n"},
		{[]string{"rules", "-o", "html"}, "Error: --output \"html\" is not known: use text, json or markdown\nSee portcullis rules --help.\n"},
		{[]string{"check-config"}, "Error: portcullis check-config wants one file, and got 0\nSee portcullis check-config --help.\n"},
		{[]string{"check-config", bad, "-o", "json"}, "Error: --output \"json\" is not known: use text or yaml\nSee portcullis check-config --help.\n"},
		{[]string{"version", "x"}, "Error: portcullis version wants no arguments, and got 1\nSee portcullis version --help.\n"},
	} {
		r := try(t, c.args...)
		assert.Equal(t, exitBadInput, r.code, c.args)
		assert.Equal(t, c.want, r.err, c.args)
		assert.Empty(t, r.out, c.args)
	}
}

func TestIfItIsInterruptedThenThatIsAnError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	input := policy("a", open)
	r := command{args: []string{"check"}, stdin: &input}.runContext(ctx, t)
	assert.Equal(t, result{exitBadInput, "", "Error: interrupted\n"}, r)
}

func TestAsAPluginOfKubectlItIsCalledSo(t *testing.T) {
	var out, errOut bytes.Buffer
	p := program{streams: streams{in: strings.NewReader(""), out: &out, err: &errOut}, rules: testRules(t), now: time.Now}
	assert.Equal(t, exitOK, p.run(t.Context(), []string{"/usr/local/bin/kubectl-portcullis", "check", "--help"}))
	assert.Contains(t, out.String(), "kubectl portcullis check [PATH|-]...")
}

func TestTheRulesAreListedAndExplained(t *testing.T) {
	assert.Equal(t, "RULE        LEVEL       SEVERITY  FINDS\n"+
		"no-egress   restricted  low       A title\nopen-rule   baseline    high      A title\nunlabelled  restricted  low       A title\nunsure      baseline    info      A title\n", try(t, "rules").out)
	assert.True(t, strings.HasPrefix(try(t, "rules", "open-rule").out, "open-rule: A title\nLevel baseline, severity high, about each NetworkPolicy.\n"))
	assert.True(t, strings.HasPrefix(try(t, "rules", "-o", "markdown").out, "# Rules\n"))
	assert.True(t, strings.HasPrefix(try(t, "rules", "open-rule", "-o", "markdown").out, "# `open-rule`\n"))
	var all []map[string]any
	require.NoError(t, json.Unmarshal([]byte(try(t, "rules", "-o", "json").out), &all))
	assert.Len(t, all, 4)
	var one map[string]any
	require.NoError(t, json.Unmarshal([]byte(try(t, "rules", "unsure", "-o", "json").out), &one))
	assert.Equal(t, "unsure", one["id"])
}

func TestCustomRulesAreListedExplainedAndReferredTo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "guard.yaml")
	text := "rules: {open-rule: off, no-egress: off, unsure: {level: restricted}}\ncustomRules:\n- {id: acme-owner, level: baseline, message: Nobody owns it, fix: Label it, expression: has(object.metadata.labels)}\n"
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	assert.Equal(t, "RULE        LEVEL       SEVERITY  FINDS\nacme-owner  baseline    medium    Nobody owns it\nunlabelled  restricted  low       A title\nunsure      restricted  info      A title\n",
		try(t, "rules", "--config", file).out)
	explained := try(t, "rules", "acme-owner", "--config", file).out
	assert.Contains(t, explained, "NetworkPolicies that are created or are changed and for which this is false: `has(object.metadata.labels)`")
	assert.NotContains(t, explained, "Bad\n")
	assert.NotContains(t, try(t, "rules", "acme-owner", "--config", file, "-o", "markdown").out, "## Bad")
	assert.Equal(t, "Error: there is no rule \"acme-ownr\": did you mean acme-owner?\n", try(t, "rules", "acme-ownr", "--config", file).err)

	input := policy("a", open)
	found := command{args: []string{"check", "--config", file}, stdin: &input}.run(t)
	assert.Equal(t, exitFindings, found.code)
	assert.Contains(t, found.out, "DENY acme-owner (baseline, medium) at stdin:")
	assert.Contains(t, found.out, "Nobody owns it")

	require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(text, "has(object", "has(objct")), 0o644))
	bad := try(t, "check-config", file)
	assert.Equal(t, exitBadInput, bad.code)
	assert.Equal(t, file+":3: customRules[0].expression: line 1, column 5: there is no objct: did you mean object?\n", bad.err)
}

func TestAConfigurationIsCheckedAndShownWithItsDefaults(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "guard.yaml")
	require.NoError(t, os.WriteFile(file, []byte("mode: audit\n"), 0o644))
	assert.Equal(t, result{exitOK, file + " is valid.\n", ""}, try(t, "check-config", file))

	shown := try(t, "check-config", file, "-o", "yaml")
	assert.Equal(t, exitOK, shown.code)
	assert.Contains(t, shown.out, "mode: audit\n")
	again := command{args: []string{"check-config", "-", "-o", "yaml"}, stdin: &shown.out}.run(t)
	assert.Equal(t, shown, again)

	wrong := "mode: audit\nunknown: 1\n"
	assert.Equal(t, exitBadInput, command{args: []string{"check-config", "-"}, stdin: &wrong}.run(t).code)
}

func TestTheVersionIsTold(t *testing.T) {
	r := try(t, "version")
	assert.Equal(t, exitOK, r.code)
	assert.Regexp(t, `^portcullis \S+ \(go\S+ \S+/\S+\)\n$`, r.out)
}
