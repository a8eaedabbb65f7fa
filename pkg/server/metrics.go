package server

import (
	"fmt"
	"net/http"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/client-go/rest"
	crmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
)

// metricsHandler answers /metrics: Portcullis's own metrics, those of the Go runtime and the process, and those of
// controller-runtime and of the API client. And it answers /report, with what the audit has found.
func (s *server) metricsHandler() (http.Handler, error) {
	for _, c := range []prometheus.Collector{collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		if err := s.registry.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	gathered := promhttp.HandlerFor(prometheus.Gatherers{s.registry, crmetrics.Registry}, promhttp.HandlerOpts{})
	var handler http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for kind, n := range s.state.Counts() {
			s.recorder.SnapshotObjects(kind, n)
		}
		gathered.ServeHTTP(w, r)
	})
	own := http.NewServeMux()
	own.Handle("/metrics", handler)
	own.HandleFunc("GET /report", s.report)
	handler = own
	if s.options.MetricsSecure {
		client, err := rest.HTTPClientFor(s.options.Cluster)
		if err != nil {
			return nil, fmt.Errorf("making a client to authenticate readers of metrics: %w", err)
		}
		filter, err := filters.WithAuthenticationAndAuthorization(s.options.Cluster, client)
		if err != nil {
			return nil, fmt.Errorf("preparing to authenticate readers of metrics: %w", err)
		}
		if handler, err = filter(logr.FromSlogHandler(s.log.Handler()), handler); err != nil {
			return nil, fmt.Errorf("preparing to authenticate readers of metrics: %w", err)
		}
	}
	return handler, nil
}
