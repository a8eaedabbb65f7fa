package admission

import (
	"context"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/metrics"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// validatePolicy judges the write of a NetworkPolicy.
func (h *Handler) validatePolicy(ctx context.Context, r *request[*object, *object], o *outcome, a *answer) error {
	if err := subjects(r); err != nil {
		return err
	}
	if r.Namespace == "" && r.Object != nil {
		r.Namespace = r.Object.Metadata.Namespace
	}
	g := h.guard()
	a.annotate(auditMode, string(g.Mode))
	if unevaluated(r.Operation, r.Object, r.OldObject) {
		o.decision = metrics.Skipped
		return nil
	}
	exempt := g.Exemptions.Reason(r.Namespace, r.UserInfo.Username, r.UserInfo.Groups)
	snapshot, synced := h.options.State()
	if !synced {
		return unsynced(exempt, o, a)
	}
	snapshot = h.known(ctx, r.Namespace, snapshot)
	if snapshot.NamespaceOrImplied(r.Namespace).Meta.Terminating {
		o.decision = metrics.Skipped
		return nil
	}
	change, err := h.policyChange(r, g.Facts.Objects)
	if err != nil {
		return err
	}
	j, err := g.judgePolicy(ctx, snapshot, change, exempt)
	if err != nil {
		return err
	}
	if j.refuses() {
		if newer := h.confirmed(ctx, r.Namespace, snapshot); newer != snapshot {
			if j, err = g.judgePolicy(ctx, newer, change, exempt); err != nil {
				return err
			}
		}
	}
	if j == nil { // it has begun to terminate meanwhile
		o.decision = metrics.Skipped
		return nil
	}
	if j.Unjudged != "" && exempt == "" && g.Mode == verdict.ModeEnforce && j.policy.Levels.Enforce > finding.Privileged {
		return fmt.Errorf("NetworkPolicy %s is not judged. %s", clip(change.Policy().Subject().String()), j.Unjudged)
	}
	refusal, err := h.honour(ctx, g, j, change.Policy(), r.UserInfo)
	if err != nil {
		return err
	}
	j.tell(r.UserInfo, o, a, "networking.k8s.io", "networkpolicies")
	if refusal != "" {
		a.add(refusal)
	}
	if !j.Denied && exempt == "" && j.policy.Levels.Warn > finding.Privileged {
		for _, line := range j.Diff() {
			a.add("portcullis: " + line)
		}
	}
	return ctx.Err()
}

// judgePolicy judges the change by the levels of its namespace; nil if that is terminating, where nothing is judged.
func (g *guard) judgePolicy(ctx context.Context, prior *model.Snapshot, change model.Change, exempt string) (*judged, error) {
	namespace := prior.NamespaceOrImplied(change.Policy().Namespace)
	if namespace.Meta.Terminating {
		return nil, nil
	}
	return g.judge(ctx, prior, change, verdict.LevelsOf(namespace.Meta.Labels, g.Levels), exempt)
}

// confirmTime is the most time that is spent on reading a namespace again; less if the review has less left.
const confirmTime = 2 * time.Second

// confirmed is the state to deny by. The state that is kept is behind the cluster by some milliseconds, and who applies a
// folder writes the Service or the policy that allows DNS just before the policy that is judged: so no denial is given before the
// namespace has been read again. Where it cannot be, the verdict stands.
//
// The opposite, a policy that is admitted because what forbids it is not seen yet, is asked for only where the namespace itself is not
// seen yet (known): reading the namespace again for every write would cost the API server more than the writes do. Two writes that only
// together violate a rule can always cross each other, as no admission webhook sees both; what stands then is a finding of the next pass
// over the cluster.
func (h *Handler) confirmed(ctx context.Context, namespace string, snapshot *model.Snapshot) *model.Snapshot {
	if h.options.Confirm == nil {
		return snapshot
	}
	limit := confirmTime
	if deadline, set := ctx.Deadline(); set {
		limit = min(limit, time.Until(deadline)/2)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	newer, err := h.options.Confirm(ctx, namespace)
	if err != nil {
		h.options.Log.Warn("judged by a state that may be behind", "namespace", namespace, "error", err.Error())
		return snapshot
	}
	return newer
}

// known is the state, read again if it lacks the namespace, which has just been made then: its labels say how its first policies are
// judged.
func (h *Handler) known(ctx context.Context, namespace string, snapshot *model.Snapshot) *model.Snapshot {
	if snapshot.NamespaceOrImplied(namespace).Meta.Described {
		return snapshot
	}
	return h.confirmed(ctx, namespace, snapshot)
}

// unsynced answers while the state of the cluster is not known: what is exempt need not wait for it.
func unsynced(exempt string, o *outcome, a *answer) error {
	if exempt == "" {
		return errNotReady
	}
	o.decision = metrics.Exempt
	a.annotate(auditExempt, exempt)
	return nil
}

// change is what the review does to the cluster, without the objects.
func (h *Handler) change(r *request[*object, *object]) model.Change {
	return model.Change{
		Operation: operations[r.Operation], Time: h.options.Now(), DryRun: r.DryRun,
		Requester: &model.Requester{Username: r.UserInfo.Username, UID: r.UserInfo.UID, Groups: r.UserInfo.Groups},
	}
}

// policyChange is what the review does to the cluster, with the objects themselves if the rules look at them.
func (h *Handler) policyChange(r *request[*object, *object], whole bool) (model.Change, error) {
	change := h.change(r)
	var err error
	if r.Operation != create {
		if change.OldPolicy, err = r.OldObject.policy(r, nil, whole); err != nil {
			return change, err
		}
	}
	if r.Operation != remove {
		change.NewPolicy, err = r.Object.policy(r, r.OldObject, whole)
	}
	return change, err
}

// policy compiles the policy for the engine. old is the one that it replaces; nil if there is none.
func (o *object) policy(r *request[*object, *object], old *object, whole bool) (*model.Policy, error) {
	np := o.networkPolicy(r.Namespace)
	authored, err := authoredBy(o, old, np)
	if err != nil {
		return nil, err
	}
	p := model.CompilePolicy(np, authored)
	if whole {
		if np.Annotations, err = o.Metadata.Annotations.all(r.body); err != nil {
			return nil, err
		}
		p.KeepObject(np)
	}
	return p, nil
}

// honour applies the exemption that the policy's annotations ask for, if the requester may exempt. Nobody is asked unless
// something is found that it would exempt. The text tells why it is not honoured.
func (h *Handler) honour(ctx context.Context, g *guard, j *judged, p *model.Policy, user authenticationv1.UserInfo) (refusal string, err error) {
	if j.Exempt != "" || p.Annotations[model.AnnotationExempt] == "" {
		return "", nil
	}
	exemption, _ := model.ParseExemption(p.Annotations, g.RuleIDs, h.options.Now())
	matters, denies := false, false
	for i := range j.Decided {
		if exemption.Covers(j.Decided[i].Rule) {
			matters = true
			denies = denies || j.Decided[i].Action == verdict.ActionDeny
		}
	}
	if !matters {
		return "", nil
	}
	allowed, err := h.options.Authorize(ctx, user, p.Namespace, p.Name)
	switch {
	case err != nil && denies:
		return "", fmt.Errorf("whether %s may exempt NetworkPolicies could not be told: %w", clip(user.Username), err)
	case err != nil:
		h.options.Log.Warn("exemption not checked", "user", clip(user.Username), "subject", p.Subject().String(), "error", err.Error())
		return "portcullis: the exemption is left out of account, because it could not be told whether you may exempt NetworkPolicies", nil
	case !allowed:
		return "portcullis: the exemption is left out of account: " + clip(user.Username) +
			" may not exempt networkpolicies in the API group portcullis.dev here", nil
	}
	j.decide(verdict.Exemptions{Annotated: exemption})
	return "", nil
}
