package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"

	"github.com/portcullis-dev/portcullis/pkg/server"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// Where a process in a cluster learns which namespace it runs in
// (https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/).
const ownNamespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// plainMetrics is where metrics are served without a cluster that could tell who may read them.
const plainMetrics = "127.0.0.1:8080"

type serveOptions struct {
	server.Options
	kubeconfig, mode, logFormat string
}

func (p program) serveCommand() *cobra.Command {
	var o serveOptions
	command := &cobra.Command{
		Use:   "serve",
		Short: "Answer admission reviews",
		Long: `Answers the admission reviews of an API server, at /validate and /mutate over TLS. The state of the cluster is read and
followed; no review is answered before all of it is known.

The cluster is the one that it runs in, or the one that --kubeconfig names. With --snapshot there is none, and manifests are
taken for its state.`,
		Example: `  portcullis serve --kubeconfig ~/.kube/config --register
  portcullis serve --snapshot manifests/
  portcullis serve --config guard.yaml --mode audit`,
		Args:              arguments(0, 0, "no arguments"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := p.prepareServe(&o, command.Flags().Changed); err != nil {
				return err
			}
			server.RedirectLibraries(o.Log)
			server.TuneGC()
			return server.Run(command.Context(), o.Options)
		},
	}
	flags := command.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.ConfigFile, "config", "", "configuration `FILE`, read again when it changes; the defaults without it")
	choice(command, &o.mode, "mode", "", "", "enforce, or audit for a dry run of the whole cluster, whatever the configuration says", "enforce", "audit")
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig `FILE` of the cluster; without it, in a cluster that cluster, and else as for kubectl")
	flags.StringVar(&o.Snapshot, "snapshot", "", "take the manifests in `DIR` for the cluster's state, read again when they change")
	flags.StringVar(&o.BindAddress, "bind-address", ":9443", "where reviews are answered")
	flags.StringVar(&o.HealthAddress, "health-bind-address", ":8081", "where /healthz and /readyz are answered; 0 for nowhere")
	flags.StringVar(&o.MetricsAddress, "metrics-bind-address", ":8443", "where /metrics is answered; 0 for nowhere; with --snapshot "+plainMetrics)
	flags.BoolVar(&o.MetricsSecure, "metrics-secure", true, "answer /metrics by HTTPS, to those whom the cluster lets get it; with --snapshot false")
	flags.DurationVar(&o.ShutdownDelay, "shutdown-delay", 0, "how long reviews are still answered after SIGTERM, while the API server learns to ask other replicas")
	flags.BoolVar(&o.Register, "register", false, "for development: register the webhooks at the start, and remove them at the end")
	flags.StringVar(&o.WebhookURL, "webhook-url", "", "`URL` at which the API server is to ask, with --register; https://127.0.0.1 with the port of --bind-address without it")
	o.certificateFlags(command)
	choice(command, &o.logFormat, "log-format", "", "json", "json or text", "json", "text")
	_ = cobra.MarkFlagFilename(flags, "config", "yaml", "yml", "json")
	_ = cobra.MarkFlagDirname(flags, "snapshot")
	return command
}

// prepareServe checks the flags and fills in what they leave open.
func (p program) prepareServe(o *serveOptions, given func(flag string) bool) error {
	o.Catalogue, o.Version = p.rules, version()
	log, err := server.NewLog(o.logFormat, p.err)
	if err != nil {
		return usageError{fmt.Errorf("--log-format: %w", err)}
	}
	o.Log = log
	if o.mode != "" {
		if o.Mode, err = verdict.ParseMode(o.mode); err != nil {
			return usageError{fmt.Errorf("--mode: %w", err)}
		}
	}
	if o.ShutdownDelay < 0 {
		return usageError{errors.New("--shutdown-delay cannot be negative: give a time, as in 10s, or 0")}
	}
	if o.WebhookURL != "" && !o.Register {
		return usageError{errors.New("--webhook-url is of use with --register only")}
	}
	if err := oneOf("cert-source", o.Certificates.Source, server.CertificateSources[:]...); err != nil {
		return err
	}
	if err := o.checkCertificates(given); err != nil {
		return err
	}
	if o.Snapshot != "" {
		return o.withoutCluster(given)
	}
	return o.findCluster()
}

// withoutCluster is for --snapshot: nobody can be asked who may read metrics.
func (o *serveOptions) withoutCluster(given func(flag string) bool) error {
	for _, flag := range []string{"kubeconfig", "register"} {
		if given(flag) {
			return usageError{fmt.Errorf("--%s and --snapshot exclude each other: with --snapshot there is no cluster", flag)}
		}
	}
	if given("metrics-secure") && o.MetricsSecure {
		return usageError{errors.New("--metrics-secure needs a cluster that tells who may read the metrics: leave it out with --snapshot")}
	}
	o.MetricsSecure = false
	if !given("metrics-bind-address") {
		o.MetricsAddress = plainMetrics
	}
	return nil
}

// findCluster finds the cluster to guard.
func (o *serveOptions) findCluster() error {
	if o.kubeconfig == "" {
		config, err := rest.InClusterConfig()
		if err == nil {
			o.use(config)
			return o.findNamespace(true)
		}
		if !errors.Is(err, rest.ErrNotInCluster) {
			return fmt.Errorf("cannot use the service account of the pod: %w", err)
		}
	}
	config, err := clusterConfig(o.kubeconfig, "")
	if errors.Is(err, errNoCluster) {
		return usageError{errors.New("there is no cluster: name a kubeconfig with --kubeconfig, or a folder of manifests with --snapshot")}
	}
	if err != nil {
		return err
	}
	o.use(config)
	return o.findNamespace(false)
}

// use takes the cluster. The API server's own priorities hold back who asks for too much; a limit in the client would hold
// back denials.
func (o *serveOptions) use(config *rest.Config) {
	config.QPS = -1
	config.UserAgent = "portcullis/" + o.Version
	o.Cluster = config
}
