package server

import (
	"log/slog"
	"net/http"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/portcullis-dev/portcullis/pkg/audit/publish"
	"github.com/portcullis-dev/portcullis/pkg/isolate"
)

// Writers are what the audit writes with, by limits that the test makes.
func Writers(config *rest.Config, log *slog.Logger, limit func(float32, int) flowcontrol.RateLimiter) (*publish.Publisher, *isolate.Keeper, error) {
	w, err := newWriter(config, limit)
	if err != nil {
		return nil, nil, err
	}
	return w.publisher(log), w.keeper(log), nil
}

// Readiness is what answers /readyz, for a state and a shutdown that the test makes.
func Readiness(log *slog.Logger, state, stopping func() error) http.Handler {
	return &readiness{log: log, checks: []check{{"state", state}, {"webhook", func() error { return nil }}, {shutdown, stopping}}}
}
