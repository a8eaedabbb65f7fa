package finding_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/finding"
)

func TestLevelsAndSeveritiesAreWordsInJSON(t *testing.T) {
	type both struct {
		Level    finding.Level    `json:"level"`
		Severity finding.Severity `json:"severity"`
	}
	words := map[both]string{
		{finding.Privileged, finding.Info}: `{"level":"privileged","severity":"info"}`, {finding.Baseline, finding.Low}: `{"level":"baseline","severity":"low"}`,
		{finding.Restricted, finding.Medium}: `{"level":"restricted","severity":"medium"}`, {finding.Restricted, finding.High}: `{"level":"restricted","severity":"high"}`,
	}
	for value, text := range words {
		written, err := json.Marshal(value)
		require.NoError(t, err)
		assert.Equal(t, text, string(written))
		var read both
		require.NoError(t, json.Unmarshal(written, &read))
		assert.Equal(t, value, read)
	}
	level, severity := finding.Baseline, finding.Low
	assert.EqualError(t, level.UnmarshalText([]byte("LOW")), `unknown level "LOW": use privileged, baseline or restricted`)
	assert.EqualError(t, severity.UnmarshalText([]byte("LOW")), `unknown severity "LOW": use info, low, medium or high`)
	assert.Equal(t, finding.Baseline, level, "what cannot be read changes nothing")
	assert.Equal(t, finding.Low, severity)
}

func TestOutcomesAndSubjectsHaveNames(t *testing.T) {
	for want, o := range map[string]finding.Outcome{"violation": finding.Violation, "provisional": finding.Provisional, "undetermined": finding.Undetermined} {
		assert.Equal(t, want, o.String())
	}
	assert.Equal(t, "shop/web", finding.Subject{Kind: finding.KindNetworkPolicy, Namespace: "shop", Name: "web"}.String())
	assert.Equal(t, "shop", finding.Subject{Kind: finding.KindNamespace, Name: "shop"}.String())
	assert.Equal(t, "Level(9)", finding.Level(9).String())
	assert.Equal(t, "Severity(9)", finding.Severity(9).String())
	assert.Equal(t, "Outcome(9)", finding.Outcome(9).String())
}
