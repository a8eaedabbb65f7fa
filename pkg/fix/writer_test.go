package fix_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// writer writes a random value as YAML in a random way, and knows what each line is about.
type writer struct {
	t          *rapid.T
	lines      []writtenLine
	step, dash int
	notes      int
}

// writtenLine is a line, and the JSON Pointers of the nodes that it begins or is a comment of.
type writtenLine struct {
	text   string
	owners []string
}

func (w *writer) maybe(label string, percent int) bool {
	return rapid.IntRange(0, 99).Draw(w.t, label) < percent
}

func (w *writer) line(text string, owners ...string) {
	w.lines = append(w.lines, writtenLine{text, slices.Clone(owners)})
}

// note is a comment that no other line has.
func (w *writer) note(percent int, lead string) string {
	if !w.maybe("comment", percent) {
		return ""
	}
	w.notes++
	return fmt.Sprintf("%s# note %d", lead, w.notes)
}

// block writes a collection. lead is what stands before its first entry, and owners what that line is about as well.
func (w *writer) block(value any, lead, path string, owners []string) {
	column := strings.Repeat(" ", len(lead))
	entry := func(i int, at, text string, child any, below int) {
		prefix := column
		if i == 0 {
			prefix = lead
		} else {
			owners = nil
		}
		if strings.TrimSpace(prefix) == "" {
			if comment := w.note(20, column); comment != "" {
				w.line(comment, at)
			} else if w.maybe("blank line", 10) {
				w.line("", at)
			}
		}
		w.entry(prefix+text, at, append(slices.Clone(owners), at), child, column+strings.Repeat(" ", below))
		if !hasLines(child) {
			if comment := w.note(5, column+strings.Repeat(" ", 6)); comment != "" {
				w.line(comment, at)
			}
		}
	}
	switch v := value.(type) {
	case []any:
		for i, item := range v {
			entry(i, path+"/"+strconv.Itoa(i), "-", item, 2)
		}
	case map[string]any:
		for i, key := range w.keys(v) {
			below := w.step
			if _, isList := v[key].([]any); isList {
				below = w.dash
			}
			entry(i, path+"/"+escape(key), key+":", v[key], below)
		}
	}
}

// hasLines is whether a text in the value has several lines: what is indented below it may be a part of it.
func hasLines(value any) bool {
	text, err := json.Marshal(value)
	return err != nil || strings.Contains(string(text), `\n`)
}

func (w *writer) keys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	if w.maybe("mix the keys", 70) {
		keys = rapid.Permutation(keys).Draw(w.t, "keys")
	}
	return keys
}

func (w *writer) entry(before, path string, owners []string, value any, column string) {
	size := 0
	switch v := value.(type) {
	case []any:
		size = len(v)
	case map[string]any:
		size = len(v)
	}
	switch {
	case size > 0 && strings.HasSuffix(before, "-") && w.maybe("compact", 80):
		w.block(value, before+" ", path, owners)
	case size > 0 && w.maybe("block", 75):
		w.line(before+w.note(20, " "), owners...)
		w.block(value, column, path, nil)
	case size > 0 && w.maybe("spread", 30):
		lines := strings.Split(w.spread(value, column), "\n")
		w.line(before+" "+lines[0], owners...)
		for _, text := range lines[1:] {
			w.line(text, path)
		}
	case value == nil && w.maybe("nothing", 50):
		w.line(before+w.note(20, " "), owners...)
	default:
		lines := strings.Split(w.scalar(value, column), "\n")
		w.line(before+" "+lines[0], owners...)
		for _, text := range lines[1:] {
			w.line(text, path)
		}
		if len(lines) == 1 {
			w.lines[len(w.lines)-1].text += w.note(20, "  ")
		}
	}
}

func (w *writer) spread(value any, column string) string {
	text, err := json.MarshalIndent(value, column, "  ")
	require.NoError(w.t, err)
	if w.maybe("comma at the end", 30) {
		at := strings.LastIndex(string(text), "\n")
		return string(text[:at]) + "," + string(text[at:])
	}
	return string(text)
}

func (w *writer) scalar(value any, column string) string {
	text, isText := value.(string)
	switch {
	case !isText:
		return w.inline(value)
	case strings.HasSuffix(text, "\n"):
		text = strings.TrimSuffix(text, "\n")
		return "|\n" + column + "  " + strings.ReplaceAll(text, "\n", "\n"+column+"  ")
	case strings.Contains(text, " ") && !strings.ContainsAny(text, "#:'\"\\,[]{}") && w.maybe("folded", 50):
		return strings.ReplaceAll(text, " ", "\n"+column+"  ")
	}
	return w.inline(text)
}

func (w *writer) inline(value any) string {
	switch v := value.(type) {
	case string:
		if !strings.ContainsAny(v, " #:'\"\\,[]{}\n") && v != "" && v != "y" && v != "80" && v != "true" && w.maybe("plain", 60) {
			return v
		}
		if !strings.ContainsAny(v, "\n\\") && w.maybe("single quotes", 50) {
			return "'" + strings.ReplaceAll(v, "'", "''") + "'"
		}
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = w.inline(v[i])
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		var parts []string
		for _, key := range w.keys(v) {
			parts = append(parts, key+": "+w.inline(v[key]))
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	text, err := json.Marshal(value)
	require.NoError(w.t, err)
	return string(text)
}

func escape(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}
