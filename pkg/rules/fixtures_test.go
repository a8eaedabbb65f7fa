package rules_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/engine"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rule"
	"github.com/portcullis-dev/portcullis/pkg/rules"
	"github.com/portcullis-dev/portcullis/pkg/source/manifest"
)

// The fixtures of a rule are in testdata/<id>: in bad, manifests in which the rule finds a violation, in provisional and
// undetermined those in which it finds only that, and in good those in which it finds nothing. Lines at the head of a file
// that begin with "## " are a configuration. Those of rules about the cluster are what a live cluster holds, but where the line
// "## (offline)" says otherwise. Where name.before.yaml stands beside name.yaml, the change from the one to the
// other is judged, and else every object as it stands. findings.txt is what is found, for people to read.

var update = flag.Bool("update", false, "write the findings.txt of all rules")

// leadingPods is how many pods a message says something of.
var leadingPods = regexp.MustCompile(`^(\d+) pods? `)

const (
	beforeSuffix = ".before.yaml"
	exampleName  = "(example).yaml"
)

// fixtureTime is when the fixtures are judged.
var fixtureTime = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// fixture is a file of manifests, loaded.
type fixture struct {
	path    string
	config  *config.Config
	prior   *model.Snapshot
	changes []model.Change
}

func load(t *testing.T, r *rule.Rule, path string) *fixture {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var settings bytes.Buffer
	live := slices.Contains(r.Subjects, finding.KindCluster)
	for line := range strings.Lines(string(text)) {
		rest, is := strings.CutPrefix(line, "## ")
		if !is {
			break
		}
		if rest == "(offline)\n" {
			live = false
			continue
		}
		settings.WriteString(rest)
	}
	f := &fixture{path: path}
	f.config, err = config.Load(settings.Bytes(), path, rules.Catalogue())
	require.NoError(t, err)
	f.config.Facts.Live = live
	after, err := manifest.Load(t.Context(), []string{path}, nil)
	require.NoError(t, err)
	f.prior = after.Store.Snapshot(f.config.Facts)
	beforePath := strings.TrimSuffix(path, ".yaml") + beforeSuffix
	if _, err := os.Stat(beforePath); err == nil {
		before, err := manifest.Load(t.Context(), []string{beforePath}, nil)
		require.NoError(t, err)
		f.prior = before.Store.Snapshot(f.config.Facts)
		f.changes = changes(before, after)
		require.Len(t, f.changes, 1, "%s: one object is to differ", path)
		f.changes[0].Time = fixtureTime
		return f
	}
	f.changes = []model.Change{{Time: fixtureTime}} // the cluster
	for _, p := range after.Policies {
		f.changes = append(f.changes, model.Change{Time: fixtureTime, OldPolicy: p, NewPolicy: p})
	}
	for ns := range f.prior.Namespaces() {
		f.changes = append(f.changes, model.Change{Time: fixtureTime, OldNS: &ns.Meta, NewNS: &ns.Meta})
	}
	return f
}

// unlabelled judges the labelling of the first Namespace, instead of all as it stands.
func (f *fixture) unlabelled(t *testing.T) {
	t.Helper()
	before, err := manifest.Load(t.Context(), []string{f.path}, nil)
	require.NoError(t, err)
	labelled := before.Namespaces[0]
	bare := *labelled
	bare.Labels = map[string]string{"kubernetes.io/metadata.name": bare.Name}
	before.Store.SetNamespace(&bare)
	f.prior = before.Store.Snapshot(f.config.Facts)
	f.changes = []model.Change{{Operation: model.Update, Time: fixtureTime, OldNS: &bare, NewNS: labelled}}
}

// changes are what differs between two inputs.
func changes(before, after *manifest.Result) []model.Change {
	var out []model.Change
	for _, old := range before.Policies {
		at := slices.IndexFunc(after.Policies, func(p *model.Policy) bool { return p.Subject() == old.Subject() })
		switch {
		case at < 0:
			out = append(out, model.Change{Operation: model.Delete, OldPolicy: old})
		case dump(old) != dump(after.Policies[at]):
			out = append(out, model.Change{Operation: model.Update, OldPolicy: old, NewPolicy: after.Policies[at]})
		}
	}
	for _, p := range after.Policies {
		if !slices.ContainsFunc(before.Policies, func(old *model.Policy) bool { return p.Subject() == old.Subject() }) {
			out = append(out, model.Change{Operation: model.Create, NewPolicy: p})
		}
	}
	for _, old := range before.Namespaces {
		at := slices.IndexFunc(after.Namespaces, func(ns *model.NamespaceMeta) bool { return ns.Name == old.Name })
		if at >= 0 && fmt.Sprint(old.Labels, old.Annotations) != fmt.Sprint(after.Namespaces[at].Labels, after.Namespaces[at].Annotations) {
			out = append(out, model.Change{Operation: model.Update, OldNS: old, NewNS: after.Namespaces[at]})
		}
	}
	for _, ns := range after.Namespaces {
		if !slices.ContainsFunc(before.Namespaces, func(old *model.NamespaceMeta) bool { return old.Name == ns.Name }) {
			out = append(out, model.Change{Operation: model.Create, NewNS: ns})
		}
	}
	return out
}

func dump(p *model.Policy) string {
	var b strings.Builder
	fmt.Fprint(&b, p.Labels, p.Annotations, p.PodSelector.String(), p.Types)
	for _, d := range model.Directions {
		for i := range p.Rules[d] {
			r := &p.Rules[d][i]
			fmt.Fprint(&b, r.Numeric, r.External, r.Ports)
			for j := range r.Peers {
				fmt.Fprint(&b, r.Peers[j].NamespaceSelector, r.Peers[j].PodSelector)
			}
		}
	}
	return b.String()
}

// findings is what all rules find.
func (f *fixture) findings() []finding.Finding {
	e := engine.New(f.config.Rules)
	var out []finding.Finding
	for _, c := range f.changes {
		out = append(out, e.Evaluate(f.prior, c)...)
	}
	finding.Sort(out)
	return out
}

func ofRule(fs []finding.Finding, id string) []finding.Finding {
	return slices.DeleteFunc(slices.Clone(fs), func(f finding.Finding) bool { return f.Rule != id })
}

func has(fs []finding.Finding, o finding.Outcome) bool {
	return slices.ContainsFunc(fs, func(f finding.Finding) bool { return f.Outcome == o })
}

// verdicts are what the folders of testdata/<id> promise of the findings of the rule.
var verdicts = map[string]func([]finding.Finding) bool{
	"bad":          func(fs []finding.Finding) bool { return has(fs, finding.Violation) },
	"good":         func(fs []finding.Finding) bool { return len(fs) == 0 },
	"provisional":  func(fs []finding.Finding) bool { return has(fs, finding.Provisional) && !has(fs, finding.Violation) },
	"undetermined": func(fs []finding.Finding) bool { return has(fs, finding.Undetermined) && !has(fs, finding.Violation) },
}

func TestEveryRuleFindsWhatItsFixturesSay(t *testing.T) {
	for _, r := range rules.Catalogue().All() {
		t.Run(r.ID, func(t *testing.T) {
			var all strings.Builder
			for _, path := range fixturesOf(t, r) {
				folder := filepath.Base(filepath.Dir(path))
				is, known := verdicts[folder]
				require.True(t, known, "testdata/%s/%s is no folder of fixtures", r.ID, folder)
				f := load(t, r, path)
				if r.Doc.OnDelete && filepath.Base(path) == exampleName {
					f.changes = []model.Change{{Operation: model.Delete, OldPolicy: f.changes[1].OldPolicy}}
				}
				if r.Doc.OnLabel && filepath.Base(path) == exampleName {
					f.unlabelled(t)
				}
				found := ofRule(f.findings(), r.ID)
				assert.True(t, is(found), "%s finds %v, so this is not %s", path, found, folder)
				assert.Equal(t, found, ofRule(f.findings(), r.ID), "%s: the same input gives the same findings", path)
				name := folder + "/" + filepath.Base(path)
				for i := range found {
					all.WriteString(shown(name, &found[i]))
					if told := leadingPods.FindStringSubmatch(found[i].Message); told != nil {
						assert.Equal(t, told[1], strconv.Itoa(found[i].Pods), "%s: the pods that the finding counts are those of its message", path)
					}
					f.provePatch(t, &found[i])
				}
			}
			golden := filepath.Join("testdata", r.ID, "findings.txt")
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(all.String()), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err, "write it with go test ./pkg/rules -update, and read it")
			assert.Equal(t, string(want), all.String())
		})
	}
}

// fixturesOf are the files of the rule's fixtures, and its two examples as bad and good ones, sorted.
func fixturesOf(t *testing.T, r *rule.Rule) []string {
	t.Helper()
	var out []string
	found, err := filepath.Glob(filepath.Join("testdata", r.ID, "*", "*.yaml"))
	require.NoError(t, err)
	for _, path := range found {
		if !strings.HasSuffix(path, beforeSuffix) {
			out = append(out, path)
		}
	}
	dir := t.TempDir()
	for folder, text := range map[string]string{"bad": r.Doc.Bad, "good": r.Doc.Good} {
		path := filepath.Join(dir, folder, exampleName)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		out = append(out, path)
	}
	slices.SortFunc(out, func(a, b string) int {
		return strings.Compare(filepath.Base(filepath.Dir(a))+filepath.Base(a), filepath.Base(filepath.Dir(b))+filepath.Base(b))
	})
	return out
}

func shown(file string, f *finding.Finding) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s at %s (line %d): %s\n  %s\n", file, f.Subject, f.Path, f.Source.Line, f.Outcome, f.Message)
	if f.Fix != "" {
		fmt.Fprintf(&b, "  Fix: %s\n", f.Fix)
	}
	for _, op := range f.Patch {
		fmt.Fprintln(&b, strings.TrimRight(fmt.Sprintf("  %s %s %s", op.Op, op.Path, compact(op.Value)), " "))
	}
	return b.String()
}
