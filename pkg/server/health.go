package server

import (
	"errors"
	"net/http"

	"sigs.k8s.io/controller-runtime/pkg/healthz"
)

// health answers /healthz, which says that the process is alive, and /readyz, which says whether reviews are answered. A check's
// own path, as in /readyz/state, tells why it fails.
func (s *server) health() http.Handler {
	mux := http.NewServeMux()
	for path, checks := range map[string]map[string]healthz.Checker{
		"/healthz": {"ping": healthz.Ping},
		"/readyz": {
			"state":       func(*http.Request) error { return s.state.Ready() },
			"certificate": func(*http.Request) error { return s.certificateReady() },
			"webhook": func(*http.Request) error {
				if !s.listening.Load() {
					return errors.New("the webhook does not listen yet")
				}
				return nil
			},
			"shutdown": func(*http.Request) error {
				if s.stopping.Load() {
					return errors.New("stopping")
				}
				return nil
			},
		},
	} {
		handler := http.StripPrefix(path, &healthz.Handler{Checks: checks})
		mux.Handle(path, handler)
		mux.Handle(path+"/", handler)
	}
	return mux
}
