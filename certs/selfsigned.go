package certs

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

const (
	// lifetime is how long a certificate holds that is made at a start, and never replaced before the next one.
	lifetime = 10 * 365 * 24 * time.Hour
	// skew is how far the clock of whoever checks a new certificate may be behind.
	skew = 5 * time.Minute
)

// SelfSigned is a certificate that was made here, of an authority that has no other and whose key is thrown away.
type SelfSigned struct {
	bundle []byte
	leaf   *tls.Certificate
}

var _ Source = (*SelfSigned)(nil)

// NewSelfSigned makes an authority and its certificate, both with ECDSA keys on P-256, for servers of the given names and IP
// addresses. now is the time from which on they hold, less five minutes for clocks that are behind.
func NewSelfSigned(hosts []string, now time.Time) (*SelfSigned, error) {
	if len(hosts) == 0 {
		return nil, errors.New("a serving certificate needs the name or address of a server")
	}
	s, err := makeSelfSigned(hosts, now)
	if err != nil {
		return nil, fmt.Errorf("making the serving certificate: %w", err)
	}
	return s, nil
}

func makeSelfSigned(hosts []string, now time.Time) (*SelfSigned, error) {
	authority, err := template("portcullis CA", now)
	if err != nil {
		return nil, err
	}
	authority.IsCA = true
	authority.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	authority.MaxPathLenZero = true
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	authorityDER, err := x509.CreateCertificate(rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	if err != nil {
		return nil, err
	}

	leaf, err := template("portcullis", now)
	if err != nil {
		return nil, err
	}
	leaf.KeyUsage = x509.KeyUsageDigitalSignature
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, host)
		}
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, authority, leafKey.Public(), authorityKey)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParseCertificate(leafDER)
	if err != nil {
		return nil, err
	}
	return &SelfSigned{
		bundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authorityDER}),
		leaf:   &tls.Certificate{Certificate: [][]byte{leafDER, authorityDER}, PrivateKey: leafKey, Leaf: parsed},
	}, nil
}

// template has what both certificates have in common. Both hold equally long.
func template(name string, now time.Time) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-skew),
		NotAfter:              now.Add(lifetime),
		BasicConstraintsValid: true,
	}, nil
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
