package admission

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/metrics"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// validateNamespace judges the write of a Namespace. Deleting one is never refused.
func (h *Handler) validateNamespace(ctx context.Context, r *request[*object, *object], o *outcome, a *answer) error {
	if err := subjects(r); err != nil {
		return err
	}
	g := h.guard()
	a.annotate(auditMode, string(g.Mode))
	if r.Operation == remove || unevaluated(r.Operation, r.Object, r.OldObject) {
		o.decision = metrics.Skipped
		return nil
	}
	change := h.change(r)
	var err error
	if change.NewNS, err = r.Object.namespaceMeta(r.body, g.Facts.Objects); err != nil {
		return err
	}
	if r.Operation == update {
		if change.OldNS, err = r.OldObject.namespaceMeta(r.body, g.Facts.Objects); err != nil {
			return err
		}
	}
	exempt := g.Exemptions.Reason(change.NewNS.Name, r.UserInfo.Username, r.UserInfo.Groups)
	snapshot, synced := h.options.State()
	if !synced {
		return unsynced(exempt, o, a)
	}
	levels := verdict.LevelsOf(change.NewNS.Labels, g.Levels)
	j, err := g.judge(ctx, snapshot, change, levels, exempt)
	if err != nil {
		return err
	}
	if !j.Denied && change.OldNS != nil && exempt == "" && levels.Enforce > verdict.LevelsOf(change.OldNS.Labels, g.Levels).Enforce {
		world := h.confirmed(ctx, change.NewNS.Name, snapshot).With(change)
		a.warnings = h.violators(ctx, g, world, change.NewNS.Name, levels.Enforce)
	}
	j.tell(r.UserInfo, o, a, "", "namespaces")
	return nil
}

// mostViolators is how many policies are listed when a Namespace is relabelled.
const mostViolators = 10

// relabelTime is the most time that is spent on listing policies; less if the review has less left.
const relabelTime = time.Second

// violators lists the policies of the namespace that violate the level as they stand.
func (h *Handler) violators(ctx context.Context, g *guard, world *model.Snapshot, namespace string, level finding.Level) []string {
	limit := relabelTime
	if deadline, set := ctx.Deadline(); set {
		limit = min(limit, time.Until(deadline)/2)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var out []string
	listed, more, looked := 0, 0, 0
	policies := world.NamespaceOrImplied(namespace).Policies
	for _, p := range policies {
		if p.Deleting {
			looked++
			continue
		}
		review, err := g.engine.ReviewWithin(ctx, world, model.Change{Time: h.options.Now(), OldPolicy: p, NewPolicy: p})
		if err != nil {
			break
		}
		looked++
		exemption, _ := model.ParseExemption(p.Annotations, g.RuleIDs, h.options.Now())
		v := verdict.Decide(verdict.Policy{Levels: verdict.Levels{Enforce: level}}, verdict.Exemptions{Annotated: exemption}, review.Findings, nil)
		switch {
		case !v.Denied:
		case listed < mostViolators:
			listed++
			out = append(out, fmt.Sprintf("portcullis: existing NetworkPolicy %s violates level %q: %s", p.Subject(), level, strings.Join(denying(&v), ", ")))
		default:
			more++
		}
	}
	if more > 0 {
		out = append(out, fmt.Sprintf("portcullis: and %d more existing NetworkPolicies violate it", more))
	}
	if looked < len(policies) {
		out = append(out, fmt.Sprintf("portcullis: there was time to look at %d of %d NetworkPolicies: portcullis audit looks at all", looked, len(policies)))
	}
	return out
}

// denying are the ids of the rules that deny, each once, in the order of the findings.
func denying(v *verdict.Verdict) []string {
	var out []string
	for i := range v.Decided {
		if d := &v.Decided[i]; d.Action == verdict.ActionDeny && !slices.Contains(out, d.Rule) {
			out = append(out, d.Rule)
		}
	}
	return out
}
