// Package manifest reads Kubernetes manifests, in YAML or JSON, from files, folders and standard input.
//
// It sees them as kubectl does: YAML 1.1 values, documents separated by ---, lists unpacked, no metadata.namespace for the
// namespace "default". What kubectl or the API server would refuse is a Problem with file and line, and everything else is
// read regardless. Kinds that say nothing of who may connect to whom are passed over.
package manifest

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
)

// Stdin is the path that stands for standard input, and StdinName what it is called in sources and problems.
const (
	Stdin     = "-"
	StdinName = "stdin"
)

// Problem is something in the input that kubectl or the API server would refuse, or that cannot be read.
type Problem struct {
	File    string
	Line    int    // counted from 1; 0 if it is about the whole file
	Message string // what is wrong and what to do, without file and line
}

// Result is what was read.
type Result struct {
	// Store holds every object that was read, the policies and Namespaces included.
	Store *model.Store
	// Policies and Namespaces are in the order of the input, with their sources. Of two with one name, only the last is here.
	Policies   []*model.Policy
	Namespaces []*model.NamespaceMeta
	// Files are those that were read, standard input included, in the order of the input; each once.
	Files []string
	// Repeated are the policies that stand in the input more than once, and the place of one that is not among Policies.
	Repeated map[finding.Subject]finding.Source
	// Objects is how many objects were read, of the kinds that matter.
	Objects int
	// Problems are in the order of the input.
	Problems []Problem

	stdin []byte
}

// Load reads the paths in their order: files, folders (their .yaml, .yml and .json files, recursively, hidden ones left
// out) and Stdin, which is read from in. What is wrong with the input is told in Problems; the error is the context's.
func Load(ctx context.Context, paths []string, in io.Reader) (*Result, error) {
	return LoadOver(ctx, model.NewStore(), paths, in)
}

// LoadOver is Load into a store that holds a cluster's objects: what is read takes the place of what has the same name.
func LoadOver(ctx context.Context, store *model.Store, paths []string, in io.Reader) (*Result, error) {
	result := &Result{Store: store}
	files := expand(paths)
	split := make([][]document, len(files))
	each(ctx, len(files), func(i int) {
		if files[i].name == StdinName {
			files[i].content, files[i].failure = readLimited(in)
			result.stdin = files[i].content
		}
		split[i] = files[i].documents()
	})
	var documents []document
	for i, s := range split {
		documents = append(documents, s...)
		if files[i].failure == nil && !slices.Contains(result.Files, files[i].name) {
			result.Files = append(result.Files, files[i].name)
		}
	}
	parser := newParser()
	parsed := make([]parsedDocument, len(documents))
	each(ctx, len(documents), func(i int) { parsed[i] = parser.parseSafely(&documents[i]) })
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	gather(result, parsed)
	return result, nil
}

// Read reads the content of one file, as Load does. It is not read as a file that the user named: what is no Kubernetes
// object is passed over.
func Read(name string, content []byte) *Result {
	result := &Result{Store: model.NewStore(), Files: []string{name}}
	parser := newParser()
	file := inputFile{name: name, content: append([]byte{}, content...)}
	var parsed []parsedDocument
	for _, d := range file.documents() {
		parsed = append(parsed, parser.parseSafely(&d))
	}
	gather(result, parsed)
	return result
}

// Lookup returns a function that tells the text of one line of a file that was read, counted from 1 and without its line
// break; false if it cannot be read any more. The function remembers the last file, and is not safe for concurrent use.
func (r *Result) Lookup() func(file string, line int) (string, bool) {
	var name string
	var lines [][]byte
	return func(file string, line int) (string, bool) {
		if file != name || lines == nil {
			content := r.stdin
			if file != StdinName {
				var problem *Problem
				if content, problem = readFile(file); problem != nil {
					return "", false
				}
			}
			name, lines = file, bytes.Split(normalise(content), []byte("\n"))
		}
		if line < 1 || line > len(lines) {
			return "", false
		}
		return string(bytes.TrimRight(lines[line-1], "\r")), true
	}
}

// each calls do for 0 to n-1, on as many processors as there are, until the context ends.
func each(ctx context.Context, n int, do func(int)) {
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		group.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				do(i)
			}
		})
	}
	group.Wait()
}
