package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/report"
	"github.com/portcullis-dev/portcullis/pkg/server/registration"
	"github.com/portcullis-dev/portcullis/pkg/source/cluster"
	"github.com/portcullis-dev/portcullis/pkg/source/manifest"
)

// inputOptions say what a command reads: manifests, a cluster, or manifests as they would be in a cluster.
type inputOptions struct {
	config              string
	live                bool
	kubeconfig, context string
	// name is what a file is called, if not by its path.
	name func(path string) string
}

// flags adds the flags that commands with input share.
func (o *inputOptions) flags(flags *pflag.FlagSet) {
	flags.StringVar(&o.config, "config", "", "configuration `FILE`; the defaults without it")
	flags.BoolVar(&o.live, "live", false, "add the state of the cluster that the kubeconfig names; manifests take the place of objects of the same name")
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig `FILE` for --live; as for kubectl without it")
	flags.StringVar(&o.context, "context", "", "`NAME` of the kubeconfig's context for --live; its current one without it")
	_ = cobra.MarkFlagFilename(flags, "config", "yaml", "yml", "json")
}

// input is what was read. The policies and Namespaces of Result are those of the manifests alone.
type input struct {
	*manifest.Result
	config *config.Config
	// facts are those that the snapshot is made with.
	facts    model.Facts
	snapshot *model.Snapshot
	// verb is what the command does, as read was told; connectivity is for pages that show the graph, and else nil.
	verb         string
	connectivity *reach.Connectivity
	// from names what was read, for people: "manifests/ in the cluster".
	from string
	// only is whether nothing but manifests was named, or nothing but a cluster.
	onlyManifests, onlyCluster bool
	problems                   []report.Problem
}

// unread is whether nothing but problems was read. These have been told, and there is nothing to say for people beside them.
func (in *input) unread() bool { return in.onlyManifests && in.Objects == 0 && len(in.problems) > 0 }

// judged are the policies that are asked about: those of the manifests, or of the cluster where there are no manifests.
func (in *input) judged() []*model.Policy {
	if !in.onlyCluster {
		return in.Policies
	}
	var all []*model.Policy
	for ns := range in.snapshot.Namespaces() {
		all = append(all, ns.Policies...)
	}
	return all
}

// read reads what the paths and options name, and tells the problems. Without either it is the standard input that is read,
// if something is piped into it. verb and example are for people: "there is nothing to VERB", and how to say what.
func (p program) read(ctx context.Context, paths []string, o inputOptions, verb, example string) (*input, error) {
	if !o.live && (o.kubeconfig != "" || o.context != "") {
		return nil, usageError{errors.New("--kubeconfig and --context are of use with --live only")}
	}
	if len(paths) == 0 && !o.live {
		if !p.piped {
			return nil, usageError{fmt.Errorf("there is nothing to %s: name files or folders, pipe manifests in, or take a cluster with --live, as in\n%s", verb, example)}
		}
		paths = []string{manifest.Stdin}
	}
	if o.config == manifest.Stdin && slices.Contains(paths, manifest.Stdin) {
		return nil, usageError{errors.New("standard input cannot be both the configuration and manifests: name a file for one of them")}
	}
	in := &input{onlyManifests: !o.live, onlyCluster: len(paths) == 0, from: sources(paths, o.live), verb: verb}
	var err error
	if in.config, err = p.loadConfig(o.config); err != nil {
		return nil, err
	}
	facts := in.config.Facts
	store := model.NewStore()
	if o.live {
		facts.Live = true
		var own string
		if store, own, err = p.readCluster(ctx, o); err != nil {
			return nil, err
		}
		in.config.ExemptOwn(own)
	}
	if in.Result, err = manifest.LoadOver(ctx, store, paths, p.in); err != nil {
		return nil, err
	}
	for _, problem := range in.Problems {
		if o.name != nil {
			problem.File = o.name(problem.File)
		}
		in.problems = append(in.problems, report.Problem(problem))
		p.tell("%s", report.Problem(problem))
	}
	in.facts = facts
	in.snapshot = in.Store.Snapshot(facts)
	return in, nil
}

// sources names paths and the cluster.
func sources(paths []string, live bool) string {
	named := strings.Join(paths, " ")
	switch {
	case live && named == "":
		return "the cluster"
	case named == manifest.Stdin:
		named = "standard input"
	}
	if live {
		named += " in the cluster"
	}
	return named
}

// readCluster reads the cluster that the kubeconfig names. own is the namespace that Portcullis runs in there; empty if that cannot be told.
func (p program) readCluster(ctx context.Context, o inputOptions) (store *model.Store, own string, err error) {
	config, err := clusterConfig(o.kubeconfig, o.context)
	if err != nil {
		return nil, "", err
	}
	store, notes, err := cluster.Read(ctx, config)
	for _, note := range notes {
		p.tell("%s", note)
	}
	if err != nil {
		return nil, "", err
	}
	return store, ownNamespace(ctx, config), nil
}

// ownNamespace is that of the Service by which the API server asks Portcullis.
func ownNamespace(ctx context.Context, config *rest.Config) string {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return ""
	}
	found, err := client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, registration.Name, metav1.GetOptions{})
	if err != nil || len(found.Webhooks) == 0 || found.Webhooks[0].ClientConfig.Service == nil {
		return ""
	}
	return found.Webhooks[0].ClientConfig.Service.Namespace
}

// errNoCluster is that no kubeconfig names a cluster.
var errNoCluster = errors.New("there is no kubeconfig that names a cluster: name one with --kubeconfig")

// clusterConfig is how to reach the cluster that a kubeconfig names; the arguments may be empty.
func clusterConfig(kubeconfig, context string) (*rest.Config, error) {
	loading := clientcmd.NewDefaultClientConfigLoadingRules()
	loading.ExplicitPath = kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(loading, &clientcmd.ConfigOverrides{CurrentContext: context}).ClientConfig()
	switch {
	case err == nil:
		// The API server's own priorities hold back who asks for too much.
		config.QPS = -1
		config.UserAgent = "portcullis/" + version()
		return config, nil
	case kubeconfig != "":
		return nil, fmt.Errorf("cannot use --kubeconfig %s: %w", kubeconfig, err)
	case clientcmd.IsEmptyConfig(err):
		return nil, errNoCluster
	}
	return nil, fmt.Errorf("cannot use the kubeconfig: %w", err)
}

// examples puts example command lines below each other, indented.
func examples(lines ...string) string { return "  " + strings.Join(lines, "\n  ") }
