package audit_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"pgregory.net/rapid"

	"github.com/portcullis-dev/portcullis/pkg/audit"
	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rules"
	"github.com/portcullis-dev/portcullis/test/oracle"
	"github.com/portcullis-dev/portcullis/test/oracle/gen"
)

// TestAPassOverWhatHasChangedFindsWhatAPassOverEverythingFinds has two random clusters become one another, object by object.
func TestAPassOverWhatHasChangedFindsWhatAPassOverEverythingFinds(t *testing.T) {
	cfg, err := config.Load([]byte("{audit: {interval: 1000h}, claims: {gracePeriod: 1000h}, defaults: {enforce: baseline, warn: restricted}}"), "guard.yaml", rules.Catalogue())
	require.NoError(t, err)
	const steps = 8
	rapid.Check(t, func(rt *rapid.T) {
		drawn := []*oracle.Cluster{gen.Cluster(rt), gen.Cluster(rt), gen.Cluster(rt)}
		begin := drawChanges(rt, drawn, 12, 20)
		var later [][]change
		for range steps {
			later = append(later, drawChanges(rt, drawn, 1, 2))
		}
		var before, got, want [steps + 1][]string
		synctest.Test(t, func(*testing.T) {
			store := model.NewStore()
			apply(store, begin)
			ongoing := startAudit(cfg, store)
			before[0] = told(ongoing.results)
			for i, changes := range later {
				apply(store, changes)
				ongoing.next(store)
				everything := startAudit(cfg, store)
				everything.stop()
				got[i], want[i], before[i+1] = told(ongoing.results), told(everything.results), told(ongoing.results)
			}
			ongoing.stop()
		})
		for i := range later {
			require.Equal(rt, want[i], got[i], "after %s; before:\n%s", later[i], strings.Join(before[i], "\n"))
		}
	})
}

// change puts an object into a store, or removes one.
type change struct {
	kind, namespace, name string
	removed               bool
	set                   func(*model.Store)
}

func (c change) String() string {
	if c.removed {
		return fmt.Sprintf("the end of %s %s/%s", c.kind, c.namespace, c.name)
	}
	return fmt.Sprintf("%s %s/%s", c.kind, c.namespace, c.name)
}

func apply(store *model.Store, changes []change) {
	for _, c := range changes {
		if c.set(store); c.removed {
			_ = store.Delete(c.kind, c.namespace, c.name)
		}
	}
}

// drawChanges are some, of objects of the clusters.
func drawChanges(t *rapid.T, drawn []*oracle.Cluster, least, most int) []change {
	var out []change
	for range rapid.IntRange(least, most).Draw(t, "changes") {
		c := rapid.SampledFrom(drawn).Draw(t, "cluster")
		o := change{removed: rapid.IntRange(0, 3).Draw(t, "removed") == 0}
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 0, 1:
			if len(c.Policies) == 0 {
				continue
			}
			np := rapid.SampledFrom(c.Policies).Draw(t, "policy")
			p := model.CompilePolicy(&np, model.Authored{})
			o.kind, o.namespace, o.name, o.set = "NetworkPolicy", p.Namespace, p.Name, func(s *model.Store) { s.SetPolicy(p) }
		case 2:
			p := rapid.SampledFrom(c.Pods).Draw(t, "pod")
			p.Status.PodIPs = nil // whose change elsewhere waits for the next full pass
			o.kind, o.namespace, o.name, o.set = "Pod", p.Namespace, p.Name, func(s *model.Store) { s.SetPod(&p) }
		default: // of the five, nothing else is in the last two
			ns := corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "namespace")}}
			if len(c.Namespaces) > 0 {
				ns.Labels = rapid.SampledFrom(c.Namespaces).Draw(t, "labels").Labels
			}
			meta := model.NewNamespaceMeta(&ns)
			o.kind, o.name, o.set = "Namespace", ns.Name, func(s *model.Store) { s.SetNamespace(meta) }
		}
		out = append(out, o)
	}
	return out
}

// told is what has been found, without what may be left from before: the names and the numbers of pods elsewhere.
func told(r *audit.Results) []string {
	var out []string
	for i := range r.Items {
		out = append(out, fmt.Sprintf("%s %s %s %s", r.Items[i].Subject, r.Items[i].Rule, r.Items[i].Path, r.Items[i].Action))
	}
	return out
}

// running is an audit in a bubble, where time passes once all wait.
type running struct {
	snapshot atomic.Pointer[model.Snapshot]
	changed  chan struct{}
	passes   chan *audit.Results
	results  *audit.Results // of the last pass
	stop     func()
}

func startAudit(cfg *config.Config, store *model.Store) *running {
	r := &running{changed: make(chan struct{}, 1), passes: make(chan *audit.Results)}
	r.snapshot.Store(snapshotOf(store))
	a := audit.New(audit.Options{
		Snapshot: func() (*model.Snapshot, bool) { return r.snapshot.Load(), true }, Changed: r.changed, Config: func() *config.Config { return cfg },
		Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler), Publish: func(_ context.Context, results *audit.Results) { r.passes <- results },
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.Run(ctx)
	}()
	r.results = <-r.passes
	r.stop = func() {
		cancel()
		<-ended
	}
	return r
}

func snapshotOf(store *model.Store) *model.Snapshot {
	return store.Snapshot(model.Facts{Live: true, CNI: "calico", DNS: []model.DNSServer{model.NewDNSServer("a", map[string]string{"app": "db"}, 53)}})
}

// next has the audit look at what has changed.
func (r *running) next(store *model.Store) {
	r.snapshot.Store(snapshotOf(store))
	r.changed <- struct{}{}
	select {
	case r.results = <-r.passes:
	case <-time.After(time.Minute): // nothing has changed
	}
}
