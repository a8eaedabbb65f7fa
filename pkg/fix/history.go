package fix

// History is a text that is edited again and again, and what that comes to.
type History struct {
	original []byte
	pieces   pieces
}

// NewHistory begins with the original.
func NewHistory(original []byte) *History {
	return &History{original, pieces{{end: len(original)}}}
}

// Add makes further edits, of the text as it is by now. They are sorted and do not overlap.
func (h *History) Add(edits []Edit) {
	for i := len(edits) - 1; i >= 0; i-- {
		h.pieces = h.pieces.replace(edits[i])
	}
}

// Edits are what all edits come to: edits of the original, sorted and without overlap.
func (h *History) Edits() []Edit { return h.pieces.edits(h.original) }

// pieces are a text as parts of the original and new parts.
type pieces []piece

// piece is a part of the original, from start up to end, or new text.
type piece struct {
	start, end int
	text       string
	isNew      bool
}

func (p piece) size() int {
	if p.isNew {
		return len(p.text)
	}
	return p.end - p.start
}

func (p piece) cut(from, to int) piece {
	if p.isNew {
		return piece{text: p.text[from:to], isNew: true}
	}
	return piece{start: p.start + from, end: p.start + to}
}

// replace does one edit of the text as it is by now.
func (p pieces) replace(edit Edit) pieces {
	var out pieces
	add := func(one piece) {
		if one.size() > 0 {
			out = append(out, one)
		}
	}
	at, done := 0, false
	for _, one := range p {
		end := at + one.size()
		if before := min(end, edit.Start); before > at {
			add(one.cut(0, before-at))
		}
		if !done && edit.Start <= end {
			add(piece{text: edit.New, isNew: true})
			done = true
		}
		if after := max(at, edit.End); after < end {
			add(one.cut(after-at, one.size()))
		}
		at = end
	}
	if !done {
		add(piece{text: edit.New, isNew: true})
	}
	return out
}

// edits are what makes the pieces of the original. Where new text begins or ends as what it replaces does, that stays.
func (p pieces) edits(original []byte) []Edit {
	var out []Edit
	at := 0
	var fresh string
	flush := func(to int) {
		if fresh == "" && at == to {
			return
		}
		edit := Edit{Start: at, End: to, New: fresh}
		for edit.Start < edit.End && edit.New != "" && original[edit.End-1] == edit.New[len(edit.New)-1] {
			edit.End, edit.New = edit.End-1, edit.New[:len(edit.New)-1]
		}
		for edit.Start < edit.End && edit.New != "" && original[edit.Start] == edit.New[0] {
			edit.Start, edit.New = edit.Start+1, edit.New[1:]
		}
		if edit.Start < edit.End || edit.New != "" {
			least := 0
			if len(out) > 0 {
				least = out[len(out)-1].End
			}
			out = append(out, slide(original, edit, least))
		}
		fresh = ""
	}
	for _, one := range p {
		if one.isNew {
			fresh += one.text
			continue
		}
		flush(one.start)
		at = one.end
	}
	flush(len(original))
	return out
}

// slide moves an edit that only deletes or only inserts back to the start of a line, if it comes to the same there: a diff
// then shows whole lines.
func slide(original []byte, edit Edit, least int) Edit {
	isStart := func(at int) bool { return at == 0 || original[at-1] == '\n' }
	if isStart(edit.Start) || edit.New != "" && edit.Start < edit.End {
		return edit
	}
	for by := 1; edit.Start-by >= least; by++ {
		before := original[edit.Start-by]
		if edit.New == "" && before != original[edit.End-by] || edit.New != "" && (by > len(edit.New) || before != edit.New[len(edit.New)-by]) {
			return edit
		}
		if isStart(edit.Start - by) {
			moved := Edit{Start: edit.Start - by, End: edit.End - by}
			if edit.New != "" {
				at := len(edit.New) - by
				moved.New = edit.New[at:] + edit.New[:at]
			}
			return moved
		}
	}
	return edit
}
