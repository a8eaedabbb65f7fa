package install

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/portcullis-dev/portcullis/test/kubelet"
)

// routeAPIs has the API server serve what Portcullis reads of the Gateway API and of OpenShift, without its schemas.
func routeAPIs(t *testing.T) {
	t.Helper()
	client, err := dynamic.NewForConfig(shared.cluster.Admin.Config)
	require.NoError(t, err)
	crds := client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	const gateway = "gateway.networking.k8s.io"
	for kind, group := range map[string]string{
		"Gateway": gateway, "HTTPRoute": gateway, "GRPCRoute": gateway, "TLSRoute": gateway, "TCPRoute": gateway, "UDPRoute": gateway,
		"ReferenceGrant": gateway, "Route": "route.openshift.io",
	} {
		singular := strings.ToLower(kind)
		name := singular + "s." + group
		_, err := crds.Create(within(t), &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
			"metadata": map[string]any{"name": name, "annotations": map[string]any{"api-approved.kubernetes.io": "unapproved, experimental-only"}},
			"spec": map[string]any{
				"group": group, "scope": "Namespaced",
				"names": map[string]any{"kind": kind, "listKind": kind + "List", "plural": singular + "s", "singular": singular},
				"versions": []any{map[string]any{"name": "v1", "served": true, "storage": true, "schema": map[string]any{
					"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true},
				}}},
			},
		}}, metav1.CreateOptions{})
		require.NoError(t, err)
		t.Cleanup(func() { _ = crds.Delete(within(t), name, metav1.DeleteOptions{}) })
	}
}

// exemptionsAreForThoseWhoMay binds the chart's role to one of two users, who both want a policy exempted.
func exemptionsAreForThoseWhoMay(t *testing.T, namespace string) {
	kubectl(t, "--namespace", namespace, "create", "rolebinding", "exempts", "--clusterrole=portcullis-exempt", "--user=alice")
	kubectl(t, "--namespace", namespace, "create", "rolebinding", "edits", "--clusterrole=admin", "--user=alice", "--user=bob")
	create := func(name string) error {
		user, err := shared.cluster.User(name)
		require.NoError(t, err)
		client, err := kubernetes.NewForConfig(user.Config)
		require.NoError(t, err)
		np := wrong("exempt")
		np.Annotations = map[string]string{"portcullis.dev/exempt": "internet-ingress", "portcullis.dev/exempt-reason": "a test"}
		_, err = client.NetworkingV1().NetworkPolicies(namespace).Create(within(t), np, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
	eventually(t, "who may exempt does", func(context.Context) bool { return create("alice") == nil })
	err := create("bob")
	assert.True(t, apierrors.IsForbidden(err), "%v", err)
	assert.ErrorContains(t, err, "internet-ingress")
}

// token makes a ServiceAccount and yields its token.
func token(t *testing.T, name string) string {
	t.Helper()
	accounts := shared.cluster.Client.CoreV1().ServiceAccounts(corev1.NamespaceDefault)
	_, err := accounts.Create(within(t), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	require.NoError(t, err)
	answer, err := accounts.CreateToken(within(t), name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	require.NoError(t, err)
	return answer.Status.Token
}

// running is the address on this machine of a pod that is not on its way out.
func running(t *testing.T) string {
	t.Helper()
	pods, err := shared.cluster.Client.CoreV1().Pods(namespace).List(within(t), metav1.ListOptions{})
	require.NoError(t, err)
	for i := range pods.Items {
		if pods.Items[i].DeletionTimestamp == nil {
			return kubelet.Local(pods.Items[i].Status.PodIP)
		}
	}
	require.Fail(t, "no pod runs", shared.kubelet.LogTail())
	return ""
}

// metricsAreForThoseWhoMay reads them as nobody, as a ServiceAccount, and as one that the chart's role is bound to.
func metricsAreForThoseWhoMay(t *testing.T) {
	kubectl(t, "create", "clusterrolebinding", "reads-metrics", "--clusterrole=portcullis-metrics", "--serviceaccount=default:prometheus")
	t.Cleanup(func() { kubectl(t, "delete", "clusterrolebinding", "reads-metrics") })
	eventually(t, "the binding is known", func(context.Context) bool { // Portcullis remembers a refusal for a while
		_, err := tryKubectl(t, "auth", "can-i", "get", "/metrics", "--as=system:serviceaccount:default:prometheus")
		return err == nil
	})
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	address := running(t)
	get := func(bearer string) (int, string) {
		request, err := http.NewRequestWithContext(within(t), http.MethodGet, "https://"+net.JoinHostPort(address, "8443")+"/metrics", nil)
		require.NoError(t, err)
		if bearer != "" {
			request.Header.Set("Authorization", "Bearer "+bearer)
		}
		response, err := client.Do(request)
		require.NoError(t, err)
		defer func() { _ = response.Body.Close() }()
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response.StatusCode, string(text)
	}
	status, _ := get("")
	assert.Equal(t, http.StatusUnauthorized, status)
	status, _ = get(token(t, "stranger"))
	assert.Equal(t, http.StatusForbidden, status)
	status, text := get(token(t, "prometheus"))
	assert.Equal(t, http.StatusOK, status, text)
	assert.Contains(t, text, "portcullis_build_info{")
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "process_resident_memory_bytes ") {
			t.Log(strings.TrimSpace(line))
		}
	}
}
