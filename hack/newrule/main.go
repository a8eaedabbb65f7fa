// Command newrule writes the beginnings of a rule: its file, and a bad and a good fixture. make new-rule generates its page and
// its place in the list after that.
package main

import (
	"embed"
	"errors"
	"fmt"
	"go/build"
	"io"
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

// slug has two words at least, so that no constructor is named like a keyword of Go.
var slug = regexp.MustCompile(`^[a-z]+(-[a-z]+)+$`)

func fileOf(id string) string     { return "pkg/rules/" + strings.ReplaceAll(id, "-", "_") + ".go" }
func fixturesOf(id string) string { return "pkg/rules/testdata/" + id }

// write writes the files of a new rule below root. What is there is never overwritten.
func write(root, id string) error {
	if !slug.MatchString(id) {
		return fmt.Errorf("%q is no id of a rule: use two or more words of small letters with hyphens between them, as in open-door", id)
	}
	if !ordinary(id) {
		return fmt.Errorf("%s is compiled only for tests or for one platform: choose an id with another last word", filepath.Base(fileOf(id)))
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

// ordinary says whether Go compiles the rule's file wherever the package is compiled. On a platform that does not exist, it leaves
// out the files for any other.
func ordinary(id string) bool {
	name := filepath.Base(fileOf(id))
	nowhere := build.Context{GOOS: "nowhere", GOARCH: "nowhere", Compiler: "gc", OpenFile: func(string) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader("package rules\n")), nil
	}}
	matches, err := nowhere.MatchFile(".", name)
	return err == nil && matches && !strings.HasSuffix(name, "_test.go")
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
