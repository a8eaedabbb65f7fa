package bench_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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
