package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// runner tries the mutants of one target.
type runner struct {
	target
	every   int
	verbose bool
	out     io.Writer
	known   map[string]bool

	dir     string // of what is made
	overlay string
	mutants []mutant
}

// binary is the tests of a suite with the mutants in.
type binary struct {
	suite
	file    string
	reached map[int]bool
	timeout time.Duration
}

// run tells how many mutants no test notices, those that are known left out.
func (r *runner) run(ctx context.Context) (missed int, err error) {
	if r.dir, err = os.MkdirTemp("", "mutate"); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.dir)) }()
	if err := r.write(ctx); err != nil {
		return 0, err
	}
	var binaries []*binary
	for _, s := range r.suites {
		b, err := r.build(ctx, s, len(binaries))
		if err != nil {
			return 0, err
		}
		binaries = append(binaries, b)
	}
	noticed, unreached, passed, tried := 0, 0, 0, 0
	for i := range r.mutants {
		m := &r.mutants[i]
		if i%r.every != 0 {
			continue
		}
		tried++
		by, reached, err := r.try(ctx, m, binaries)
		switch {
		case err != nil:
			return 0, err
		case by != "":
			noticed++
			if r.verbose {
				fmt.Fprintf(r.out, "%s/%s:%d: %s: noticed by %s\n", r.target.dir, m.file, m.line, m.change, by)
			}
			continue
		case r.known[m.key()]:
			passed++
			continue
		}
		missed++
		how := "survives"
		if !reached {
			how = "is reached by no test"
			unreached++
		}
		fmt.Fprintf(r.out, "%s/%s:%d: %s\n\t%s\n\t%s\n", r.target.dir, m.file, m.line, how, m.code, m.change)
	}
	fmt.Fprintf(r.out, "%s: %d mutants, %d noticed, %d known, %d not noticed (%d of them not reached)\n", r.name, tried, noticed, passed, missed, unreached)
	return missed, nil
}

// listed is what go list tells of a package.
type listed struct {
	Dir, ImportPath, Name, Export string
	GoFiles                       []string
}

func goList(ctx context.Context, dir string) (own listed, exports map[string]string, err error) {
	text, err := exec.CommandContext(ctx, "go", "list", "-export", "-deps", "-json=Dir,ImportPath,Name,Export,GoFiles", "./"+dir).Output()
	if err != nil {
		return own, nil, fmt.Errorf("go list: %w", err)
	}
	exports = map[string]string{}
	for decoder := json.NewDecoder(strings.NewReader(string(text))); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return own, exports, nil
		} else if err != nil {
			return own, nil, err
		}
		exports[p.ImportPath] = p.Export
		own = p // the package itself is the last
	}
}

// write makes the files of the package with all mutants in, and the overlay that puts them in their place.
func (r *runner) write(ctx context.Context) error {
	own, exports, err := goList(ctx, r.target.dir)
	if err != nil {
		return err
	}
	fset := token.NewFileSet()
	files := map[string]*ast.File{}
	var ordered []*ast.File
	for _, name := range own.GoFiles {
		file, err := parser.ParseFile(fset, filepath.Join(own.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files[name], ordered = file, append(ordered, file)
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	checker := types.Config{Importer: importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })}
	if _, err := checker.Check(own.ImportPath, fset, ordered, info); err != nil {
		return err
	}
	replace := map[string]string{}
	for _, name := range own.GoFiles {
		if len(r.files) > 0 && !slices.Contains(r.files, name) || strings.HasSuffix(name, "_gen.go") {
			continue
		}
		source, err := os.ReadFile(filepath.Join(own.Dir, name))
		if err != nil {
			return err
		}
		w := &rewriter{fset: fset, info: info, name: name, source: source, mutants: &r.mutants}
		text, err := w.rewrite(files[name])
		if err != nil {
			return fmt.Errorf("%s with its mutants: %w", name, err)
		}
		replace[filepath.Join(own.Dir, name)] = filepath.Join(r.dir, name)
		if err := os.WriteFile(filepath.Join(r.dir, name), text, 0o600); err != nil {
			return err
		}
	}
	added := filepath.Join(r.dir, "mutants_support.go")
	replace[filepath.Join(own.Dir, "mutants_support.go")] = added
	if err := os.WriteFile(added, []byte(support(own.Name, len(r.mutants))), 0o600); err != nil {
		return err
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return err
	}
	r.overlay = filepath.Join(r.dir, "overlay.json")
	return os.WriteFile(r.overlay, text, 0o600)
}

// build makes the tests of a suite, and runs them once without a mutant, to know what they reach and how long they take.
func (r *runner) build(ctx context.Context, s suite, number int) (*binary, error) {
	b := &binary{suite: s, file: filepath.Join(r.dir, strings.ReplaceAll(s.path, "/", "-")), reached: map[int]bool{}}
	if _, err := os.Stat(b.file); err == nil {
		// The tests of another suite of the package, with the same mutants.
	} else if text, err := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay", r.overlay, "-o", b.file, s.path).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the tests of %s with the mutants: %w\n%s", s.path, err, text)
	}
	record := fmt.Sprintf("%s.%d", b.file, number)
	started := time.Now()
	if text, err := b.command(ctx, "MUTANTS_REACHED="+record).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("the tests of %s fail without any mutant: %w\n%s", s.path, err, text)
	}
	const least = 20 * time.Second
	b.timeout = max(5*time.Since(started), least)
	text, err := os.ReadFile(record)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if id, err := strconv.Atoi(strings.TrimSpace(line)); err == nil {
			b.reached[id] = true
		}
	}
	fmt.Fprintf(r.out, "%s: %s reaches %d of %d mutants in %s\n", r.name, s, len(b.reached), len(r.mutants), time.Since(started).Round(time.Millisecond))
	return b, nil
}

func (b *binary) command(ctx context.Context, environment ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, b.file, b.args...)
	command.Dir = filepath.FromSlash(b.path)
	command.Env = append(os.Environ(), environment...)
	return command
}

// try runs the tests that reach the mutant, until one notices it.
func (r *runner) try(ctx context.Context, m *mutant, binaries []*binary) (by string, reached bool, err error) {
	for _, b := range binaries {
		if !b.reached[m.id] {
			continue
		}
		reached = true
		within, cancel := context.WithTimeout(ctx, b.timeout)
		err := b.command(within, "MUTANT="+strconv.Itoa(m.id)).Run()
		cancel()
		if ctx.Err() != nil {
			return "", reached, ctx.Err()
		}
		if err != nil {
			return b.String(), reached, nil
		}
	}
	return "", reached, nil
}
