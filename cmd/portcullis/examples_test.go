package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/portcullis-dev/portcullis/pkg/rules"
)

func TestTheExamplesShowWhatTheySay(t *testing.T) {
	examples := filepath.Join("..", "..", "examples")
	r := command{args: []string{"check", examples}, rules: rules.Catalogue()}.run(t)
	assert.Equal(t, exitFindings, r.code)
	assert.Empty(t, r.err)
	golden(t, "examples.txt", strings.ReplaceAll(r.out, examples, "examples"))
}

func TestTheClusterToServeFromIsAGoodOne(t *testing.T) {
	r := command{args: []string{"check", filepath.Join("..", "..", "examples", "cluster"), "--fail-on", "warn"}, rules: rules.Catalogue()}.run(t)
	assert.Equal(t, exitOK, r.code)
	assert.Empty(t, r.err)
	assert.Contains(t, r.out, "\n4 policies in 2 namespaces, 6 pods: 1 exempt.\n")
}
