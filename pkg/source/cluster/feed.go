package cluster

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/tools/cache"
)

// feed is what a Reflector takes for its store. It writes objects into the source's model.Store, and keeps their names
// alone, to know what a new list lacks.
//
// The Reflector gathers a list before it hands it over with Replace. So that the list does not hold whole objects
// meanwhile, each is written when it is read, and only its name is left in the list. Until Replace, the state is newer
// for some objects than for others, as it is between any two events of a watch.
//
// Everything in a feed is guarded by the source's lock.
type feed struct {
	kind    *kind
	version string
	source  *Source
	stop    func()
	again   func() // has everything listed again; nil before the first list

	names  map[string]map[string]struct{} // by namespace
	listed bool                           // a whole list has been read
	closed bool                           // the kind is no longer served
	// forbidden is since when the API server has forbidden to list or watch; refused is whether that counts.
	forbidden time.Time
	refused   bool
	// seen is the resource version up to which the watch has told everything; empty before the first list.
	seen string
	// floors are, by namespace, the resource versions at which Confirm has listed the namespace, as long as the watch is
	// behind them: events up to a floor are in already.
	floors map[string]string
}

var (
	_ cache.TransformingStore      = (*feed)(nil)
	_ cache.ResourceVersionUpdater = (*feed)(nil)
)

func newFeed(s *Source, k *kind, version string) *feed {
	return &feed{kind: k, version: version, source: s, names: map[string]map[string]struct{}{}, floors: map[string]string{}}
}

// Transformer implements cache.TransformingStore: the Reflector passes each object of a streamed list through it.
func (f *feed) Transformer() cache.TransformFunc {
	return func(obj any) (any, error) {
		o, ok := obj.(runtime.Object)
		if !ok {
			return nil, fmt.Errorf("%s: the API server sent a %T", f.kind.name, obj)
		}
		return f.take(o)
	}
}

// take writes an object of a list and returns its name.
func (f *feed) take(obj runtime.Object) (*metav1.PartialObjectMetadata, error) {
	o, err := meta.Accessor(obj)
	if err != nil {
		return nil, err
	}
	f.source.mu.Lock()
	defer f.source.mu.Unlock()
	f.put(obj, o)
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: o.GetNamespace(), Name: o.GetName()}}, nil
}

// Add implements cache.ReflectorStore.
func (f *feed) Add(obj any) error { return f.event(obj, f.put) }

// Update implements cache.ReflectorStore.
func (f *feed) Update(obj any) error { return f.event(obj, f.put) }

// Delete implements cache.ReflectorStore.
func (f *feed) Delete(obj any) error {
	return f.event(obj, func(_ runtime.Object, o metav1.Object) { f.drop(o.GetNamespace(), o.GetName()) })
}

func (f *feed) event(obj any, do func(runtime.Object, metav1.Object)) error {
	o, err := meta.Accessor(obj)
	if err != nil {
		return err
	}
	f.source.mu.Lock()
	defer f.source.mu.Unlock()
	if floor, ok := f.floors[f.space(o)]; ok && !newer(o.GetResourceVersion(), floor) {
		return nil
	}
	do(obj.(runtime.Object), o)
	return nil
}

// space is the namespace that an object counts for: of a Namespace its own name.
func (f *feed) space(o metav1.Object) string {
	if f.kind.name == "Namespace" {
		return o.GetName()
	}
	return o.GetNamespace()
}

// Replace implements cache.ReflectorStore: the list is whole, and what it lacks is gone.
func (f *feed) Replace(list []any, version string) error {
	names := map[string]map[string]struct{}{}
	for _, obj := range list {
		o, err := meta.Accessor(obj)
		if err != nil {
			return err
		}
		note(names, o.GetNamespace(), o.GetName())
	}
	s := f.source
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.closed {
		return nil
	}
	for namespace, old := range f.names {
		for name := range old {
			if _, there := names[namespace][name]; !there {
				f.drop(namespace, name)
			}
		}
	}
	f.names = names
	f.seen = version
	clear(f.floors)
	f.listed = true
	s.noteSync()
	return nil
}

// Resync implements cache.ReflectorStore. There is nothing that could be out of step.
func (f *feed) Resync() error { return nil }

// UpdateResourceVersion implements cache.ResourceVersionUpdater.
func (f *feed) UpdateResourceVersion(version string) {
	f.source.mu.Lock()
	defer f.source.mu.Unlock()
	f.seen = version
	for namespace, floor := range f.floors {
		if !newer(floor, version) {
			delete(f.floors, namespace)
		}
	}
}

// confirm takes over the objects of a namespace as listed at a resource version, unless the watch is as far already.
func (f *feed) confirm(namespace string, objects []runtime.Object, version string) error {
	if f.closed || !f.listed || !newer(version, f.seen) {
		return nil
	}
	listed := map[string]struct{}{}
	for _, obj := range objects {
		o, err := meta.Accessor(obj)
		if err != nil {
			return err
		}
		f.put(obj, o)
		listed[o.GetName()] = struct{}{}
	}
	if f.kind.name != "Namespace" {
		for name := range f.names[namespace] {
			if _, there := listed[name]; !there {
				f.drop(namespace, name)
			}
		}
	}
	f.floors[namespace] = version
	return nil
}

func (f *feed) put(obj runtime.Object, o metav1.Object) {
	if f.closed {
		return
	}
	s := f.source
	if definesRoutes(obj) {
		s.rediscover()
	}
	trim(obj)
	if _, err := s.store.Apply(obj); err != nil {
		s.options.Logger.Error("an object cannot be read and is left out", "kind", f.kind.name,
			"namespace", o.GetNamespace(), "name", o.GetName(), "error", err)
		return
	}
	note(f.names, o.GetNamespace(), o.GetName())
	s.invalidate()
}

func (f *feed) drop(namespace, name string) {
	if f.closed {
		return
	}
	s := f.source
	delete(f.names[namespace], name)
	if len(f.names[namespace]) == 0 {
		delete(f.names, namespace)
	}
	if err := s.store.Delete(f.kind.name, namespace, name); err != nil {
		s.options.Logger.Error("an object cannot be removed", "kind", f.kind.name, "namespace", namespace, "name", name, "error", err)
	}
	s.invalidate()
	if f.kind.name == "Namespace" && s.options.NamespaceGone != nil {
		s.options.NamespaceGone(name)
	}
}

// close removes everything of a kind that is no longer served.
func (f *feed) close() {
	for namespace, names := range f.names {
		for name := range names {
			f.drop(namespace, name)
		}
	}
	f.closed = true
}

func note(names map[string]map[string]struct{}, namespace, name string) {
	of := names[namespace]
	if of == nil {
		of = map[string]struct{}{}
		names[namespace] = of
	}
	of[name] = struct{}{}
}

// newer compares resource versions, which are comparable within one resource
// (https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions). What does not compare is not newer.
func newer(version, than string) bool {
	order, err := resourceversion.CompareResourceVersion(version, than)
	return err == nil && order > 0
}

// definesRoutes is whether obj has the API server serve the Gateway API, or the Routes of OpenShift: a
// CustomResourceDefinition, or the APIService of another server's.
func definesRoutes(obj runtime.Object) bool {
	o, ok := obj.(*unstructured.Unstructured)
	if !ok || o.GetKind() != crdKind && o.GetKind() != serviceKind {
		return false
	}
	group, _, err := unstructured.NestedString(o.Object, "spec", "group")
	return err == nil && (group == gatewayGroup || group == openshiftGroup)
}
