package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apiserver/pkg/server/dynamiccertificates"
)

// suites are those of TLS 1.2 that are served: with forward secrecy and authenticated encryption. Those of TLS 1.3 all are such, and
// Go does not let them be chosen.
func suites() []uint16 {
	return []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
}

// secure has c serve by TLS 1.2 and later.
func (s *server) secure(c *tls.Config) {
	c.MinVersion = tls.VersionTLS12
	c.CipherSuites = suites()
	c.GetCertificate = s.certificates.GetCertificate
}

// secureReviews is secure for the webhook, to which not everybody may have access.
//
// HTTP/2 stays on unless it is switched off, as in controller-runtime. It was off in what kubebuilder wrote since CVE-2023-44487 and
// CVE-2023-39325, which Go has mended since; and it lets a server that ends tell the API server so (GOAWAY) before a review is lost on
// a connection that is just being closed.
func (s *server) secureReviews(c *tls.Config) {
	s.secure(c)
	if s.options.DisableHTTP2 {
		c.NextProtos = []string{"http/1.1"}
	}
	if s.clients != nil {
		c.ClientAuth = tls.RequireAnyClientCert
		c.VerifyConnection = s.clients.verify
	}
}

// clients are those who may have reviews answered: the holders of certificates of some CAs.
type clients struct {
	authorities *dynamiccertificates.DynamicFileCAContent
	names       []string // common names that suffice; all do if there are none
}

func newClients(file string, names []string) (*clients, error) {
	if file == "" {
		return nil, nil
	}
	authorities, err := dynamiccertificates.NewDynamicCAContentFromFile("client-ca", file)
	if err != nil {
		return nil, fmt.Errorf("cannot use --client-ca-file %s, which has to have certificates of CAs in PEM: %w", file, err)
	}
	return &clients{authorities: authorities, names: names}, nil
}

// run reads the CAs again when they change, until ctx ends.
func (c *clients) run(ctx context.Context) error {
	c.authorities.Run(ctx, 1)
	return nil
}

// verify says whether a connection is by one of the clients. tls.Config calls it for resumed sessions, too.
func (c *clients) verify(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the client has shown no certificate")
	}
	options, ok := c.authorities.VerifyOptions()
	if !ok {
		return errors.New("there is no CA to verify clients by")
	}
	leaf := state.PeerCertificates[0]
	options.Intermediates = x509.NewCertPool()
	for _, intermediate := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(intermediate)
	}
	if _, err := leaf.Verify(options); err != nil {
		return fmt.Errorf("the client's certificate is not of a CA in --client-ca-file: %w", err)
	}
	if len(c.names) > 0 && !slices.Contains(c.names, leaf.Subject.CommonName) {
		return fmt.Errorf("the client's common name %q is not among --client-ca-names", leaf.Subject.CommonName)
	}
	return nil
}
