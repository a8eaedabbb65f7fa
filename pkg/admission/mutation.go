package admission

import (
	"context"
	"strings"

	json "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/metrics"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/mutate"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// ruleDNSBlocked is the rule whose patch the mutation dnsEgress takes over.
const ruleDNSBlocked = "dns-blocked"

// mutate answers what is sent to MutatePath. The old object is read only where it matters.
func (h *Handler) mutate(ctx context.Context, body []byte) (*outcome, error) {
	r, err := decodeAny[*draft, jsontext.Value](body)
	if err != nil {
		return nil, err
	}
	o, a := outcomeOf(r), &answer{uid: r.UID, allowed: true}
	o.decision = metrics.Allowed
	var result mutate.Result
	switch k := kindOf(r.Resource, r.SubResource); {
	case k == otherKind:
		o.decision = metrics.Skipped
		a.warnings = []string{foreign(r)}
	case r.Operation == remove:
		o.decision = metrics.Skipped
	case r.Operation != create && r.Operation != update:
		return o, refuse("request.operation is %q: only CREATE, UPDATE and DELETE are judged", clip(r.Operation))
	case k == policyKind:
		result, err = h.mutatePolicy(ctx, r)
	default:
		result, err = h.mutateNamespace(r)
	}
	if err != nil {
		return o, err
	}
	o.mutations = result.Mutations
	a.patch, a.warnings = result.Patch, append(a.warnings, result.Warnings...)
	a.annotate(auditMutated, strings.Join(result.Mutations, ","))
	a.annotate(auditDecision, string(o.decision))
	o.body, err = a.encode()
	return o, err
}

func (h *Handler) mutateNamespace(r *request[*draft, jsontext.Value]) (mutate.Result, error) {
	o := r.Object.object()
	if err := o.check("object", namespaceKind); err != nil {
		return mutate.Result{}, err
	}
	meta := o.meta("")
	return mutate.Namespace(h.guard().Mutations, meta.Name, &meta), nil
}

func (h *Handler) mutatePolicy(ctx context.Context, r *request[*draft, jsontext.Value]) (mutate.Result, error) {
	o := r.Object.object()
	if err := o.check("object", policyKind); err != nil {
		return mutate.Result{}, err
	}
	g := h.guard()
	if g.Mutations.DNSEgress || len(o.Spec.PolicyTypes) == 0 || !o.settled() {
		if err := r.Object.complete(o); err != nil {
			return mutate.Result{}, err
		}
	}
	if r.Namespace == "" {
		r.Namespace = o.Metadata.Namespace
	}
	m := policyMutation{ctx: ctx, h: h, g: g, r: r, object: o}
	in := mutate.PolicyInput{Object: o.networkPolicy(r.Namespace), Authored: m.authored, Blocked: m.blocked}
	if len(g.Mutations.CopyNamespaceLabels) > 0 || g.Mutations.DNSEgress {
		var synced bool
		if m.snapshot, synced = h.options.State(); !synced {
			return mutate.Result{}, errNotReady
		}
		m.snapshot = h.known(ctx, r.Namespace, m.snapshot)
		in.NamespaceLabels = m.snapshot.NamespaceOrImplied(r.Namespace).Meta.Labels
	}
	result, err := mutate.Policy(g.Mutations, in)
	if m.err != nil {
		return result, m.err
	}
	return result, err
}

// policyMutation answers what mutate asks. The first error is kept.
type policyMutation struct {
	ctx      context.Context
	h        *Handler
	g        *guard
	r        *request[*draft, jsontext.Value]
	object   *object
	snapshot *model.Snapshot

	old     *object
	oldRead bool
	err     error
}

// replaced is the policy that is replaced; nil if there is none.
func (m *policyMutation) replaced() *object {
	if m.oldRead || m.r.Operation != update {
		return m.old
	}
	m.oldRead = true
	if err := json.Unmarshal(m.r.OldObject, &m.old); err != nil {
		m.err = refuse("request.oldObject cannot be read: %w", err)
	} else if err := m.old.check("oldObject", policyKind); err != nil {
		m.old, m.err = nil, err
	}
	return m.old
}

func (m *policyMutation) authored() model.Authored {
	authored, err := authoredBy(m.object, m.replaced(), m.object.networkPolicy(m.r.Namespace))
	if err != nil {
		m.err = err
	}
	return authored
}

// blocked are the findings of the rule dns-blocked that would deny the policy. Exemptions by name are none of its business,
// but who has a policy exempted from the rule does not want it mended.
func (m *policyMutation) blocked(np *networkingv1.NetworkPolicy) []finding.Finding {
	old := m.replaced()
	namespace := m.snapshot.NamespaceOrImplied(m.r.Namespace)
	if m.err != nil || namespace.Meta.Terminating || unevaluated(m.r.Operation, m.object, old) {
		return nil
	}
	change := model.Change{Operation: operations[m.r.Operation], Time: m.h.options.Now(), NewPolicy: model.CompilePolicy(np, m.authored())}
	if old != nil {
		change.OldPolicy = model.CompilePolicy(old.networkPolicy(m.r.Namespace), model.Authored{})
	}
	j, err := m.g.judge(m.ctx, m.snapshot, change, verdict.LevelsOf(namespace.Meta.Labels, m.g.Levels), "")
	if err != nil {
		m.err = err
		return nil
	}
	exemption, _ := model.ParseExemption(np.Annotations, m.g.RuleIDs, m.h.options.Now())
	j.decide(verdict.Exemptions{Annotated: exemption})
	var out []finding.Finding
	for i := range j.Decided {
		if d := &j.Decided[i]; d.Rule == ruleDNSBlocked && (d.Action == verdict.ActionDeny || d.WouldDeny) {
			out = append(out, d.Finding)
		}
	}
	return out
}
