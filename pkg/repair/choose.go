package repair

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// isCandidate is whether the finding is wanted and has a patch of a policy in the input.
func (r *run) isCandidate(d *verdict.Decided) bool {
	return len(d.Patch) > 0 && d.Subject.Kind == finding.KindNetworkPolicy && d.Source.File != "" && d.Outcome != finding.Undetermined && r.Wanted(d)
}

// identity is what a fix does.
func identity(d *verdict.Decided) string {
	patch, err := json.Marshal(d.Patch)
	if err != nil {
		return d.Rule + " " + d.Subject.String()
	}
	return d.Rule + " " + d.Subject.String() + " " + string(patch)
}

// next are fixes to be tried together: of the strictest level that there is, the most severe first and those of most pods,
// and none for pods that another one is for. One fix often makes others superfluous.
func (r *run) next() []verdict.Decided {
	var all []*verdict.Decided
	for i := range r.decided {
		d := &r.decided[i]
		if !r.isCandidate(d) {
			continue
		}
		if _, was := r.tried[identity(d)]; was {
			continue
		}
		if reason := r.refusal(d); reason != "" {
			r.tried[identity(d)] = reason
			continue
		}
		all = append(all, d)
	}
	slices.SortStableFunc(all, func(a, b *verdict.Decided) int {
		return cmp.Or(cmp.Compare(a.Level, b.Level), cmp.Compare(b.Severity, a.Severity), cmp.Compare(b.Pods, a.Pods))
	})
	policies := map[finding.Subject]*model.Policy{}
	for _, p := range r.policies {
		policies[p.Subject()] = p
	}
	view := reach.NewView(r.snapshot)
	var out []verdict.Decided
	chosen := map[string][]*model.Policy{}
	for _, d := range all {
		p := policies[d.Subject]
		if p == nil || len(out) > 0 && d.Level != out[0].Level {
			continue
		}
		overlaps := func(o *model.Policy) bool { return o == p || selectsSome(view, o, p) || selectsSome(view, p, o) }
		if !slices.ContainsFunc(chosen[p.Namespace], overlaps) {
			out = append(out, *d)
			chosen[p.Namespace] = append(chosen[p.Namespace], p)
		}
	}
	return out
}

// selectsSome is whether the policy selects some of the pods that the other one is judged by.
func selectsSome(view *reach.View, p, other *model.Policy) bool {
	return slices.ContainsFunc(view.Select(other).Classes, func(c *model.PodClass) bool { return p.PodSelector.Matches(c.Labels) })
}

// refusal is why the fix cannot be tried; empty if it can.
func (r *run) refusal(d *verdict.Decided) string {
	other, repeated := r.input.Repeated[d.Subject]
	switch {
	case repeated:
		return fmt.Sprintf("the policy is also at %s:%d: keep one of the two", other.File, other.Line)
	case r.fixes[d.Subject] >= mostFixes:
		return fmt.Sprintf("%d fixes of one policy are enough: run it again", mostFixes)
	}
	for _, p := range r.input.Problems {
		if p.File == d.Source.File {
			return "its file has problems: mend those first"
		}
	}
	return ""
}
