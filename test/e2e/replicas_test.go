package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/portcullis-dev/portcullis/certs/rotation"
	"github.com/portcullis-dev/portcullis/pkg/server/registration"
	"github.com/portcullis-dev/portcullis/test/controlplane"
	"github.com/portcullis-dev/portcullis/test/guard"
)

// replicas are two Portcullises that share a Secret in the scene's namespace. The API server asks both of them about each policy there,
// by webhook configurations with the name of the namespace. They may do what docs/certificates.md lists, and no more.
type replicas struct {
	*scene
	user   *controlplane.User
	guards []*guard.Guard
	args   []string
}

const secretName = "portcullis-tls"

func newReplicas(t *testing.T, args ...string) *replicas {
	t.Helper()
	s := newScene(t)
	user, err := shared.cluster.User("portcullis-" + s.namespace)
	require.NoError(t, err)
	r := &replicas{scene: s, user: user, args: append([]string{
		"--kubeconfig=" + user.Kubeconfig, "--namespace=" + s.namespace, "--cert-webhooks=" + s.namespace, "--cert-hosts=127.0.0.1",
	}, args...)}
	rule := func(group, resource, name string, verbs ...string) rbacv1.PolicyRule {
		out := rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}
		if name != "" {
			out.ResourceNames = []string{name}
		}
		return out
	}
	s.mayDo(user, "certificates",
		rule("", "secrets", secretName, "get", "list", "watch", "update"), rule("", "secrets", "", "create"),
		rule("coordination.k8s.io", "leases", "portcullis-certificates", "get", "update"), rule("coordination.k8s.io", "leases", "", "create"),
		rule("events.k8s.io", "events", "", "create", "patch"))
	r.mayDoEverywhere(rule("admissionregistration.k8s.io", "validatingwebhookconfigurations", s.namespace, "get", "list", "watch", "patch"),
		rule("admissionregistration.k8s.io", "mutatingwebhookconfigurations", s.namespace, "get", "list", "watch", "patch"),
		// The state of the cluster, which is waited for where it is forbidden.
		rbacv1.PolicyRule{APIGroups: []string{"*"}, Verbs: []string{"list", "watch"}, Resources: []string{
			"namespaces", "pods", "services", "networkpolicies", "ingresses", "deployments", "statefulsets", "daemonsets", "replicasets", "jobs", "cronjobs",
			"replicationcontrollers", "nodes", "servicecidrs", "validatingwebhookconfigurations", "mutatingwebhookconfigurations",
			"customresourcedefinitions", "apiservices",
		}})
	return r
}

func (r *replicas) mayDoEverywhere(rules ...rbacv1.PolicyRule) {
	r.t.Helper()
	api := shared.cluster.Client.RbacV1()
	_, err := api.ClusterRoles().Create(within(r.t), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: r.user.Name}, Rules: rules}, metav1.CreateOptions{})
	require.NoError(r.t, err)
	_, err = api.ClusterRoleBindings().Create(within(r.t), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: r.user.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: r.user.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: r.user.Name}},
	}, metav1.CreateOptions{})
	require.NoError(r.t, err)
}

func (r *replicas) log(i int) string {
	return filepath.Join(shared.dir, fmt.Sprintf("%s-%d.log", r.namespace, i))
}

// logged says whether a replica has logged the text.
func (r *replicas) logged(i int, text string) bool {
	log, err := os.ReadFile(r.log(i))
	return err == nil && bytes.Contains(log, []byte(text))
}

// start starts one more replica.
func (r *replicas) start(args ...string) *guard.Guard {
	r.t.Helper()
	g, err := guard.Start(guard.Options{Binary: shared.binary, Log: r.log(len(r.guards)), Args: append(r.args, args...)})
	require.NoError(r.t, err)
	log := r.log(len(r.guards))
	r.t.Cleanup(func() {
		g.Stop()
		if text, err := os.ReadFile(log); err == nil && r.t.Failed() {
			for line := range strings.Lines(string(text)) {
				if !strings.Contains(line, "healthz check failed") && !strings.Contains(line, "TLS handshake error") {
					r.t.Log(strings.TrimSpace(line))
				}
			}
		}
	})
	r.guards = append(r.guards, g)
	return g
}

// startBoth starts two replicas, of which the first one looks after the certificates, and has the API server ask those of the given
// numbers.
func (r *replicas) startBoth(asked ...int) {
	r.t.Helper()
	r.start()
	r.eventually("the first is elected", func(context.Context) bool { return r.logged(0, "this replica looks after the certificates") })
	r.start("--disable-http2")
	r.register(asked...)
	for _, g := range r.guards {
		require.NoError(r.t, g.AwaitReady(within(r.t)))
	}
	r.awaitAsked(asked...)
}

// awaitAsked waits until policies are written, and the API server asks these replicas about them.
func (r *replicas) awaitAsked(asked ...int) {
	r.t.Helper()
	r.eventually("the API server asks", func(ctx context.Context) bool {
		if r.write(ctx) != nil {
			return false
		}
		for _, i := range asked {
			text, err := r.guards[i].Metrics(ctx)
			if err != nil || text.Sum(`portcullis_admission_reviews_total{decision="*",dry_run="true",operation="CREATE",resource="networkpolicies",webhook="validate"}`) == 0 {
				return false
			}
		}
		return true
	})
}

func (r *replicas) eventually(what string, is func(context.Context) bool) {
	r.t.Helper()
	eventually(r.t, what, is)
}

// ready is what a replica answers about its certificate's readiness.
func (r *replicas) ready(i int) string {
	r.t.Helper()
	request, err := http.NewRequestWithContext(within(r.t), http.MethodGet, "http://"+r.guards[i].Health+"/readyz/certificate", nil)
	require.NoError(r.t, err)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	require.NoError(r.t, err)
	return string(text)
}

// register has the API server ask the replicas of the given numbers. The caBundles are left for Portcullis to write.
func (r *replicas) register(asked ...int) {
	r.t.Helper()
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: r.namespace}}
	options := registration.Options{Client: func(string) admissionregistrationv1.WebhookClientConfig {
		return admissionregistrationv1.WebhookClientConfig{}
	}}
	options.Mutations.CopyNamespaceLabels = []string{"absent"}
	validating, mutating := registration.Validating(options), registration.Mutating(options)
	judge, repair := validating.Webhooks[0], mutating.Webhooks[0]
	judge.NamespaceSelector, repair.NamespaceSelector = selector, selector
	validating.Name, mutating.Name, validating.Webhooks, mutating.Webhooks = r.namespace, r.namespace, nil, nil
	for _, i := range asked {
		client := func(path string) admissionregistrationv1.WebhookClientConfig {
			return admissionregistrationv1.WebhookClientConfig{URL: ptr.To("https://" + r.guards[i].Webhook + path)}
		}
		judge.Name, judge.ClientConfig = fmt.Sprintf("replica-%d.portcullis.dev", i), client("/validate")
		repair.Name, repair.ClientConfig = judge.Name, client("/mutate")
		validating.Webhooks, mutating.Webhooks = append(validating.Webhooks, judge), append(mutating.Webhooks, repair)
	}
	api := shared.cluster.Client.AdmissionregistrationV1()
	_, err := api.ValidatingWebhookConfigurations().Create(within(r.t), validating, metav1.CreateOptions{})
	require.NoError(r.t, err)
	_, err = api.MutatingWebhookConfigurations().Create(within(r.t), mutating, metav1.CreateOptions{})
	require.NoError(r.t, err)
	r.t.Cleanup(func() {
		assert.NoError(r.t, api.ValidatingWebhookConfigurations().Delete(within(r.t), r.namespace, metav1.DeleteOptions{}))
		assert.NoError(r.t, api.MutatingWebhookConfigurations().Delete(within(r.t), r.namespace, metav1.DeleteOptions{}))
	})
}

// write writes a policy that is allowed.
func (r *replicas) write(ctx context.Context) error {
	np := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{GenerateName: "load-"}, Spec: networkingv1.NetworkPolicySpec{
		PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "none"}}, PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
	}}
	_, err := shared.cluster.Client.NetworkingV1().NetworkPolicies(r.namespace).Create(ctx, np, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}

// bundle is the caBundle, the same of all webhooks, or nil.
func (r *replicas) bundle(ctx context.Context) []byte {
	found, err := shared.cluster.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, r.namespace, metav1.GetOptions{})
	if err != nil {
		return nil
	}
	return found.Webhooks[0].ClientConfig.CABundle
}

// served is the certificate that a replica shows, and an error if it is not verified by the bundle.
func (r *replicas) served(ctx context.Context, i int, bundle []byte) (*x509.Certificate, error) {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(bundle)
	dialer := &tls.Dialer{Config: &tls.Config{RootCAs: pool}}
	connection, err := dialer.DialContext(ctx, "tcp", r.guards[i].Webhook)
	if err != nil {
		return nil, err
	}
	defer func() { _ = connection.Close() }()
	return connection.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

// load writes policies, and connects to replicas as a client that trusts the caBundle of now, until the function that it returns is called.
// Nothing of that may fail.
func (r *replicas) load(connect ...int) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.t.Context()))
	var writes, connections atomic.Int64
	var all sync.WaitGroup
	failures := make(chan error, 1000)
	fail := func(what string, err error) {
		if err != nil && ctx.Err() == nil {
			select {
			case failures <- fmt.Errorf("%s: %w", what, err):
			default:
			}
		}
	}
	for range 4 {
		all.Go(func() {
			for ctx.Err() == nil {
				fail("a policy is not written", r.write(ctx))
				writes.Add(1)
			}
		})
	}
	for _, i := range connect {
		all.Go(func() {
			for ctx.Err() == nil {
				_, err := r.served(ctx, i, r.bundle(ctx))
				fail(fmt.Sprintf("replica %d is not verified", i), err)
				connections.Add(1)
			}
		})
	}
	return func() {
		r.t.Helper()
		cancel()
		all.Wait()
		close(failures)
		count := 0
		for err := range failures {
			if count++; count < 5 {
				assert.NoError(r.t, err)
			}
		}
		assert.Zero(r.t, count, "failed requests")
		assert.Greater(r.t, writes.Load(), int64(100))
		r.t.Logf("%d writes and %d connections", writes.Load(), connections.Load())
	}
}

// material is what the Secret holds.
func (r *replicas) material(ctx context.Context) (rotation.Material, error) {
	secret, err := shared.cluster.Client.CoreV1().Secrets(r.namespace).Get(ctx, secretName, metav1.GetOptions{})
	if err != nil {
		return rotation.Material{}, err
	}
	return rotation.Decode(secret.Data, secret.Annotations)
}

// renewed waits until both replicas serve another certificate than before, and yields what the Secret holds then.
func (r *replicas) renewed(before *tls.Certificate) rotation.Material {
	r.t.Helper()
	var now rotation.Material
	r.eventually("all replicas serve another certificate", func(ctx context.Context) bool {
		var err error
		if now, err = r.material(ctx); err != nil || now.Leaf == nil || before != nil && now.Leaf.Leaf.Equal(before.Leaf) {
			return false
		}
		for i := range r.guards {
			if leaf, err := r.served(ctx, i, r.bundle(ctx)); err != nil || !leaf.Equal(now.Leaf.Leaf) {
				return false
			}
		}
		return true
	})
	return now
}

// aged writes a Secret whose CA was made some time ago.
func (r *replicas) aged(lifetime, age time.Duration) {
	r.t.Helper()
	authority, err := rotation.NewAuthority(time.Now().Add(-age), lifetime)
	require.NoError(r.t, err)
	made := rotation.Material{Authorities: []rotation.Authority{authority}}
	data, annotations, err := made.Encode()
	require.NoError(r.t, err)
	_, err = shared.cluster.Client.CoreV1().Secrets(r.namespace).Create(within(r.t), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: secretName, Annotations: annotations, Labels: map[string]string{"app.kubernetes.io/managed-by": "portcullis"}},
		Type:       corev1.SecretTypeTLS, Data: data,
	}, metav1.CreateOptions{})
	require.NoError(r.t, err)
}
