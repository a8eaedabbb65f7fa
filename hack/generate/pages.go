package main

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// portcullis runs the program with arguments, and yields what it prints.
type portcullis func(args ...string) ([]byte, error)

// build compiles the program into a folder of its own, which done removes.
func build(root string) (run portcullis, done func(), err error) {
	dir, err := os.MkdirTemp("", "portcullis-generate-")
	if err != nil {
		return nil, nil, err
	}
	done = func() { _ = os.RemoveAll(dir) }
	binary := filepath.Join(dir, "portcullis")
	compile := exec.Command("go", "build", "-o", binary, "./cmd/portcullis")
	compile.Dir, compile.Stderr = root, os.Stderr
	if err := compile.Run(); err != nil {
		done()
		return nil, nil, errors.New("portcullis does not compile")
	}
	return func(args ...string) ([]byte, error) { return exec.Command(binary, args...).Output() }, done, nil
}

// rule is what is read of what `portcullis rules -o json` tells.
type rule struct{ ID string }

// generated are files by their names, with slashes.
type generated map[string][]byte

func (g generated) names() []string { return slices.Sorted(maps.Keys(g)) }

// pages are the rules, their pages, and the list of the pages.
func pages(run portcullis) ([]rule, generated, error) {
	index, err := run("rules", "-o", "markdown")
	if err != nil {
		return nil, nil, err
	}
	text, err := run("rules", "-o", "json")
	if err != nil {
		return nil, nil, err
	}
	var rules []rule
	if err := json.Unmarshal(text, &rules); err != nil {
		return nil, nil, err
	}
	out := generated{pagesFolder + "/README.md": index}
	for _, r := range rules {
		if out[pagesFolder+"/"+r.ID+".md"], err = run("rules", r.ID, "-o", "markdown"); err != nil {
			return nil, nil, err
		}
	}
	return rules, out, nil
}
