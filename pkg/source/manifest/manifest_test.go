package manifest_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/source/manifest"
)

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	}
}

func loadPaths(t *testing.T, paths ...string) *manifest.Result {
	t.Helper()
	result, err := manifest.Load(t.Context(), paths, nil)
	require.NoError(t, err)
	return result
}

func named(name string) string {
	return "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: " + name + "}\n"
}

func policyNames(result *manifest.Result) []string {
	var out []string
	for _, p := range result.Policies {
		out = append(out, p.Name)
	}
	return out
}

func TestAFolderMeansItsManifestsInLexicalOrder(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"b.yaml": named("b"), "a/x.yml": named("a-x"), "a/y/z.json": `{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"a-y-z"}}`,
		"c.YAML": named("c"), "d.txt": named("text"), ".hidden.yaml": named("hidden"), ".git/e.yaml": named("git"), "README": "x",
		"values.yaml": "replicas: 1\n", "list.json": "[1]", "empty.yaml": "", "comments.yaml": "# {{ nothing }}\n",
	})
	result := loadPaths(t, dir)
	assert.Empty(t, result.Problems)
	assert.Equal(t, []string{"a-x", "a-y-z", "b", "c"}, policyNames(result))
	assert.Equal(t, finding.Source{File: filepath.Join(dir, "a", "x.yml"), Line: 1}, result.Policies[0].Source)
}

func TestAFileThatIsNamedIsReadWhateverItIsCalled(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"policy.txt": named("text"), ".hidden": named("hidden"), "values.yaml": "replicas: 1\n"})
	result := loadPaths(t, filepath.Join(dir, "policy.txt"), filepath.Join(dir, ".hidden"), filepath.Join(dir, "values.yaml"))
	assert.Equal(t, []string{"text", "hidden"}, policyNames(result))
	assert.Equal(t, []manifest.Problem{{File: filepath.Join(dir, "values.yaml"), Line: 1, Message: "is not a Kubernetes object: apiVersion and kind are missing"}}, result.Problems)
}

func TestIfLinksLeadInACircleThenEachFolderIsReadOnce(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"a/one.yaml": named("one"), "elsewhere/two.yaml": named("two")})
	inside := filepath.Join(dir, "a")
	require.NoError(t, os.Symlink(inside, filepath.Join(inside, "loop")))
	require.NoError(t, os.Symlink(filepath.Join(dir, "elsewhere"), filepath.Join(inside, "other")))
	require.NoError(t, os.Symlink(filepath.Join(inside, "one.yaml"), filepath.Join(inside, "same.yaml")))
	require.NoError(t, os.Symlink("itself.yaml", filepath.Join(inside, "itself.yaml")))
	result := loadPaths(t, inside)
	assert.ElementsMatch(t, []string{"one", "two"}, policyNames(result))
	require.Len(t, result.Problems, 1)
	assert.Equal(t, filepath.Join(inside, "itself.yaml"), result.Problems[0].File)
	assert.Contains(t, result.Problems[0].Message, "cannot be read: ")
}

func TestIfAPathCannotBeReadThenTheOthersAre(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"a.yaml": named("a"), "nothing/readme.txt": "x"})
	huge, err := os.Create(filepath.Join(dir, "huge.yaml"))
	require.NoError(t, err)
	require.NoError(t, huge.Truncate(65<<20))
	require.NoError(t, huge.Close())
	missing, nothing := filepath.Join(dir, "missing.yaml"), filepath.Join(dir, "nothing")
	result := loadPaths(t, missing, nothing, huge.Name(), filepath.Join(dir, "a.yaml"), manifest.Stdin)
	assert.Equal(t, []manifest.Problem{
		{File: missing, Message: "there is no such file or folder: check the path"},
		{File: nothing, Message: "the folder has no .yaml, .yml or .json files: name one that has"},
		{File: huge.Name(), Message: "is larger than 64 MiB: split it"},
		{File: "stdin", Message: "cannot be read: there is no standard input"},
	}, result.Problems)
	assert.Equal(t, []string{"a"}, policyNames(result))
}

func TestIfThePathsOverlapThenNothingIsThereTwice(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"a.yaml": named("a")})
	result := loadPaths(t, dir, filepath.Join(dir, "a.yaml"))
	assert.Empty(t, result.Problems)
	assert.Equal(t, []string{"a"}, policyNames(result))
}

func TestIfTheContextEndsThenThatIsTheError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := manifest.Load(ctx, []string{manifest.Stdin}, strings.NewReader(""))
	require.ErrorIs(t, err, context.Canceled)
}

const lined = `# a comment

kind: NetworkPolicy
apiVersion: networking.k8s.io/v1
metadata:
  name: web
  annotations:
    portcullis.dev/exempt: x
spec:
  podSelector: {}
  ingress:
  - from:
    - ipBlock:
        cidr: 0.0.0.0/0
        except:
        - 10.0.0.0/8
    ports: [{port: 80}]
  -
    from: []
`

func TestPoliciesKnowTheLinesOfTheirFields(t *testing.T) {
	for name, prefix := range map[string]string{"alone": "", "behind another document": "a: b\n---\n", "behind an end": "a: b\n...\n"} {
		t.Run(name, func(t *testing.T) {
			before := strings.Count(prefix, "\n")
			p := load(t, prefix+lined).Policies[0]
			assert.Equal(t, finding.Source{File: "stdin", Line: 3 + before}, p.Source)
			for path, line := range map[string]int{
				"metadata": 5, "metadata.name": 6, "metadata.annotations[portcullis.dev/exempt]": 8, "spec": 9, "spec.podSelector": 10,
				"spec.ingress": 11, "spec.ingress[0]": 12, "spec.ingress[0].from": 12, "spec.ingress[0].from[0]": 13,
				"spec.ingress[0].from[0].ipBlock": 13, "spec.ingress[0].from[0].ipBlock.cidr": 14,
				"spec.ingress[0].from[0].ipBlock.except": 15, "spec.ingress[0].from[0].ipBlock.except[0]": 16,
				"spec.ingress[0].ports[0].port": 17, "spec.ingress[1]": 19, "spec.ingress[1].from": 19,
			} {
				assert.Equal(t, line+before, p.Lines[path], path)
			}
		})
	}
}

func TestItemsOfListsKnowTheirLines(t *testing.T) {
	list := `apiVersion: v1
kind: List
items:
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: {name: one}
  spec:
    policyTypes: [Egress]
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicyList
  items:
  - metadata: {name: two}
    spec:
      policyTypes: [Ingress]
- apiVersion: v1
  kind: Namespace
  metadata: {name: shop}
`
	result := load(t, list)
	assert.Empty(t, result.Problems)
	require.Equal(t, []string{"one", "two"}, policyNames(result))
	assert.Equal(t, 4, result.Policies[0].Source.Line)
	assert.Equal(t, 8, result.Policies[0].Lines["spec.policyTypes"])
	assert.Equal(t, 12, result.Policies[1].Source.Line)
	assert.Equal(t, 14, result.Policies[1].Lines["spec.policyTypes"])
	assert.Equal(t, 15, result.Namespaces[0].Source.Line)

	asJSON := "{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [\n  {\"apiVersion\": \"networking.k8s.io/v1\", \"kind\": \"NetworkPolicy\",\n   \"metadata\": {\"name\": \"one\"},\n   \"spec\": {}}]}\n"
	p := load(t, "# JSON\n---\n"+asJSON).Policies[0]
	assert.Equal(t, 4, p.Source.Line)
	assert.Equal(t, 6, p.Lines["spec"])
}

func TestFieldsBehindAliasesAndMergeKeysHaveLines(t *testing.T) {
	p := load(t, `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec:
  ingress:
  - &rule
    ports:
    - port: 80
  - <<: *rule
    from: []
  - *rule
`).Policies[0]
	assert.Equal(t, 9, p.Lines["spec.ingress[1]"])
	assert.Equal(t, 8, p.Lines["spec.ingress[1].ports[0].port"])
	assert.Equal(t, 10, p.Lines["spec.ingress[1].from"])
	assert.Equal(t, 11, p.Lines["spec.ingress[2]"])
	assert.Equal(t, 8, p.Lines["spec.ingress[2].ports[0].port"])
}

func TestWhatTheAuthorWroteIsKnown(t *testing.T) {
	const nothing, empty, rules = model.WrittenNothing, model.WrittenEmpty, model.WrittenRules
	for _, c := range []struct {
		name, spec      string
		types           bool
		ingress, egress model.Written
		isolates        [2]bool
	}{
		{"if nothing is written, then nothing is", "  podSelector: {}\n", false, nothing, nothing, [2]bool{true, false}},
		{"if egress is null, then it is absent", "  egress: null\n", false, nothing, nothing, [2]bool{true, false}},
		{"if egress has no value, then it is absent", "  egress:\n  podSelector: {}\n", false, nothing, nothing, [2]bool{true, false}},
		{"if egress is an empty list, then it is explicit", "  egress: []\n", false, nothing, empty, [2]bool{true, false}},
		{"if a rule is a bare dash, then it is a rule", "  egress:\n  -\n", false, nothing, rules, [2]bool{true, true}},
		{"if both have rules, then both do", "  ingress: [{}]\n  egress: [{}]\n", false, rules, rules, [2]bool{true, true}},
		{"if policyTypes is written, then it is", "  policyTypes: [Egress]\n  ingress: []\n", true, empty, nothing, [2]bool{false, true}},
		{"if policyTypes is an empty list, then it is not", "  policyTypes: []\n", false, nothing, nothing, [2]bool{true, false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := load(t, web+c.spec).Policies[0]
			assert.Equal(t, model.Authored{Known: true, PolicyTypes: c.types, Rules: [2]model.Written{c.ingress, c.egress}}, p.Authored)
			assert.Equal(t, c.isolates, p.Types)
		})
	}
}

func TestIfARuleIsABareDashThenItAllowsEverything(t *testing.T) {
	p := load(t, web+"  ingress:\n  -\n").Policies[0]
	require.Len(t, p.Rules[model.Ingress], 1)
	assert.True(t, p.Rules[model.Ingress][0].AllPeers())
	assert.True(t, p.Rules[model.Ingress][0].AllPorts())
}

func TestIfAnObjectComesFromTheServerThenItsDefaultsAreNotTheAuthors(t *testing.T) {
	dump := "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: web\n  uid: 11111111-1111-1111-1111-111111111111\n%sspec:\n  podSelector: {}\n  policyTypes: [Ingress]\n"
	assert.False(t, load(t, strings.ReplaceAll(dump, "%s", "")).Policies[0].Authored.Known)

	annotated := strings.ReplaceAll(dump, "%s", "  annotations:\n    "+model.LastApplied+": '{\"spec\":{\"podSelector\":{},\"egress\":[]}}'\n")
	assert.Equal(t, model.Authored{Known: true, Rules: [2]model.Written{model.Ingress: model.WrittenNothing, model.Egress: model.WrittenEmpty}}, load(t, annotated).Policies[0].Authored)
}

func TestCIDRsThatAreRefusedAreReadAsOlderServersStoredThem(t *testing.T) {
	p := load(t, web+"  ingress:\n  - from:\n    - ipBlock: {cidr: 010.0.0.1/8}\n    - ipBlock: {cidr: \"::ffff:192.168.0.0/112\"}\n").Policies[0]
	assert.Equal(t, "10.0.0.0/8", p.Rules[model.Ingress][0].Peers[0].IPBlock.Addrs.String())
	assert.Equal(t, "192.168.0.0/16", p.Rules[model.Ingress][0].Peers[1].IPBlock.Addrs.String())
}

func TestIfObjectsHaveAGenerateNameThenEachIsItsOwn(t *testing.T) {
	pod := "apiVersion: v1\nkind: Pod\nmetadata: {generateName: web-, labels: {n: '%'}}\n---\n"
	policy := "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {generateName: allow-}\n---\n"
	result := load(t, strings.ReplaceAll(pod, "%", "1")+strings.ReplaceAll(pod, "%", "2")+policy+policy)
	assert.Empty(t, result.Problems)
	assert.Equal(t, []string{"allow-", "allow-2"}, policyNames(result))
	snapshot := result.Store.Snapshot(model.Facts{})
	assert.Len(t, snapshot.Namespace("default").Classes, 2)
	assert.Len(t, snapshot.Namespace("default").Policies, 2)
}

func TestEveryKindThatMattersIsRead(t *testing.T) {
	objects := `apiVersion: v1
kind: %s
metadata: {name: a}
spec: {}
`
	const gateway = "gateway.networking.k8s.io"
	kinds := map[string]string{}
	for apiVersion, list := range map[string]string{
		"v1": "Namespace Pod Service Node ReplicationController", "apps/v1": "Deployment StatefulSet DaemonSet ReplicaSet", "batch/v1": "Job CronJob",
		"extensions/v1beta1": "Deployment", "apps/v1beta2": "StatefulSet", "batch/v1beta1": "CronJob", "networking.k8s.io/v1": "NetworkPolicy Ingress ServiceCIDR",
		"admissionregistration.k8s.io/v1": "ValidatingWebhookConfiguration MutatingWebhookConfiguration", "apiregistration.k8s.io/v1": "APIService",
		"apiextensions.k8s.io/v1": "CustomResourceDefinition", gateway + "/v1": "Gateway HTTPRoute GRPCRoute TLSRoute", gateway + "/v1alpha2": "TCPRoute UDPRoute", gateway + "/v1beta1": "ReferenceGrant",
		"route.openshift.io/v1": "Route",
	} {
		for kind := range strings.FieldsSeq(list) {
			kinds[apiVersion+" "+kind] = strings.Replace(strings.Replace(objects, "v1", apiVersion, 1), "%s", kind, 1)
		}
	}
	for name, object := range kinds {
		result := load(t, object)
		assert.Empty(t, result.Problems, name)
		assert.Equal(t, 1, result.Objects, name)
	}
	for name, object := range map[string]string{
		"another Service": "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: a}\n", "another Gateway": "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: a}\n",
		"another Route":   "apiVersion: serving.knative.dev/v1\nkind: Route\nmetadata: {name: a}\n",
		"another version": "apiVersion: v2\nkind: Pod\nmetadata: {name: a}\n",
	} {
		result := load(t, object)
		assert.Empty(t, result.Problems, name)
		assert.Zero(t, result.Objects, name)
	}
}

func TestTheSnapshotHoldsWhatWasRead(t *testing.T) {
	result := load(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: a}}\n---\n"+
		"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec: {replicas: 3, template: {metadata: {labels: {app: web}}}}\n---\n"+
		strings.Replace(web, "name: web", "name: web\n  namespace: other", 1)+"  podSelector: {}\n")
	snapshot := result.Store.Snapshot(model.Facts{})
	shop, other := snapshot.Namespace("shop"), snapshot.Namespace("other")
	assert.Equal(t, map[string]string{"team": "a", "kubernetes.io/metadata.name": "shop"}, shop.Meta.Labels)
	assert.Equal(t, finding.Source{File: "stdin", Line: 1}, shop.Meta.Source)
	assert.True(t, shop.Meta.Described)
	require.Len(t, shop.Classes, 1)
	assert.Equal(t, 3, shop.Classes[0].Count())
	assert.False(t, other.Meta.Described)
	assert.Equal(t, map[string]string{"kubernetes.io/metadata.name": "other"}, other.Meta.Labels)
	assert.Same(t, result.Policies[0], other.Policies[0])
}

func TestTheTextOfALineCanBeLookedUp(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"a.yaml": "\ufeff" + strings.ReplaceAll(lined, "\n", "\r\n")})
	file := filepath.Join(dir, "a.yaml")
	result, err := manifest.Load(t.Context(), []string{file, manifest.Stdin}, strings.NewReader(named("in")))
	require.NoError(t, err)
	line := result.Lookup()
	var got []string
	for _, n := range []int{1, 3, 14, 19} {
		text, ok := line(file, n)
		assert.True(t, ok)
		got = append(got, text)
	}
	assert.Equal(t, []string{"# a comment", "kind: NetworkPolicy", "        cidr: 0.0.0.0/0", "    from: []"}, got)
	text, ok := line(manifest.StdinName, 2)
	assert.True(t, ok)
	assert.Equal(t, "kind: NetworkPolicy", text)
	for _, n := range []int{0, -1, 100} {
		_, ok = line(file, n)
		assert.False(t, ok)
	}
	_, ok = line(filepath.Join(dir, "gone.yaml"), 1)
	assert.False(t, ok)
}

func TestTheSameInputGivesTheSameResult(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{}
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		files[name+".yaml"] = named(name) + "---\n" + web + "  podSelecter: {}\n  egres: " + name + "\n---\na: [\n"
	}
	write(t, dir, files)
	first := loadPaths(t, dir)
	for range 20 {
		again := loadPaths(t, dir)
		require.Equal(t, first.Problems, again.Problems)
		require.Equal(t, policyNames(first), policyNames(again))
	}
	assert.True(t, slices.IsSortedFunc(first.Problems, func(a, b manifest.Problem) int { return strings.Compare(a.File, b.File) }))
}
