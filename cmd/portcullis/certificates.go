package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/portcullis-dev/portcullis/certs"
	"github.com/portcullis-dev/portcullis/certs/rotation"
	"github.com/portcullis-dev/portcullis/pkg/server"
)

// namespaceVariable is the environment variable with the namespace of the pod, by the downward API.
const namespaceVariable = "POD_NAMESPACE"

// certificateFlags are the flags about the certificate that reviews are answered with, and about those of who asks.
func (o *serveOptions) certificateFlags(command *cobra.Command) {
	flags, c := command.Flags(), &o.Certificates
	flags.StringVar(&o.OwnNamespace, "namespace", "", "`NAMESPACE` that Portcullis runs in, which is exempt and has the Secret with the certificate; $"+namespaceVariable+" without it, or in a cluster that of the service account")
	choice(command, &c.Source, "cert-source", "", server.SelfSigned, "self-signed for a certificate in a Secret that the replicas make and rotate, or one made at the start if there is no namespace; cert-manager for a Certificate that is applied; files for --cert-dir", server.CertificateSources[:]...)
	flags.StringVar(&c.Dir, "cert-dir", "", "`FOLDER` with tls.crt and tls.key, read again when they change")
	flags.StringVar(&c.Secret, "cert-secret", "portcullis-tls", "`NAME` of the Secret with the certificate")
	flags.StringVar(&c.Lease, "cert-lease", "portcullis-certificates", "`NAME` of the Lease of the replica that looks after the certificate")
	flags.StringVar(&c.Service, "cert-service", "portcullis", "`NAME` of the Service that the certificate is for")
	flags.StringSliceVar(&c.Hosts, "cert-hosts", nil, "further `NAMES` and addresses that the certificate is for, as when the API server asks by a URL")
	flags.StringVar(&c.Webhooks, "cert-webhooks", "portcullis", "`NAME` of the webhook configurations that get the caBundle")
	flags.DurationVar(&c.LeafLifetime, "cert-lifetime", rotation.DefaultLeaf, "how long a certificate holds; it is replaced after two thirds of that")
	flags.DurationVar(&c.CALifetime, "cert-ca-lifetime", rotation.DefaultCA, "how long its CA holds; it is replaced after four fifths of that, or by cert-manager after two thirds")
	flags.StringVar(&c.Issuer, "cert-issuer", "", "with --cert-source cert-manager, `KIND/NAME` of the issuer, as in ClusterIssuer/corporate; a CA of its own without it")
	flags.StringVar(&o.ClientCAFile, "client-ca-file", "", "answer only those who show a certificate of a CA in `FILE`, read again when it changes; anybody without it")
	flags.StringSliceVar(&o.ClientNames, "client-ca-names", nil, "of these, only those whose certificate has one of these common `NAMES`; all without it")
	flags.BoolVar(&o.DisableHTTP2, "disable-http2", false, "answer reviews by HTTP/1.1 alone")
}

// checkCertificates checks the flags about certificates.
func (o *serveOptions) checkCertificates(given func(flag string) bool) error {
	c := &o.Certificates
	switch {
	case c.Source == server.Files && c.Dir == "":
		return usageError{errors.New("--cert-source files needs --cert-dir, the folder with tls.crt and tls.key")}
	case c.Source != server.Files && c.Dir != "":
		return usageError{errors.New("--cert-dir is of use with --cert-source files only")}
	case c.Source != server.CertManager && c.Issuer != "":
		return usageError{errors.New("--cert-issuer is of use with --cert-source cert-manager only")}
	case c.Source == server.CertManager && o.Snapshot != "":
		return usageError{errors.New("--cert-source cert-manager and --snapshot exclude each other: with --snapshot there is no cluster")}
	case c.Source == server.CertManager && o.Register:
		return usageError{errors.New("--cert-source cert-manager and --register exclude each other: cert-manager writes into webhook configurations that stay")}
	case len(o.ClientNames) > 0 && o.ClientCAFile == "":
		return usageError{errors.New("--client-ca-names is of use with --client-ca-file only")}
	}
	if c.Source == server.Files {
		for _, flag := range []string{"cert-lifetime", "cert-ca-lifetime"} {
			if given(flag) {
				return usageError{fmt.Errorf("--%s is of no use with --cert-source files", flag)}
			}
		}
	}
	if _, err := certs.ParseIssuer(c.Issuer); err != nil {
		return usageError{fmt.Errorf("--cert-issuer: %w", err)}
	}
	if _, err := rotation.NewPolicy(nil, c.CALifetime, c.LeafLifetime); err != nil {
		return usageError{fmt.Errorf("--cert-lifetime and --cert-ca-lifetime: %w", err)}
	}
	return nil
}

// findNamespace finds the namespace that this runs in, where no flag tells it. The Secret is there, too.
func (o *serveOptions) findNamespace(inCluster bool) error {
	defer func() { o.Certificates.Namespace = o.OwnNamespace }()
	if o.OwnNamespace == "" {
		o.OwnNamespace = os.Getenv(namespaceVariable)
	}
	if o.OwnNamespace != "" || !inCluster {
		return nil
	}
	name, err := os.ReadFile(ownNamespaceFile)
	if err != nil {
		return fmt.Errorf("cannot tell which namespace this is: set --namespace: %w", err)
	}
	o.OwnNamespace = strings.TrimSpace(string(name))
	return nil
}
