// Command newrule writes the beginnings of a rule: its file, and a bad and a good fixture. make new-rule generates its page and
// its place in the list after that.
package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "Name the rule, as in: make new-rule ID=open-door")
		os.Exit(2)
	}
	if err := write(".", os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("Write the rule in %s and its fixtures in %s. make verify tells what is lacking.\n", fileOf(os.Args[1]), fixturesOf(os.Args[1]))
}

//go:embed templates
var templates embed.FS

var slug = regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)

func fileOf(id string) string     { return "pkg/rules/" + strings.ReplaceAll(id, "-", "_") + ".go" }
func fixturesOf(id string) string { return "pkg/rules/testdata/" + id }

// write writes the files of a new rule below root. What is there is never overwritten.
func write(root, id string) error {
	if !slug.MatchString(id) {
		return fmt.Errorf("%q is no id of a rule: use small letters with hyphens between words, as in open-door", id)
	}
	data := struct{ ID, Func string }{id, function(id)}
	for from, to := range map[string]string{
		"rule.go.tmpl": fileOf(id), "bad.yaml.tmpl": fixturesOf(id) + "/bad/first.yaml", "good.yaml.tmpl": fixturesOf(id) + "/good/first.yaml",
	} {
		if err := render(filepath.Join(root, filepath.FromSlash(to)), from, data); err != nil {
			return err
		}
	}
	return nil
}

func render(path, from string, data any) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already", path)
	}
	if err != nil {
		return err
	}
	t, err := template.ParseFS(templates, "templates/"+from)
	if err == nil {
		err = t.Execute(file, data)
	}
	return errors.Join(err, file.Close())
}

// function is the name of the rule's constructor: openDoor for open-door.
func function(id string) string {
	words := strings.Split(id, "-")
	for i := 1; i < len(words); i++ {
		words[i] = strings.ToUpper(words[i][:1]) + words[i][1:]
	}
	return strings.Join(words, "")
}
