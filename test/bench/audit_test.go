package bench_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/utils/clock"

	"github.com/portcullis-dev/portcullis/pkg/audit"
	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/judge"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/rules"
	"github.com/portcullis-dev/portcullis/test/bench"
)

// BenchmarkAudit judges all that stands in a cluster on one processor, as a full pass of the audit does between its rests, and one
// namespace of it, as the audit does after a change.
func BenchmarkAudit(b *testing.B) {
	cfg, err := config.Load(nil, "", rules.Catalogue())
	require.NoError(b, err)
	j := judge.New(cfg, time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC))
	s := cluster(b, 100_000)
	b.Run("whole", func(b *testing.B) {
		findings := 0
		for b.Loop() {
			findings = 0
			for _, c := range j.Whole(s) {
				findings += len(j.One(s, c))
			}
		}
		b.ReportMetric(float64(findings), "findings")
	})
	b.Run("namespace", func(b *testing.B) {
		ns := s.Namespace(bench.SubjectNamespace)
		for b.Loop() {
			for _, c := range j.InNamespace(ns) {
				j.One(s, c)
			}
		}
	})
}

// BenchmarkReach lists every connection of clusters of so many workloads.
func BenchmarkReach(b *testing.B) {
	for _, size := range []bench.Size{{Namespaces: 10, Pods: 200, Policies: 100}, {Namespaces: 250, Pods: 5_000, Policies: 2_500}} {
		store := model.NewStore()
		require.NoError(b, bench.Fill(store, size))
		s := store.Snapshot(model.Facts{Live: true})
		c, err := reach.Connect(context.Background(), s)
		require.NoError(b, err)
		b.Run(fmt.Sprintf("workloads=%d", len(c.Workloads)), func(b *testing.B) {
			edges := 0
			for b.Loop() {
				c, err := reach.Connect(b.Context(), s)
				require.NoError(b, err)
				edges = 0
				for range c.Edges() {
					edges++
				}
			}
			b.ReportMetric(float64(edges), "edges")
		})
	}
}

// BenchmarkReviewsDuringAudit answers reviews alone, and while an audit judges all of the cluster over and over.
func BenchmarkReviewsDuringAudit(b *testing.B) {
	size := bench.Size{Namespaces: 1_000, Pods: 100_000, Policies: 10_000}
	h, err := bench.Handler(size)
	require.NoError(b, err)
	cfg, err := config.Load([]byte("audit: {interval: 1s}"), "guard.yaml", rules.Catalogue())
	require.NoError(b, err)
	store := model.NewStore()
	require.NoError(b, bench.Fill(store, size))
	s := store.Snapshot(model.Facts{Live: true})
	body, err := bench.Review("update", bench.RuleCounts[0])
	require.NoError(b, err)
	reviews := func(b *testing.B) {
		var took []time.Duration
		for b.Loop() {
			r := httptest.NewRequest(http.MethodPost, "/validate?timeout=10s", bytes.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			begun := time.Now()
			h.ServeHTTP(w, r)
			took = append(took, time.Since(begun))
			require.Equal(b, http.StatusOK, w.Code)
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	}
	b.Run("alone", reviews)

	before := heap()
	a := audit.New(audit.Options{
		Snapshot: func() (*model.Snapshot, bool) { return s, true }, Changed: make(chan struct{}), Config: func() *config.Config { return cfg },
		Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler),
	})
	ctx, stop := context.WithCancel(b.Context())
	var auditing sync.WaitGroup
	auditing.Go(func() { a.Run(ctx) })
	b.Run("during-audit", reviews)
	for a.Results() == nil { // the benchmark may have been shorter than a pass
		runtime.Gosched()
	}
	b.Logf("the audit took %s and keeps %.1f MiB for %d findings", a.Results().Took, float64(heap()-before)/(1<<20), len(a.Results().Items))
	stop()
	auditing.Wait()
}

// heap is how many bytes are in use.
func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
