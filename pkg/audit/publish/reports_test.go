package publish_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	web     = "shop/portcullis-u-1"
	written = "patch shop/reports"
)

// full has the same findings found by a pass over everything.
func (s *scene) full() []string {
	s.results.FullPasses++
	results := s.results
	s.publisher.Publish(s.t.Context(), &results)
	return s.writes()
}

func (s *scene) set(value any, fields ...string) {
	require.NoError(s.t, unstructured.SetNestedField(s.reports[web].Object, value, fields...))
}

func (s *scene) firstResult(edit func(map[string]any)) {
	results, _, err := unstructured.NestedSlice(s.reports[web].Object, "results")
	require.NoError(s.t, err)
	edit(results[0].(map[string]any))
	require.NoError(s.t, unstructured.SetNestedSlice(s.reports[web].Object, results, "results"))
}

func TestAReportThatSomebodyHasChangedIsRestoredByTheNextFullPass(t *testing.T) {
	for name, edit := range map[string]func(*scene){
		"deleted":     func(s *scene) { delete(s.reports, web) },
		"its summary": func(s *scene) { s.set(int64(0), "summary", "fail") },
		"a result":    func(s *scene) { s.firstResult(func(r map[string]any) { r["result"] = "pass" }) },
		"a time": func(s *scene) {
			s.firstResult(func(r map[string]any) { r["timestamp"] = map[string]any{"seconds": int64(1), "nanos": int64(0)} })
		},
		"a field more":        func(s *scene) { s.firstResult(func(r map[string]any) { r["description"] = "It is well." }) },
		"its results removed": func(s *scene) { s.set([]any{}, "results") },
		"what it is about":    func(s *scene) { s.set("db", "scope", "name") },
		"its owner":           func(s *scene) { s.reports[web].SetOwnerReferences(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			s := begin(t, "audit: {reports: true}")
			s.serve()
			s.find("internet-ingress deny", "all-ports warn")
			require.Equal(t, []string{written}, s.writes())
			before := s.reports[web].DeepCopy()
			edit(s)
			assert.Equal(t, []string{written}, s.full())
			assert.Equal(t, before, s.reports[web])
			assert.Empty(t, s.full(), "and then there is nothing to write")
		})
	}
}

func TestAReportThatStandsAsItWasWrittenIsNotWrittenAgain(t *testing.T) {
	for name, c := range map[string]struct {
		pruned string
		change func(*scene)
	}{
		"if nothing has happened, then":                        {"", func(*scene) {}},
		"if its definition lacks a field, then":                {"source", func(*scene) {}},
		"if somebody has added what is not Portcullis's, then": {"", func(s *scene) { s.set("me", "metadata", "annotations", "seen-by") }},
		"if another replica takes over, at another time, then": {"", func(s *scene) {
			s.publisher = s.replica("two")
			s.clock.Step(time.Hour)
			s.find("internet-ingress deny")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := begin(t, "audit: {reports: true}")
			s.pruned = c.pruned
			s.serve()
			s.find("internet-ingress deny")
			require.Equal(t, []string{written}, s.writes())
			c.change(s)
			assert.Empty(t, s.full())
			assert.Empty(t, s.full())
		})
	}
}

func TestAnotherReplicaThatTakesOverRestoresWhatWasEditedBefore(t *testing.T) {
	s := begin(t, "audit: {reports: true}")
	s.serve()
	s.find("internet-ingress deny")
	s.writes()
	s.set(int64(0), "summary", "fail")
	s.publisher = s.replica("two")
	assert.Equal(t, []string{written}, s.full())
	assert.Empty(t, s.full())
}

func TestIfAFullPassIsNotSeenThenThePassAfterItRestoresAReport(t *testing.T) {
	s := begin(t, "audit: {reports: true}")
	s.serve()
	s.find("internet-ingress deny")
	s.writes()
	s.set(int64(0), "summary", "fail")
	s.find("internet-ingress deny")
	assert.Empty(t, s.writes(), "a pass over what has changed does not read all reports")
	s.results.FullPasses++ // of which nobody was told, as the publisher was busy
	s.find("internet-ingress deny")
	assert.Equal(t, []string{written}, s.writes())
}
