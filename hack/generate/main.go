// Command generate writes what is made of the rules: the list in pkg/rules/catalogue_gen.go, and the pages in docs/rules. With
// -verify it writes nothing, and fails if something is stale, not written yet, or without fixtures.
//
// The pages come from the program itself, so that this one compiles while the list is wrong.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

func main() {
	verify := flag.Bool("verify", false, "write nothing, and fail if something is stale or lacking")
	flag.Parse()
	if err := run(".", *verify, build); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const (
	rulesFolder = "pkg/rules"
	listFile    = rulesFolder + "/catalogue_gen.go"
	pagesFolder = "docs/rules"
)

// run writes or verifies everything below root. build yields portcullis as it is with the list in place.
func run(root string, verify bool, build func(root string) (portcullis, func(), error)) error {
	source, err := list(os.DirFS(root))
	if err != nil {
		return err
	}
	if err := apply(root, listFile, source, verify); err != nil {
		return err
	}
	program, done, err := build(root)
	if err != nil {
		return err
	}
	defer done()
	rules, files, err := pages(program)
	if err != nil {
		return err
	}
	var problems []error
	for _, name := range files.names() {
		problems = append(problems, apply(root, name, files[name], verify))
	}
	problems = append(problems, leftovers(root, files, verify)...)
	if verify {
		for i := range rules {
			problems = append(problems, lacking(os.DirFS(root), rules[i].ID)...)
		}
	}
	return errors.Join(problems...)
}

// apply writes a file if it differs; with verify, that is an error.
func apply(root, name string, content []byte, verify bool) error {
	path := filepath.Join(root, filepath.FromSlash(name))
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && bytes.Equal(old, content) {
		return nil
	}
	if verify {
		return fmt.Errorf("%s is stale: run make generate", name)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o644)
}

// leftovers removes the pages of rules that are no more; with verify, each is an error.
func leftovers(root string, files generated, verify bool) []error {
	found, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pagesFolder), "*.md"))
	if err != nil {
		return []error{err}
	}
	var out []error
	for _, path := range found {
		name := pagesFolder + "/" + filepath.Base(path)
		switch {
		case slices.Contains(files.names(), name):
		case verify:
			out = append(out, fmt.Errorf("%s is about a rule that does not exist: run make generate", name))
		default:
			out = append(out, os.Remove(path))
		}
	}
	return out
}
