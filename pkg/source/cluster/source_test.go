package cluster_test

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/source/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server stands for an API server.
type server struct {
	client  *fake.Clientset
	dynamic *dynamicfake.FakeDynamicClient
	log     *buffer
	gone    chan string
	// patience is how long the source is to stand being forbidden.
	patience time.Duration
}

// buffer is a log that can be read while it is written.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

var builtIn = map[string][]string{
	"v1":                              {"namespaces", "pods", "services", "nodes", "replicationcontrollers"},
	"networking.k8s.io/v1":            {"networkpolicies", "ingresses"},
	"apps/v1":                         {"deployments", "statefulsets", "daemonsets", "replicasets"},
	"batch/v1":                        {"jobs", "cronjobs"},
	"admissionregistration.k8s.io/v1": {"validatingwebhookconfigurations", "mutatingwebhookconfigurations"},
	"apiextensions.k8s.io/v1":         {"customresourcedefinitions"},
}

func resources(served map[string][]string) []*metav1.APIResourceList {
	var lists []*metav1.APIResourceList
	for gv, names := range served {
		list := &metav1.APIResourceList{GroupVersion: gv}
		for _, name := range names {
			list.APIResources = append(list.APIResources, metav1.APIResource{Name: name})
		}
		lists = append(lists, list)
	}
	return lists
}

func newServer(objects ...runtime.Object) *server {
	s := &server{client: fake.NewClientset(objects...), log: &buffer{}, gone: make(chan string, 10)}
	s.client.Resources = resources(builtIn)
	s.dynamic = dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}: "CustomResourceDefinitionList",
		{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}:           "HTTPRouteList",
		{Group: "gateway.networking.k8s.io", Version: "v1beta1", Resource: "httproutes"}:      "HTTPRouteList",
		{Group: "gateway.networking.k8s.io", Version: "v1alpha2", Resource: "tcproutes"}:      "TCPRouteList",
		{Group: "gateway.networking.k8s.io", Version: "v1beta1", Resource: "referencegrants"}: "ReferenceGrantList",
		{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}:             "APIServiceList",
		{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gateways"}:             "GatewayList",
		{Group: "route.openshift.io", Version: "v1", Resource: "routes"}:                      "RouteList",
	})
	return s
}

// run runs a source until the test ends.
func (s *server) run(t *testing.T) *cluster.Source {
	t.Helper()
	source := cluster.New(cluster.Options{
		Client: s.client, Dynamic: s.dynamic, Logger: slog.New(slog.NewTextHandler(s.log, nil)),
		NamespaceGone: func(name string) { s.gone <- name },
	})
	source.SetPatience(s.patience)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- source.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-done)
	})
	return source
}

func (s *server) synced(t *testing.T) *cluster.Source {
	t.Helper()
	source := s.run(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	require.NoError(t, source.WaitForSync(ctx))
	return source
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	require.Eventually(t, is, 20*time.Second, 5*time.Millisecond, what)
}

func (s *server) forbid(resource string) {
	s.client.PrependReactor("list", resource, func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", nil)
	})
}

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

func shop() []runtime.Object {
	return []runtime.Object{
		&corev1.Namespace{ObjectMeta: meta("", "shop")},
		&corev1.Pod{ObjectMeta: meta("shop", "web-1"), Status: corev1.PodStatus{PodIP: "10.0.0.1"}},
		&networkingv1.NetworkPolicy{ObjectMeta: meta("shop", "web")},
	}
}

func httpRoute(version string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "gateway.networking.k8s.io/" + version, "kind": "HTTPRoute",
		"metadata": map[string]any{"namespace": "shop", "name": "web"},
		"spec":     map[string]any{"rules": []any{map[string]any{"backendRefs": []any{map[string]any{"name": "web", "port": int64(80)}}}}},
	}}
}

func backends(source *cluster.Source) []model.Backend {
	snapshot, _ := source.Snapshot()
	return snapshot.NamespaceOrImplied("shop").Backends
}

func TestSource(t *testing.T) {
	t.Run("everything that is there is in the first synced snapshot", func(t *testing.T) {
		source := newServer(shop()...).synced(t)
		snapshot, synced := source.Snapshot()
		assert.True(t, synced)
		assert.True(t, snapshot.Facts().Live)
		ns := snapshot.Namespace("shop")
		require.NotNil(t, ns)
		assert.True(t, ns.Meta.Described)
		require.Len(t, ns.Classes, 1)
		assert.Equal(t, "shop/web-1", ns.Classes[0].Name())
		require.Len(t, ns.Policies, 1)
		assert.NoError(t, source.Ready())
	})

	t.Run("what is written later comes in by itself, and what is deleted goes", func(t *testing.T) {
		server := newServer(shop()...)
		source := server.synced(t)
		policies := server.client.NetworkingV1().NetworkPolicies("shop")
		_, err := policies.Create(t.Context(), &networkingv1.NetworkPolicy{ObjectMeta: meta("shop", "dns")}, metav1.CreateOptions{})
		require.NoError(t, err)
		require.NoError(t, policies.Delete(t.Context(), "web", metav1.DeleteOptions{}))
		eventually(t, "the policy dns alone", func() bool {
			snapshot, _ := source.Snapshot()
			policies := snapshot.NamespaceOrImplied("shop").Policies
			return len(policies) == 1 && policies[0].Name == "dns"
		})
	})

	t.Run("if a Namespace is deleted, then that is told", func(t *testing.T) {
		server := newServer(shop()...)
		server.synced(t)
		require.NoError(t, server.client.CoreV1().Namespaces().Delete(t.Context(), "shop", metav1.DeleteOptions{}))
		assert.Equal(t, "shop", <-server.gone)
	})

	t.Run("configured facts are in the next snapshot", func(t *testing.T) {
		source := newServer(shop()...).synced(t)
		source.SetFacts(model.Facts{CNI: "cilium"})
		snapshot, _ := source.Snapshot()
		assert.Equal(t, "cilium", snapshot.Facts().CNI)
		assert.True(t, snapshot.Facts().Live)
	})

	t.Run("if rules begin to look at objects, then those that are there already are kept, and nothing is missing meanwhile", func(t *testing.T) {
		source := newServer(shop()...).synced(t)
		space := func() *model.Namespace {
			snapshot, synced := source.Snapshot()
			require.True(t, synced)
			ns := snapshot.Namespace("shop")
			require.NotNil(t, ns)
			require.Len(t, ns.Policies, 1)
			return ns
		}
		assert.Nil(t, space().Policies[0].Object)
		assert.Nil(t, space().Meta.Object)
		source.SetFacts(model.Facts{Objects: true})
		eventually(t, "the objects", func() bool { return space().Policies[0].Object != nil && space().Meta.Object != nil })
		assert.Equal(t, "web", space().Policies[0].Object.Name)
		source.SetFacts(model.Facts{Objects: true, CNI: "cilium"})
		assert.NotNil(t, space().Policies[0].Object)
	})

	t.Run("if a kind that is not required is forbidden, then the rest is synced and the log says what to grant", func(t *testing.T) {
		server := newServer(shop()...)
		server.forbid("nodes")
		source := server.synced(t)
		assert.NoError(t, source.Ready())
		assert.Contains(t, server.log.String(), `grant the verbs list and watch on nodes in API group \"\" by a ClusterRole`)
	})

	t.Run("if a required kind is forbidden, then nothing is synced and the log says what to grant", func(t *testing.T) {
		server := newServer(shop()...)
		server.forbid("networkpolicies")
		source := server.run(t)
		eventually(t, "the refusal", func() bool {
			return source.Ready() != nil && source.Ready().Error() == "the rights to list and watch networkpolicies are missing"
		})
		assert.Contains(t, server.log.String(), `grant the verbs list and watch on networkpolicies in API group \"networking.k8s.io\" by a ClusterRole`)
		_, synced := source.Snapshot()
		assert.False(t, synced)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		assert.ErrorContains(t, source.WaitForSync(ctx), "the rights to list and watch networkpolicies are missing")
	})

	t.Run("if a kind is forbidden for a moment, as by an API server that has just started, then nothing is synced without it", func(t *testing.T) {
		server := newServer(shop()...)
		server.patience = time.Hour
		var up atomic.Bool
		var refusals atomic.Int32
		server.client.PrependReactor("list", "ingresses", func(k8stesting.Action) (bool, runtime.Object, error) {
			refusals.Add(1)
			return !up.Load(), nil, apierrors.NewForbidden(schema.GroupResource{Resource: "ingresses"}, "", nil)
		})
		source := server.run(t)
		eventually(t, "waiting for ingresses alone", func() bool {
			return refusals.Load() > 1 && source.Ready() != nil &&
				source.Ready().Error() == "the state of the cluster is not complete: waiting for ingresses"
		})
		up.Store(true)
		eventually(t, "the sync", source.HasSynced)
		assert.NotContains(t, server.log.String(), "grant the verbs")
	})

	t.Run("if the rights come later, then the kind is read and the log says so", func(t *testing.T) {
		server := newServer(shop()...)
		var up atomic.Bool
		server.client.PrependReactor("list", "networkpolicies", func(k8stesting.Action) (bool, runtime.Object, error) {
			return !up.Load(), nil, apierrors.NewForbidden(schema.GroupResource{Resource: "networkpolicies"}, "", nil)
		})
		source := server.run(t)
		eventually(t, "the refusal", func() bool { return strings.Contains(server.log.String(), "grant the verbs") })
		up.Store(true)
		eventually(t, "the sync", func() bool { return source.HasSynced() && source.Ready() == nil })
		assert.Contains(t, server.log.String(), "the rights to read networkpolicies are there now")
	})

	t.Run("if a required kind is not served, then nothing is synced", func(t *testing.T) {
		server := newServer(shop()...)
		server.client.Resources = resources(map[string][]string{"v1": {"namespaces", "pods", "services"}})
		source := server.run(t)
		eventually(t, "the missing kind", func() bool {
			return source.Ready() != nil && source.Ready().Error() == "the API server does not serve networkpolicies"
		})
		assert.False(t, source.HasSynced())
	})

	t.Run("until the API server answers, it waits", func(t *testing.T) {
		server := newServer(shop()...)
		var up atomic.Bool
		server.client.PrependReactor("list", "pods", func(k8stesting.Action) (bool, runtime.Object, error) {
			return !up.Load(), nil, apierrors.NewServiceUnavailable("starting")
		})
		source := server.run(t)
		eventually(t, "waiting for pods", func() bool {
			return source.Ready() != nil && source.Ready().Error() == "the state of the cluster is not complete: waiting for pods"
		})
		assert.False(t, source.HasSynced())
		up.Store(true)
		eventually(t, "the sync", source.HasSynced)
	})

	t.Run("if the Gateway API comes later, then its routes are read", func(t *testing.T) {
		server := newServer(shop()...)
		source := server.synced(t)
		assert.Empty(t, backends(source))

		served := map[string][]string{"gateway.networking.k8s.io/v1": {"httproutes"}}
		for gv, names := range builtIn {
			served[gv] = names
		}
		server.client.Lock()
		server.client.Resources = resources(served)
		server.client.Unlock()
		routes := schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}
		_, err := server.dynamic.Resource(routes).Namespace("shop").Create(t.Context(), httpRoute("v1"), metav1.CreateOptions{})
		require.NoError(t, err)
		crds := schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
		_, err = server.dynamic.Resource(crds).Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
			"metadata": map[string]any{"name": "httproutes.gateway.networking.k8s.io"},
			"spec":     map[string]any{"group": "gateway.networking.k8s.io"},
		}}, metav1.CreateOptions{})
		require.NoError(t, err)
		eventually(t, "the route's backend", func() bool { return len(backends(source)) == 1 })
	})

	t.Run("if OpenShift serves its Routes later, then they are read", func(t *testing.T) {
		server := newServer(shop()...)
		source := server.synced(t)
		assert.Empty(t, backends(source))

		served := map[string][]string{"route.openshift.io/v1": {"routes"}}
		for gv, names := range builtIn {
			served[gv] = names
		}
		server.client.Lock()
		server.client.Resources = resources(served)
		server.client.Unlock()
		routes := server.dynamic.Resource(schema.GroupVersionResource{Group: "route.openshift.io", Version: "v1", Resource: "routes"}).Namespace("shop")
		_, err := routes.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "route.openshift.io/v1", "kind": "Route", "metadata": map[string]any{"namespace": "shop", "name": "web"},
			"spec": map[string]any{
				"to": map[string]any{"kind": "Service", "name": "web"}, "port": map[string]any{"targetPort": int64(8443)},
				"tls": map[string]any{"termination": "edge", "key": "secret"},
			},
		}}, metav1.CreateOptions{})
		require.NoError(t, err)
		services := schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}
		_, err = server.dynamic.Resource(services).Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
			"metadata": map[string]any{"name": "v1.route.openshift.io"},
			"spec":     map[string]any{"group": "route.openshift.io", "version": "v1"},
		}}, metav1.CreateOptions{})
		require.NoError(t, err)
		eventually(t, "the Route's backend", func() bool { return len(backends(source)) == 1 })
		assert.Equal(t, model.Backend{Origin: model.Origin{Kind: "route", Namespace: "shop", Name: "web"}, Service: "web", Target: 8443}, backends(source)[0])

		// The fake tells a watch nothing of what happened between the list and it.
		eventually(t, "the watch", func() bool {
			return slices.ContainsFunc(server.dynamic.Actions(), func(a k8stesting.Action) bool { return a.Matches("watch", "routes") })
		})
		require.NoError(t, routes.Delete(t.Context(), "web", metav1.DeleteOptions{}))
		eventually(t, "no backend", func() bool { return len(backends(source)) == 0 })
	})

	t.Run("if the Gateway API goes, then so do its routes", func(t *testing.T) {
		server := newServer(shop()...)
		served := map[string][]string{"gateway.networking.k8s.io/v1beta1": {"httproutes"}}
		for gv, names := range builtIn {
			served[gv] = names
		}
		server.client.Resources = resources(served)
		routes := schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1beta1", Resource: "httproutes"}
		_, err := server.dynamic.Resource(routes).Namespace("shop").Create(t.Context(), httpRoute("v1beta1"), metav1.CreateOptions{})
		require.NoError(t, err)
		source := server.synced(t)
		require.Len(t, backends(source), 1)
		server.client.Lock()
		server.client.Resources = resources(builtIn)
		server.client.Unlock()
		eventually(t, "no backend", func() bool { return len(backends(source)) == 0 })
		assert.True(t, source.HasSynced())
	})
}
