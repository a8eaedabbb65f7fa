package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
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

// rule is what `portcullis rules -o json` tells of a rule.
type rule struct{ ID, Title, Why, Finds, Remedy string }

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

// leastFixtures is how many fixtures of each kind a rule needs.
const leastFixtures = 4

// unwritten begins the texts that the scaffold of a rule leaves to its author.
const unwritten = "Write here"

// lacking is what a rule still lacks.
func lacking(root fs.FS, r *rule) []error {
	var out []error
	for _, text := range []string{r.Title, r.Why, r.Finds, r.Remedy} {
		if strings.HasPrefix(text, unwritten) {
			out = append(out, fmt.Errorf("rule %s: its documentation still says %q: write it in %s/%s.go", r.ID, text, rulesFolder, strings.ReplaceAll(r.ID, "-", "_")))
		}
	}
	for _, kind := range []string{"bad", "good"} {
		folder := rulesFolder + "/testdata/" + r.ID + "/" + kind
		files, _ := fs.Glob(root, folder+"/*.yaml")
		files = slices.DeleteFunc(files, func(name string) bool { return strings.HasSuffix(name, ".before.yaml") })
		if len(files) < leastFixtures {
			out = append(out, fmt.Errorf("rule %s: %s has %d of the fixtures that a rule needs at least, which are %d", r.ID, folder, len(files), leastFixtures))
		}
	}
	golden := rulesFolder + "/testdata/" + r.ID + "/findings.txt"
	if text, err := fs.ReadFile(root, golden); err != nil || len(bytes.TrimSpace(text)) == 0 {
		out = append(out, fmt.Errorf("rule %s: %s is missing: write it with go test ./pkg/rules -update, and read it", r.ID, golden))
	}
	return out
}
