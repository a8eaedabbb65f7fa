package install

import (
	"bufio"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// needless are the rights that are granted although a test run does not come to need them, and why.
var needless = map[string]string{
	"patch events.events.k8s.io in portcullis-system": "an Event that repeats within minutes is counted up rather than written anew",
}

// elsewhere are the rights that a run with cert-manager does not show that it needs. The API server asks for those to create where an apply
// makes something, and logs the apply alone; the others are for exemptions and metrics, which the test of Helm looks at.
var elsewhere = []string{
	"create certificates.cert-manager.io in portcullis-system", "create issuers.cert-manager.io in portcullis-system",
	"create subjectaccessreviews.authorization.k8s.io", "create tokenreviews.authentication.k8s.io",
}

// streamed is whether the right to list is needed by API servers alone that cannot stream what there is at the beginning of a watch: the
// one of the tests can (https://kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists).
func streamed(right string, used map[string]bool) bool {
	resource, lists := strings.CutPrefix(right, "list ")
	return lists && used["watch "+resource]
}

// account is the user that Portcullis is.
const account = "system:serviceaccount:" + namespace + ":portcullis"

// granted are the rights of the ServiceAccount, each as in "list pods" or "update secrets/portcullis-tls in portcullis-system".
func granted(t *testing.T) map[string]bool {
	t.Helper()
	api := shared.cluster.Client.RbacV1()
	out := map[string]bool{}
	add := func(rules []rbacv1.PolicyRule, where string) {
		for _, r := range rules {
			names := r.ResourceNames
			if len(names) == 0 {
				names = []string{""}
			}
			for _, group := range r.APIGroups {
				for _, resource := range r.Resources {
					for _, verb := range r.Verbs {
						for _, name := range names {
							out[rightTo(verb, group, resource, name, where)] = true
						}
					}
				}
			}
		}
	}
	cluster, err := api.ClusterRoles().Get(within(t), "portcullis", metav1.GetOptions{})
	require.NoError(t, err)
	add(cluster.Rules, "")
	role, err := api.Roles(namespace).Get(within(t), "portcullis", metav1.GetOptions{})
	require.NoError(t, err)
	add(role.Rules, namespace)
	return out
}

func rightTo(verb, group, resource, name, where string) string {
	out := verb + " " + resource
	if group != "" {
		out += "." + group
	}
	if name != "" {
		out += "/" + name
	}
	if where != "" {
		out += " in " + where
	}
	return out
}

// requests reads from the audit log what Portcullis has asked for since then.
func requests(t *testing.T, since time.Time) (events []auditv1.Event) {
	t.Helper()
	file, err := os.Open(shared.cluster.AuditLog())
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event auditv1.Event
		require.NoError(t, json.Unmarshal(lines.Bytes(), &event), lines.Text())
		if event.User.Username == account && event.RequestReceivedTimestamp.After(since) {
			events = append(events, event)
		}
	}
	require.NoError(t, lines.Err())
	return events
}

// verbsAreUsed compares the rights that are granted with those that the run has needed since then: all that was asked for was granted, and
// all that is granted was asked for, but for the given ones.
func verbsAreUsed(t *testing.T, since time.Time, unasked ...string) {
	rights, used := granted(t), map[string]bool{}
	for _, event := range requests(t, since) {
		if event.ObjectRef == nil {
			continue // discovery, and the version
		}
		ref := event.ObjectRef
		if !assert.NotEqual(t, "forbid", event.Annotations["authorization.k8s.io/decision"], "%s %s", event.Verb, event.RequestURI) {
			continue
		}
		resource := ref.Resource
		if ref.Subresource != "" {
			resource += "/" + ref.Subresource
		}
		for _, candidate := range []string{
			rightTo(event.Verb, ref.APIGroup, resource, ref.Name, ref.Namespace), rightTo(event.Verb, ref.APIGroup, resource, "", ref.Namespace),
			rightTo(event.Verb, ref.APIGroup, resource, ref.Name, ""), rightTo(event.Verb, ref.APIGroup, resource, "", ""),
		} {
			if rights[candidate] {
				used[candidate] = true
				break
			}
		}
	}
	require.NotEmpty(t, used)
	for _, r := range slices.Sorted(maps.Keys(rights)) {
		why, known := needless[r]
		assert.True(t, used[r] || known || streamed(r, used) || slices.Contains(unasked, r), "%s is granted and was never asked for", r)
		if known {
			t.Logf("%s: %s", r, why)
		}
	}
	for r := range needless {
		assert.True(t, rights[r], "%s is not granted at all", r)
	}
	assert.Greater(t, len(used), 40, strings.Join(slices.Sorted(maps.Keys(used)), "\n"))
}

var update = flag.Bool("update", false, "write what kubectl says into the docs")

// theDocsHaveItsRights compares docs/security.md with what kubectl tells of the ServiceAccount.
func theDocsHaveItsRights(t *testing.T) {
	const begin, end = "<!-- can-i: made by `go test ./test/e2e/install -run Helm -update` -->\n\n```\n", "```\n\n<!-- end of can-i -->"
	file := filepath.Join(shared.root, "docs", "security.md")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(text), begin)
	require.True(t, found)
	_, after, found := strings.Cut(rest, end)
	require.True(t, found)
	lines := strings.Split(strings.TrimSuffix(kubectl(t, "auth", "can-i", "--list", "--namespace", namespace, "--as="+account), "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	slices.Sort(lines[1:]) // kubectl has an order of its own for what is alike
	want := before + begin + strings.Join(lines, "\n") + "\n" + end + after
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(want), 0o644))
		return
	}
	assert.Equal(t, want, string(text), "docs/security.md is stale: go test ./test/e2e/install -run Helm -update")
}
