package cluster

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
)

// newSource is a source whose feeds are driven by the test, with one feed of NetworkPolicies.
func newSource(t *testing.T) (*Source, *feed) {
	t.Helper()
	s := New(Options{
		Client: fake.NewClientset(), Dynamic: dynamicfake.NewSimpleDynamicClient(runtime.NewScheme()), Logger: slog.New(slog.DiscardHandler),
	})
	for i := range s.kinds {
		if s.kinds[i].name == "NetworkPolicy" {
			f := newFeed(s, &s.kinds[i], "v1")
			s.feeds["NetworkPolicy"] = f
			return s, f
		}
	}
	require.Fail(t, "NetworkPolicies are not read")
	return nil, nil
}

func policy(name, version string) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, ResourceVersion: version}}
}

func names(s *Source) []string {
	snapshot, _ := s.Snapshot()
	out := []string{}
	for _, p := range snapshot.NamespaceOrImplied("shop").Policies {
		out = append(out, p.Name)
	}
	return out
}

func (s *Source) confirmed(t *testing.T, f *feed, version string, listed ...runtime.Object) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NoError(t, f.confirm("shop", listed, version))
}

func TestFeed(t *testing.T) {
	list := func(t *testing.T, f *feed, version string, policies ...*networkingv1.NetworkPolicy) {
		t.Helper()
		var left []any
		for _, p := range policies {
			name, err := f.Transformer()(p)
			require.NoError(t, err)
			left = append(left, name)
		}
		require.NoError(t, f.Replace(left, version))
	}

	t.Run("an object of a list leaves nothing but its name in the list", func(t *testing.T) {
		_, f := newSource(t)
		left, err := f.Transformer()(policy("a", "5"))
		require.NoError(t, err)
		assert.Equal(t, &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "a"}}, left)
	})

	t.Run("a new list removes what it lacks", func(t *testing.T) {
		s, f := newSource(t)
		list(t, f, "10", policy("a", "5"), policy("b", "6"))
		require.NoError(t, f.Add(policy("c", "11")))
		list(t, f, "20", policy("b", "6"), policy("d", "15"))
		assert.Equal(t, []string{"b", "d"}, names(s))
		assert.Equal(t, 2, s.Counts()["NetworkPolicy"])
	})

	t.Run("if a list is broken off and begun anew, then what was deleted between is gone", func(t *testing.T) {
		s, f := newSource(t)
		_, err := f.Transformer()(policy("short-lived", "5"))
		require.NoError(t, err)
		list(t, f, "10", policy("a", "5"))
		assert.Equal(t, []string{"a"}, names(s))
	})

	t.Run("events change the next snapshot and no earlier one", func(t *testing.T) {
		s, f := newSource(t)
		list(t, f, "10", policy("a", "5"))
		before, _ := s.Snapshot()
		require.NoError(t, f.Add(policy("b", "11")))
		require.NoError(t, f.Delete(policy("a", "12")))
		assert.Equal(t, []string{"b"}, names(s))
		require.Len(t, before.Namespace("shop").Policies, 1)
		assert.Equal(t, "a", before.Namespace("shop").Policies[0].Name)
	})

	t.Run("if nothing has changed, then the snapshot is the same", func(t *testing.T) {
		s, f := newSource(t)
		list(t, f, "10", policy("a", "5"))
		first, _ := s.Snapshot()
		second, _ := s.Snapshot()
		assert.Same(t, first, second)
	})

	t.Run("a confirmation adds what the watch has not told yet, and removes what it has not told to be gone", func(t *testing.T) {
		s, f := newSource(t)
		list(t, f, "10", policy("a", "5"), policy("b", "6"))
		s.confirmed(t, f, "30", policy("b", "6"), policy("allow-dns", "25"))
		assert.Equal(t, []string{"allow-dns", "b"}, names(s))
	})

	t.Run("events that are older than the confirmation do not undo it", func(t *testing.T) {
		s, f := newSource(t)
		list(t, f, "10", policy("a", "5"))
		s.confirmed(t, f, "30", policy("allow-dns", "25"))
		require.NoError(t, f.Update(policy("a", "20")))         // before it was deleted at 22
		require.NoError(t, f.Add(policy("allow-dns", "15")))    // a predecessor, deleted at 16
		require.NoError(t, f.Delete(policy("allow-dns", "16"))) // and the present one made at 25
		assert.Equal(t, []string{"allow-dns"}, names(s))
	})

	t.Run("events that are newer than the confirmation count", func(t *testing.T) {
		s, f := newSource(t)
		list(t, f, "10", policy("a", "5"))
		s.confirmed(t, f, "30", policy("allow-dns", "25"))
		require.NoError(t, f.Delete(policy("allow-dns", "31")))
		require.NoError(t, f.Add(policy("c", "32")))
		f.UpdateResourceVersion("32")
		assert.Equal(t, []string{"c"}, names(s))
		assert.Empty(t, f.floors)
	})

	t.Run("if the watch is further than the confirmation, then the confirmation changes nothing", func(t *testing.T) {
		s, f := newSource(t)
		list(t, f, "10", policy("a", "5"))
		require.NoError(t, f.Delete(policy("a", "40")))
		f.UpdateResourceVersion("40")
		s.confirmed(t, f, "30", policy("a", "5"))
		assert.Empty(t, names(s))
	})

	t.Run("a confirmation does not touch other namespaces", func(t *testing.T) {
		s, f := newSource(t)
		elsewhere := policy("a", "5")
		elsewhere.Namespace = "pay"
		list(t, f, "10", elsewhere)
		s.confirmed(t, f, "30")
		snapshot, _ := s.Snapshot()
		assert.Len(t, snapshot.Namespace("pay").Policies, 1)
	})

	t.Run("if a kind is no longer served, then its objects are gone and late events change nothing", func(t *testing.T) {
		s, f := newSource(t)
		list(t, f, "10", policy("a", "5"))
		s.mu.Lock()
		f.close()
		s.mu.Unlock()
		require.NoError(t, f.Add(policy("b", "11")))
		list(t, f, "20", policy("c", "15"))
		assert.Empty(t, names(s))
	})
}
