package manifest_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/source/manifest"
)

// FuzzManifests: whatever the input, reading it does not panic, every line that is told is in the file, and the snapshot
// compiles.
func FuzzManifests(f *testing.F) {
	for _, seed := range []string{
		"", lined, web + "  podSelecter: {}\n  ingress:\n  - ports: 80\n", bomb(), "a: &a [*a]\n", "a: {{ x }}\n", "\xff\xfea", "{\"a\":1}{",
		"apiVersion: v1\nkind: List\nitems:\n- apiVersion: networking.k8s.io/v1\n  kind: NetworkPolicyList\n  items: [{metadata: {name: a}, spec: {ingress: [{from: [{}, null]}]}}]\n",
		"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: &m {name: a, labels: &l {a: b}}\nspec: {podSelector: {matchLabels: {<<: [*l, *m]}}}\n---\n? x\n...\n%YAML 1.1\n--- y\n",
		web + "  egress:\n  - to: [{ipBlock: {cidr: 010.0.0.1/8, except: [\"::ffff:1.2.3.4/128\", x]}}]\n    ports: [{port: 99999, endPort: -1}, {port: a, protocol: x}]\n",
		"apiVersion: v1\nkind: Pod\nmetadata: {generateName: a}\nspec: {containers: [{ports: [{containerPort: 99999999}]}]}\nstatus: {podIPs: [{ip: x}]}\n",
		"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: a}\nspec: {rules: [{backendRefs: [{name: a, port: x}]}]}\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		result, err := manifest.Load(t.Context(), []string{manifest.Stdin}, bytes.NewReader(input))
		if err != nil {
			t.Fatal(err)
		}
		lines := 1 + bytes.Count(input, []byte("\n")) + bytes.Count(input, []byte("\r")) +
			bytes.Count(input, []byte("\u0085")) + bytes.Count(input, []byte("\u2028")) + bytes.Count(input, []byte("\u2029"))
		for _, p := range result.Problems {
			if p.Line < 1 || p.Line > lines || p.Message == "" || strings.Contains(p.Message, "cannot be parsed: ") {
				t.Fatalf("%+v", p)
			}
		}
		for _, p := range result.Policies {
			if p.Source.Line < 1 || p.Source.Line > lines || p.Name == "" {
				t.Fatalf("%+v", p)
			}
		}
		result.Store.Snapshot(model.Facts{})
	})
}
