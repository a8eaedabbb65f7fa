package rotation_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/certs/rotation"
)

const day = 24 * time.Hour

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// story is a world with one leader, in which everything goes as it should until a test says otherwise.
type story struct {
	t      *testing.T
	policy rotation.Policy
	state  rotation.State
}

func newStory(t *testing.T) *story {
	policy, err := rotation.NewPolicy(hosts, rotation.DefaultCA, rotation.DefaultLeaf)
	require.NoError(t, err)
	return &story{t: t, policy: policy, state: rotation.State{Bundles: [][]byte{nil, nil}, Since: noon, Now: noon}}
}

// installed is the story after the installation.
func installed(t *testing.T) *story {
	s := newStory(t)
	s.until(rotation.Wait)
	return s
}

func (s *story) next() rotation.Step {
	step, err := rotation.Next(s.policy, s.state)
	require.NoError(s.t, err)
	return step
}

// act does the next step, and yields it.
func (s *story) act() rotation.Step {
	step := s.next()
	switch step.Act {
	case rotation.Create, rotation.Update:
		data, annotations, err := step.Material.Encode()
		require.NoError(s.t, err)
		s.state.Secret = &rotation.Secret{Data: data, Annotations: annotations, Ours: true}
	case rotation.Patch:
		s.state.Bundles = [][]byte{step.Bundle, step.Bundle}
		s.state.Since = s.state.Now
	}
	return step
}

// until acts until the act is next, and yields what was done.
func (s *story) until(act rotation.Act) []rotation.Act {
	var done []rotation.Act
	for range 10 {
		if s.next().Act == act {
			return done
		}
		done = append(done, s.act().Act)
	}
	require.Fail(s.t, "it never comes", "%v", done)
	return nil
}

func (s *story) after(d time.Duration) *story {
	s.state.Now = s.state.Now.Add(d)
	return s
}

func (s *story) material() rotation.Material {
	m, err := rotation.Decode(s.state.Secret.Data, s.state.Secret.Annotations)
	require.NoError(s.t, err)
	return m
}

func (s *story) trusted() []*x509.Certificate {
	in, err := rotation.Certificates(s.state.Bundles[0])
	require.NoError(s.t, err)
	return in
}

func TestTheFirstCertificateIsMadeOnceItsCAIsInAllCaBundles(t *testing.T) {
	s := newStory(t)
	assert.Equal(t, []rotation.Act{rotation.Create, rotation.Patch, rotation.Update}, s.until(rotation.Wait))
	m := s.material()
	require.Len(t, m.Authorities, 1)
	ca, leaf := m.Authorities[0].Certificate, m.Leaf.Leaf
	for _, c := range []*x509.Certificate{ca, leaf} {
		require.IsType(t, &ecdsa.PublicKey{}, c.PublicKey)
		assert.Equal(t, elliptic.P256(), c.PublicKey.(*ecdsa.PublicKey).Curve)
		assert.Equal(t, noon.Add(-5*time.Minute), c.NotBefore, "clocks that are behind accept it")
	}
	assert.Equal(t, noon.Add(3650*day), ca.NotAfter)
	assert.Equal(t, noon.Add(90*day), leaf.NotAfter)
	assert.True(t, ca.IsCA)
	assert.False(t, leaf.IsCA)
	assert.Equal(t, hosts, leaf.DNSNames)
	assert.Equal(t, noon.Add(60*day), s.next().Until, "and nothing is to do before two thirds of its life")
}

func TestIfNoWebhookAsksThenTheCertificateIsMadeNevertheless(t *testing.T) {
	s := newStory(t)
	s.state.Bundles = nil
	assert.Equal(t, []rotation.Act{rotation.Create, rotation.Update}, s.until(rotation.Wait))
}

func TestACertificateIsRenewedByTheSameCAAfterTwoThirdsOfItsLife(t *testing.T) {
	s := installed(t)
	before := s.material()
	assert.Equal(t, rotation.Wait, s.after(60*day-time.Second).next().Act)
	assert.Equal(t, []rotation.Act{rotation.Update}, s.after(time.Second).until(rotation.Wait))
	after := s.material()
	assert.Equal(t, before.Authorities, after.Authorities)
	assert.Equal(t, noon.Add(150*day), after.Leaf.Leaf.NotAfter)
	assert.NotEqual(t, before.Leaf.Leaf.PublicKey, after.Leaf.Leaf.PublicKey, "the key is new, too")
}

func TestIfTheHostsChangeThenTheCertificateIsRenewedAtOnce(t *testing.T) {
	s := installed(t)
	s.policy.Hosts = append([]string{"127.0.0.1"}, s.policy.Hosts...)
	assert.Equal(t, []rotation.Act{rotation.Update}, s.until(rotation.Wait))
	assert.NoError(t, s.material().Leaf.Leaf.VerifyHostname("127.0.0.1"))
}

func TestACAIsReplacedAfterFourFifthsOfItsLifeInSteps(t *testing.T) {
	s := installed(t)
	first := s.material().Authorities[0].Certificate
	assert.Equal(t, []rotation.Act{rotation.Update}, s.after(2920*day-time.Minute).until(rotation.Wait), "just a new certificate")
	leaf := s.material().Leaf.Leaf

	s.after(time.Minute)
	assert.Equal(t, []rotation.Act{rotation.Update, rotation.Patch}, s.until(rotation.Wait))
	m := s.material()
	require.Len(t, m.Authorities, 2)
	second := m.Authorities[1].Certificate
	assert.True(t, leaf.Equal(m.Leaf.Leaf), "the new CA does not sign yet")
	assert.Len(t, s.trusted(), 2, "and clients trust both")
	assert.Equal(t, s.state.Now.Add(time.Minute), s.next().Until)

	assert.Equal(t, rotation.Wait, s.after(time.Minute-time.Second).next().Act)
	assert.Equal(t, []rotation.Act{rotation.Update}, s.after(time.Second).until(rotation.Wait))
	m = s.material()
	require.Len(t, m.Authorities, 1, "the old key is thrown away")
	assert.True(t, second.Equal(m.Authorities[0].Certificate))
	assert.NoError(t, m.Leaf.Leaf.CheckSignatureFrom(second))
	assert.True(t, first.Equal(m.Old[0]))
	assert.Len(t, s.trusted(), 2)

	last := s.state.Now.Add(90*day + 10*time.Minute)
	assert.Equal(t, last, s.material().OldUntil)
	assert.True(t, last.After(leaf.NotAfter))
	s.after(60 * day).until(rotation.Wait)
	assert.Len(t, s.trusted(), 2, "a replica might still serve what the old CA has signed")
	assert.Equal(t, last.Add(time.Second), s.next().Until)
	s.state.Now = last.Add(time.Second)
	assert.Equal(t, []rotation.Act{rotation.Update, rotation.Patch}, s.until(rotation.Wait))
	require.Len(t, s.trusted(), 1)
	assert.True(t, second.Equal(s.trusted()[0]))
}

func TestIfTheNewCACannotBeMadeKnownThenTheOldOneSignsOn(t *testing.T) {
	s := installed(t)
	s.after(2920 * day)
	s.act()
	s.until(rotation.Patch)
	old := s.material().Authorities[0]
	// No caBundle can be written for months.
	assert.Equal(t, rotation.Update, s.after(61*day).act().Act)
	m := s.material()
	assert.NoError(t, m.Leaf.Leaf.CheckSignatureFrom(old.Certificate))
	assert.Len(t, m.Authorities, 2)
	assert.Equal(t, rotation.Patch, s.next().Act)
}

func TestALostSecretIsMadeAgainWithoutLosingTheCertificateThatIsServed(t *testing.T) {
	s := installed(t)
	lost := s.material()
	s.state.Secret = nil
	s.state.Since = s.state.Now
	assert.Equal(t, []rotation.Act{rotation.Create, rotation.Patch}, s.until(rotation.Wait))
	require.Len(t, s.trusted(), 2)
	assert.NoError(t, lost.Leaf.Leaf.CheckSignatureFrom(s.trusted()[1]), "what replicas still serve is verified")
	assert.Nil(t, s.material().Leaf)
	assert.Equal(t, []rotation.Act{rotation.Update}, s.after(10*time.Second).until(rotation.Wait))
	assert.NoError(t, s.material().Leaf.Leaf.CheckSignatureFrom(s.trusted()[0]))
}

func TestAnOldCALeavesEarlierIfTheAnnotationIsSetBack(t *testing.T) {
	s := installed(t)
	s.state.Secret, s.state.Since = nil, s.state.Now
	s.until(rotation.Wait)
	s.state.Secret.Annotations[rotation.OldUntilAnnotation] = "2000-01-01T00:00:00Z"
	assert.Equal(t, rotation.Wait, s.next().Act, "but not before the new CA has signed")
	assert.Equal(t, []rotation.Act{rotation.Update, rotation.Update, rotation.Patch}, s.after(10*time.Second).until(rotation.Wait))
	assert.Len(t, s.trusted(), 1)
	assert.Empty(t, s.state.Secret.Annotations)
}

func TestASecretOfSomebodyElseIsLeftAlone(t *testing.T) {
	s := installed(t)
	s.state.Secret.Ours = false
	step := s.next()
	assert.Equal(t, rotation.Refuse, step.Act)
	assert.Equal(t, "the Secret is not Portcullis's own", step.Why)
}

func TestADamagedSecretIsMendedWithAsMuchOfItAsIsOfUse(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(map[string][]byte)
		why    string
		sameCA bool
	}{
		"without the CA's key":         {func(d map[string][]byte) { delete(d, "ca.key") }, "ca.crt has no CA whose key is in ca.key", false},
		"without the CA":               {func(d map[string][]byte) { delete(d, "ca.crt") }, "ca.crt has no CA whose key is in ca.key", false},
		"with a key cut short":         {func(d map[string][]byte) { d["ca.key"] = d["ca.key"][:100] }, "ca.key: not PEM to its end", false},
		"with a certificate cut short": {func(d map[string][]byte) { d["tls.crt"] = d["tls.crt"][:100] }, "tls.crt and tls.key: ", true},
		"with the wrong key":           {func(d map[string][]byte) { d["tls.key"] = d["ca.key"] }, "tls.crt and tls.key: ", true},
		"with another's certificate": {func(d map[string][]byte) {
			other := installed(t).state.Secret.Data
			d["tls.crt"], d["tls.key"] = other["tls.crt"], other["tls.key"]
		}, "tls.crt is signed by none of the CAs in ca.crt", true},
		"with something after the CA": {func(d map[string][]byte) { d["ca.crt"] = append(d["ca.crt"], "x"...) }, "ca.crt: not PEM to its end", true},
		"without anything":            {func(d map[string][]byte) { clear(d) }, "ca.crt has no CA whose key is in ca.key", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := installed(t)
			served := s.material()
			c.damage(s.state.Secret.Data)
			step := s.act()
			assert.Equal(t, rotation.Update, step.Act)
			assert.Contains(t, step.Why, "the Secret is damaged: ")
			assert.Contains(t, step.Why, c.why)
			s.until(rotation.Wait)
			s.after(time.Minute).until(rotation.Wait)
			m := s.material()
			require.NotNil(t, m.Leaf)
			assert.Equal(t, c.sameCA, served.Authorities[0].Certificate.Equal(m.Authorities[0].Certificate))
			assert.NoError(t, verified(served.Leaf, s.state.Bundles[0], s.state.Now), "what is served is verified all the while")
			assert.NoError(t, verified(m.Leaf, s.state.Bundles[0], s.state.Now))
		})
	}
}

func TestACertificateOfAClockFarAheadIsReplaced(t *testing.T) {
	s := installed(t)
	s.after(-time.Hour)
	s.until(rotation.Wait)
	s.after(time.Minute).until(rotation.Wait)
	assert.NoError(t, verified(s.material().Leaf, s.state.Bundles[0], s.state.Now))
}

func TestLifetimesThatCannotWorkAreRefused(t *testing.T) {
	_, err := rotation.NewPolicy(hosts, time.Hour, 40*time.Minute)
	assert.ErrorContains(t, err, "at least twice as long")
	_, err = rotation.NewPolicy(hosts, time.Hour, 5*time.Second)
	assert.ErrorContains(t, err, "let them hold for 10s at least")
	p, err := rotation.NewPolicy(hosts, time.Hour, 20*time.Second)
	require.NoError(t, err)
	assert.Equal(t, time.Second, p.Settle)
}
