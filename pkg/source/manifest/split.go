package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
)

// document is one YAML document or one JSON value of a file, as text.
type document struct {
	file string
	line int // of the first line of text, counted from 1
	at   int // where text begins in the file, byte order marks and the like left out
	text []byte
	json bool
	// named is whether the user named the file: then a document that is no Kubernetes object is a problem.
	named bool
	// failure is a document that cannot be parsed at all, already known to be so.
	failure *Problem
}

// documents reads the file and splits it.
func (f *inputFile) documents() []document {
	if f.failure == nil && f.content == nil {
		f.content, f.failure = readFile(f.name)
	}
	if f.failure != nil {
		f.failure.File = f.name
		return []document{{failure: f.failure}}
	}
	if bytes.HasPrefix(f.content, []byte("\xff\xfe")) || bytes.HasPrefix(f.content, []byte("\xfe\xff")) {
		return []document{{failure: &Problem{File: f.name, Line: 1, Message: "is UTF-16: save it as UTF-8"}}}
	}
	var out []document
	for _, chunk := range splitYAML(normalise(f.content)) {
		chunk.file, chunk.named = f.name, f.named
		out = append(out, chunk.splitJSON()...)
	}
	f.content = nil
	return out
}

var byteOrderMark = []byte("\ufeff")

// normalise drops byte order marks, of which files that were joined have several, and makes line feeds of carriage returns that end a line by themselves, which YAML
// counts as line breaks.
func normalise(content []byte) []byte {
	if bytes.Contains(content, byteOrderMark) {
		content = bytes.ReplaceAll(bytes.TrimPrefix(content, byteOrderMark), []byte("\n\ufeff"), []byte("\n"))
	}
	for i := 0; i < len(content); i++ {
		at := bytes.IndexByte(content[i:], '\r')
		if at < 0 {
			break
		}
		i += at
		if i+1 == len(content) || content[i+1] != '\n' {
			out := bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n"))
			return bytes.ReplaceAll(out, []byte("\r"), []byte("\n"))
		}
	}
	return content
}

// splitYAML cuts at the lines that start or end a document: --- and ... at the very left, followed by a blank or nothing.
// A line --- stays with the document that it starts.
func splitYAML(content []byte) []document {
	var out []document
	begin, beginLine := 0, 1
	cut := func(end, nextBegin, nextLine int) {
		if text := content[begin:end]; !isBlank(text) {
			out = append(out, document{line: beginLine, at: begin, text: text})
		}
		begin, beginLine = nextBegin, nextLine
	}
	for at, line := 0, 1; at < len(content); line++ {
		end := len(content)
		if n := bytes.IndexByte(content[at:], '\n'); n >= 0 {
			end = at + n + 1
		}
		switch text := content[at:end]; {
		case isMarker(text, "---"):
			cut(at, at, line)
		case isMarker(text, "..."):
			cut(at, end, line+1)
		}
		at = end
	}
	cut(len(content), len(content), 0)
	return out
}

func isMarker(line []byte, marker string) bool {
	rest, found := bytes.CutPrefix(line, []byte(marker))
	return found && (len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0)
}

// isBlank says whether there is nothing in the text but comments, directives and a bare ---.
func isBlank(text []byte) bool {
	for line := range bytes.Lines(text) {
		if isMarker(line, "---") {
			line = line[3:]
		}
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' && line[0] != '%' {
			return false
		}
	}
	return true
}

// splitJSON cuts a chunk that holds JSON values one after another, as kubectl reads them. A chunk that begins with a brace
// and is not JSON may still be YAML.
func (d document) splitJSON() []document {
	text := d.text
	if isMarker(text, "---") {
		text = text[3:]
	}
	text = bytes.TrimSpace(text)
	if len(text) == 0 || text[0] != '{' {
		return []document{d}
	}
	offset := bytes.IndexByte(d.text, '{')
	decoder := json.NewDecoder(bytes.NewReader(d.text[offset:]))
	var out []document
	for {
		var value json.RawMessage
		err := decoder.Decode(&value)
		if errors.Is(err, io.EOF) {
			return out
		}
		end := offset + int(decoder.InputOffset())
		if err != nil {
			rest := bytes.TrimSpace(d.text[end:])
			mayBeYAML := filepath.Ext(d.file) != ".json" && (len(out) == 0 || bytes.HasPrefix(rest, []byte("#")))
			if mayBeYAML {
				return []document{d}
			}
			if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
				end = min(offset+int(syntax.Offset), len(d.text))
			}
			return append(out, document{failure: &Problem{File: d.file, Line: d.lineAt(end), Message: "is not JSON: " + err.Error()}})
		}
		out = append(out, document{file: d.file, named: d.named, json: true, text: value, line: d.lineAt(end - len(value)), at: d.at + end - len(value)})
	}
}

func (d *document) lineAt(offset int) int { return d.line + bytes.Count(d.text[:offset], []byte("\n")) }
