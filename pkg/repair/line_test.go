package repair_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/portcullis-dev/portcullis/pkg/fix"
	"github.com/portcullis-dev/portcullis/pkg/repair"
)

func TestALineThatStaysIsFoundWhereItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var old bytes.Buffer
		var edits []fix.Edit
		type place struct{ old, now int }
		var kept []place
		line := 0 // of the new text
		for i := range rapid.IntRange(1, 12).Draw(t, "lines") {
			start := old.Len()
			fmt.Fprintf(&old, "%*s- line %d\n", rapid.IntRange(0, 4).Draw(t, "indentation"), "", i)
			switch rapid.IntRange(0, 3).Draw(t, "what becomes of it") {
			case 0: // it goes
				edits = append(edits, fix.Edit{Start: start, End: old.Len()})
			case 1: // lines come before it
				n := rapid.IntRange(1, 3).Draw(t, "new lines")
				edits = append(edits, fix.Edit{Start: start, End: start, New: string(bytes.Repeat([]byte("  - new\n"), n))})
				line += n
				fallthrough
			default:
				line++
				kept = append(kept, place{i + 1, line})
			}
		}
		f := repair.File{Old: old.Bytes(), New: fix.Apply(old.Bytes(), edits), Edits: edits}
		for _, p := range kept {
			require.Equal(t, p.old, f.OldLine(p.now), "line %d of\n%s", p.now, f.New)
		}
		require.LessOrEqual(t, f.OldLine(1000), bytes.Count(f.Old, []byte("\n"))+1)
	})
}
