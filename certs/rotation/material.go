package rotation

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Keys of the Secret's data. The first three are those of every Secret of the type kubernetes.io/tls.
const (
	CertificateKey = "tls.crt" // the serving certificate
	PrivateKey     = "tls.key" // its key
	BundleKey      = "ca.crt"  // all CAs that clients are to trust: caBundle is exactly this
	AuthorityKey   = "ca.key"  // the keys of those CAs that sign; each belongs to the CA in ca.crt with its public key
)

// OldUntilAnnotation is until when the CAs without keys stay in ca.crt, by RFC 3339.
const OldUntilAnnotation = "portcullis.dev/old-ca-until"

// Material is what the Secret holds.
type Material struct {
	// Authorities sign: the last one from as soon as clients trust it, and until then the first one. There are two while a CA is
	// rotated.
	Authorities []Authority
	// Old are CAs that sign no more. They are trusted until OldUntil, when whatever they have signed has expired.
	Old      []*x509.Certificate
	OldUntil time.Time
	// Leaf is the serving certificate; nil if there is none, or none of use.
	Leaf *tls.Certificate
}

// Decode reads a Secret's data and annotations. The error tells what of it is of no use, and why; what is left is there
// nevertheless.
func Decode(data map[string][]byte, annotations map[string]string) (Material, error) {
	var m Material
	bundle, err := Certificates(data[BundleKey])
	problems := []error{named(BundleKey, err)}
	keys, err := privateKeys(data[AuthorityKey])
	problems = append(problems, named(AuthorityKey, err))
	for _, c := range bundle {
		if key := keyOf(keys, c); key != nil && c.IsCA {
			m.Authorities = append(m.Authorities, Authority{c, key})
		} else {
			m.Old = append(m.Old, c)
		}
	}
	slices.Reverse(m.Authorities) // trusted puts the newest first
	if len(m.Authorities) == 0 {
		problems = append(problems, fmt.Errorf("%s has no CA whose key is in %s", BundleKey, AuthorityKey))
	}
	if len(m.Old) > 0 {
		if m.OldUntil, err = time.Parse(time.RFC3339, annotations[OldUntilAnnotation]); err != nil {
			m.OldUntil = slices.MaxFunc(m.Old, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) }).NotAfter
		}
	}
	if len(data[CertificateKey])+len(data[PrivateKey]) > 0 {
		m.Leaf, err = decodeLeaf(data[CertificateKey], data[PrivateKey], bundle)
		problems = append(problems, err)
	}
	return m, errors.Join(problems...)
}

func named(key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", key, err)
}

func decodeLeaf(certificate, key []byte, bundle []*x509.Certificate) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", CertificateKey, PrivateKey, err)
	}
	if !slices.ContainsFunc(bundle, func(ca *x509.Certificate) bool { return pair.Leaf.CheckSignatureFrom(ca) == nil }) {
		return nil, fmt.Errorf("%s is signed by none of the CAs in %s", CertificateKey, BundleKey)
	}
	return &pair, nil
}

func keyOf(keys []crypto.Signer, c *x509.Certificate) crypto.Signer {
	for _, key := range keys {
		if public, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); ok && public.Equal(key.Public()) {
			return key
		}
	}
	return nil
}

// Certificates are the certificates in a PEM text. The error is about what else is in it.
func Certificates(text []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	err := blocks(text, "CERTIFICATE", func(der []byte) error {
		c, err := x509.ParseCertificate(der)
		if err == nil && !contains(out, c) {
			out = append(out, c)
		}
		return err
	})
	return out, err
}

func privateKeys(text []byte) ([]crypto.Signer, error) {
	var out []crypto.Signer
	err := blocks(text, "PRIVATE KEY", func(der []byte) error {
		key, err := x509.ParsePKCS8PrivateKey(der)
		if err != nil {
			return errors.New("a key that cannot be read") // the cause might tell of it
		}
		signer, ok := key.(crypto.Signer)
		if !ok {
			return errors.New("a key that cannot sign")
		}
		out = append(out, signer)
		return nil
	})
	return out, err
}

func blocks(text []byte, kind string, each func([]byte) error) error {
	var problems []error
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			if len(bytes.TrimSpace(rest)) > 0 {
				problems = append(problems, errors.New("not PEM to its end"))
			}
			return errors.Join(problems...)
		}
		if block.Type != kind {
			problems = append(problems, fmt.Errorf("a block %q in place of %q", block.Type, kind))
		} else if err := each(block.Bytes); err != nil {
			problems = append(problems, err)
		}
		text = rest
	}
}

// Encode is what Decode reads.
func (m *Material) Encode() (data map[string][]byte, annotations map[string]string, err error) {
	data = map[string][]byte{CertificateKey: {}, PrivateKey: {}, BundleKey: m.Bundle()}
	for _, a := range m.Authorities {
		key, err := encodeKey(a.Key)
		if err != nil {
			return nil, nil, err
		}
		data[AuthorityKey] = append(data[AuthorityKey], key...)
	}
	if m.Leaf != nil {
		data[CertificateKey] = encodeCertificate(m.Leaf.Leaf)
		if data[PrivateKey], err = encodeKey(m.Leaf.PrivateKey); err != nil {
			return nil, nil, err
		}
	}
	if len(m.Old) > 0 {
		annotations = map[string]string{OldUntilAnnotation: m.OldUntil.UTC().Format(time.RFC3339)}
	}
	return data, annotations, nil
}

// Bundle is, in PEM, what clients are to trust.
func (m *Material) Bundle() []byte {
	var out []byte
	for _, c := range m.trusted() {
		out = append(out, encodeCertificate(c)...)
	}
	return out
}

func (m *Material) trusted() []*x509.Certificate {
	var out []*x509.Certificate
	for _, a := range slices.Backward(m.Authorities) {
		out = append(out, a.Certificate)
	}
	return append(out, m.Old...)
}

// issuer is the authority that has signed the serving certificate; nil if there is none.
func (m *Material) issuer() *Authority {
	for i := range m.Authorities {
		if m.Leaf != nil && m.Leaf.Leaf.CheckSignatureFrom(m.Authorities[i].Certificate) == nil {
			return &m.Authorities[i]
		}
	}
	return nil
}

func encodeCertificate(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func encodeKey(key any) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func contains(all []*x509.Certificate, c *x509.Certificate) bool {
	return slices.ContainsFunc(all, c.Equal)
}
