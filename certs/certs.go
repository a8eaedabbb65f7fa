// Package certs says where the certificate comes from that the webhook is served with: made at the start (SelfSigned), read from files
// (Files), or read from a Secret that all replicas share. That Secret is kept by one of the replicas (Kept), or by cert-manager
// (Managed).
package certs

import (
	"context"
	"crypto/tls"
	"time"
)

// Source is where the serving certificate comes from. Its methods are safe for concurrent use.
type Source interface {
	// GetCertificate is what tls.Config asks for. The error says why there is none yet.
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// CABundle is, in PEM, what a client has to trust.
	CABundle() ([]byte, error)
	// NotAfter is when the certificate expires; the zero time if there is none.
	NotAfter() time.Time
	// Run keeps the certificate up to date until the context ends, and calls changed, from one goroutine, after each change.
	// Call it once.
	Run(ctx context.Context, changed func()) error
}
