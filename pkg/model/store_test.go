package model_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/portcullis-dev/portcullis/pkg/model"
)

// text is all of a snapshot that tests compare.
func text(s *model.Snapshot) string {
	var b strings.Builder
	for ns := range s.Namespaces() {
		fmt.Fprintln(&b, ns.Meta.Name, ns.Meta.Labels, ns.Meta.Described, ns.Exposers, ns.Backends)
		for _, c := range ns.Classes {
			fmt.Fprintln(&b, " class", c.Name(), c.Labels, c.Ports, c.HostNetwork, c.Pods, c.Template, c.Replicas)
		}
		for _, svc := range ns.Services {
			fmt.Fprintln(&b, " service", svc.Name, svc.Selector, svc.Ports, svc.LoadBalancer)
		}
		for _, p := range ns.Policies {
			fmt.Fprintln(&b, " policy", p.Name, p.PodSelector.String(), p.Types)
		}
	}
	return b.String()
}

// object is one object of a small cluster, by kind and name, in one of several versions.
type object struct {
	kind, namespace, name string
	version               int
}

func (o object) set(s *model.Store) {
	meta := metav1.ObjectMeta{Namespace: o.namespace, Name: o.name, Labels: map[string]string{"version": fmt.Sprint(o.version % 2)}}
	switch o.kind {
	case "Namespace":
		meta.Namespace, meta.Name = "", o.namespace
		s.SetNamespace(model.NewNamespaceMeta(&corev1.Namespace{ObjectMeta: meta}))
	case "Pod":
		s.SetPod(&corev1.Pod{ObjectMeta: meta, Spec: corev1.PodSpec{HostNetwork: o.version == 2}, Status: corev1.PodStatus{PodIP: fmt.Sprintf("10.0.0.%d", o.version+1)}})
	case "Service":
		s.SetService(&corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Selector: meta.Labels, Ports: []corev1.ServicePort{{Port: int32(80 + o.version)}}}})
	case "NetworkPolicy":
		np := &networkingv1.NetworkPolicy{ObjectMeta: meta}
		np.Spec.PodSelector.MatchLabels = meta.Labels
		s.SetPolicy(model.CompilePolicy(np, model.Authored{}))
	case "Ingress":
		_, _ = s.Apply(&networkingv1.Ingress{ObjectMeta: meta, Spec: networkingv1.IngressSpec{DefaultBackend: &networkingv1.IngressBackend{
			Service: &networkingv1.IngressServiceBackend{Name: fmt.Sprint("svc-", o.version)}}}})
	}
}

func TestAnySequenceOfChangesGivesWhatTheLastObjectsGive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store := model.NewStore()
		last := map[[3]string]object{}
		for range rapid.IntRange(0, 30).Draw(t, "changes") {
			o := object{
				rapid.SampledFrom([]string{"Namespace", "Pod", "Service", "NetworkPolicy", "Ingress"}).Draw(t, "kind"),
				rapid.SampledFrom([]string{"ops", "shop"}).Draw(t, "namespace"),
				rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "name"),
				rapid.IntRange(0, 2).Draw(t, "version"),
			}
			if o.kind == "Namespace" {
				o.name = o.namespace
			}
			key := [3]string{o.kind, o.namespace, o.name}
			if rapid.Bool().Draw(t, "delete") {
				namespace := o.namespace
				if o.kind == "Namespace" {
					namespace = ""
				}
				require.NoError(t, store.Delete(o.kind, namespace, o.name))
				delete(last, key)
			} else {
				o.set(store)
				last[key] = o
			}
			if rapid.Bool().Draw(t, "compile now") {
				store.Snapshot(model.Facts{})
			}
		}
		fresh := model.NewStore()
		for _, o := range last {
			o.set(fresh)
		}
		want := fresh.Snapshot(model.Facts{})
		assert.Equal(t, text(want), text(store.Snapshot(model.Facts{})))
		counts := maps.Clone(store.Counts())
		maps.DeleteFunc(counts, func(_ string, n int) bool { return n == 0 })
		assert.Equal(t, fresh.Counts(), counts)
	})
}

func TestASnapshotWithAChangeIsWhatTheStoreGivesAfterIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store := model.NewStore()
		for i, kind := range []string{"Pod", "Service", "NetworkPolicy", "NetworkPolicy", "Namespace"} {
			object{kind, rapid.SampledFrom([]string{"ops", "shop"}).Draw(t, "namespace"), fmt.Sprint("o", i), i % 3}.set(store)
		}
		before := store.Snapshot(model.Facts{})
		was := text(before)
		np := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{
			Namespace: rapid.SampledFrom([]string{"ops", "shop", "new"}).Draw(t, "in"), Name: rapid.SampledFrom([]string{"o2", "o3", "other"}).Draw(t, "name")}}
		p := model.CompilePolicy(np, model.Authored{})
		change := model.Change{Operation: model.Update, OldPolicy: p, NewPolicy: p}
		if rapid.Bool().Draw(t, "delete") {
			change = model.Change{Operation: model.Delete, OldPolicy: p}
		}
		after := before.With(change)
		assert.Equal(t, was, text(before), "the snapshot is immutable")
		if change.Operation == model.Delete {
			require.NoError(t, store.Delete("NetworkPolicy", p.Namespace, p.Name))
			assert.NotContains(t, policyNames(after.NamespaceOrImplied(p.Namespace)), p.Name)
		} else {
			store.SetPolicy(p)
			assert.Contains(t, policyNames(after.NamespaceOrImplied(p.Namespace)), p.Name)
		}
		for ns := range store.Snapshot(model.Facts{}).Namespaces() {
			assert.Equal(t, policyNames(ns), policyNames(after.NamespaceOrImplied(ns.Meta.Name)))
		}
	})
}

func policyNames(ns *model.Namespace) []string {
	out := []string{}
	for _, p := range ns.Policies {
		out = append(out, p.Name)
	}
	return out
}

func TestNamespacesAreSelectedAsIfEachWasLookedAt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store := model.NewStore()
		sets := rapid.SliceOfN(rapid.SampledFrom(universe()), 0, 6).Draw(t, "labels")
		for i, set := range sets {
			store.SetNamespace(model.NewNamespaceMeta(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("ns-", i), Labels: set}}))
		}
		s := store.Snapshot(model.Facts{Live: true})
		selector := compile(t, drawSelector(t))
		var want, got []string
		for i, set := range sets {
			if selector.Matches(set) {
				want = append(want, fmt.Sprint("ns-", i))
			}
		}
		for ns := range s.Select(&selector) {
			got = append(got, ns.Meta.Name)
		}
		slices.Sort(want)
		assert.Equal(t, want, got, selector.String())
		all, n := s.SelectsAll(&selector)
		assert.Equal(t, len(want) == len(sets), all)
		assert.Equal(t, len(sets), n)
	})
}
