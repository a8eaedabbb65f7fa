package repair

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/fix"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/source/manifest"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// file is a file that has fixes.
type file struct {
	original, content []byte
	history           *fix.History
	text              *manifest.Text
}

func (r *run) file(name string) (*file, error) {
	if f := r.files[name]; f != nil {
		return f, nil
	}
	content, err := r.input.Content(name)
	if err != nil {
		return nil, fmt.Errorf("%s %w", name, err)
	}
	f := &file{original: content, content: content, history: fix.NewHistory(content), text: manifest.NewText(content)}
	r.files[name] = f
	return f, nil
}

// apply tries the fixes, and if that cannot be proven, the first half of them, and so on.
func (r *run) apply(ctx context.Context, batch []verdict.Decided) error {
	for {
		reason, err := r.attempt(ctx, batch)
		if err != nil {
			return err
		}
		if len(batch) > 1 && reason != "" {
			batch = batch[:len(batch)/2]
			continue
		}
		for i := range batch {
			r.tried[identity(&batch[i])] = reason
		}
		return nil
	}
}

// attempt applies fixes of different policies; reason is why not all of them can be, and then none is.
func (r *run) attempt(ctx context.Context, batch []verdict.Decided) (reason string, err error) {
	edits, changed, reason, err := r.edit(batch)
	if err != nil || reason != "" {
		return reason, err
	}
	old := state{r.policies, r.snapshot, r.decided}
	for _, p := range changed {
		r.input.Store.SetPolicy(p.now)
	}
	r.policies = slices.Clone(r.policies)
	for _, p := range changed {
		r.policies[p.at] = p.now
	}
	if err := r.judge(ctx); err != nil {
		return "", err
	}
	proof := r.prove(old, batch, changed)
	if proof.reason != "" {
		for _, p := range changed {
			r.input.Store.SetPolicy(p.old)
		}
		r.policies, r.snapshot, r.decided = old.policies, old.snapshot, old.decided
		return proof.reason, nil
	}
	for name, list := range edits {
		f := r.files[name]
		f.history.Add(list)
		f.content = fix.Apply(f.content, list)
		f.text = manifest.NewText(f.content)
	}
	for i := range batch {
		r.fixes[batch[i].Subject]++
		r.fixed = append(r.fixed, Fixed{batch[i], proof.effects[batch[i].Subject]})
	}
	return "", nil
}

// state is what was judged, and how.
type state struct {
	policies []*model.Policy
	snapshot *model.Snapshot
	decided  []verdict.Decided
}

// pair is a policy before and after, and where it is among the input's policies.
type pair struct {
	at       int
	old, now *model.Policy
}

// edit writes the fixes into the files, and reads those again.
func (r *run) edit(batch []verdict.Decided) (edits map[string][]fix.Edit, changed []pair, reason string, err error) {
	edits = map[string][]fix.Edit{}
	for i := range batch {
		d := &batch[i]
		f, err := r.file(d.Source.File)
		if err != nil {
			return nil, nil, "", err
		}
		more, err := f.text.Edits(&d.Finding)
		if err != nil {
			return nil, nil, "the policy " + err.Error(), nil
		}
		edits[d.Source.File] = append(edits[d.Source.File], more...)
	}
	for name, list := range edits {
		slices.SortFunc(list, func(a, b fix.Edit) int { return a.Start - b.Start })
		for i := 1; i < len(list); i++ {
			if list[i].Start < list[i-1].End {
				return nil, nil, errMoved.Error(), nil
			}
		}
		pairs, err := r.reread(name, fix.Apply(r.files[name].content, list))
		if err != nil {
			return nil, nil, err.Error(), nil
		}
		changed = append(changed, pairs...)
	}
	return edits, changed, "", nil
}

// errMoved is a file that is not read as it was.
var errMoved = errors.New("the corrected file would not be read as before")

// reread reads a file as edited. All its policies are of the new text, because lines have moved.
func (r *run) reread(name string, content []byte) ([]pair, error) {
	before, after := manifest.Read(name, r.files[name].content), manifest.Read(name, content)
	switch {
	case len(after.Problems) > 0:
		return nil, fmt.Errorf("the API server would refuse the outcome: %s", after.Problems[0].Message)
	case len(before.Policies) != len(after.Policies):
		return nil, errMoved
	}
	places := map[finding.Source][]int{}
	for i, p := range r.policies {
		if p.Source.File == name {
			places[p.Source] = append(places[p.Source], i)
		}
	}
	var out []pair
	for i, p := range before.Policies {
		// One that is not there has another of its name after it, in another file.
		if at := r.known(places[p.Source], p); at >= 0 {
			now := *after.Policies[i]
			now.Name = r.policies[at].Name
			out = append(out, pair{at, r.policies[at], &now})
		}
	}
	return out, nil
}

// known is which of the policies is the one that was read again. A name that is to be made may have got a number.
func (r *run) known(places []int, p *model.Policy) int {
	for _, matches := range []func(name string) bool{
		func(name string) bool { return name == p.Name },
		func(name string) bool { return strings.HasPrefix(name, p.Name) },
	} {
		for _, at := range places {
			if q := r.policies[at]; q.Namespace == p.Namespace && matches(q.Name) {
				return at
			}
		}
	}
	return -1
}
