package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/rules"
)

const (
	// openToAll has a finding with a fix, and what the fix is to leave alone.
	openToAll = `# the shop
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}   # the web
spec:
  podSelector: {matchLabels: {app: "web"}}
  policyTypes: ['Ingress']
  ingress:
    - from:
      - podSelector: {}    # ourselves
      # and all others
      - ipBlock: {cidr: 0.0.0.0/0}
      ports: [{port: 8080}]
`
	fixedWeb    = "# the shop\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: web, namespace: shop}   # the web\nspec:\n  podSelector: {matchLabels: {app: \"web\"}}\n  policyTypes: ['Ingress']\n  ingress:\n    - from:\n      - podSelector: {}    # ourselves\n      ports: [{port: 8080}]\n"
	other       = "---\n# another\napiVersion: v1\nkind: ConfigMap\nmetadata:   {name: x}\n"
	refusedFile = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: api}\nspec:\n  podSelectr: {}\n  ingress: [{}]\n"
	unfixable   = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: db, namespace: shop, labels: {portcullis.dev/exempt: no-such-rule}, annotations: {portcullis.dev/exempt: no-such-rule}}\nspec:\n  podSelector: {}\n  policyTypes: [Ingress]\n"
)

func fixing(t *testing.T, stdin *string, args ...string) result {
	t.Helper()
	return command{args: append([]string{"fix"}, args...), stdin: stdin, rules: rules.Catalogue()}.run(t)
}

// inFolder writes files into a new folder, and makes it the working directory.
func inFolder(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range files {
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, []byte(text), 0o640))
	}
}

func contentOf(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

func TestFixPrintsTheWholeInputCorrected(t *testing.T) {
	input := openToAll + other
	r := fixing(t, &input)
	assert.Equal(t, fixedWeb+other, r.out)
	assert.Contains(t, r.err, "stdin: fixed internet-ingress of NetworkPolicy shop/web: ")
	assert.Contains(t, r.err, "1 fixed, 0 not fixed, ")
	assert.Equal(t, exitOK, r.code)

	inFolder(t, map[string]string{"m/a.yaml": openToAll, "m/b.yaml": "\ufeff" + other, "m/c.json": `{"kind":"A","apiVersion":"v1"}{"kind":"B","apiVersion":"v1"}`})
	assert.Equal(t, "---\n# Source: m/a.yaml\n"+fixedWeb+"# Source: m/b.yaml\n"+other+
		"---\n# Source: m/c.json\n{\"kind\":\"A\",\"apiVersion\":\"v1\"}\n---\n# Source: m/c.json\n{\"kind\":\"B\",\"apiVersion\":\"v1\"}\n", fixing(t, nil, "m").out)
	assert.Equal(t, fixedWeb, fixing(t, nil, "m/a.yaml").out, "a single file is printed as it is")
}

func TestFixOfWhatIsFixedChangesNothing(t *testing.T) {
	r := fixing(t, ptr(fixedWeb))
	assert.Equal(t, fixedWeb, r.out)
	assert.Equal(t, exitOK, r.code)
	r = fixing(t, ptr(fixedWeb), "--diff")
	assert.Empty(t, r.out)
	assert.Equal(t, exitOK, r.code)
}

func ptr(s string) *string { return &s }

func TestFixDiffIsWhatGitAndPatchApply(t *testing.T) {
	files := map[string]string{
		"a b/web.yaml": openToAll, "crlf.yaml": strings.ReplaceAll(strings.ReplaceAll(openToAll, "shop}", "crlf}"), "\n", "\r\n"),
		"end.yaml":    strings.TrimSuffix(strings.ReplaceAll(openToAll, "shop}", "end}"), "\n"),
		"at-end.yaml": "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: x, namespace: x}\nspec:\n  podSelector: {}\n  ingress: []\n  egress:\n  - to:\n    - podSelector: {}",
	}
	inFolder(t, files)
	r := fixing(t, nil, ".", "--diff", "--level", "restricted")
	require.Equal(t, exitFindings, r.code, "%s", r.err)
	diff := r.out
	for name, text := range files {
		assert.Equal(t, text, contentOf(t, name), "--diff changes nothing")
	}
	require.NoError(t, os.WriteFile(".diff", []byte(diff), 0o600))
	want := map[string]string{}
	fixing(t, nil, ".", "--write", "--level", "restricted")
	for name, text := range files {
		want[name] = contentOf(t, name)
		assert.NotEqual(t, text, want[name])
		require.NoError(t, os.WriteFile(name, []byte(text), 0o640))
	}
	for _, tool := range [][]string{{"git", "apply", ".diff"}, {"patch", "-p1", "--binary", "-i", ".diff"}} {
		if _, err := exec.LookPath(tool[0]); err != nil {
			t.Logf("%s is not installed: not tried", tool[0])
			continue
		}
		text, err := exec.Command(tool[0], tool[1:]...).CombinedOutput()
		require.NoError(t, err, "%v: %s\n%s", tool, text, diff)
		for name, text := range files {
			assert.Equal(t, want[name], contentOf(t, name), "%v", tool)
			require.NoError(t, os.WriteFile(name, []byte(text), 0o640))
		}
	}
}

func TestFixWritesFilesInPlace(t *testing.T) {
	inFolder(t, map[string]string{"real/web.yaml": openToAll, "m/other.yaml": other, "m/refused.yaml": refusedFile})
	require.NoError(t, os.Symlink("../real/web.yaml", "m/web.yaml"))
	before, err := os.Stat("m/other.yaml")
	require.NoError(t, err)

	r := fixing(t, nil, "m", "--write")
	assert.Empty(t, r.out)
	assert.Equal(t, exitBadInput, r.code, "one file has a problem")
	assert.Equal(t, fixedWeb, contentOf(t, "real/web.yaml"))
	assert.Equal(t, refusedFile, contentOf(t, "m/refused.yaml"), "a file with problems is left alone")
	link, err := os.Lstat("m/web.yaml")
	require.NoError(t, err)
	assert.NotZero(t, link.Mode()&os.ModeSymlink)
	info, err := os.Stat("real/web.yaml")
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o640), info.Mode().Perm())
	after, err := os.Stat("m/other.yaml")
	require.NoError(t, err)
	assert.True(t, os.SameFile(before, after), "a file without changes is not replaced")
	left, err := os.ReadDir("real")
	require.NoError(t, err)
	assert.Len(t, left, 1, "no temporary file is left")
}

func TestReplaceFileRefusesWhatSomebodyElseHasChanged(t *testing.T) {
	inFolder(t, map[string]string{"a.yaml": "a: 2\n"})
	assert.ErrorIs(t, replaceFile("a.yaml", []byte("a: 1\n"), []byte("a: 3\n")), errStale)
	assert.Equal(t, "a: 2\n", contentOf(t, "a.yaml"))
	assert.Error(t, replaceFile("b.yaml", nil, nil))
}

func TestFixTellsWhatIsLeft(t *testing.T) {
	r := fixing(t, ptr(unfixable))
	assert.Equal(t, unfixable, r.out)
	assert.Contains(t, r.err, "by hand invalid-setting of NetworkPolicy shop/db")
	assert.Equal(t, exitFindings, r.code)

	r = fixing(t, ptr(openToAll), "--rule", "dns-blocked")
	assert.Equal(t, openToAll, r.out, "another rule's finding is left alone")
	assert.Contains(t, r.err, "There is nothing to fix.")
	assert.Equal(t, exitFindings, r.code)

	twice := openToAll + "---\n" + openToAll
	r = fixing(t, &twice)
	assert.Equal(t, twice, r.out)
	assert.Contains(t, r.err, "not fixed internet-ingress of NetworkPolicy shop/web at spec.ingress[0].from[1].ipBlock.cidr: the policy is also at stdin:2")
}

func TestFixRefusesCommandLinesThatMakeNoSense(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"if standard input is to be written in place": {[]string{"-", "--write"}, "--write changes files"},
		"if the rule is not known":                    {[]string{"-", "--rule", "x"}, `--rule "x" is no rule that is on`},
		"if the level is not known":                   {[]string{"-", "--level", "x"}, "--level"},
		"if both outputs are asked for":               {[]string{"x.yaml", "--write", "--diff"}, "none of the others can be"},
	} {
		t.Run(name, func(t *testing.T) {
			r := fixing(t, ptr(openToAll), c.args...)
			assert.Equal(t, exitBadInput, r.code)
			assert.Contains(t, r.err, c.want)
			assert.Empty(t, r.out)
		})
	}
}

func TestFixIsIdempotentOverAllFixtures(t *testing.T) {
	fixtures, err := filepath.Glob(filepath.Join("..", "..", "pkg", "rules", "testdata", "*", "*", "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, fixtures)
	changed := 0
	for _, path := range fixtures {
		text := contentOf(t, path)
		once := fixing(t, &text, "--level", "restricted", "--provisional")
		if once.out == text {
			continue
		}
		changed++
		twice := fixing(t, &once.out, "--level", "restricted", "--provisional")
		assert.Equal(t, once.out, twice.out, "%s", path)
		assert.NotContains(t, twice.err, ": fixed ", "%s", path)
		assert.True(t, bytes.HasPrefix([]byte(once.out), []byte(text[:strings.Index(text, "\n")])), "%s", path)
	}
	assert.Greater(t, changed, 50)
}

func TestWhatIsLeftIsPlacedInTheFileAsItIs(t *testing.T) {
	const file = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a, namespace: shop}
spec:
  podSelector: {}
  egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: 1}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: b, namespace: shop}
spec:
  podSelector: {matchLabels: {app: b}}
  policyTypes: [Ingress]
  ingress:
  - from:
    - namespaceSelector: {}
    ports: [{port: 9999}]
`
	inFolder(t, map[string]string{"all.yaml": file})
	const left = ": by hand all-namespaces of NetworkPolicy shop/b at "
	assert.Contains(t, fixing(t, nil, "all.yaml", "--diff").err, "all.yaml:16"+left, "a diff changes nothing on disk")
	assert.Contains(t, fixing(t, nil, "all.yaml").err, "all.yaml:16"+left)
	written := fixing(t, nil, "all.yaml", "--write")
	lines := strings.Split(contentOf(t, "all.yaml"), "\n")
	at := slices.Index(lines, "    - namespaceSelector: {}") + 1
	require.Greater(t, at, 16)
	assert.Contains(t, written.err, fmt.Sprintf("all.yaml:%d%s", at, left))
}
