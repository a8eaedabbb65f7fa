package manifest_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/fix"
	"github.com/portcullis-dev/portcullis/pkg/source/manifest"
)

const closing = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: NAME\nspec:\n  podSelector: {}\n  policyTypes: [Ingress]\n"

func policyNamed(name string) string { return strings.ReplaceAll(closing, "NAME", name) }

func indented(text string) string {
	return "- " + strings.TrimRight(strings.ReplaceAll(text, "\n", "\n  "), " ")
}

func TestTextEditsTheObjectThatTheFindingIsAbout(t *testing.T) {
	json := `{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"NAME"},"spec":{"podSelector":{},"policyTypes":["Ingress"]}}`
	list := "apiVersion: v1\nkind: List\nitems:\n"
	for name, text := range map[string]string{
		"if it is alone, then it is edited":                          policyNamed("b"),
		"if it is one of several documents, then only it is":         "# head\n" + policyNamed("a") + "---\n" + policyNamed("b") + "--- # c\n" + policyNamed("c"),
		"if it is an item of a list, then only the item is":          list + indented(policyNamed("a")) + indented(policyNamed("b")) + indented(policyNamed("c")),
		"if the list is one of policies, then the item has no kind":  "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicyList\nitems:\n" + indented(policyNamed("a")) + "- metadata: {name: b}\n  spec: {podSelector: {}, policyTypes: [Ingress]}\n",
		"if its name is to be made, then the prefix tells":           policyNamed("a") + "---\n" + strings.ReplaceAll(policyNamed("b"), "name:", "generateName:"),
		"if the file begins with a byte order mark, then it stays":   "\ufeff" + policyNamed("a") + "---\n" + policyNamed("b"),
		"if files with byte order marks were joined, then they stay": "\ufeff" + policyNamed("a") + "---\n\ufeff" + policyNamed("b") + "---\n\ufeff" + policyNamed("c"),
		"if lines end in CR LF, then they still do":                  strings.ReplaceAll(policyNamed("a")+"---\n"+policyNamed("b"), "\n", "\r\n"),
		"if JSON objects follow each other, then only it is edited":  strings.ReplaceAll(json, "NAME", "a") + strings.ReplaceAll(json, "NAME", "b") + "\n" + strings.ReplaceAll(json, "NAME", "c"),
	} {
		t.Run(name, func(t *testing.T) {
			result, err := manifest.Load(t.Context(), []string{manifest.Stdin}, strings.NewReader(text))
			require.NoError(t, err)
			require.Empty(t, result.Problems)
			content, err := result.Content(manifest.StdinName)
			require.NoError(t, err)
			require.Equal(t, text, string(content))
			editor := manifest.NewText(content)
			for _, p := range result.Policies {
				if !strings.HasPrefix(p.Name, "b") {
					continue
				}
				edits, err := editor.Edits(&finding.Finding{Subject: p.Subject(), Source: p.Source, Patch: []finding.PatchOp{{Op: "add", Path: "/spec/policyTypes/-", Value: "Egress"}}})
				require.NoError(t, err)
				now := fix.Apply(content, edits)
				again, err := manifest.Load(t.Context(), []string{manifest.Stdin}, bytes.NewReader(now))
				require.NoError(t, err)
				require.Empty(t, again.Problems)
				for i, after := range again.Policies {
					assert.Equal(t, strings.HasPrefix(after.Name, "b"), after.Types[1], "%s", now)
					assert.Equal(t, result.Policies[i].Name, after.Name)
				}
				assert.Equal(t, text[:edits[0].Start], string(now[:edits[0].Start]))
				assert.True(t, bytes.HasSuffix(now, content[edits[len(edits)-1].End:]))
			}
		})
	}
}

func TestTextRefusesWhatItCannotEdit(t *testing.T) {
	patch := []finding.PatchOp{{Op: "remove", Path: "/spec/policyTypes"}}
	subject := finding.Subject{Kind: finding.KindNetworkPolicy, Namespace: "default", Name: "b"}
	for name, c := range map[string]struct {
		text, want string
		line       int
	}{
		"if the field is an alias of what stands above, then that is said": {
			"kind: List\napiVersion: v1\nitems:\n- &a\n  x: &spec\n    policyTypes: [Ingress]\n- apiVersion: networking.k8s.io/v1\n  kind: NetworkPolicy\n  metadata: {name: b}\n  spec: *spec\n", "holds *spec", 6},
		"if the object is not where it was, then nothing is edited":      {policyNamed("a"), "is not found at line 1", 1},
		"if it begins after the line, then it is another":                {"---\n---\n" + policyNamed("b"), "is not found at line 1", 1},
		"if lines end in carriage returns alone, then nothing is edited": {strings.ReplaceAll(policyNamed("b"), "\n", "\r"), "a carriage return alone", 1},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := manifest.NewText([]byte(c.text)).Edits(&finding.Finding{Subject: subject, Source: finding.Source{Line: c.line}, Patch: patch})
			assert.ErrorContains(t, err, c.want)
		})
	}
}

func TestContentIsThatOfTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.yaml")
	require.NoError(t, os.WriteFile(path, []byte("\ufeffa: 1\r\n"), 0o600))
	var r manifest.Result
	content, err := r.Content(path)
	require.NoError(t, err)
	assert.Equal(t, "\ufeffa: 1\r\n", string(content))
	_, err = r.Content(path + "x")
	assert.ErrorContains(t, err, "no such file")
}
