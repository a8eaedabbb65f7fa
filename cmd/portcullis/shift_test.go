package main

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/report/graph"
)

// two are two workloads: db has two pods that are not alike, of web no pod's address is known.
const two = `
apiVersion: v1
kind: Pod
metadata: {name: db-0, namespace: shop, labels: {app: db, role: primary}, ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: db, uid: a, controller: true}]}
spec: {containers: [{name: c, image: x}]}
status: {podIPs: [{ip: 10.0.0.1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db-1, namespace: shop, labels: {app: db}, ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: db, uid: a, controller: true}]}
spec: {containers: [{name: c, image: x}]}
status: {podIPs: [{ip: 10.0.0.2}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: c, image: x}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {}
  policyTypes: [Ingress]
---
`

func allows(name, selector, peer string) string {
	return `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: ` + name + `, namespace: shop}
spec: {podSelector: {matchLabels: ` + selector + `}, policyTypes: [Ingress], ingress: [{from: [` + peer + `], ports: [{port: 5432}]}]}
---
`
}

func TestDiffTellsWhatIsAllowedToMoreOrFewerPodsOrMoreOrLessSurely(t *testing.T) {
	const web, somewhere = `{podSelector: {matchLabels: {app: web}}}`, `{ipBlock: {cidr: 10.0.0.0/24}}`
	states := map[string]string{
		"never": two, "perhaps": two + allows("a", "{app: db}", somewhere),
		"some": two + allows("a", "{app: db, role: primary}", web), "every": two + allows("a", "{app: db}", web),
	}
	files := map[string]string{}
	for name, text := range states {
		files[name+".yaml"] = text
	}
	dir := write(t, files)
	for shift, want := range map[[2]string]struct{ title, before, after string }{
		{"never", "perhaps"}: {"Perhaps newly allowed (it depends on pods' addresses):\n", "none", "maybe"},
		{"perhaps", "some"}:  {"Surely allowed between some pods, and before only perhaps:\n", "maybe", "some"},
		{"perhaps", "every"}: {"Surely allowed, and before only perhaps:\n", "maybe", "every"},
		{"some", "every"}:    {"Allowed between all pods, and before only between some:\n", "some", "every"},
		{"every", "some"}:    {"Allowed only between some pods, and before between all:\n", "every", "some"},
		{"every", "perhaps"}: {"Only perhaps allowed (it depends on pods' addresses), and before surely:\n", "every", "maybe"},
		{"some", "perhaps"}:  {"Only perhaps allowed (it depends on pods' addresses), and before surely between some pods:\n", "some", "maybe"},
		{"perhaps", "never"}: {"Surely blocked, and before perhaps allowed:\n", "maybe", "none"},
	} {
		old, now := filepath.Join(dir, shift[0]+".yaml"), filepath.Join(dir, shift[1]+".yaml")
		text := try(t, "diff", old, now)
		assert.Contains(t, text.out, want.title+"shop/web → shop/db  TCP/5432\n", "%v", shift)
		assert.Contains(t, text.out, " allowed otherwise than before; ", "%v", shift)
		assert.Contains(t, try(t, "diff", old, now, "-o", "markdown").out, "| shop/web | shop/db | TCP/5432 |\n", "%v", shift)

		var got struct{ Changed []graph.Changed }
		require.NoError(t, json.Unmarshal([]byte(try(t, "diff", old, now, "-o", "json").out), &got))
		assert.Contains(t, got.Changed, graph.Changed{
			From: graph.End{Namespace: "shop", Kind: "Pod", Name: "web"}, To: graph.End{Namespace: "shop", Kind: "StatefulSet", Name: "db"},
			Ports: []string{"TCP/5432"}, Before: want.before, After: want.after,
		}, "%v", shift)
	}
	assert.Contains(t, try(t, "diff", filepath.Join(dir, "never.yaml"), filepath.Join(dir, "some.yaml")).out, "Newly allowed:\nshop/web → shop/db  TCP/5432 (not between all pods)\n")
}
