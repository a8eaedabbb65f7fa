package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var exampleCluster = filepath.Join("..", "..", "examples", "cluster")

func TestExplanationsOfTheExampleCluster(t *testing.T) {
	var all strings.Builder
	for _, line := range []string{
		"--from shop/web --to shop/svc/db --port 5432",
		"--from internet --to shop/svc/web --port 443",
		"--from deploy/web --to internet --port 443 -n shop",
		"--from sts/db --to deploy/web --port metrics -n shop",
		"--from 192.0.2.1 --to shop/web",
		"--from shop/wbe --to shop/svc/web --port 8443",
	} {
		r := try(t, append(append([]string{"explain"}, strings.Fields(line)...), exampleCluster)...)
		all.WriteString("$ portcullis explain " + line + " examples/cluster\n" + r.out + r.err + "\n")
	}
	golden(t, "explain.txt", strings.ReplaceAll(all.String(), exampleCluster, "examples/cluster"))
}

func TestAnExplanationForPrograms(t *testing.T) {
	r := try(t, "explain", "--from", "sts/db", "--to", "deploy/web", "--port", "metrics", "-n", "shop", "-o", "json", exampleCluster)
	assert.Equal(t, exitFindings, r.code)
	assert.True(t, json.Valid([]byte(r.out)))
	golden(t, "explain.json", strings.ReplaceAll(r.out, exampleCluster, "examples/cluster"))
}

func TestTheExitCodeSaysWhetherTheConnectionIsAllowed(t *testing.T) {
	explain := func(args ...string) result {
		return try(t, append([]string{"explain"}, append(args, exampleCluster)...)...)
	}
	assert.Equal(t, exitOK, explain("--from", "shop/web", "--to", "shop/db", "--port", "5432").code)
	assert.Equal(t, exitFindings, explain("--from", "shop/db", "--to", "shop/web", "--port", "8443").code)
	assert.Equal(t, exitBadInput, explain("--from", "shop/db", "--to", "shop/nothing").code)
	assert.Equal(t, exitBadInput, explain("--from", "shop/db", "--to", "shop/web", "--port", "x/y").code)
	assert.Equal(t, exitBadInput, explain("--from", "shop/db", "--to", "shop/web", "-o", "xml").code)

	r := try(t, "explain", "--from", "shop/db", exampleCluster)
	assert.Equal(t, exitBadInput, r.code)
	assert.Contains(t, r.err, "--from and --to are both needed")
}

func TestIfTheInputHasProblemsThenItIsExplainedAllTheSame(t *testing.T) {
	input := policy("shop/a", broken) + "---\napiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop}\n"
	r := command{args: []string{"explain", "--from", "internet", "--to", "shop/web", "--port", "80", "-o", "json"}, stdin: &input}.run(t)
	assert.Equal(t, exitBadInput, r.code)
	var out struct {
		Verdict  string
		Problems []struct{ Message string }
	}
	require.NoError(t, json.Unmarshal([]byte(r.out), &out))
	assert.Equal(t, "blocked", out.Verdict)
	assert.Len(t, out.Problems, 1)
	assert.Contains(t, r.err, "podSelecter")
}
