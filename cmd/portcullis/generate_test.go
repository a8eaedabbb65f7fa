package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/rules"
)

// oneSided are manifests in which the database lets pods in that a default deny does not let out.
var oneSided = filepath.Join("..", "..", "pkg", "rules", "testdata", "one-sided-allow", "bad", "default-deny.yaml")

// full runs a command line with all rules; what is piped in may be nil.
func full(t *testing.T, stdin *string, args ...string) result {
	t.Helper()
	return command{args: args, stdin: stdin, rules: rules.Catalogue()}.run(t)
}

func TestWhatIsGenerated(t *testing.T) {
	var all strings.Builder
	for _, line := range []string{
		"default-deny -n shop",
		"default-deny --ingress",
		"default-deny -n shop --egress --dns=false",
		"allow-dns -n shop --config testdata/dns.yaml",
		"complement " + oneSided,
		"complement ../../examples/cluster",
	} {
		r := full(t, nil, append([]string{"generate"}, strings.Fields(line)...)...)
		assert.Equal(t, exitOK, r.code, line)
		all.WriteString("$ portcullis generate " + line + "\n" + r.out + r.err + "\n")
	}
	golden(t, "generate.txt", all.String())
}

func TestWhatIsGeneratedPassesRestrictedInItsPlace(t *testing.T) {
	for _, line := range []string{"default-deny -n shop", "default-deny --egress", "default-deny --ingress", "allow-dns -n shop"} {
		r := full(t, nil, append([]string{"generate"}, strings.Fields(line)...)...)
		require.Equal(t, exitOK, r.code, r.err)
		checked := full(t, &r.out, "check", "--level", "restricted", "--fail-on", "warn", "-")
		assert.Equal(t, exitOK, checked.code, checked.out)
	}
	before := full(t, nil, "check", "--level", "restricted", oneSided)
	assert.Contains(t, before.out, "one-sided-allow (restricted")
	r := full(t, nil, "generate", "complement", "--policy", "shop/db", oneSided)
	require.Equal(t, exitOK, r.code, r.err)
	checked := full(t, &r.out, "check", "--level", "restricted", oneSided, "-")
	assert.NotContains(t, checked.out, "one-sided-allow (restricted")
	assert.NotContains(t, checked.out, "stdin", "nothing is found of what was written")
}

func TestGenerateSaysWhatIsWrong(t *testing.T) {
	for line, want := range map[string]string{
		"bogus":                                   `"bogus", is not known: use default-deny, allow-dns or complement`,
		"default-deny shop":                       "wants no arguments",
		"default-deny -n Shop":                    "is no name of a namespace",
		"allow-dns --context somewhere":           "of use with --live only",
		"complement --policy shop/bd " + oneSided: "did you mean shop/db?",
		"complement --policy x " + oneSided:       "--policy x is not in the input",
	} {
		r := full(t, nil, append([]string{"generate"}, strings.Fields(line)...)...)
		assert.Equal(t, exitBadInput, r.code, line)
		assert.Contains(t, r.err, want, line)
		assert.Empty(t, r.out, line)
	}
	assert.Contains(t, full(t, nil, "generate").out, "complement")
}

func TestIfTheInputHasProblemsThenItsComplementIsWrittenAllTheSame(t *testing.T) {
	input := policy("shop/a", broken)
	r := full(t, &input, "generate", "complement", oneSided, "-")
	assert.Equal(t, exitBadInput, r.code)
	assert.Contains(t, r.out, "name: allow-to-db")
}
