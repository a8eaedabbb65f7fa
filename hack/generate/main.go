// Command generate writes what is made of the rules: the list in pkg/rules/catalogue_gen.go, and the pages in docs/rules. With
// -verify it writes nothing, and fails if something is stale, not written yet, or without fixtures.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/rules"
)

func main() {
	verify := flag.Bool("verify", false, "write nothing, and fail if something is stale or lacking")
	pages := flag.Bool("pages", false, "write only what is made of the compiled catalogue")
	flag.Parse()
	if err := run(".", *verify, *pages, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const (
	rulesFolder = "pkg/rules"
	listFile    = rulesFolder + "/catalogue_gen.go"
	pagesFolder = "docs/rules"
)

func run(root string, verify, pages bool, log io.Writer) error {
	if !pages {
		source, err := list(os.DirFS(root))
		if err != nil {
			return err
		}
		changed, err := apply(root, listFile, source, verify)
		if err != nil {
			return err
		}
		if changed {
			// The pages are made of the compiled rules, so they wait for another compilation.
			again := exec.Command("go", "run", "./hack/generate", "-pages")
			again.Dir, again.Stdout, again.Stderr = root, log, log
			return again.Run()
		}
	}
	catalogue := rules.Catalogue().All()
	files, err := pagesOf(catalogue)
	if err != nil {
		return err
	}
	var problems []error
	for _, name := range files.names() {
		if _, err := apply(root, name, files[name], verify); err != nil {
			problems = append(problems, err)
		}
	}
	problems = append(problems, leftovers(root, files, verify)...)
	if verify {
		for _, r := range catalogue {
			problems = append(problems, lacking(os.DirFS(root), r)...)
		}
	}
	return errors.Join(problems...)
}

// apply writes a file if it differs; with verify, that is an error.
func apply(root, name string, content []byte, verify bool) (changed bool, err error) {
	path := filepath.Join(root, filepath.FromSlash(name))
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if err == nil && bytes.Equal(old, content) {
		return false, nil
	}
	if verify {
		return false, fmt.Errorf("%s is stale: run make generate", name)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return false, err
	}
	return true, os.WriteFile(path, content, 0o644)
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
