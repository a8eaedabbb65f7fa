package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"

	"sigs.k8s.io/controller-runtime/pkg/healthz"
)

// health answers /healthz, which says that the process is alive, and /readyz, which says whether reviews are answered, and if not,
// why. Each check has a path of its own, too, as in /readyz/state.
func (s *server) health() http.Handler {
	mux := http.NewServeMux()
	alive := http.StripPrefix("/healthz", &healthz.Handler{Checks: map[string]healthz.Checker{"ping": healthz.Ping}})
	mux.Handle("/healthz", alive)
	mux.Handle("/healthz/", alive)
	ready := &readiness{log: s.log, checks: []check{
		{"state", s.state.Ready},
		{"certificate", s.certificateReady},
		{"webhook", func() error {
			if !s.listening.Load() {
				return errors.New("the webhook does not listen yet")
			}
			return nil
		}},
		{shutdown, func() error {
			if s.stopping.Load() {
				return errors.New("stopping")
			}
			return nil
		}},
	}}
	mux.Handle("/readyz", ready)
	for _, c := range ready.checks {
		mux.Handle("/readyz/"+c.name, healthz.CheckHandler{Checker: func(*http.Request) error { return c.run() }})
	}
	return mux
}

// shutdown is the check that fails at the end. The log has its own line about that.
const shutdown = "shutdown"

// check is something without which no review is answered.
type check struct {
	name string
	run  func() error
}

// readiness runs all checks for each probe. It answers with the reasons of those that fail, and logs them when others fail than at
// the probe before.
type readiness struct {
	checks []check
	log    *slog.Logger

	mu      sync.Mutex
	failing []string // the names of those that failed at the last probe
}

// ServeHTTP implements http.Handler.
func (r *readiness) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	var lines, failing []string
	var reasons []any
	for _, c := range r.checks {
		if err := c.run(); err != nil {
			failing, reasons = append(failing, c.name), append(reasons, c.name, err.Error())
			lines = append(lines, fmt.Sprintf("[-]%s failed: %v", c.name, err))
			continue
		}
		lines = append(lines, fmt.Sprintf("[+]%s ok", c.name))
	}
	r.tell(failing, reasons)
	switch {
	case len(failing) > 0:
		http.Error(w, strings.Join(append(lines, "not ready"), "\n"), http.StatusInternalServerError)
	case request.URL.Query().Has("verbose"):
		_, _ = fmt.Fprintln(w, strings.Join(append(lines, "ready"), "\n"))
	default:
		_, _ = fmt.Fprint(w, "ok")
	}
}

// tell logs a change of what fails.
func (r *readiness) tell(failing []string, reasons []any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Equal(r.failing, failing) || slices.Contains(failing, shutdown) {
		return
	}
	r.failing = failing
	if len(failing) > 0 {
		r.log.Warn("not ready", reasons...)
		return
	}
	r.log.Info("ready")
}
