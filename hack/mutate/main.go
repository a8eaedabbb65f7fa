// Command mutate changes the engine in small ways, one at a time, and tells which changes no test notices.
//
//	go run ./hack/mutate                        all targets
//	go run ./hack/mutate -target reach -v       one, with what kills each mutant
//
// A mutant is a condition turned round, a boundary moved by one, && for || or + for -, a statement left out. All mutants of a
// package are compiled at once, each behind a switch, into the test binaries that are to notice them; so a mutant costs one
// run of the tests, and none where they do not reach it. The files of the repository are never touched: go build's -overlay
// puts the others in their place.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
)

// suite is one package of tests.
type suite struct {
	path string
	args []string
}

// String is the package, and which of its tests if not all are run.
func (s suite) String() string {
	for _, a := range s.args {
		if run, ok := strings.CutPrefix(a, "-test.run="); ok {
			return s.path + " " + run
		}
	}
	return s.path
}

// target is what is mutated, and by which tests it is to be noticed, the quickest first.
type target struct {
	name, dir string
	files     []string // of dir; none for all
	suites    []suite
}

// targets are the core of the engine.
func targets() []target {
	// The properties look at fewer examples than otherwise: a mutant is a run of its own.
	few := []string{"-test.failfast", "-rapid.checks=60", "-rapid.nofailfile"}
	plain := []string{"-test.failfast"}
	oracle := func(run string) suite {
		return suite{"./test/oracle", []string{"-test.failfast", "-rapid.nofailfile", "-oracle.connections=10000", "-test.run=" + run}}
	}
	fixtures := suite{"./pkg/rules", append([]string{"-rapid.checks=10"}, plain...)}
	return []target{
		{"netset", "pkg/netset", nil, []suite{{"./pkg/netset", few}, oracle("ReachAgrees")}},
		{"reach", "pkg/reach", nil, []suite{
			{"./pkg/reach", plain}, {"./pkg/engine", plain}, oracle("ReachAgrees"), {"./pkg/explain", plain}, fixtures,
			oracle("DNS"), oracle("WithoutAddresses"), oracle("Merged"), oracle("Connectivity"),
		}},
		{"rules", "pkg/rules", []string{
			"internet_ingress.go", "exposure.go", "exposure_fix.go", "exposure_later.go", "dns_blocked.go", "dns_fix.go", "rules_ignored.go",
			"dns_server_exposed.go", "invalid_setting.go",
		}, []suite{fixtures}},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	name := flags.String("target", "", "the one `NAME` to mutate: netset, reach or rules; all without it")
	only := flags.String("file", "", "mutate these `FILES` of it alone, as in conns.go,ports.go")
	every := flags.Int("every", 1, "try every `N`th mutant alone, for a quick look")
	verbose := flags.Bool("v", false, "tell of mutants that are noticed, too")
	if err := flags.Parse(args); err != nil {
		return err
	}
	all := targets()
	if *name != "" {
		all = slices.DeleteFunc(all, func(t target) bool { return t.name != *name })
	}
	if len(all) == 0 {
		return fmt.Errorf("there is no target %q", *name)
	}
	known, err := readKnown(filepath.Join("hack", "mutate", "known.txt"))
	if err != nil {
		return err
	}
	missed := 0
	for _, t := range all {
		if *only != "" {
			t.files = strings.Split(*only, ",")
		}
		r := &runner{target: t, every: max(*every, 1), verbose: *verbose, out: out, known: known}
		n, err := r.run(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		missed += n
	}
	if missed > 0 {
		return fmt.Errorf("%d mutants are noticed by no test", missed)
	}
	return nil
}

// readKnown reads the mutants that no test can notice, or that need not be: lines of "file: code: change", and after # why.
func readKnown(path string) (map[string]bool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "#") {
			known[line] = true
		}
	}
	return known, nil
}
