package e2e

import (
	"context"
	"crypto/tls"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/portcullis-dev/portcullis/test/controlplane"
	"github.com/portcullis-dev/portcullis/test/guard"
)

// mayDo gives the user rights in the namespace.
func (s *scene) mayDo(user *controlplane.User, role string, rules ...rbacv1.PolicyRule) {
	s.t.Helper()
	api := shared.cluster.Client.RbacV1()
	_, err := api.Roles(s.namespace).Create(within(s.t), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: role}, Rules: rules}, metav1.CreateOptions{})
	require.NoError(s.t, err)
	_, err = api.RoleBindings(s.namespace).Create(within(s.t), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user.Name}},
	}, metav1.CreateOptions{})
	require.NoError(s.t, err)
}

func TestAnExemptionIsHonouredOnlyIfTheUserMayExempt(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.pod("api", 9090)
	jane, err := shared.cluster.User("jane-" + s.namespace)
	require.NoError(t, err)
	s.mayDo(jane, "author", rbacv1.PolicyRule{APIGroups: []string{"networking.k8s.io"}, Resources: []string{"networkpolicies"}, Verbs: []string{"*"}})
	exempt := `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: api
  annotations: {portcullis.dev/exempt: internet-ingress, portcullis.dev/exempt-reason: a probe from outside}
spec:
  podSelector: {matchLabels: {app: api}}
` + openIngress + "\n"
	hers := s.as(jane)
	eventually(t, "the role is in force", func(context.Context) bool { return hers.kubectl("", "get", "networkpolicies").code == 0 })
	hers.refused(exempt, apply, "internet-ingress", "the exemption is left out of account: "+jane.Name+" may not exempt networkpolicies in the API group portcullis.dev here")

	s.mayDo(jane, "exempter", rbacv1.PolicyRule{APIGroups: []string{"portcullis.dev"}, Resources: []string{"networkpolicies"}, Verbs: []string{"exempt"}})
	eventually(t, "the right to exempt is noticed", func(context.Context) bool { return hers.kubectl(exempt, apply...).code == 0 })
	s.audited(`"networkpolicies.portcullis.dev/decision":"exempt"`, `"networkpolicies.portcullis.dev/exempt":"internet-ingress: a probe from outside"`)
}

func TestMetricsAreForThoseWhomTheClusterLetsReadThem(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	g, err := guard.Start(guard.Options{
		Binary: shared.binary, Log: filepath.Join(shared.dir, "metrics.log"),
		Args: []string{"--kubeconfig=" + shared.cluster.Admin.Kubeconfig, "--metrics-secure=true"},
	})
	require.NoError(t, err)
	t.Cleanup(g.Stop)
	require.NoError(t, g.AwaitReady(within(t)))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	status := func(token string) int {
		request, err := http.NewRequestWithContext(within(t), http.MethodGet, "https://"+g.Addresses.Metrics+"/metrics", nil)
		require.NoError(t, err)
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		response, err := client.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.StatusCode
	}
	token := func(account string) string {
		api := shared.cluster.Client.CoreV1().ServiceAccounts(s.namespace)
		_, err := api.Create(within(t), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account}}, metav1.CreateOptions{})
		require.NoError(t, err)
		review, err := api.CreateToken(within(t), account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
		require.NoError(t, err)
		return review.Status.Token
	}
	role := "read-metrics-" + s.namespace
	rbac := shared.cluster.Client.RbacV1()
	_, err = rbac.ClusterRoles().Create(within(t), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: role}, Rules: []rbacv1.PolicyRule{
		{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}},
	}}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = rbac.ClusterRoleBindings().Create(within(t), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: s.namespace, Name: "prometheus"}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)

	assert.Equal(t, http.StatusUnauthorized, status(""))
	assert.NotEqual(t, http.StatusOK, status("no token"))
	assert.Equal(t, http.StatusForbidden, status(token("nobody")))
	prometheus := token("prometheus")
	eventually(t, "the role is in force", func(context.Context) bool { return status(prometheus) == http.StatusOK })
}

func TestAStartThatCannotBeSaysWhatToDo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	changed := func(name string, change func(*clientcmdapi.Config)) string {
		kubeconfig, err := clientcmd.LoadFromFile(shared.cluster.Admin.Kubeconfig)
		require.NoError(t, err)
		change(kubeconfig)
		path := filepath.Join(dir, name)
		require.NoError(t, clientcmd.WriteToFile(*kubeconfig, path))
		return path
	}
	nowhere := changed("nowhere", func(c *clientcmdapi.Config) {
		for _, cluster := range c.Clusters {
			cluster.Server = "https://127.0.0.1:1"
		}
	})
	wrong := changed("wrong", func(c *clientcmdapi.Config) {
		for name := range c.AuthInfos {
			c.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: "wrong"}
		}
	})
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"if there is no kubeconfig, then it is named": {
			[]string{"--kubeconfig=/nowhere/kubeconfig"}, "cannot use --kubeconfig /nowhere/kubeconfig: "},
		"if the API server cannot be reached, then its address is told": {
			[]string{"--kubeconfig=" + nowhere}, "the API server at https://127.0.0.1:1 cannot be reached: start it, or name the kubeconfig of another with --kubeconfig: "},
		"if the credentials are wrong, then that is told": {
			[]string{"--kubeconfig=" + wrong}, "does not accept the credentials: give those of a user of the cluster with --kubeconfig"},
		"if a port is taken, then the flag is named": {
			[]string{"--kubeconfig=" + shared.cluster.Admin.Kubeconfig, "--bind-address=" + shared.guard.Addresses.Webhook}, "choose another with --bind-address"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			args := append([]string{"serve", "--health-bind-address=0", "--metrics-bind-address=0"}, c.args...)
			text, err := exec.CommandContext(ctx, shared.binary, args...).CombinedOutput()
			exit := (*exec.ExitError)(nil)
			require.ErrorAs(t, err, &exit)
			assert.Equal(t, 2, exit.ExitCode())
			assert.Contains(t, string(text), c.want)
		})
	}
}

func TestWithoutRightsItIsToldWhichAreMissing(t *testing.T) {
	t.Parallel()
	user, err := shared.cluster.User("powerless")
	require.NoError(t, err)
	log := filepath.Join(shared.dir, "powerless.log")
	g, err := guard.Start(guard.Options{Binary: shared.binary, Log: log, Args: []string{"--kubeconfig=" + user.Kubeconfig}})
	require.NoError(t, err)
	t.Cleanup(g.Stop)
	eventually(t, "the rights are named", func(context.Context) bool {
		text, err := os.ReadFile(log)
		return err == nil && strings.Contains(string(text), `no verdict is possible without rights to read networkpolicies: grant the verbs list and watch`)
	})
}
