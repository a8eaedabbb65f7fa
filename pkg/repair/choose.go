package repair

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/finding"
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

// next is a fix for each policy that has one to be tried: those of the strictest level that there are, for each policy the
// most severe one.
func (r *run) next() []verdict.Decided {
	best := map[finding.Subject]*verdict.Decided{}
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
		if old := best[d.Subject]; old == nil || before(d, old) {
			best[d.Subject] = d
		}
	}
	var out []verdict.Decided
	for _, d := range best {
		switch {
		case len(out) == 0 || d.Level < out[0].Level:
			out = []verdict.Decided{*d}
		case d.Level == out[0].Level:
			out = append(out, *d)
		}
	}
	slices.SortFunc(out, func(a, b verdict.Decided) int { return finding.Compare(a.Finding, b.Finding) })
	return out
}

func before(a, b *verdict.Decided) bool {
	return cmp.Or(cmp.Compare(a.Level, b.Level), cmp.Compare(b.Severity, a.Severity), finding.Compare(a.Finding, b.Finding)) < 0
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
