package bench_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/test/bench"
)

func BenchmarkHandler(b *testing.B) {
	h, err := bench.Handler(bench.Size{Namespaces: 1_000, Pods: 10_000, Policies: 10_000})
	require.NoError(b, err)
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
