package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// leastFixtures is how many bad and how many good fixtures a rule needs, and leastOfFirst how many those of firstRules do.
const (
	leastFixtures = 4
	leastOfFirst  = 5
)

// firstRules are the rules that all of the others build upon.
var firstRules = []string{
	"internet-ingress", "dns-blocked", "rules-ignored", "dns-server-exposed", "invalid-setting", "external-ingress", "internet-egress",
	"metadata-egress", "dns-udp-only", "policy-types-unset", "all-ports", "all-namespaces", "unisolates-pods",
}

// unwritten are the words of the scaffold by which it leaves a text to the author of a rule.
var unwritten = []string{"write here", "say here"}

// lacking is what a rule still lacks.
func lacking(root fs.FS, id string) []error {
	source, folder := rulesFolder+"/"+strings.ReplaceAll(id, "-", "_")+".go", rulesFolder+"/testdata/"+id
	least := leastFixtures
	if slices.Contains(firstRules, id) {
		least = leastOfFirst
	}
	out := left(root, id, source)
	for _, kind := range []string{"bad", "good"} {
		files, err := fs.Glob(root, folder+"/"+kind+"/*.yaml")
		if err != nil {
			return append(out, err)
		}
		files = slices.DeleteFunc(files, func(name string) bool { return strings.HasSuffix(name, ".before.yaml") })
		for _, name := range files {
			out = append(out, left(root, id, name)...)
		}
		if n := len(files); n < least {
			out = append(out, fmt.Errorf("rule %s: %s/%s needs at least %d fixtures and has %d: write %d more", id, folder, kind, least, n, least-n))
		}
	}
	golden := folder + "/findings.txt"
	if text, err := fs.ReadFile(root, golden); err != nil || len(bytes.TrimSpace(text)) == 0 {
		out = append(out, fmt.Errorf("rule %s: %s is missing: write it with go test ./pkg/rules -update, and read it", id, golden))
	}
	return out
}

// left are the lines of a file that the scaffold has left to the author.
func left(root fs.FS, id, name string) []error {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return []error{fmt.Errorf("rule %s: %w", id, err)}
	}
	var out []error
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		for _, words := range unwritten {
			if at := strings.Index(strings.ToLower(line), words); at >= 0 {
				text, _, _ := strings.Cut(strings.TrimSpace(line[at:]), `"`)
				out = append(out, fmt.Errorf("rule %s: %s:%d still says %q: write it", id, name, number, text))
			}
		}
	}
	return out
}
