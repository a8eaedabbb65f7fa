package bench_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/admission"
	"github.com/portcullis-dev/portcullis/pkg/engine"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/mutate"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
	"github.com/portcullis-dev/portcullis/test/bench"
)

func BenchmarkHandler(b *testing.B) {
	snapshot := cluster(b, 10_000)
	guard := &admission.Guard{
		Engine:    engine.New(nil),
		Defaults:  verdict.Levels{Enforce: finding.Baseline, Warn: finding.Restricted, Audit: finding.Restricted},
		Ratchet:   true,
		Mutations: mutate.Config{PolicyTypes: true, NamespaceNameLabel: "networking/namespace"},
	}
	h := admission.New(admission.Options{
		State: func() (*model.Snapshot, bool) { return snapshot, true },
		Guard: func() *admission.Guard { return guard },
	})
	for _, path := range []string{"/validate", "/mutate"} {
		for _, rules := range bench.RuleCounts {
			for _, operation := range bench.Operations {
				body, err := bench.Review(operation, rules)
				require.NoError(b, err)
				b.Run(fmt.Sprintf("path=%s/operation=%s/rules=%d", path[1:], operation, rules), func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						r := httptest.NewRequest(http.MethodPost, path+"?timeout=10s", bytes.NewReader(body))
						r.Header.Set("Content-Type", "application/json")
						w := httptest.NewRecorder()
						h.ServeHTTP(w, r)
						if w.Code != http.StatusOK {
							b.Fatal(w.Body)
						}
					}
				})
			}
		}
	}
}
