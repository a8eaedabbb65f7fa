package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// project is a module of one package, in which each kind of mutant occurs. Its tests miss some.
var project = map[string]string{
	"go.mod": "module example.com/small\n\ngo 1.26\n",
	"small/small.go": `package small

const limit = 2 + 1

// Count counts what is above the limit, and below 9 unless all is set.
func Count(values []int, all bool) (n int) {
	for _, v := range values {
		if v <= limit {
			continue
		}
		if v < 9 || all {
			n++
		}
	}
	return n
}

// Mean is the mean, rounded down; 0 of nothing.
func Mean(values []int) int {
	sum := 0
	for _, v := range values {
		sum += v
	}
	switch {
	case len(values) == 0:
		return 0
	}
	return sum / len(values)
}

func unused(n int) bool {
	if n > 0 && n != 3 {
		return true
	}
	return false
}
`,
	"small/small_test.go": `package small

import "testing"

func TestCount(t *testing.T) {
	if n := Count([]int{3, 4, 10}, false); n != 1 {
		t.Fatal(n)
	}
	if n := Count([]int{10}, true); n != 1 {
		t.Fatal(n)
	}
	if n := Mean(nil); n != 0 {
		t.Fatal(n)
	}
	if n := Mean([]int{4, 7}); n != 5 {
		t.Fatal(n)
	}
}
`,
}

var place = regexp.MustCompile(`(?m)^small/small\.go:(\d+): (survives|is reached by no test)\n\t.*\n\t(.*)\n`)

func TestMutantsThatNoTestNoticesAreTold(t *testing.T) {
	dir := t.TempDir()
	for name, text := range project {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	t.Chdir(dir)
	var out bytes.Buffer
	r := &runner{target: target{name: "small", dir: "small", suites: []suite{{"./small", nil}}}, every: 1, out: &out, known: map[string]bool{
		"small.go: if v < 9 || all {: <= for < in v < 9": true,
	}}
	missed, err := r.run(t.Context())
	require.NoError(t, err)
	var told []string
	for _, m := range place.FindAllStringSubmatch(out.String(), -1) {
		told = append(told, strings.Join(m[1:], " "))
	}
	assert.Equal(t, []string{
		"32 is reached by no test not (n > 0 && n != 3)",
		"32 is reached by no test || for && in n > 0 && n != 3",
		"32 is reached by no test >= for > in n > 0",
		"32 is reached by no test == for != in n != 3",
		"33 is reached by no test not true",
		"35 is reached by no test not false",
	}, told)
	assert.Equal(t, len(told), missed)
	assert.Contains(t, out.String(), "1 known")
	for name, text := range project {
		now, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		assert.Equal(t, text, string(now), "the files stay as they are")
	}
}

func TestWhatIsKnownIsReadWithoutItsReasons(t *testing.T) {
	path := filepath.Join(t.TempDir(), "known.txt")
	require.NoError(t, os.WriteFile(path, []byte("# why\na.go: x: y\n\n"), 0o600))
	known, err := readKnown(path)
	require.NoError(t, err)
	assert.Equal(t, map[string]bool{"a.go: x: y": true}, known)
}
