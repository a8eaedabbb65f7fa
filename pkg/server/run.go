package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/portcullis-dev/portcullis/pkg/admission"
)

// run starts everything in its order, waits for the end of ctx or for a failure, and stops everything in the opposite order.
func (s *server) run(ctx context.Context) error {
	endpoints, err := s.endpoints(ctx)
	if err != nil {
		return err
	}
	// What reviews need goes on until the last of them is answered, whatever becomes of ctx.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, running := errgroup.WithContext(background)
	for _, endpoint := range endpoints {
		group.Go(func() error { return endpoint(running) })
	}
	group.Go(func() error { return s.state.Run(running) })
	group.Go(func() error { return s.certificates.Run(running, s.renewed) })
	if s.clients != nil {
		group.Go(func() error { return s.clients.run(running) })
	}
	group.Go(func() error { return s.audit(running) })
	if s.watcher != nil {
		group.Go(func() error {
			s.watcher.Run(running)
			return nil
		})
	}
	group.Go(func() error {
		defer stop()
		return s.reviews(ctx, running)
	})
	return group.Wait()
}

// endpoints takes the ports for health and metrics, and yields what serves them. That the webhook's port is free is seen here,
// too, rather than when the state is read; it is given back at once.
func (s *server) endpoints(ctx context.Context) ([]func(context.Context) error, error) {
	probe, err := listen(ctx, s.options.BindAddress, "bind-address")
	if err != nil {
		return nil, err
	}
	if err := probe.Close(); err != nil {
		return nil, err
	}
	scrapes, err := s.metricsHandler()
	if err != nil {
		return nil, err
	}
	var scrapesTLS *tls.Config
	if s.options.MetricsSecure {
		scrapesTLS = &tls.Config{}
		s.secure(scrapesTLS)
	}
	var out []func(context.Context) error
	for _, e := range []struct {
		address, flag string
		handler       http.Handler
		tls           *tls.Config
	}{
		{s.options.HealthAddress, "health-bind-address", s.health(), nil},
		{s.options.MetricsAddress, "metrics-bind-address", scrapes, scrapesTLS},
	} {
		if e.address == off {
			continue
		}
		l, err := listen(ctx, e.address, e.flag)
		if err != nil {
			return nil, err
		}
		out = append(out, func(ctx context.Context) error { return serve(ctx, l, e.handler, e.tls, s.log) })
	}
	return out, nil
}

// reviews answers reviews from when the state is known until ctx or running ends.
func (s *server) reviews(ctx, running context.Context) error {
	serving, stop := context.WithCancel(running)
	defer stop()
	defer context.AfterFunc(ctx, stop)()
	if !s.synced(serving) || !s.hasCertificate(serving) {
		return nil
	}
	// The server answers what is open when its context ends; so that is not the context of reviews.
	server := s.webhook()
	ended := make(chan error, 1)
	listening, shut := context.WithCancel(running)
	defer shut()
	go func() { ended <- server.Start(listening) }()
	if err := s.started(serving, server, ended); err != nil || serving.Err() != nil {
		return err
	}
	s.listening.Store(true)
	s.log.Info("reviews are answered", "address", s.options.BindAddress, "mode", string(s.config().Mode))
	err := s.register(serving)
	if err == nil {
		err = s.follow(serving, ended)
	}
	s.stopping.Store(true)
	s.log.Info("stopping", "delay", s.options.ShutdownDelay.String())
	s.unregister(context.WithoutCancel(ctx))
	if err == nil {
		err = s.linger(running, ended)
	}
	shut()
	if err != nil {
		return err
	}
	return <-ended
}

// linger goes on answering for the ShutdownDelay. A replica that is to end is still asked until every API server and every proxy
// before it has heard of that; /readyz says so meanwhile, and connections are closed after one more review.
func (s *server) linger(ctx context.Context, ended <-chan error) error {
	delay := time.NewTimer(s.options.ShutdownDelay)
	defer delay.Stop()
	select {
	case <-delay.C:
	case <-ctx.Done():
	case err := <-ended:
		return fmt.Errorf("answering reviews: %w", err)
	}
	return nil
}

func (s *server) register(ctx context.Context) error {
	if s.registrar == nil {
		return nil
	}
	err := s.registrar.register(ctx)
	switch {
	case ctx.Err() != nil:
		return nil
	case err == nil:
		s.log.Info("the webhooks are registered", "url", s.options.WebhookURL)
	}
	return err
}

func (s *server) unregister(ctx context.Context) {
	if s.registrar == nil {
		return
	}
	if err := s.registrar.unregister(ctx); err != nil {
		s.log.Error("the webhooks stay registered: remove the ValidatingWebhookConfiguration and the MutatingWebhookConfiguration portcullis",
			"error", err.Error())
	}
}

// impatience is how often it is told what is waited for.
const impatience = 10 * time.Second

// synced waits until the state is known; false if ctx ends before.
func (s *server) synced(ctx context.Context) bool {
	for {
		waiting, cancel := context.WithTimeout(ctx, impatience)
		err := s.state.WaitForSync(waiting)
		cancel()
		switch {
		case ctx.Err() != nil:
			return false
		case err == nil:
			return true
		}
		s.log.Warn("no review is answered yet", "reason", fmt.Sprint(s.state.Ready()))
	}
}

// webhook is the server of reviews.
func (s *server) webhook() webhook.Server {
	mux := http.NewServeMux()
	// The handler has a time limit of its own for each review. The context that the server gives ends with the server, and
	// would end the reviews that are open then.
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.stopping.Load() {
			w.Header().Set("Connection", "close") // the next review is for another replica
		}
		s.handler.ServeHTTP(w, r.WithContext(context.WithoutCancel(r.Context())))
	})
	mux.Handle(admission.ValidatePath, handler)
	mux.Handle(admission.MutatePath, handler)
	return webhook.NewServer(webhook.Options{Host: s.host, Port: s.port, WebhookMux: mux, TLSOpts: []func(*tls.Config){s.secureReviews}})
}

// started waits until the server listens; the error is that with which it ended instead.
func (s *server) started(ctx context.Context, server webhook.Server, ended <-chan error) error {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	up := make(chan struct{})
	go func() {
		defer close(up)
		check := server.StartedChecker()
		_ = wait.PollUntilContextCancel(waiting, 10*time.Millisecond, true, func(context.Context) (bool, error) { return check(nil) == nil, nil })
	}()
	select {
	case err := <-ended:
		return fmt.Errorf("cannot answer reviews on --bind-address %s: %w", s.options.BindAddress, err)
	case <-up:
		return nil
	}
}

// registerAgain is the time after which a registration is tried again that failed.
const registerAgain = 5 * time.Second

// follow keeps the registration in step until ctx ends; an error is that of the server, which has ended.
func (s *server) follow(ctx context.Context, ended <-chan error) error {
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			return fmt.Errorf("answering reviews: %w", err)
		case <-s.reregisters:
		case <-again:
		}
		again = nil
		if err := s.register(ctx); err != nil {
			again = time.After(registerAgain)
			s.log.Error("the webhooks are registered as before; trying again", "error", err.Error())
		}
	}
}

// reregister has the webhook configurations written anew, soon.
func (s *server) reregister() {
	if s.registrar == nil {
		return
	}
	select {
	case s.reregisters <- struct{}{}:
	default:
	}
}
