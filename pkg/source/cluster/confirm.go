package cluster

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/portcullis-dev/portcullis/pkg/model"
)

// confirmTimeout bounds one reading of a namespace, whoever still waits for it.
const confirmTimeout = 3 * time.Second

// Confirm is Snapshot, after it has read again from the API server what an author applies together with a policy: the
// Namespace, and its NetworkPolicies, Services, Ingresses, routes and workloads. A watch is behind by some milliseconds,
// and `kubectl apply -f DIR` creates the policy that allows DNS just before the one that denies everything: ask before a
// denial. The state keeps what was read, and events of the watch that are older do not undo it.
//
// Readings of one namespace do not run side by side: calls that come while one runs share the next.
func (s *Source) Confirm(ctx context.Context, namespace string) (*model.Snapshot, error) {
	if err := s.confirms.do(ctx, namespace); err != nil {
		return nil, fmt.Errorf("cannot read namespace %s again: %w", namespace, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.compile(), nil
}

// reading is what was listed of one kind.
type reading struct {
	feed    *feed
	objects []runtime.Object
	version string
}

func (s *Source) readNamespace(ctx context.Context, namespace string) error {
	s.mu.Lock()
	var feeds []*feed
	for _, f := range s.feeds {
		if f.listed && !f.refused && (f.kind.confirm || f.kind.name == "Namespace") {
			feeds = append(feeds, f)
		}
	}
	s.mu.Unlock()

	readings := make([]reading, len(feeds))
	group, ctx := errgroup.WithContext(ctx)
	for i, f := range feeds {
		group.Go(func() (err error) {
			readings[i], err = s.readKind(ctx, f, namespace)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range readings {
		if err := r.feed.confirm(namespace, r.objects, r.version); err != nil {
			return err
		}
	}
	return nil
}

func (s *Source) readKind(ctx context.Context, f *feed, namespace string) (reading, error) {
	if f.kind.name == "Namespace" {
		ns, err := s.options.Client.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
			return reading{feed: f}, nil // the watch will tell
		} else if err != nil {
			return reading{}, err
		}
		return reading{f, []runtime.Object{ns}, ns.ResourceVersion}, nil
	}
	objects, version, err := listAll(ctx, f.kind.open(f.version, namespace), f.kind.fields)
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		return reading{feed: f}, nil
	}
	return reading{f, objects, version}, err
}

// confirmations runs at most one reading per namespace at a time, and lets all who ask meanwhile share the next one, which
// starts after they asked. So many denials at once cost the API server no more than one after the other would.
type confirmations struct {
	read func(ctx context.Context, namespace string) error

	mu     sync.Mutex
	queues map[string]*queue
}

type queue struct{ next *outcome }

type outcome struct {
	done chan struct{}
	err  error
}

func (c *confirmations) do(ctx context.Context, namespace string) error {
	mine := c.join(namespace)
	select {
	case <-mine.done:
		return mine.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *confirmations) join(namespace string) *outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.queues == nil {
		c.queues = map[string]*queue{}
	}
	q, running := c.queues[namespace]
	if !running {
		q = &queue{}
		c.queues[namespace] = q
	}
	if q.next == nil {
		q.next = &outcome{done: make(chan struct{})}
	}
	mine := q.next
	if !running {
		go c.serve(namespace, q)
	}
	return mine
}

func (c *confirmations) serve(namespace string, q *queue) {
	for {
		c.mu.Lock()
		now := q.next
		q.next = nil
		if now == nil {
			delete(c.queues, namespace)
		}
		c.mu.Unlock()
		if now == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), confirmTimeout)
		now.err = c.read(ctx, namespace)
		cancel()
		close(now.done)
	}
}
