// Package rotation decides how a CA and its serving certificate, kept in a Secret, are made and rotated, so that clients verify
// what servers serve at every moment.
//
// Three things change, and none of them at the same time as another: the Secret, the caBundle by which API servers verify, and the
// certificate that each replica has loaded from the Secret. The order of changes keeps them in step:
//
//  1. A new CA is first added to the Secret, beside the one that signs, and from there to every caBundle.
//  2. Only when all caBundles have had it for a while, so that every API server knows it, does it sign a serving certificate.
//  3. The CA before signs no more, and its key is thrown away. It stays in the Secret and in the caBundles until whatever it has signed
//     has expired: however late a replica loads its certificate, it is verified.
//
// If the Secret is lost or damaged, the same steps begin with the CAs that are in the caBundles: replicas still serve what those have
// signed. Only when nobody trusts anything is there nothing to wait for.
//
// Next is pure: it is told what is there, and when it is, and yields the next thing to do. Whoever does it has to read the caBundles
// first and the Secret after, and to write each only if it is as it was when it was read. Then two that take themselves for the
// leader do no harm: one who acts on an old state is refused.
package rotation

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"
)

// Policy says how long what is made holds.
type Policy struct {
	// Hosts are the names and IP addresses that the serving certificate is for.
	Hosts []string
	// CALifetime is that of a CA, which is replaced after four fifths of it, and LeafLifetime that of a serving certificate, which is
	// replaced after two thirds.
	CALifetime, LeafLifetime time.Duration
	// Settle is how long all caBundles have to have had a CA before it signs, for all API servers to know it. Hurry is the same when
	// the Secret has no serving certificate, so that replicas may be waiting for one.
	Settle, Hurry time.Duration
}

// The lifetimes of CA and leaf if nobody says otherwise.
const (
	DefaultCA   = 10 * 365 * 24 * time.Hour
	DefaultLeaf = 90 * 24 * time.Hour
)

// NewPolicy is a policy for the lifetimes, with a minute for API servers to learn of a CA, and ten seconds in a hurry; with less if
// certificates hold for less than an hour.
func NewPolicy(hosts []string, ca, leaf time.Duration) (Policy, error) {
	p := Policy{Hosts: hosts, CALifetime: ca, LeafLifetime: leaf, Settle: min(time.Minute, leaf/20), Hurry: min(10*time.Second, leaf/20)}
	switch {
	case leaf < 10*time.Second:
		return p, fmt.Errorf("certificates that hold for %s would expire before they are renewed: let them hold for 10s at least, better for days", leaf)
	case ca < 2*leaf:
		return p, fmt.Errorf("a CA that holds for %s cannot sign certificates that hold for %s: let it hold for at least twice as long", ca, leaf)
	}
	return p, nil
}

// Secret is what of the Secret decides.
type Secret struct {
	Data        map[string][]byte
	Annotations map[string]string
	// Ours says whether Portcullis has made it, and so may replace it.
	Ours bool
}

// State is what there is.
type State struct {
	Secret *Secret // nil if there is none
	// Bundles are the caBundles of all webhooks that API servers ask; empty ones, too.
	Bundles [][]byte
	// Since is when they were first seen as they are now; they have not changed since.
	Since time.Time
	Now   time.Time
}

// Act is what to do.
type Act int

// The acts. Of those that change something, one is done at a time; then the state is read again.
const (
	Wait   Act = iota // until Step.Until, or until something changes
	Create            // make the Secret with Step.Material
	Update            // give the Secret Step.Material
	Patch             // give all webhooks the caBundle Step.Bundle
	Refuse            // leave everything as it is, and tell Step.Why: somebody has to decide
)

// Step is the next thing to do.
type Step struct {
	Act      Act
	Material Material
	Bundle   []byte
	Until    time.Time // of Wait
	// Why is, in words for people, the reason.
	Why string
}

// Next is the next thing to do. The error is that of a random source that fails.
func Next(p Policy, s State) (Step, error) {
	if s.Secret == nil {
		return p.afresh(s, Material{}, Create, "there is no Secret")
	}
	if !s.Secret.Ours {
		return Step{Act: Refuse, Why: "the Secret is not Portcullis's own"}, nil
	}
	m, problem := Decode(s.Secret.Data, s.Secret.Annotations)
	if len(m.Authorities) == 0 || !slices.ContainsFunc(m.Authorities, func(a Authority) bool { return valid(a.Certificate, s.Now) }) {
		why := "the CA does not hold now"
		if problem != nil {
			why = "the Secret is damaged: " + problem.Error()
		}
		return p.afresh(s, m, Update, why)
	}
	v := view{Policy: p, State: s, Material: m, newest: m.Authorities[len(m.Authorities)-1], issuer: m.issuer()}
	return v.next(problem)
}

// view is a state that has authorities, read.
type view struct {
	Policy
	State
	Material
	newest Authority
	issuer *Authority // of the serving certificate
}

func (v *view) next(problem error) (Step, error) {
	switch {
	case problem != nil:
		return v.update("the Secret is damaged: " + problem.Error())
	case v.wanted() && v.settled(v.newest.Certificate):
		return v.issue(v.newest, v.reason())
	case v.leafDue() && v.issuer != nil && valid(v.issuer.Certificate, v.Now):
		// Whoever verifies the certificate before verifies this one, too.
		return v.issue(*v.issuer, "the serving certificate is due")
	case len(v.Authorities) == 1 && due(v.newest.Certificate, aged(v.newest.Certificate, 4, 5), v.Now):
		authority, err := NewAuthority(v.Now, v.CALifetime)
		v.Authorities = append(v.Authorities, authority)
		if err != nil {
			return Step{}, err
		}
		return v.update("the CA is due: API servers are to know the new one before it signs")
	case slices.ContainsFunc(v.Bundles, func(b []byte) bool { return string(b) != string(v.Bundle()) }):
		return Step{Act: Patch, Bundle: v.Bundle(), Why: "the caBundle is not that of the Secret"}, nil
	case len(v.Old) > 0 && v.Now.After(v.OldUntil) && !v.wanted():
		v.Old = nil
		return v.update("all that the old CA has signed has expired")
	}
	return v.wait(), nil
}

func (v *view) leafDue() bool {
	return v.Leaf != nil && (due(v.Leaf.Leaf, aged(v.Leaf.Leaf, 2, 3), v.Now) || !covers(v.Leaf.Leaf, v.Hosts))
}

// wanted says whether the newest CA is to sign a serving certificate.
func (v *view) wanted() bool {
	return v.issuer == nil || !v.issuer.Certificate.Equal(v.newest.Certificate) || v.leafDue()
}

func (v *view) reason() string {
	switch {
	case v.Leaf == nil:
		return "there is no serving certificate"
	case v.leafDue():
		return "the serving certificate is due"
	}
	return "the new CA is known to API servers"
}

func (v *view) settle() time.Duration {
	if v.Leaf == nil || !valid(v.Leaf.Leaf, v.Now) {
		return v.Hurry
	}
	return v.Settle
}

// settled says whether a serving certificate of the CA is verified wherever another one would be: all API servers know the CA. If they
// are to know no other, nothing is lost with those that do not know it yet.
func (v *view) settled(ca *x509.Certificate) bool {
	if !valid(ca, v.Now) {
		return false
	}
	known, others := true, false
	for _, bundle := range v.Bundles {
		in, _ := Certificates(bundle)
		known = known && contains(in, ca)
		others = others || slices.ContainsFunc(in, func(c *x509.Certificate) bool { return !c.Equal(ca) && valid(c, v.Now) })
	}
	return known && (v.Now.Sub(v.Since) >= v.settle() || !others && v.Leaf == nil)
}

// issue has the authority sign a serving certificate. Those before it sign no more.
func (v *view) issue(by Authority, why string) (Step, error) {
	if by.Certificate.Equal(v.newest.Certificate) {
		for _, a := range v.Authorities[:len(v.Authorities)-1] {
			v.Old = append(v.Old, a.Certificate)
			v.keepOld(v.Now.Add(v.LeafLifetime))
		}
		if v.Leaf != nil && v.Leaf.Leaf.CheckSignatureFrom(by.Certificate) != nil {
			v.keepOld(v.Leaf.Leaf.NotAfter)
		}
		v.Authorities = []Authority{by}
	}
	leaf, err := by.Issue(v.Hosts, v.Now, v.LeafLifetime)
	if err != nil {
		return Step{}, err
	}
	v.Material.Leaf = leaf
	return v.update(why)
}

// keepOld keeps the old CAs until what holds to the given time has expired by every clock.
func (m *Material) keepOld(until time.Time) {
	if until = until.Add(2 * Skew); until.After(m.OldUntil) {
		m.OldUntil = until
	}
}

func (v *view) update(why string) (Step, error) {
	return Step{Act: Update, Material: v.Material, Why: why}, nil
}

func (v *view) wait() Step {
	times := []time.Time{aged(v.newest.Certificate, 4, 5)}
	if v.Leaf != nil {
		times = append(times, aged(v.Leaf.Leaf, 2, 3))
	}
	if len(v.Old) > 0 {
		times = append(times, v.OldUntil.Add(time.Second))
	}
	if v.wanted() {
		times = append(times, v.Since.Add(v.settle()))
	}
	times = slices.DeleteFunc(times, func(at time.Time) bool { return !at.After(v.Now) })
	if len(times) == 0 {
		return Step{Act: Wait, Until: v.Now.Add(v.Settle)}
	}
	return Step{Act: Wait, Until: slices.MinFunc(times, time.Time.Compare)}
}

// mostOld is how many certificates of unknown origin are taken over from the caBundles.
const mostOld = 32

// afresh makes a new CA where there is none of use. Whatever is trusted now stays trusted for as long as a serving certificate
// may hold that was made before.
func (p Policy) afresh(s State, was Material, act Act, why string) (Step, error) {
	authority, err := NewAuthority(s.Now, p.CALifetime)
	if err != nil {
		return Step{}, err
	}
	m := Material{Authorities: []Authority{authority}}
	keep := was.trusted()
	for _, bundle := range s.Bundles {
		in, _ := Certificates(bundle)
		keep = append(keep, in...)
	}
	for _, c := range keep {
		if valid(c, s.Now) && !contains(m.Old, c) && len(m.Old) < mostOld {
			m.Old = append(m.Old, c)
		}
	}
	if len(m.Old) > 0 {
		m.keepOld(s.Now.Add(max(p.LeafLifetime, DefaultLeaf)))
	}
	if was.Leaf != nil && valid(was.Leaf.Leaf, s.Now) {
		m.Leaf = was.Leaf
	}
	return Step{Act: act, Material: m, Why: why}, nil
}
