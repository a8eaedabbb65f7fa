package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/aymanbagabas/go-udiff"

	"github.com/portcullis-dev/portcullis/pkg/repair"
	"github.com/portcullis-dev/portcullis/pkg/source/manifest"
)

// writeStream writes all files of the input, some of them changed. A single file is written as it is; several become one
// YAML stream, in which each begins with a comment that names it, as in what helm template writes.
func writeStream(w io.Writer, in *manifest.Result, changed []repair.File) error {
	now := map[string][]byte{}
	for _, f := range changed {
		now[f.Name] = f.New
	}
	for _, name := range in.Files {
		content, is := now[name]
		if !is {
			var err error
			if content, err = in.Content(name); err != nil {
				return fmt.Errorf("%s %w", name, err)
			}
		}
		if len(in.Files) > 1 {
			content = documentsOf(name, content)
		}
		if _, err := w.Write(content); err != nil {
			return err
		}
	}
	return nil
}

// documentsOf is a file as a part of a YAML stream.
func documentsOf(name string, content []byte) []byte {
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	var out bytes.Buffer
	if values := manifest.NewText(content).JSON(); len(values) > 1 {
		for _, value := range values {
			fmt.Fprintf(&out, "---\n# Source: %s\n%s\n", name, value)
		}
		return out.Bytes()
	}
	if !bytes.HasPrefix(content, []byte("---")) {
		out.WriteString("---\n")
	}
	fmt.Fprintf(&out, "# Source: %s\n", name)
	out.Write(content)
	if !bytes.HasSuffix(content, []byte("\n")) {
		out.WriteByte('\n')
	}
	return out.Bytes()
}

// writeDiff writes the changes in the form that git apply and patch -p1 take.
func writeDiff(w io.Writer, changed []repair.File) error {
	for _, f := range changed {
		edits := make([]udiff.Edit, len(f.Edits))
		for i, edit := range f.Edits {
			edits[i] = udiff.Edit(edit)
		}
		text, err := udiff.ToUnified(diffName("a", f.Name), diffName("b", f.Name), string(f.Old), edits, udiff.DefaultContextLines)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
	}
	return nil
}

// diffName is a file's name in the head of a diff, as git writes it: in quotes if it needs them, and with a tab at the end
// if it holds a blank.
func diffName(side, name string) string {
	name = side + "/" + strings.TrimPrefix(filepath.ToSlash(filepath.Clean(name)), "/")
	switch quoted := strconv.Quote(name); {
	case quoted != `"`+name+`"` && strings.ContainsAny(name, "\"\\\t\n\r"):
		return quoted
	case strings.Contains(name, " "):
		return name + "\t"
	}
	return name
}

// errStale is a file that somebody else has changed.
var errStale = errors.New("it has changed since it was read, so run fix again")

// replaceFile gives a file new content in one step: who reads it sees the old content or the new. The file keeps its mode,
// and where the path is a symbolic link, its target is replaced.
func replaceFile(path string, old, content []byte) (err error) {
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if now, err := os.ReadFile(path); err != nil {
		return err
	} else if !bytes.Equal(now, old) {
		return errStale
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temporary.Name())
		}
	}()
	_, err = temporary.Write(content)
	err = errors.Join(err, temporary.Chmod(info.Mode().Perm()), temporary.Close())
	if err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}
