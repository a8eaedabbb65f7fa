package fix_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/fix"
)

// values are random values as they come out of JSON.
func values(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		kinds := 7
		if depth == 0 {
			kinds = 5
		}
		switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
		case 0:
			return float64(rapid.IntRange(0, 70000).Draw(t, "number"))
		case 1:
			return rapid.SampledFrom([]any{nil, true, false}).Draw(t, "word")
		case 5:
			return rapid.SliceOfN(values(depth-1), 0, 4).Draw(t, "list")
		case 6:
			return rapid.MapOfN(keys(), values(depth-1), 0, 4).Draw(t, "mapping")
		}
		return rapid.SampledFrom([]string{
			"", "a", "y", "80", "true", "TCP", "0.0.0.0/0", "::/0", "fd00:ec2::254/128", "two words", "# no comment", "a: b", "it's", "a, b", "[a]", "ü",
			"line\n# line\n", "one\n\nthree\n", `back\slash`, "a very long text of words that goes on and on and on and on and on and on and on and on and on and on",
		}).Draw(t, "text")
	})
}

func keys() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{"podSelector", "policyTypes", "ingress", "egress", "from", "to", "ports", "port", "app.kubernetes.io/name", "a", "b", "k~"})
}

// pointers are those of all nodes within the value.
func pointers(value any, at string) []string {
	var out []string
	switch v := value.(type) {
	case []any:
		for i := range v {
			out = append(append(out, fmt.Sprint(at, "/", i)), pointers(v[i], fmt.Sprint(at, "/", i))...)
		}
	case map[string]any:
		for key := range v {
			out = append(append(out, at+"/"+escape(key)), pointers(v[key], at+"/"+escape(key))...)
		}
	}
	slices.Sort(out)
	return out
}

// operations draws an operation that fits the value.
func operation(t *rapid.T, value any) finding.PatchOp {
	all := pointers(value, "")
	path := rapid.SampledFrom(all).Draw(t, "path")
	switch op := rapid.SampledFrom([]string{"add", "add", "remove", "replace", "move", "copy"}).Draw(t, "operation"); op {
	case "remove":
		return finding.PatchOp{Op: op, Path: path}
	case "replace":
		return finding.PatchOp{Op: op, Path: path, Value: notNull(t)}
	case "add":
		return finding.PatchOp{Op: op, Path: target(t, value, all), Value: notNull(t)}
	default:
		to := target(t, value, slices.DeleteFunc(slices.Clone(all), func(p string) bool { return p == path || strings.HasPrefix(p, path+"/") }))
		return finding.PatchOp{Op: op, From: path, Path: to}
	}
}

// notNull is a value that a patch can carry: null would be left out of it.
func notNull(t *rapid.T) any {
	return values(2).Filter(func(v any) bool { return v != nil }).Draw(t, "value")
}

// target is a place where something can be added.
func target(t *rapid.T, value any, all []string) string {
	at := rapid.SampledFrom(append([]string{""}, all...)).Draw(t, "target")
	for pointer, in := range containers(value, "") {
		if pointer != at {
			continue
		}
		if list, isList := in.([]any); isList {
			return at + "/" + rapid.SampledFrom([]string{"-", strconv.Itoa(len(list)), "0"}).Draw(t, "index")
		}
		return at + "/" + escape(keys().Draw(t, "key"))
	}
	if at == "" {
		return "/a"
	}
	return at
}

func containers(value any, at string) map[string]any {
	out := map[string]any{}
	switch v := value.(type) {
	case []any:
		out[at] = v
		for i := range v {
			for p, c := range containers(v[i], fmt.Sprint(at, "/", i)) {
				out[p] = c
			}
		}
	case map[string]any:
		out[at] = v
		for key := range v {
			for p, c := range containers(v[key], at+"/"+escape(key)) {
				out[p] = c
			}
		}
	}
	return out
}

// related is whether one of the nodes is in the other.
func related(a, b string) bool {
	return a == b || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/")
}

func document(t *rapid.T) (value map[string]any, w *writer, text string) {
	value = rapid.MapOfN(keys(), values(3), 1, 4).Draw(t, "document")
	w = &writer{t: t, step: rapid.IntRange(1, 4).Draw(t, "step"), dash: rapid.IntRange(0, 3).Draw(t, "dash")}
	w.block(value, "", "", nil)
	var lines []string
	for _, line := range w.lines {
		lines = append(lines, line.text)
	}
	text = strings.Join(lines, "\n")
	if hasLines(value) || w.maybe("line break at the end", 80) {
		text += "\n"
	}
	if w.maybe("carriage returns", 10) {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	return value, w, text
}

func TestRandomEditsMeanWhatThePatchSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value, w, text := document(t)
		before, err := yaml.YAMLToJSONStrict([]byte(text))
		require.NoError(t, err, "%s", text)
		written, err := json.Marshal(value)
		require.NoError(t, err)
		require.JSONEq(t, string(written), string(before), "%s", text)

		op := operation(t, value)
		patch, err := json.Marshal([]finding.PatchOp{op})
		require.NoError(t, err)
		decoded, err := jsonpatch.DecodePatch(patch)
		require.NoError(t, err)
		want, err := decoded.Apply(before)
		if err != nil {
			t.Skip("the patch does not fit:", err)
		}
		edits, err := editsWithin(t, []byte(text), op)
		require.NoError(t, err, "%s\n%s", patch, text)
		edited := string(fix.Apply([]byte(text), edits))
		after, err := yaml.YAMLToJSONStrict([]byte(edited))
		require.NoError(t, err, "%s\n%s\nbecomes\n%s", patch, text, edited)
		require.JSONEq(t, string(want), string(after), "%s\n%s\nbecomes\n%s", patch, text, edited)
		unrelatedLinesStay(t, w, op, text, edited)
	})
}

// editsWithin asks for the edits of an object in the document, one of those that hold all that the operation is about.
func editsWithin(t *rapid.T, text []byte, op finding.PatchOp) ([]fix.Edit, error) {
	tokens := strings.Split(op.Path, "/")
	object := strings.Join(tokens[:rapid.IntRange(1, len(tokens)-1).Draw(t, "object")], "/")
	if op.From != "" && !strings.HasPrefix(op.From, object+"/") {
		object = ""
	}
	op.Path = strings.TrimPrefix(op.Path, object)
	op.From = strings.TrimPrefix(op.From, object)
	return fix.NewDocument(text).Edits(object, []finding.PatchOp{op})
}

// unrelatedLinesStay checks the lines of nodes that are neither in what the operation is about nor around it.
func unrelatedLinesStay(t *rapid.T, w *writer, op finding.PatchOp, text, edited string) {
	now := strings.Split(strings.ReplaceAll(edited, "\r\n", "\n"), "\n")
	at := 0
	for i, line := range w.lines {
		touched := line.text == "" || i > 0 && sharesLine(w.lines[:i], op)
		for _, owner := range line.owners {
			touched = touched || related(owner, op.Path) || op.From != "" && related(owner, op.From)
		}
		if touched {
			continue
		}
		found := slices.Index(now[at:], line.text)
		require.GreaterOrEqual(t, found, 0, "line %q is gone: %v\n%s\nbecomes\n%s", line.text, op, text, edited)
		at += found + 1
	}
}

// sharesLine is whether the field that is removed stands behind a dash: then the next one takes its place there.
func sharesLine(before []writtenLine, op finding.PatchOp) bool {
	removed := op.Path
	if op.From != "" {
		removed = op.From
	}
	for i := len(before) - 1; i >= 0; i-- {
		line := before[i]
		if text := strings.TrimSpace(line.text); text == "" || text[0] == '#' {
			continue
		}
		if len(line.owners) > 1 && slices.Contains(line.owners[1:], removed) {
			return true
		}
		if !slices.ContainsFunc(line.owners, func(owner string) bool { return related(owner, removed) }) {
			return false
		}
	}
	return false
}

func TestRandomEditsOfJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.MapOfN(keys(), values(3), 1, 4).Draw(t, "document")
		text, err := json.Marshal(value)
		require.NoError(t, err)
		if rapid.Bool().Draw(t, "spread") {
			text, err = json.MarshalIndent(value, "", rapid.SampledFrom([]string{" ", "  ", "\t"}).Draw(t, "unit"))
			require.NoError(t, err)
		}
		op := operation(t, value)
		patch, err := json.Marshal([]finding.PatchOp{op})
		require.NoError(t, err)
		decoded, err := jsonpatch.DecodePatch(patch)
		require.NoError(t, err)
		want, err := decoded.Apply(text)
		if err != nil {
			t.Skip("the patch does not fit:", err)
		}
		edits, err := editsWithin(t, text, op)
		require.NoError(t, err, "%s\n%s", patch, text)
		assert.JSONEq(t, string(want), string(fix.Apply(text, edits)))
	})
}
