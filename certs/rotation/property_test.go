package rotation_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis-dev/portcullis/certs/rotation"
)

// world is everything that takes part: the Secret and the caBundles as they are stored, those who take themselves for the leader, the
// replicas that serve, and API servers that verify by a caBundle of now or of a moment ago.
type world struct {
	t        *rapid.T
	policy   rotation.Policy
	now      time.Time
	secret   *rotation.Secret
	version  int // of the Secret
	bundles  [2]stored
	leaders  [2]leader
	replicas [3]*tls.Certificate
	writes   int
}

// stored is one webhook configuration's caBundle.
type stored struct {
	bundle, before []byte
	version        int
	changed        time.Time
}

// leader reads, decides and writes, each at another time.
type leader struct {
	offset   time.Duration // of its clock
	seen     [2][]byte
	since    time.Time
	step     rotation.Step
	versions [3]int // of the caBundles and the Secret, as they were read
}

// lag is the most that an API server is behind.
const lag = 8 * time.Second

var hosts = []string{"portcullis.portcullis.svc"}

func newWorld(t *rapid.T) *world {
	policy, err := rotation.NewPolicy(hosts, rotation.DefaultCA, rotation.DefaultLeaf)
	require.NoError(t, err)
	w := &world{t: t, policy: policy, now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	offset := rapid.Map(rapid.Int64Range(-150, 150), func(s int64) time.Duration { return time.Duration(s) * time.Second })
	for i := range w.leaders {
		w.leaders[i].offset = offset.Draw(t, "clock")
	}
	return w
}

// read has a leader look at the caBundles, then at the Secret, and decide.
func (w *world) read(i int) {
	l := &w.leaders[i]
	now := w.now.Add(l.offset)
	state := rotation.State{Secret: w.secret, Now: now}
	for j, b := range w.bundles {
		if l.since.IsZero() || !bytes.Equal(l.seen[j], b.bundle) {
			l.seen[j], l.since = b.bundle, now
		}
		state.Bundles = append(state.Bundles, b.bundle)
		l.versions[j] = b.version
	}
	state.Since = l.since
	l.versions[2] = w.version
	var err error
	l.step, err = rotation.Next(w.policy, state)
	require.NoError(w.t, err)
}

// write has a leader do what it has decided, to the targets given, unless what it has read has changed.
func (w *world) write(i int, targets ...int) {
	l := &w.leaders[i]
	switch l.step.Act {
	case rotation.Create, rotation.Update:
		if w.version != l.versions[2] {
			break
		}
		w.put(l.step.Material)
	case rotation.Patch:
		for _, j := range targets {
			if b := &w.bundles[j]; b.version == l.versions[j] && !bytes.Equal(b.bundle, l.step.Bundle) {
				*b = stored{bundle: l.step.Bundle, before: b.bundle, version: b.version + 1, changed: w.now}
				w.writes++
			}
		}
	}
	l.step = rotation.Step{}
}

func (w *world) put(m rotation.Material) {
	data, annotations, err := m.Encode()
	require.NoError(w.t, err)
	w.secret = &rotation.Secret{Data: data, Annotations: annotations, Ours: true}
	w.version++
	w.writes++
}

// load has a replica take what is in the Secret, if it is of use.
func (w *world) load(i int) {
	if w.secret == nil {
		return
	}
	if m, _ := rotation.Decode(w.secret.Data, w.secret.Annotations); m.Leaf != nil {
		w.replicas[i] = m.Leaf
	}
}

// lose removes the Secret. A certificate that an API server has never verified then stays unknown to it: nobody can tell it of its CA.
func (w *world) lose() {
	w.secret, w.version = nil, w.version+1
	for i, leaf := range w.replicas {
		for _, b := range w.bundles {
			if leaf != nil && verified(leaf, b.bundle, leaf.Leaf.NotAfter) != nil {
				w.replicas[i] = nil
			}
		}
	}
}

// damage changes one entry of the Secret.
func (w *world) damage(key string, by func([]byte) []byte) {
	if w.secret == nil {
		return
	}
	data := map[string][]byte{}
	for k, v := range w.secret.Data {
		data[k] = v
	}
	data[key] = by(data[key])
	w.secret = &rotation.Secret{Data: data, Annotations: w.secret.Annotations, Ours: true}
	w.version++
}

// verify checks every replica by every caBundle that an API server may use, by clocks that are ahead and behind.
func (w *world) verify() {
	for _, leaf := range w.replicas {
		for _, b := range w.bundles {
			for _, offset := range []time.Duration{-150 * time.Second, 0, 150 * time.Second} {
				now := w.now.Add(offset)
				if leaf == nil || now.After(leaf.Leaf.NotAfter) {
					continue
				}
				views := [][]byte{b.bundle}
				if w.now.Sub(b.changed) < lag {
					views = append(views, b.before)
				}
				for _, view := range views {
					if !trustsAnything(view, now) {
						continue // nothing that is served would be verified
					}
					if err := verified(leaf, view, now); err != nil {
						w.t.Fatalf("a replica serves what an API server does not verify: %v", err)
					}
				}
			}
		}
	}
}

func trustsAnything(bundle []byte, now time.Time) bool {
	in, _ := rotation.Certificates(bundle)
	return slices.ContainsFunc(in, func(c *x509.Certificate) bool { return now.After(c.NotBefore) && now.Before(c.NotAfter) })
}

func verified(leaf *tls.Certificate, bundle []byte, now time.Time) error {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(bundle)
	_, err := leaf.Leaf.Verify(x509.VerifyOptions{DNSName: hosts[0], Roots: pool, CurrentTime: now})
	return err
}

// settle has one leader work alone, replicas load at once, and time pass, until there is nothing more to do.
func (w *world) settle(i int) {
	for range 40 {
		for j := range w.replicas {
			w.load(j)
		}
		w.verify()
		w.read(i)
		if step := w.leaders[i].step; step.Act == rotation.Wait {
			if step.Until.Sub(w.now) > time.Hour {
				return
			}
			w.now = step.Until.Add(-w.leaders[i].offset)
		}
		w.write(i, 0, 1)
	}
	w.t.Fatalf("there is no end to what %s is done: %v", w.now, w.leaders[i].step)
}

func TestWhateverInterleavesEveryReplicaIsVerifiedByEveryAPIServer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		leaders, replicas := rapid.IntRange(0, len(w.leaders)-1), rapid.IntRange(0, len(w.replicas)-1)
		advance := func(name string, most time.Duration) func(*rapid.T) {
			return func(t *rapid.T) { w.now = w.now.Add(time.Duration(rapid.Int64Range(0, int64(most)).Draw(t, name))) }
		}
		write := func(t *rapid.T) {
			w.write(leaders.Draw(t, "leader"), rapid.SampledFrom([][]int{{0, 1}, {0}, {1}}).Draw(t, "targets")...)
		}
		read := func(t *rapid.T) { w.read(leaders.Draw(t, "leader")) }
		both := func(t *rapid.T) {
			i := leaders.Draw(t, "leader")
			w.read(i)
			w.write(i, 0, 1)
		}
		load := func(t *rapid.T) { w.load(replicas.Draw(t, "replica")) }
		t.Repeat(map[string]func(*rapid.T){
			"":     func(*rapid.T) { w.verify() },
			"read": read, "write": write, "act": both, "act again": both, "load": load, "load again": load,
			"a moment": advance("moment", 15*time.Second), "a minute": advance("minutes", 2*time.Minute),
			"some days": advance("days", 40*24*time.Hour), "some years": advance("years", 9*365*24*time.Hour),
			"another leader":     func(t *rapid.T) { w.leaders[leaders.Draw(t, "leader")].since = time.Time{} },
			"a replica restarts": func(t *rapid.T) { w.replicas[replicas.Draw(t, "replica")] = nil },
			"the Secret is lost": func(*rapid.T) { w.lose() },
			"the Secret is damaged": func(t *rapid.T) {
				key := rapid.SampledFrom([]string{rotation.CertificateKey, rotation.PrivateKey, rotation.AuthorityKey}).Draw(t, "key")
				w.damage(key, func(b []byte) []byte { return b[:len(b)/2] })
			},
		})
	})
}

func TestWhateverHasHappenedAllIsWellSoonAndThenNothingIsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		t.Repeat(map[string]func(*rapid.T){
			"act": func(t *rapid.T) {
				w.read(0)
				w.write(0, rapid.SampledFrom([][]int{{0, 1}, {0}, {1}}).Draw(t, "targets")...)
			},
			"time passes": func(t *rapid.T) {
				w.now = w.now.Add(rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 50 * 24 * time.Hour, 8 * 365 * 24 * time.Hour}).Draw(t, "by"))
			},
			"the Secret is lost": func(*rapid.T) { w.lose() },
			"the Secret is damaged": func(t *rapid.T) {
				key := rapid.SampledFrom([]string{rotation.CertificateKey, rotation.PrivateKey, rotation.AuthorityKey, rotation.BundleKey}).Draw(t, "key")
				w.damage(key, func(b []byte) []byte { return append([]byte("x"), b...)[:len(b)*2/3] })
			},
			"a caBundle is emptied": func(t *rapid.T) {
				b := &w.bundles[rapid.IntRange(0, 1).Draw(t, "which")]
				*b = stored{version: b.version + 1}
			},
		})
		w.replicas = [3]*tls.Certificate{}
		w.settle(0)
		for _, leaf := range w.replicas {
			require.NotNil(t, leaf)
			for _, b := range w.bundles {
				require.NoError(t, verified(leaf, b.bundle, w.now))
			}
		}
		before := w.writes
		w.settle(1)
		require.Equal(t, before, w.writes, "nobody writes without need, the next leader neither")
	})
}
