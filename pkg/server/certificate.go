package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/client-go/dynamic"

	"github.com/portcullis-dev/portcullis/certs"
)

// The values of Certificates.Source.
const (
	SelfSigned  = "self-signed"
	CertManager = "cert-manager"
	Files       = "files"
)

// CertificateSources are the values of Certificates.Source.
var CertificateSources = [...]string{SelfSigned, CertManager, Files}

// Certificates say where the serving certificate comes from.
type Certificates struct {
	// Source is one of CertificateSources.
	Source string
	// Dir has the files, for Files.
	Dir string
	// Namespace is that of the Secret, the Lease and the Service. If it is empty, SelfSigned makes a certificate for this process alone.
	Namespace string
	// Secret holds the certificate, and Lease says which replica looks after it.
	Secret, Lease string
	// Webhooks is the name of both webhook configurations, whose caBundle is kept in step.
	Webhooks string
	// Service is that by which API servers reach the webhook, and Hosts are further names and addresses of it.
	Service string
	Hosts   []string
	// CALifetime and LeafLifetime are how long a CA and a serving certificate hold that are not from files.
	CALifetime, LeafLifetime time.Duration
	// Issuer is who signs, for CertManager, as certs.ParseIssuer reads it; a CA of its own if it is empty.
	Issuer string
}

// certificate is where the serving certificate comes from.
func (s *server) certificate() (certs.Source, error) {
	c := s.options.Certificates
	switch {
	case c.Source == Files:
		return certs.NewFiles(c.Dir)
	case c.Source == SelfSigned && (c.Namespace == "" || s.client == nil || s.options.Register):
		hosts := append([]string{"localhost", "127.0.0.1", "::1"}, c.Hosts...)
		for _, host := range []string{s.host, hostOf(s.options.WebhookURL)} {
			if host != "" {
				hosts = append(hosts, host)
			}
		}
		return certs.NewSelfSigned(hosts, time.Now())
	case c.Source == SelfSigned:
		return certs.NewKept(s.inCluster())
	case c.Source == CertManager && (c.Namespace == "" || s.client == nil):
		return nil, errors.New("--cert-source cert-manager needs a cluster and the namespace of the Secret: set --namespace, and leave --snapshot out")
	case c.Source == CertManager:
		issuer, err := certs.ParseIssuer(c.Issuer)
		if err != nil {
			return nil, fmt.Errorf("--cert-issuer: %w", err)
		}
		client, err := dynamic.NewForConfig(s.options.Cluster)
		if err != nil {
			return nil, fmt.Errorf("cannot make a client for the API server: %w", err)
		}
		return certs.NewManaged(s.inCluster(), client, issuer), nil
	}
	return nil, fmt.Errorf("there is no certificate source %q", c.Source)
}

// inCluster says where in the cluster the certificate is kept.
func (s *server) inCluster() certs.InCluster {
	c := s.options.Certificates
	return certs.InCluster{
		Client: s.client, Log: s.log, Namespace: c.Namespace, Secret: c.Secret, Lease: c.Lease, Webhooks: c.Webhooks,
		Hosts:      append(certs.ServiceHosts(c.Service, c.Namespace), c.Hosts...),
		CALifetime: c.CALifetime, LeafLifetime: c.LeafLifetime,
	}
}

// haveCertificate notes that there may be a certificate.
func (s *server) haveCertificate() {
	if notAfter := s.certificates.NotAfter(); !notAfter.IsZero() {
		s.recorder.CertificateNotAfter(notAfter)
		s.certify.Do(func() { close(s.certified) })
	}
}

// renewed is told of every change of the certificate.
func (s *server) renewed() {
	s.haveCertificate()
	s.log.Info("the certificate is read again", "notAfter", s.certificates.NotAfter())
	s.reregister()
}

// hasCertificate waits until there is a certificate; false if ctx ends before.
func (s *server) hasCertificate(ctx context.Context) bool {
	ticker := time.NewTicker(impatience)
	defer ticker.Stop()
	for {
		select {
		case <-s.certified:
			return true
		case <-ctx.Done():
			return false
		case <-ticker.C:
			s.log.Warn("no review is answered yet", "reason", fmt.Sprint(s.certificateReady()))
		}
	}
}

// certificateReady is nil if there is a certificate that has not expired.
func (s *server) certificateReady() error {
	if _, err := s.certificates.GetCertificate(nil); err != nil {
		return err
	}
	if notAfter := s.certificates.NotAfter(); time.Now().After(notAfter) {
		return fmt.Errorf("the serving certificate has expired at %s: see docs/certificates.md", notAfter.Format(time.RFC3339))
	}
	return nil
}
