package manifest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxFile bounds what is read of one file: 64 MiB hold a dump of a large cluster. An endless device ends here.
const maxFile = 64 << 20

// extensions are those of the files that a folder stands for; a file that is named is read whatever it is called.
var extensions = []string{".yaml", ".yml", ".json"}

// InFolders says whether a file of the name is read where it is found in a folder.
func InFolders(name string) bool {
	return slices.Contains(extensions, strings.ToLower(filepath.Ext(name)))
}

// inputFile is one file of the input, or a path that cannot be read.
type inputFile struct {
	name    string
	named   bool // by the user, rather than found in a folder
	content []byte
	failure *Problem
}

// expand lists the files that the paths stand for.
func expand(paths []string) []inputFile {
	var out []inputFile
	for _, path := range paths {
		if path == Stdin {
			if !slices.ContainsFunc(out, func(f inputFile) bool { return f.name == StdinName }) {
				out = append(out, inputFile{name: StdinName, named: true})
			}
			continue
		}
		info, err := os.Stat(path)
		switch {
		case err != nil:
			out = append(out, unreadable(path, err))
		case info.IsDir():
			w := walker{visited: map[string]bool{}}
			w.walk(path)
			if len(w.found) == 0 {
				w.found = []inputFile{{name: path, failure: &Problem{File: path, Message: "the folder has no .yaml, .yml or .json files: name one that has"}}}
			}
			out = append(out, w.found...)
		default:
			out = append(out, inputFile{name: path, named: true})
		}
	}
	return out
}

func unreadable(path string, err error) inputFile {
	if pathErr := (*fs.PathError)(nil); errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	message := fmt.Sprintf("cannot be read: %v", err)
	switch {
	case errors.Is(err, fs.ErrPermission):
		message += ": read it as a user who may, or grant it"
	case errors.Is(err, fs.ErrNotExist):
		message = "there is no such file or folder: check the path"
	}
	return inputFile{name: path, failure: &Problem{File: path, Message: message}}
}

// walker finds the files of a folder in lexical order. It follows symbolic links, but enters no folder twice, so that
// links which lead back end.
type walker struct {
	visited map[string]bool
	found   []inputFile
}

func (w *walker) walk(dir string) {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		w.found = append(w.found, unreadable(dir, err))
		return
	}
	if absolute, err := filepath.Abs(real); err == nil {
		real = absolute
	}
	if w.visited[real] {
		return
	}
	w.visited[real] = true
	entries, err := os.ReadDir(dir)
	if err != nil {
		w.found = append(w.found, unreadable(dir, err))
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		mode := entry.Type()
		wanted := InFolders(path)
		if mode&fs.ModeSymlink != 0 {
			info, err := os.Stat(path)
			if err != nil {
				if wanted {
					w.found = append(w.found, unreadable(path, err))
				}
				continue
			}
			mode = info.Mode().Type()
		}
		switch {
		case mode.IsDir():
			w.walk(path)
		case mode.IsRegular() && wanted:
			w.found = append(w.found, inputFile{name: path})
		}
	}
}

// readFile reads a file up to the limit.
func readFile(path string) ([]byte, *Problem) {
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err).failure
	}
	defer func() { _ = f.Close() }()
	content, problem := readLimited(f)
	if problem != nil {
		problem.File = path
	}
	return content, problem
}

func readLimited(in io.Reader) ([]byte, *Problem) {
	if in == nil {
		return nil, &Problem{File: StdinName, Message: "cannot be read: there is no standard input"}
	}
	content, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		return nil, unreadable(StdinName, err).failure
	}
	if len(content) > maxFile {
		return nil, &Problem{File: StdinName, Message: fmt.Sprintf("is larger than %d MiB: split it", maxFile>>20)}
	}
	return content, nil
}
