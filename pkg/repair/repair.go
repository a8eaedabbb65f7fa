// Package repair applies the patches of findings to the manifests that they are about, and keeps only what a new judgement of
// the whole input proves:
//   - the finding is gone;
//   - there is no violation, in any object, that was not there before, of a rule of the same level or of a stricter one
//     (baseline is stricter than restricted);
//   - no connection is allowed that was forbidden, unless the rule says that its fix opens something (rule.Doc.Opens).
//
// Findings of a stricter level come first, and those of one policy one after another, because each fix can change what else
// is found. Fixes of different policies are tried together; where that cannot be proven, fewer of them are, down to one.
package repair

import (
	"bytes"
	"context"
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/fix"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/source/manifest"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// Options say what is repaired, and how it is judged.
type Options struct {
	// Judge decides about the policies, their namespaces and the cluster, as they stand in the snapshot.
	Judge func(ctx context.Context, s *model.Snapshot, policies []*model.Policy) ([]verdict.Decided, error)
	// Facts are those that the input's snapshots are made with.
	Facts model.Facts
	// Wanted says whether a finding is to be fixed.
	Wanted func(*verdict.Decided) bool
	// MayOpen says whether the fixes of a rule may open something.
	MayOpen func(rule string) bool
}

// Result is what has become of the input.
type Result struct {
	// Files are those that are changed, in the order of the input.
	Files []File
	// Fixed are the findings that are gone, in the order of their fixes.
	Fixed []Fixed
	// Skipped are findings that have a patch which was not applied. Their sources are those of the corrected input.
	Skipped []Skipped
	// Left is what is found in the corrected input, with sources of the corrected text: see File.OldLine.
	Left []verdict.Decided
}

// File is the content of a file before and after.
type File struct {
	Name     string
	Old, New []byte
	Edits    []fix.Edit // of Old
}

// OldLine is the line of Old that stands on a line of New, both from 1: for a line that is new, the one that it comes before.
func (f *File) OldLine(line int) int {
	at := 0
	for range line - 1 {
		end := bytes.IndexByte(f.New[at:], '\n')
		if end < 0 {
			break
		}
		at += end + 1
	}
	for at < len(f.New) && (f.New[at] == ' ' || f.New[at] == '-') {
		at++
	}
	moved := 0 // how much further along New is
	for _, edit := range f.Edits {
		start := edit.Start + moved
		if at < start {
			break
		}
		if at < start+len(edit.New) {
			at, moved = edit.Start, 0
			break
		}
		moved += len(edit.New) - (edit.End - edit.Start)
	}
	return 1 + bytes.Count(f.Old[:at-moved], []byte("\n"))
}

// Fixed is a finding whose fix was applied.
type Fixed struct {
	verdict.Decided
	// Effects tell what the fix closes and opens for the pods that there are: "closes: * → shop/web TCP/9090 (3 pods)".
	Effects []string
}

// Skipped is a finding whose fix was not applied, and why, in words that follow "not fixed: ".
type Skipped struct {
	verdict.Decided
	Reason string
}

// mostFixes bounds the fixes of one policy.
const mostFixes = 100

// Run repairs what was read. It reads the files again, so that they must not change meanwhile, and it puts the repaired
// policies into the input's store. The error says that the input could not be read or judged.
func Run(ctx context.Context, in *manifest.Result, o Options) (*Result, error) {
	r := &run{Options: o, input: in, policies: slices.Clone(in.Policies), files: map[string]*file{}, tried: map[string]string{}, fixes: map[finding.Subject]int{}}
	if err := r.judge(ctx); err != nil {
		return nil, err
	}
	for {
		batch := r.next()
		if len(batch) == 0 {
			break
		}
		if err := r.apply(ctx, batch); err != nil {
			return nil, err
		}
	}
	return r.result(), nil
}

// run is the state of the input between two fixes.
type run struct {
	Options
	input    *manifest.Result
	policies []*model.Policy
	files    map[string]*file
	snapshot *model.Snapshot
	decided  []verdict.Decided
	// tried are the fixes that are not to be tried again, by what they do, and why.
	tried map[string]string
	fixes map[finding.Subject]int // by policy
	fixed []Fixed
}

// judge judges the input as it is by now.
func (r *run) judge(ctx context.Context) (err error) {
	r.snapshot = r.input.Store.Snapshot(r.Facts)
	r.decided, err = r.Judge(ctx, r.snapshot, r.policies)
	return err
}

func (r *run) result() *Result {
	out := &Result{Fixed: r.fixed, Left: r.decided}
	for i := range r.decided {
		d := &r.decided[i]
		if reason, was := r.tried[identity(d)]; was && r.isCandidate(d) {
			out.Skipped = append(out.Skipped, Skipped{*d, reason})
		}
	}
	for _, name := range r.input.Files {
		if f := r.files[name]; f != nil && string(f.original) != string(f.content) {
			out.Files = append(out.Files, File{name, f.original, f.content, f.history.Edits()})
		}
	}
	return out
}
