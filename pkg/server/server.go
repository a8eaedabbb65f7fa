// Package server wires `portcullis serve`: the state of the cluster, the configuration, the certificate, and the endpoints on
// which reviews, probes and metrics are answered.
//
// The webhook's port answers only after the whole state has been read. Before that nobody listens there, the API server's
// question fails, and its failurePolicy refuses the write: there is no time in which a violating object is admitted.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/portcullis-dev/portcullis/certs"
	"github.com/portcullis-dev/portcullis/pkg/admission"
	"github.com/portcullis-dev/portcullis/pkg/audit"
	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/metrics"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rule"
	"github.com/portcullis-dev/portcullis/pkg/source/cluster"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// Options say what to serve, and where. Catalogue, Log, BindAddress and one of Cluster and Snapshot are required.
type Options struct {
	Version   string
	Catalogue *rule.Catalogue
	Log       *slog.Logger

	// ConfigFile is the configuration; empty for the defaults.
	ConfigFile string
	// Mode replaces that of the configuration; empty leaves it.
	Mode verdict.Mode

	// Cluster is the API server of the cluster to guard.
	Cluster *rest.Config
	// OwnNamespace is the namespace that Portcullis runs in, which is exempt; empty outside of a cluster.
	OwnNamespace string
	// Snapshot is a file or folder of manifests to take for the cluster's state, instead of Cluster.
	Snapshot string

	// Certificates say where the serving certificate comes from.
	Certificates Certificates
	// ClientCAFile has the CAs whose certificates those have to show who have reviews answered, and ClientNames the common names
	// that suffice, if not all do. Anybody may ask if ClientCAFile is empty.
	ClientCAFile string
	ClientNames  []string
	// DisableHTTP2 has reviews answered by HTTP/1.1 alone.
	DisableHTTP2 bool
	// BindAddress is where reviews are answered, HealthAddress where /healthz and /readyz are, and MetricsAddress where
	// /metrics is. "0" switches one of the latter two off.
	BindAddress, HealthAddress, MetricsAddress string
	// ShutdownDelay is how long new reviews are still answered after the end is asked for, while the API server learns to ask others.
	ShutdownDelay time.Duration
	// MetricsSecure answers /metrics by HTTPS, to those whom the cluster lets.
	MetricsSecure bool

	// Register writes webhook configurations by which the API server asks at WebhookURL, and removes them at the end.
	Register bool
	// WebhookURL is the webhook's URL without a path; empty for the loopback address with the port of BindAddress.
	WebhookURL string
}

// state is where the state of the cluster comes from.
type state interface {
	Snapshot() (snapshot *model.Snapshot, synced bool)
	SetFacts(model.Facts)
	Counts() map[string]int
	// Changed has a value if anything may have changed since the last one was taken.
	Changed() <-chan struct{}
	// Ready is nil if verdicts can rest on the snapshot, and else says what is missing.
	Ready() error
	WaitForSync(context.Context) error
	Run(context.Context) error
}

type server struct {
	options      Options
	log          *slog.Logger
	registry     *prometheus.Registry
	recorder     *metrics.Prometheus
	watcher      *config.Watcher // nil without a file
	config       func() *config.Config
	state        state
	client       kubernetes.Interface // nil without a cluster
	writer       *writer              // nil without a cluster
	certificates certs.Source
	clients      *clients      // nil for anybody
	certified    chan struct{} // closed once there is a certificate
	certify      sync.Once     // closes it
	handler      *admission.Handler
	registrar    *registrar // nil if nothing is to be registered
	auditor      *audit.Auditor
	results      atomic.Pointer[audit.Results] // the last, for those in followed
	followed     []chan struct{}               // told of new results; each has room for one

	host        string // of BindAddress
	port        int
	listening   atomic.Bool
	stopping    atomic.Bool
	reregisters chan struct{} // has room for one
}

// Run serves until ctx ends, and returns once reviews that were open then are answered. Errors say what to do.
func Run(ctx context.Context, options Options) error {
	s, err := prepare(ctx, options)
	if err != nil {
		return err
	}
	return s.run(ctx)
}

func prepare(ctx context.Context, o Options) (*server, error) {
	s := &server{options: o, log: o.Log, registry: prometheus.NewRegistry(), reregisters: make(chan struct{}, 1), certified: make(chan struct{})}
	var err error
	if s.host, s.port, err = split(o.BindAddress, "bind-address"); err != nil {
		return nil, err
	}
	if s.options.WebhookURL, err = s.webhookURL(); err != nil {
		return nil, err
	}
	if s.recorder, err = metrics.NewPrometheus(s.registry, o.Version); err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}
	if err := s.configure(); err != nil {
		return nil, err
	}
	if o.Snapshot == "" {
		if s.client, err = kubernetes.NewForConfig(o.Cluster); err != nil {
			return nil, fmt.Errorf("cannot make a client for the API server: %w", err)
		}
		if s.writer, err = newWriter(o.Cluster, flowcontrol.NewTokenBucketRateLimiter); err != nil {
			return nil, fmt.Errorf("cannot make a client for the API server: %w", err)
		}
	}
	if s.certificates, err = s.certificate(); err != nil {
		return nil, err
	}
	s.haveCertificate()
	if s.clients, err = newClients(o.ClientCAFile, o.ClientNames); err != nil {
		return nil, err
	}
	review := admission.Options{
		Config: s.config, Recorder: s.recorder, Log: s.log,
	}
	if o.Snapshot != "" {
		if s.state, err = openFolder(ctx, o.Snapshot, s.config().Facts, s.log); err != nil {
			return nil, err
		}
	} else if err := s.connect(ctx, &review); err != nil {
		return nil, err
	}
	review.State = s.state.Snapshot
	s.handler = admission.New(review)
	s.auditor = s.newAuditor()
	return s, nil
}

// connect prepares what needs an API server.
func (s *server) connect(ctx context.Context, review *admission.Options) error {
	if err := reach(ctx, s.client, s.options.Cluster.Host, s.log); err != nil {
		return err
	}
	source, err := cluster.NewForConfig(s.options.Cluster, cluster.Options{Logger: s.log, NamespaceGone: s.recorder.ForgetNamespace})
	if err != nil {
		return err
	}
	source.SetFacts(s.config().Facts)
	s.state, review.Confirm = source, source.Confirm
	if review.Authorize, err = mayExempt(s.client.AuthorizationV1()); err != nil {
		return err
	}
	if s.options.Register {
		s.registrar = &registrar{client: s.client, url: s.options.WebhookURL, bundle: s.certificates.CABundle, config: s.config}
		return s.registrar.free(ctx)
	}
	return nil
}

// configure loads the configuration, and has it reloaded when its file changes.
func (s *server) configure() error {
	options := []config.Option{config.OwnNamespace(s.options.OwnNamespace), config.WithMode(s.options.Mode)}
	if s.options.ConfigFile == "" {
		defaults, err := config.Load(nil, "", s.options.Catalogue, options...)
		if err != nil {
			return err
		}
		s.config = func() *config.Config { return defaults }
	} else {
		watcher, err := config.NewWatcher(s.options.ConfigFile, s.options.Catalogue, s.reconfigured, options...)
		if err != nil {
			return err
		}
		s.watcher, s.config = watcher, watcher.Current
	}
	s.heed(s.config())
	return nil
}

// heed does what a configuration asks for outside of verdicts.
func (s *server) heed(c *config.Config) {
	s.recorder.LabelNamespaces(c.NamespaceMetrics)
}

// reconfigured is told of every change of the configuration's file.
func (s *server) reconfigured(c *config.Config, err error) {
	s.recorder.ConfigReload(err == nil)
	if err != nil {
		problems := []any{err.Error()}
		if invalid := (*config.Error)(nil); errors.As(err, &invalid) {
			problems = nil
			for _, p := range invalid.Problems {
				problems = append(problems, p.String())
			}
		}
		s.log.Error("the new configuration is refused, and the old one stays", "file", s.options.ConfigFile, "problems", problems)
		return
	}
	s.state.SetFacts(c.Facts)
	s.heed(c)
	s.log.Info("the configuration is read again", "file", s.options.ConfigFile, "mode", string(c.Mode))
	s.reregister()
}

// webhookURL is where the API server reaches the webhook.
func (s *server) webhookURL() (string, error) {
	if s.options.WebhookURL == "" {
		host := s.host
		if host == "" || host == "0.0.0.0" || host == "::" {
			host = "127.0.0.1"
		}
		return (&url.URL{Scheme: "https", Host: net.JoinHostPort(host, strconv.Itoa(s.port))}).String(), nil
	}
	u, err := url.Parse(s.options.WebhookURL)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.RawQuery != "" || u.User != nil {
		return "", fmt.Errorf("--webhook-url %q is no URL that an API server can ask at: it has to be as in https://127.0.0.1:9443", s.options.WebhookURL)
	}
	return s.options.WebhookURL, nil
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
