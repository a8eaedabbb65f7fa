package certs

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"

	"github.com/portcullis-dev/portcullis/pkg/election"
)

// worker does what one elected replica does, a step at a time.
type worker interface {
	// step does what is to be done now, and says when there may be more, if nothing changes. It is called again after each change
	// of the Secret and the webhook configurations.
	step(ctx context.Context) (until time.Time, err error)
}

// recorder writes Events.
type recorder interface {
	Eventf(regarding, related runtime.Object, kind, reason, action, note string, args ...any)
}

const (
	stepTime = 10 * time.Second // the most that one step takes
	longest  = time.Hour        // the most between two steps
)

// run has every replica follow the Secret, and the elected one do the work of a worker that is made when it is elected.
func (s *secret) run(ctx context.Context, changed func(), e election.Election, worker func(recorder) worker, watches ...func(context.Context, func()) error) error {
	wake := make(chan struct{}, 1)
	ping := func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: s.client.EventsV1()})
	defer broadcaster.Shutdown()
	if err := broadcaster.StartRecordingToSinkWithContext(ctx); err != nil {
		return err
	}
	events := broadcaster.NewRecorder(scheme.Scheme, portcullis)
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return s.follow(running, changed, ping) })
	group.Go(func() error {
		return e.Run(running, func(leading context.Context) {
			var watching errgroup.Group
			for _, watch := range watches {
				watching.Go(func() error { return watch(leading, ping) })
			}
			work(leading, s, worker(events), wake)
			_ = watching.Wait() // they end with the context, and a step fails wherever a watch does
		})
	})
	return group.Wait()
}

// work steps until ctx ends. A step that fails is told once, and tried again, at last every ten seconds.
func work(ctx context.Context, s *secret, w worker, wake <-chan struct{}) {
	backoff := func() wait.Backoff {
		return wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 20, Cap: 10 * time.Second}
	}
	retry, told := backoff(), ""
	for ctx.Err() == nil {
		one, cancel := context.WithTimeout(ctx, stepTime)
		until, err := w.step(one)
		cancel()
		pause := max(0, min(longest, time.Until(until)))
		switch {
		case err == nil:
			retry, told = backoff(), ""
		case ctx.Err() != nil:
			return
		default:
			pause = retry.Step()
			if text := err.Error(); text != told && !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) {
				s.log.Error("the certificates are not looked after; trying again", "error", text)
				told = text
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-wake:
			if err != nil {
				// What has failed is not tried more often because something else changes.
				select {
				case <-ctx.Done():
				case <-timer.C:
				}
			}
		}
		timer.Stop()
	}
}

// watchWebhooks calls ping after each change of the webhook configurations of the name, until ctx ends.
func watchWebhooks(client kubernetes.Interface, name string) func(context.Context, func()) error {
	return func(ctx context.Context, ping func()) error {
		factory := informers.NewSharedInformerFactoryWithOptions(client, 0, only(name))
		api := factory.Admissionregistration().V1()
		for _, informer := range []cache.SharedIndexInformer{api.ValidatingWebhookConfigurations().Informer(), api.MutatingWebhookConfigurations().Informer()} {
			if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
				AddFunc: func(any) { ping() }, UpdateFunc: func(any, any) { ping() }, DeleteFunc: func(any) { ping() },
			}); err != nil {
				return err
			}
		}
		factory.StartWithContext(ctx)
		<-ctx.Done()
		factory.Shutdown()
		return nil
	}
}
