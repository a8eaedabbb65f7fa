package main

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/report/graph"
	"github.com/portcullis-dev/portcullis/pkg/rules"
)

func TestReachOfTheExampleClusterInEveryFormat(t *testing.T) {
	for _, format := range graphNames() {
		if format == "html" {
			continue // the tests in a browser have it
		}
		r := try(t, "reach", exampleCluster, "--exposure", "-o", format)
		assert.Zero(t, r.code, r.err)
		golden(t, "reach."+format, r.out)
	}
}

func TestReachListsTheSamePairsAsJSONAndAsCSV(t *testing.T) {
	var list struct{ Connections []graph.Connection }
	require.NoError(t, json.Unmarshal([]byte(try(t, "reach", exampleCluster, "-o", "json").out), &list))
	rows, err := csv.NewReader(strings.NewReader(try(t, "reach", exampleCluster, "-o", "csv").out)).ReadAll()
	require.NoError(t, err)
	require.NotEmpty(t, list.Connections)
	var pairs int
	for _, c := range list.Connections {
		for _, ports := range [][]string{c.Ports, c.Maybe} {
			if len(ports) > 0 {
				pairs++
			}
		}
	}
	assert.Len(t, rows, pairs+1, "a line for the names of the columns")
}

func TestIfThereIsNoWorkloadThenReachSaysSo(t *testing.T) {
	input := policy("shop/a", closed)
	r := command{args: []string{"reach"}, stdin: &input}.run(t)
	assert.Equal(t, "There is no workload and no pod in the input.\n", r.out)
	assert.Zero(t, r.code)
}

const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: %, namespace: shop}
spec: {selector: {matchLabels: {app: %}}, template: {metadata: {labels: {app: %}}, spec: {containers: [{name: c, image: c}]}}}
---
`

func workload(name string) string { return strings.ReplaceAll(deployment, "%", name) }

const denyIngress = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: shop}
spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress]}
`

// write writes files below a new folder.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return dir
}

func TestDiffSaysWhatIsNewlyAllowedAndNewlyBlocked(t *testing.T) {
	dir := write(t, map[string]string{
		"old/all.yaml": workload("web") + workload("db"),
		"new/all.yaml": workload("web") + workload("db") + denyIngress,
	})
	old, now := filepath.Join(dir, "old"), filepath.Join(dir, "new")
	closes := command{args: []string{"diff", old, now}, rules: rules.Catalogue()}.run(t)
	assert.Equal(t, `Newly blocked:
shop/web      → shop/db  all ports
all addresses → shop/db  all ports

0 lines are newly allowed, 2 newly blocked; 0 findings are new, 0 gone.
`, closes.out, closes.err)
	assert.Zero(t, closes.code)

	opens := command{args: []string{"diff", now, old, "-o", "json"}}.run(t)
	var got struct{ Opened, Closed []graph.Connection }
	require.NoError(t, json.Unmarshal([]byte(opens.out), &got))
	assert.Len(t, got.Opened, 2)
	assert.Empty(t, got.Closed)

	same := try(t, "diff", now, now)
	assert.Equal(t, "No difference: the same connections are allowed, and the same is found.\n", same.out)
}

func TestDiffFailsIfSomethingIsNewlyDenied(t *testing.T) {
	dir := write(t, map[string]string{"old.yaml": policy("shop/a", closed), "new.yaml": policy("shop/a", open)})
	old, now := filepath.Join(dir, "old.yaml"), filepath.Join(dir, "new.yaml")
	assert.Equal(t, exitFindings, try(t, "diff", old, now).code)
	assert.Equal(t, exitOK, try(t, "diff", now, old).code, "if a finding is gone, then nothing fails")
	assert.Equal(t, exitOK, try(t, "diff", now, now).code, "if a finding was there before, then nothing fails")
}

func TestDiffReadsRevisionsOfGit(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		require.NoError(t, err, "the tests need git")
	}
	dir := write(t, map[string]string{"deploy/all.yaml": workload("web") + workload("db")})
	t.Chdir(dir)
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch=main"},
		{"add", "."},
		{"-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "--quiet", "-m", "first"},
	} {
		out, err := exec.CommandContext(t.Context(), "git", args...).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	require.NoError(t, os.WriteFile("deploy/deny.yaml", []byte(denyIngress), 0o600))
	r := try(t, "diff", "git:main:deploy", "deploy")
	assert.Contains(t, r.out, "Newly blocked:\nshop/web      → shop/db  all ports\n", r.err)
	back := try(t, "diff", "deploy", "git:HEAD:deploy")
	assert.Contains(t, back.out, "Newly allowed:\nshop/web      → shop/db  all ports\n", back.err)

	for args, want := range map[string]string{
		"git:none:deploy":       `there is no revision "none" in this repository`,
		"git:main:nothing":      "there is no file of this path in the revision",
		"git:main":              "is not of the form git:REV:PATH, as in git:main:deploy",
		"git:main:../elsewhere": "name a path within the repository",
		"git:--output=x:deploy": `there is no revision "--output=x" in this repository`,
	} {
		r := try(t, "diff", args, "deploy")
		assert.Equal(t, exitBadInput, r.code, args)
		assert.Contains(t, r.err, want, args)
	}
}

func TestDiffReadsAllThatARevisionHolds(t *testing.T) {
	dir := write(t, map[string]string{
		"all.yaml": workload("web") + workload("db"), "deploy/.gitattributes": "deny.yaml export-ignore\n*.yaml export-subst\n",
		"deploy/deny.yaml": denyIngress + "# $Format:%H$\n", "deploy/b c\n.yaml": workload("db"), "deploy/empty.yaml": "", "deploy/sub/web.yaml": workload("web"),
	})
	t.Chdir(dir)
	git := func(args ...string) {
		out, err := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=test", "-c", "user.email=test@example.com"}, args...)...).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	git("init", "--quiet", "--initial-branch=main")
	git("add", ".")
	git("commit", "--quiet", "-m", "first")
	for _, from := range []string{".", "deploy"} {
		t.Chdir(filepath.Join(dir, from))
		r := try(t, "diff", filepath.Join(dir, "all.yaml"), "git:main:"+map[string]string{".": "deploy/", "deploy": "."}[from])
		assert.Contains(t, r.out, "Newly blocked:\nshop/web      → shop/db  all ports\n", "a policy that .gitattributes leaves out of archives is read: %s", r.err)
	}
	t.Chdir(dir)
	folder := filepath.Join(t.TempDir(), "x")
	require.NoError(t, os.Mkdir(folder, 0o700))
	require.NoError(t, extract(t.Context(), folder, "main", "deploy"))
	got, err := os.ReadFile(filepath.Join(folder, "deploy", "deny.yaml"))
	require.NoError(t, err)
	assert.Equal(t, denyIngress+"# $Format:%H$\n", string(got), "files are as they are committed")

	for _, link := range []string{"deploy/link.yaml", "deploy/folder"} {
		require.NoError(t, os.Symlink("../all.yaml", link))
		git("add", ".")
		git("commit", "--quiet", "-m", "link")
		r := try(t, "diff", "all.yaml", "git:main:deploy")
		assert.Equal(t, exitBadInput, r.code)
		assert.Contains(t, r.err, link+" is a symbolic link", "what is not followed is not passed in silence")
		require.NoError(t, os.Remove(link))
		git("add", "--all", ".")
	}
}

func TestNamesDoNotSteerTerminalsNorSpreadsheets(t *testing.T) {
	const evil = `apiVersion: v1
kind: Pod
metadata: {name: "a\e[31m\nb", namespace: "=cmd|'/C calc'!A0"}
spec: {containers: [{name: c, image: x}]}
`
	dir := write(t, map[string]string{"all.yaml": evil, "none.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"})
	file := filepath.Join(dir, "all.yaml")
	for _, args := range [][]string{
		{"reach", file}, {"reach", file, "-o", "csv"}, {"reach", file, "-o", "dot"}, {"reach", file, "-o", "json"},
		{"diff", filepath.Join(dir, "none.yaml"), file}, {"diff", filepath.Join(dir, "none.yaml"), file, "-o", "markdown"},
	} {
		r := try(t, args...)
		assert.Contains(t, r.out, "calc", "%q: %s", args, r.err)
		assert.NotContains(t, r.out, "\x1b", args)
		assert.NotContains(t, r.out, "\nb", args)
	}
	assert.Contains(t, try(t, "reach", file, "-o", "csv").out, "\n'=cmd")
}

func TestMarkdownIsNoMarkup(t *testing.T) {
	evil := strings.ReplaceAll(workload("web"), "name: web,", `name: "a|b<img src=x>*_@team",`)
	dir := write(t, map[string]string{"old.yaml": "# nothing\n", "new.yaml": evil})
	out := try(t, "diff", filepath.Join(dir, "old.yaml"), filepath.Join(dir, "new.yaml"), "-o", "markdown").out
	assert.Contains(t, out, `shop/a\|b&#60;img src=x&#62;\*\_&#64;team`)
	assert.NotContains(t, out, "<img")
}

func TestWrongUsageOfDiffIsExplained(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"diff", "a"}, "portcullis diff wants OLD and NEW, and got 1"},
		{[]string{"diff", "a", "b", "--live"}, "with --live, portcullis diff wants NEW alone, and got 2"},
		{[]string{"diff", "-", "-"}, "only one of OLD and NEW can be standard input"},
		{[]string{"diff", "a", "b", "--config", "-"}, "diff reads its configuration twice: name a file with --config"},
		{[]string{"diff", "a", "b", "-o", "xml"}, `--output "xml" is not known: use text, json or markdown`},
	} {
		r := try(t, c.args...)
		assert.Equal(t, exitBadInput, r.code)
		assert.Contains(t, r.err, c.want)
	}
}

func TestWhatDependsOnAddressesThatAreNotKnownIsNotSaidToBeBlocked(t *testing.T) {
	narrow := strings.Replace(denyIngress, "policyTypes: [Ingress]", "policyTypes: [Ingress], ingress: [{ports: [{port: 5432}], from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]", 1)
	dir := write(t, map[string]string{"old.yaml": workload("web") + workload("db"), "new.yaml": workload("web") + workload("db") + narrow})
	r := try(t, "diff", filepath.Join(dir, "old.yaml"), filepath.Join(dir, "new.yaml"))
	assert.Regexp(t, `shop/web +→ shop/db +TCP/1-5431,5433-65535`, r.out, "pods may have addresses in 10.0.0.0/8")
}
