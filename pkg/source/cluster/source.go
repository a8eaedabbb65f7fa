// Package cluster keeps the state of a live cluster: Reflectors list and watch every kind that matters and write what the
// engine needs of each object straight into a model.Store. Nothing else of an object is kept, not even while the first
// list is read. Snapshots are compiled when they are asked for.
package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/portcullis-dev/portcullis/pkg/model"
)

// Options say where the state comes from. Client, Dynamic and Logger are required.
type Options struct {
	Client  kubernetes.Interface
	Dynamic dynamic.Interface
	Logger  *slog.Logger
	// NamespaceGone is called, if set, with the name of each Namespace that was deleted. It must return at once.
	NamespaceGone func(name string)
}

// Source is the state of a cluster. Its methods are safe for concurrent use.
type Source struct {
	options   Options
	discovery discovery.DiscoveryInterfaceWithContext
	kinds     []kind
	confirms  confirmations
	patience  time.Duration
	// retry wakes discovery up; it has room for one.
	retry  chan struct{}
	synced chan struct{} // closed when the first lists are in
	// changed is told of every change; it has room for one.
	changed chan struct{}

	current atomic.Pointer[model.Snapshot] // nil when anything has changed since

	mu         sync.Mutex
	store      *model.Store
	facts      model.Facts
	feeds      map[string]*feed // by kind
	discovered bool
	missing    []string // required kinds that the API server does not serve
}

// New makes a source. Nothing is read before Run.
func New(options Options) *Source {
	s := &Source{
		options:   options,
		discovery: options.Client.Discovery(),
		kinds:     kindsOf(options.Client, options.Dynamic),
		retry:     make(chan struct{}, 1),
		synced:    make(chan struct{}),
		changed:   make(chan struct{}, 1),
		patience:  patience,
		store:     model.NewStore(),
		feeds:     map[string]*feed{},
	}
	s.facts.Live = true
	s.confirms.read = s.readNamespace
	return s
}

// NewForConfig makes a source that reads from the API server of config, with protobuf where it is offered.
func NewForConfig(config *rest.Config, options Options) (*Source, error) {
	if err := options.connect(config); err != nil {
		return nil, err
	}
	return New(options), nil
}

// connect makes the clients.
func (o *Options) connect(config *rest.Config) error {
	typed := rest.CopyConfig(config)
	typed.ContentType = "application/vnd.kubernetes.protobuf"
	typed.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	var err error
	if o.Client, err = kubernetes.NewForConfig(typed); err != nil {
		return fmt.Errorf("cannot make a client for the API server: %w", err)
	}
	if o.Dynamic, err = dynamic.NewForConfig(config); err != nil {
		return fmt.Errorf("cannot make a client for the API server: %w", err)
	}
	return nil
}

// SetFacts gives the facts that are configured; those left empty are found in the cluster. If the objects of policies and
// Namespaces are to be kept from now on, they are listed again.
func (s *Source) SetFacts(facts model.Facts) {
	facts.Live = true
	s.mu.Lock()
	defer s.mu.Unlock()
	if facts.Objects && !s.facts.Objects {
		for _, name := range []string{"NetworkPolicy", "Namespace"} {
			if f := s.feeds[name]; f != nil && f.again != nil {
				f.again()
			}
		}
	}
	s.store.KeepObjects(facts.Objects)
	s.facts = facts
	s.invalidate()
}

// Changed has a value if anything may have changed since the last one was taken.
func (s *Source) Changed() <-chan struct{} { return s.changed }

// invalidate has the next snapshot compiled anew. The caller holds the lock.
func (s *Source) invalidate() {
	s.current.Store(nil)
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Snapshot is the cluster as last heard of, and whether everything has been read at least once. Before that, the snapshot
// is incomplete, and no verdict may rest on it.
func (s *Source) Snapshot() (snapshot *model.Snapshot, synced bool) {
	synced = s.HasSynced()
	if current := s.current.Load(); current != nil {
		return current, synced
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.compile(), synced
}

func (s *Source) compile() *model.Snapshot {
	current := s.current.Load()
	if current == nil {
		current = s.store.Snapshot(s.facts)
		s.current.Store(current)
	}
	return current
}

// HasSynced is whether every kind has been read at least once. Kinds that are not required, and not served or forbidden, do
// not count. Once true it stays true.
func (s *Source) HasSynced() bool {
	select {
	case <-s.synced:
		return true
	default:
		return false
	}
}

// WaitForSync waits until HasSynced. The error says what is still missing when ctx ended.
func (s *Source) WaitForSync(ctx context.Context) error {
	select {
	case <-s.synced:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", s.Ready(), context.Cause(ctx))
	}
}

// Ready is nil when everything has been read and no required kind is forbidden; otherwise it says what is missing.
func (s *Source) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var waiting, refused []string
	for _, name := range slices.Sorted(maps.Keys(s.feeds)) {
		f := s.feeds[name]
		switch {
		case f.refused && f.kind.required:
			refused = append(refused, f.kind.resource)
		case !f.listed && !f.refused:
			waiting = append(waiting, f.kind.resource)
		}
	}
	switch {
	case len(refused) > 0:
		return fmt.Errorf("the rights to list and watch %s are missing", strings.Join(refused, ", "))
	case s.HasSynced():
		return nil
	case len(s.missing) > 0:
		return fmt.Errorf("the API server does not serve %s", strings.Join(s.missing, ", "))
	case len(waiting) > 0:
		return fmt.Errorf("the state of the cluster is not complete: waiting for %s", strings.Join(waiting, ", "))
	}
	return fmt.Errorf("the state of the cluster is not complete: waiting for the API server")
}

// Counts is how many objects of each kind are kept.
func (s *Source) Counts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store.Counts()
}

// noteSync closes synced once everything is in. The caller holds the lock.
func (s *Source) noteSync() {
	if !s.discovered || len(s.missing) > 0 || s.HasSynced() {
		return
	}
	for _, f := range s.feeds {
		if !f.listed && (f.kind.required || !f.refused) {
			return
		}
	}
	close(s.synced)
	s.options.Logger.Info("the state of the cluster is read", "kinds", len(s.feeds))
}
