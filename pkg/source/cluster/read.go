package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	"github.com/portcullis-dev/portcullis/pkg/model"
)

// pageSize is how many objects one answer of the API server holds at most.
const pageSize = 500

// answerTime is how long the API server has for its first answer: someone waits for it.
const answerTime = 15 * time.Second

// Read reads the state of the cluster once. Notes say, for people, what could not be read and is left out. What no answer
// can do without is an error.
func Read(ctx context.Context, config *rest.Config) (store *model.Store, notes []string, err error) {
	options := Options{}
	if err := options.connect(config); err != nil {
		return nil, nil, err
	}
	first, cancel := context.WithTimeoutCause(ctx, answerTime, fmt.Errorf("no answer within %s", answerTime))
	defer cancel()
	served, err := servedKinds(first, options.Client.Discovery(), kindsOf(options.Client, options.Dynamic))
	if partial := (*discovery.ErrGroupDiscoveryFailed)(nil); err != nil && !errors.As(err, &partial) {
		if cause := context.Cause(first); cause != nil && ctx.Err() == nil {
			err = cause
		}
		return nil, nil, fmt.Errorf("cannot ask the API server at %s what it serves: %w", config.Host, err)
	}
	r := oneReading{store: model.NewStore()}
	group, ctx := errgroup.WithContext(ctx)
	for _, k := range kindsOf(options.Client, options.Dynamic) {
		version, there := served[k.name]
		switch {
		case there:
			group.Go(func() error { return r.kind(ctx, k, version) })
		case k.required:
			return nil, nil, fmt.Errorf("the API server at %s does not serve %s", config.Host, k.resource)
		}
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	return r.store, r.notes, nil
}

// oneReading is one Read under way.
type oneReading struct {
	mu    sync.Mutex
	store *model.Store
	notes []string
}

// kind reads all objects of one kind, page by page.
func (r *oneReading) kind(ctx context.Context, k kind, version string) error {
	all := k.open(version, "")
	options := metav1.ListOptions{FieldSelector: k.fields, Limit: pageSize}
	for {
		list, err := all.list(ctx, options)
		switch {
		case err == nil:
		case k.required || !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err):
			return fmt.Errorf("cannot list %s: %w", k.resource, err)
		default:
			r.note(fmt.Sprintf("Going on without %s, and what they expose or run is not seen: %v", k.resource, err))
			return nil
		}
		if err := r.page(list); err != nil {
			return fmt.Errorf("cannot read the list of %s: %w", k.resource, err)
		}
		page, err := meta.ListAccessor(list)
		if err != nil {
			return fmt.Errorf("cannot read the list of %s: %w", k.resource, err)
		}
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return nil
		}
	}
}

func (r *oneReading) page(list runtime.Object) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return meta.EachListItem(list, func(obj runtime.Object) error {
		trim(obj)
		if _, err := r.store.Apply(obj); err != nil {
			o, accessErr := meta.Accessor(obj)
			if accessErr != nil {
				return accessErr
			}
			r.notes = append(r.notes, fmt.Sprintf("%s/%s cannot be read and is left out: %v", o.GetNamespace(), o.GetName(), err))
		}
		return nil
	})
}

func (r *oneReading) note(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, text)
}
