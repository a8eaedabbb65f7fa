package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCheckWritesAPage(t *testing.T) {
	r := check(t, policy("shop/web", "  podSelector: {}\n  ingress:\n  - {}\n"), "-o", "html")
	assert.Equal(t, exitFindings, r.code)
	assert.Contains(t, r.out, "<title>Portcullis check of standard input</title>")
	assert.Contains(t, r.out, "Every peer is allowed")
	assert.Contains(t, r.out, "remove /spec/ingress/0")
	assert.Contains(t, r.out, "<b>open-rule</b> A title", "the rule is explained")
	assert.Empty(t, r.err)
}

func TestPagesSayWhatWasRead(t *testing.T) {
	assert.Equal(t, "standard input", sources([]string{"-"}, false))
	assert.Equal(t, "a.yaml b/", sources([]string{"a.yaml", "b/"}, false))
	assert.Equal(t, "a.yaml in the cluster", sources([]string{"a.yaml"}, true))
	assert.Equal(t, "the cluster", sources(nil, true))
}

func TestReachWritesAPage(t *testing.T) {
	input := policy("shop/web", "  podSelector: {}\n  ingress:\n  - {}\n") + "---\napiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop}\nspec: {containers: [{name: c, image: i}]}\n"
	r := command{args: []string{"reach", "-o", "html"}, stdin: &input}.run(t)
	assert.Equal(t, exitOK, r.code)
	assert.Contains(t, r.out, "<title>Portcullis reach of standard input</title>")
	assert.Contains(t, r.out, `{"group":0,"kind":"Pod","name":"web","pods":1,"openOut":true}`)
	assert.Contains(t, r.out, "Every peer is allowed", "the findings are beside it")
	assert.Empty(t, r.err)
}
