package audit_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/audit"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// manyPeers is a policy that opens n ports to every namespace, each by a rule of its own.
func manyPeers(n int) string {
	var rules []string
	for i := range n {
		rules = append(rules, fmt.Sprintf("{from: [{namespaceSelector: {}}], ports: [{port: %d}]}", 8000+i))
	}
	return strings.Replace(policy(""), "{ports: [{port: 8443}]}", strings.Join(rules, ", "), 1)
}

// of are the items of one rule.
func of(r *audit.Results, rule string) []audit.Item {
	var out []audit.Item
	for _, item := range r.Items {
		if item.Rule == rule {
			out = append(out, item)
		}
	}
	return out
}

func TestOfAPolicyOfThousandsOfFindingsAFewAreKeptAndAllAreCounted(t *testing.T) {
	r := begin(t, "", web, manyPeers(2000)).next(0)
	items := of(r, "all-namespaces")
	require.Len(t, items, audit.MostAlike)
	for _, item := range items[:audit.MostAlike-1] {
		assert.Zero(t, item.More)
	}
	assert.Equal(t, 2000-audit.MostAlike, items[audit.MostAlike-1].More)
	var listed, all int
	for _, item := range r.Items {
		if item.Action == verdict.ActionWarn {
			listed, all = listed+1, all+1+item.More
		}
	}
	require.Greater(t, all, 2000)
	report := r.Report()
	assert.Equal(t, all, report.Summary.Warn, "the summary counts what is not listed")
	assert.Len(t, report.Findings, len(r.Items))
	text, err := json.Marshal(report)
	require.NoError(t, err)
	assert.Contains(t, string(text), `"more":1990`)
	assert.Equal(t, listed, strings.Count(string(text), `"action":"warn"`))
	assert.Less(t, len(text), 100_000)
}

func TestWhatWasCountedBeforeIsNoNewerForBeingListedNow(t *testing.T) {
	s := begin(t, "audit: {interval: 24h}", web, manyPeers(25), elsewhere)
	require.Equal(t, 15, of(s.next(0), "all-namespaces")[audit.MostAlike-1].More)

	s.apply(manyPeers(12))
	fewer := of(s.next(time.Hour), "all-namespaces")
	require.Len(t, fewer, audit.MostAlike)
	assert.Equal(t, 2, fewer[audit.MostAlike-1].More)
	for _, item := range fewer {
		assert.Equal(t, start, item.FirstSeen.Truncate(time.Minute), item.Path)
	}
}
