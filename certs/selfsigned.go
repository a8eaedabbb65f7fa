package certs

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"github.com/portcullis-dev/portcullis/certs/rotation"
)

// SelfSigned is a certificate that was made here, of an authority that has no other and whose key is thrown away.
type SelfSigned struct {
	bundle []byte
	leaf   *tls.Certificate
}

var _ Source = (*SelfSigned)(nil)

// NewSelfSigned makes an authority and its certificate, both with ECDSA keys on P-256, for servers of the given names and IP
// addresses. now is the time from which on they hold, less five minutes for clocks that are behind, for ten years: they are never
// replaced before the next start.
func NewSelfSigned(hosts []string, now time.Time) (*SelfSigned, error) {
	authority, err := rotation.NewAuthority(now, rotation.DefaultCA)
	if err != nil {
		return nil, fmt.Errorf("making the serving certificate: %w", err)
	}
	leaf, err := authority.Issue(hosts, now, rotation.DefaultCA)
	if err != nil {
		return nil, fmt.Errorf("making the serving certificate: %w", err)
	}
	made := rotation.Material{Authorities: []rotation.Authority{authority}, Leaf: leaf}
	return &SelfSigned{bundle: made.Bundle(), leaf: leaf}, nil
}

// GetCertificate implements Source.
func (s *SelfSigned) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return s.leaf, nil
}

// CABundle implements Source.
func (s *SelfSigned) CABundle() ([]byte, error) { return s.bundle, nil }

// NotAfter implements Source.
func (s *SelfSigned) NotAfter() time.Time { return s.leaf.Leaf.NotAfter }

// Run implements Source. Nothing ever changes.
func (s *SelfSigned) Run(ctx context.Context, _ func()) error {
	<-ctx.Done()
	return nil
}
