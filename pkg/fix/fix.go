// Package fix turns a JSON Patch (RFC 6902) of an object into edits of the YAML or JSON text that the object was read from.
// Comments, the order of keys, quotes, indentation and line breaks of what the patch does not change stay byte for byte.
//
// The operations are applied one after another. Each is located in the tree of the text, becomes the smallest edit that does
// it, and the edited text is parsed again. In the end the text must mean exactly what the patch says, or there is an error:
// so whatever is odd about a text, a fix is either right or refused.
//
// What goes with a removed item or field are the comment lines directly above it in its own column, those directly below
// it that are indented deeper, and the comment at the end of its line.
package fix

import (
	"bytes"
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/finding"
)

// Edit replaces the bytes from Start up to End of a text by New.
type Edit struct {
	Start, End int
	New        string
}

// Edits are what does the patch to an object in the text of one YAML document or JSON value, sorted and without overlap.
// object is the JSON Pointer of the object within the document: empty if it is all of it, /items/3 in a List. The text has no
// byte order mark. The error says why the text cannot be edited, in words that follow the object's name.
func Edits(text []byte, object string, patch []finding.PatchOp) ([]Edit, error) {
	e := &editor{text: text, object: splitPointer(object), kept: NewHistory(text)}
	want, err := expected(text, object, patch)
	if err != nil {
		return nil, err
	}
	for _, op := range patch {
		if err := e.do(op); err != nil {
			return nil, err
		}
	}
	if err := e.prove(want); err != nil {
		return nil, err
	}
	return e.kept.Edits(), nil
}

// Apply is the text after edits that are sorted and do not overlap.
func Apply(text []byte, edits []Edit) []byte {
	var out bytes.Buffer
	at := 0
	for _, edit := range edits {
		out.Write(text[at:edit.Start])
		out.WriteString(edit.New)
		at = edit.End
	}
	out.Write(text[at:])
	return out.Bytes()
}

// Shift is the edits in a text that has so many bytes more in front.
func Shift(edits []Edit, by int) []Edit {
	out := slices.Clone(edits)
	for i := range out {
		out[i].Start += by
		out[i].End += by
	}
	return out
}
