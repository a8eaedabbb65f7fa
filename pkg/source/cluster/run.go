package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
)

// Discovery is repeated at growing intervals: right after something was asked for, the API server may not serve yet what a
// CustomResourceDefinition has just promised.
const (
	firstInterval = time.Second
	lastInterval  = time.Minute
)

// patience is how long a kind is to be forbidden until that counts. An API server that has just started forbids everything
// until it has read its roles.
const patience = 10 * time.Second

// Run reads the cluster until ctx ends, and returns when all that it started has ended. Lost connections and restarts of the
// API server are survived: every kind is listed again.
func (s *Source) Run(ctx context.Context) error {
	ctx = klog.NewContext(ctx, logr.FromSlogHandler(s.options.Logger.Handler()))
	var reflectors sync.WaitGroup
	defer reflectors.Wait()
	interval := firstInterval
	for {
		served, err := servedKinds(ctx, s.discovery, s.kinds)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && served == nil:
			s.options.Logger.Warn("cannot ask the API server what it serves; trying again", "error", err)
		default:
			s.follow(ctx, served, err == nil, &reflectors)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.retry:
			interval = firstInterval
		case <-time.After(interval):
			interval = min(2*interval, lastInterval)
		}
	}
}

// rediscover asks for the kinds that are served, soon.
func (s *Source) rediscover() {
	select {
	case s.retry <- struct{}{}:
	default:
	}
}

// servedKinds maps the kinds that the API server serves to the version to read. With an error, the map is nil, or it lacks
// some groups.
func servedKinds(ctx context.Context, d discovery.DiscoveryInterfaceWithContext, kinds []kind) (map[string]string, error) {
	_, lists, err := d.ServerGroupsAndResourcesWithContext(ctx)
	var partial *discovery.ErrGroupDiscoveryFailed
	if err != nil && !errors.As(err, &partial) {
		return nil, err
	}
	resources := map[schema.GroupResource][]string{}
	for _, list := range lists {
		gv, parseErr := schema.ParseGroupVersion(list.GroupVersion)
		if parseErr != nil {
			continue
		}
		for _, r := range list.APIResources {
			gr := schema.GroupResource{Group: gv.Group, Resource: r.Name}
			resources[gr] = append(resources[gr], gv.Version)
		}
	}
	served := map[string]string{}
	for i := range kinds {
		k := &kinds[i]
		there := resources[schema.GroupResource{Group: k.group, Resource: k.resource}]
		if at := slices.IndexFunc(k.versions, func(v string) bool { return slices.Contains(there, v) }); at >= 0 {
			served[k.name] = k.versions[at]
		}
	}
	return served, err
}

// follow starts to read what is served and not read yet, and stops reading what is no longer served, if the answer is
// complete.
func (s *Source) follow(ctx context.Context, served map[string]string, complete bool, reflectors *sync.WaitGroup) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.missing = nil
	var unserved []string
	for i := range s.kinds {
		k := &s.kinds[i]
		version, isServed := served[k.name]
		f := s.feeds[k.name]
		if f != nil && complete && version != f.version {
			f.stop()
			f.close()
			delete(s.feeds, k.name)
			f = nil
		}
		switch {
		case f != nil:
		case isServed:
			f = newFeed(s, k, version)
			s.feeds[k.name] = f
			child, cancel := context.WithCancel(ctx)
			f.stop = cancel
			reflectors.Go(func() { s.reflect(child, f) })
		case k.required:
			s.missing = append(s.missing, k.resource)
		default:
			unserved = append(unserved, k.resource)
		}
	}
	if !s.discovered && len(unserved) > 0 {
		s.options.Logger.Info("going on without what the API server does not serve", "resources", strings.Join(unserved, ","))
	}
	if len(s.missing) > 0 {
		s.options.Logger.Error("the API server does not serve what every verdict needs", "resources", strings.Join(s.missing, ","))
	}
	s.discovered = true
	s.noteSync()
}

// reflect lists and watches one kind until ctx ends, and begins anew when the feed is told so.
func (s *Source) reflect(ctx context.Context, f *feed) {
	for ctx.Err() == nil {
		child, again := context.WithCancel(ctx)
		s.mu.Lock()
		f.again = again
		s.mu.Unlock()
		s.reflectOnce(child, f)
		again()
	}
}

// reflectOnce lists and watches one kind until ctx ends.
func (s *Source) reflectOnce(ctx context.Context, f *feed) {
	all := f.kind.open(f.version, "")
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = f.kind.fields
			if o.ResourceVersion == "0" {
				// "0" means any version, however old, and ignores the limit. Ask for the newest one, page by page.
				o.ResourceVersion = ""
			}
			list, err := all.list(ctx, o)
			if err != nil {
				return nil, err
			}
			return f.takePage(list)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = f.kind.fields
			w, err := all.watch(ctx, o)
			if err == nil {
				s.allowed(f)
			}
			return w, err
		},
	}
	logger := klog.FromContext(ctx)
	pause := wait.Backoff{Duration: 200 * time.Millisecond, Cap: 5 * time.Second, Steps: 6, Factor: 2, Jitter: 0.5}
	r := cache.NewReflectorWithOptions(cache.ToListWatcherWithWatchListSemantics(lw, s.options.Client), f.kind.example(f.version), f,
		cache.ReflectorOptions{Name: "portcullis", Logger: &logger, TypeDescription: f.kind.resource, Backoff: &pause})
	// It returns an error only if ctx has ended.
	_ = pause.DelayWithReset(clock.RealClock{}, 2*time.Minute).Until(ctx, true, true, func(ctx context.Context) (bool, error) {
		if err := r.ListAndWatchWithContext(ctx); err != nil {
			s.failed(ctx, r, f, err)
		}
		return false, nil
	})
}

// takePage writes the objects of one page, and returns it with their names alone.
func (f *feed) takePage(list runtime.Object) (runtime.Object, error) {
	page, err := meta.ListAccessor(list)
	if err != nil {
		return nil, err
	}
	names := &metav1.PartialObjectMetadataList{ListMeta: metav1.ListMeta{
		ResourceVersion: page.GetResourceVersion(), Continue: page.GetContinue(), RemainingItemCount: page.GetRemainingItemCount(),
	}}
	err = meta.EachListItem(list, func(obj runtime.Object) error {
		name, err := f.take(obj)
		if err == nil {
			names.Items = append(names.Items, *name)
		}
		return err
	})
	return names, err
}

// failed is told of every failure to list or watch; the next try is some seconds later.
func (s *Source) failed(ctx context.Context, r *cache.Reflector, f *feed, err error) {
	switch {
	case apierrors.IsForbidden(err):
		s.refused(f, err)
	case apierrors.IsNotFound(err):
		s.rediscover()
	default:
		cache.DefaultWatchErrorHandler(ctx, r, err)
	}
}

func (s *Source) refused(f *feed, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.forbidden.IsZero() {
		f.forbidden = time.Now()
	}
	if f.refused || f.closed || time.Since(f.forbidden) < s.patience {
		return
	}
	f.refused = true
	grant := fmt.Sprintf("grant the verbs list and watch on %s in API group %q by a ClusterRole", f.kind.resource, f.kind.group)
	if f.kind.required {
		s.options.Logger.Error("no verdict is possible without rights to read "+f.kind.resource+": "+grant, "error", err)
	} else {
		s.options.Logger.Warn("going on without "+f.kind.resource+", and what they expose or run is not seen: "+grant, "error", err)
	}
	s.noteSync()
}

// allowed is told of every watch that the API server has let begin.
func (s *Source) allowed(f *feed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.refused {
		s.options.Logger.Info("the rights to read " + f.kind.resource + " are there now")
	}
	f.forbidden, f.refused = time.Time{}, false
}

// listAll reads the newest state of one kind in one namespace.
func listAll(ctx context.Context, a access, fields string) (objects []runtime.Object, version string, err error) {
	list, err := a.list(ctx, metav1.ListOptions{FieldSelector: fields, TimeoutSeconds: ptr.To(int64(confirmTimeout / time.Second))})
	if err != nil {
		return nil, "", err
	}
	page, err := meta.ListAccessor(list)
	if err != nil {
		return nil, "", err
	}
	objects, err = meta.ExtractList(list)
	return objects, page.GetResourceVersion(), err
}
