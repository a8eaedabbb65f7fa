package fix

import (
	"bytes"
	"sort"
	"unicode/utf8"
)

// Region is an edit by lines and columns, as SARIF's deletedRegion and insertedContent have it. Lines and columns count
// from 1, columns in Unicode code points; the end is the first place after what is deleted. A byte order mark is no column.
type Region struct {
	StartLine, StartColumn, EndLine, EndColumn int
	Text                                       string
}

// Regions are the edits of a text by lines and columns.
func Regions(text []byte, edits []Edit) []Region {
	starts := []int{0}
	for i, c := range text {
		if c == '\n' {
			starts = append(starts, i+1)
		}
	}
	place := func(at int) (line, column int) {
		line = sort.SearchInts(starts, at+1)
		before := text[starts[line-1]:at]
		if line == 1 {
			before = bytes.TrimPrefix(before, []byte("\ufeff"))
		}
		return line, 1 + utf8.RuneCount(before)
	}
	out := make([]Region, len(edits))
	for i, edit := range edits {
		out[i].StartLine, out[i].StartColumn = place(edit.Start)
		out[i].EndLine, out[i].EndColumn = place(edit.End)
		out[i].Text = edit.New
	}
	return out
}
