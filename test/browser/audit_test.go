package browser

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// answers are what an API server says of a small cluster, by path: what is read of one before anything is judged.
func answers() map[string]any {
	type object = map[string]any
	list := func(version, kind string, items ...object) object {
		return object{"apiVersion": version, "kind": kind + "List", "metadata": object{}, "items": items}
	}
	resources := func(version string, names ...string) object {
		var out []object
		for _, name := range names {
			out = append(out, object{"name": strings.ToLower(name), "namespaced": name != "Namespaces", "kind": strings.TrimSuffix(strings.TrimSuffix(name, "s"), "ie"), "verbs": []string{"list", "watch"}})
		}
		return object{"apiVersion": "v1", "kind": "APIResourceList", "groupVersion": version, "resources": out}
	}
	policies := resources("networking.k8s.io/v1")
	policies["resources"] = []object{{"name": "networkpolicies", "namespaced": true, "kind": "NetworkPolicy", "verbs": []string{"list", "watch"}}}
	version := object{"groupVersion": "networking.k8s.io/v1", "version": "v1"}
	in := func(namespace, name string, more object) object {
		out := object{"metadata": object{"namespace": namespace, "name": name, "labels": object{"app": name}}}
		for k, v := range more {
			out[k] = v
		}
		return out
	}
	return map[string]any{
		"/api":                       object{"kind": "APIVersions", "versions": []string{"v1"}},
		"/apis":                      object{"apiVersion": "v1", "kind": "APIGroupList", "groups": []object{{"name": "networking.k8s.io", "versions": []object{version}, "preferredVersion": version}}},
		"/api/v1":                    resources("v1", "Namespaces", "Pods", "Services"),
		"/apis/networking.k8s.io/v1": policies,
		"/api/v1/namespaces":         list("v1", "Namespace", object{"metadata": object{"name": "shop"}}, object{"metadata": object{"name": "ops"}}),
		"/api/v1/services":           list("v1", "Service"),
		"/api/v1/pods": list("v1", "Pod", in("shop", "web", object{"status": object{"phase": "Running", "podIP": "10.1.0.1", "podIPs": []object{{"ip": "10.1.0.1"}}}}),
			in("ops", "agent", object{"status": object{"phase": "Running", "podIP": "10.1.0.2", "podIPs": []object{{"ip": "10.1.0.2"}}}})),
		"/apis/networking.k8s.io/v1/networkpolicies": list("networking.k8s.io/v1", "NetworkPolicy",
			in("shop", "web", object{"spec": object{"podSelector": object{}, "policyTypes": []string{"Ingress"}, "ingress": []object{{"from": []object{{"ipBlock": object{"cidr": "0.0.0.0/0"}}}}}}})),
	}
}

// audited is the file with the page of an audit of that cluster.
func audited(t *testing.T) string {
	t.Helper()
	say := answers()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, there := say[r.URL.Path]
		w.Header().Set("Content-Type", "application/json")
		if !there {
			w.WriteHeader(http.StatusNotFound)
			answer = map[string]any{"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "NotFound", "code": http.StatusNotFound}
		}
		assert.NoError(t, json.NewEncoder(w).Encode(answer))
	}))
	t.Cleanup(server.Close)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: %q}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\n", server.URL)
	require.NoError(t, os.WriteFile(kubeconfig, []byte(text), 0o600))
	return run(t, t.TempDir(), "audit", "-o", "html", "--kubeconfig", kubeconfig)
}

func TestAuditPageShowsFindingsWhatStricterLevelsWouldDenyAndTheGraph(t *testing.T) {
	tb := open(t, audited(t), desk)
	assert.Equal(t, "Portcullis audit of the cluster", eval[string](tb, `document.title`))
	assert.Contains(t, tb.texts(".headline")[0], "would be denied at admission")
	assert.Contains(t, strings.Join(tb.texts(".outlook tbody tr"), "\n"), "shop", "what stricter levels would deny is unfolded")
	assert.Contains(t, tb.texts(".finding[data-rule=internet-ingress]")[0], "8.8.8.8 → shop/web")
	assert.Regexp(t, `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`, tb.texts(".made")[0])
	assert.Empty(t, tb.contrasts())
	tb.picture("audit", false)

	tb.click("[data-view=reach]")
	tb.choose("Pod shop/web")
	assert.Contains(t, tb.texts("#side .ends")[0], "ops/agent", "0.0.0.0/0 holds the addresses of pods, too")
	assert.Contains(t, strings.Join(tb.texts("#side .finding-links a"), " "), "internet-ingress")
	assert.Empty(t, tb.contrasts())
	tb.picture("audit-graph", false)
	tb.click("#side .finding-links a")
	tb.until(`document.activeElement.classList.contains("finding")`)
	assert.Equal(t, "findings", eval[string](tb, `document.querySelector("[data-view][aria-current]").dataset.view`))
}
