package rotation

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"
)

// Skew is how far the clock of whoever checks a certificate may be from the clock of whoever made it.
const Skew = 5 * time.Minute

// Authority is a CA whose key is known, so that it signs.
type Authority struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
}

// NewAuthority makes a CA with an ECDSA key on P-256 that holds for a lifetime from now on, and from Skew before.
func NewAuthority(now time.Time, lifetime time.Duration) (Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Authority{}, err
	}
	template, err := template(now, now.Add(lifetime))
	if err != nil {
		return Authority{}, err
	}
	template.Subject = pkix.Name{CommonName: fmt.Sprintf("portcullis CA %X", template.SerialNumber.Bytes()[:4])}
	template.IsCA = true
	template.MaxPathLenZero = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	certificate, err := sign(template, template, key.Public(), key)
	return Authority{Certificate: certificate, Key: key}, err
}

// Issue makes a serving certificate for the names and IP addresses, with an ECDSA key on P-256. It holds for a lifetime from now on,
// and from Skew before, but not longer than the CA.
func (a Authority) Issue(hosts []string, now time.Time, lifetime time.Duration) (*tls.Certificate, error) {
	if len(hosts) == 0 {
		return nil, errors.New("a serving certificate needs the name or address of a server")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	end := now.Add(lifetime)
	if end.After(a.Certificate.NotAfter) {
		end = a.Certificate.NotAfter
	}
	template, err := template(now, end)
	if err != nil {
		return nil, err
	}
	template.Subject = pkix.Name{CommonName: "portcullis"}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	leaf, err := sign(template, a.Certificate, key.Public(), a.Key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// template has what both kinds of certificates have in common.
func template(now, end time.Time) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	serial.SetBit(serial, 126, 1) // always as long
	return &x509.Certificate{SerialNumber: serial, NotBefore: now.Add(-Skew), NotAfter: end, BasicConstraintsValid: true}, nil
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// covers says whether the certificate is for all the names and addresses.
func covers(leaf *x509.Certificate, hosts []string) bool {
	return !slices.ContainsFunc(hosts, func(host string) bool { return leaf.VerifyHostname(host) != nil })
}

// aged is when the fraction numerator/denominator of a certificate's life is over. What is before NotBefore plus Skew does not count:
// the certificate was made then.
func aged(c *x509.Certificate, numerator, denominator time.Duration) time.Time {
	made := c.NotBefore.Add(Skew)
	return made.Add(c.NotAfter.Sub(made) / denominator * numerator)
}

// due says whether a certificate is to be replaced: it is old, or the clock of whoever made it was far ahead.
func due(c *x509.Certificate, at, now time.Time) bool {
	return !now.Before(at) || now.Before(c.NotBefore)
}

func valid(c *x509.Certificate, now time.Time) bool {
	return !now.Before(c.NotBefore) && !now.After(c.NotAfter)
}
