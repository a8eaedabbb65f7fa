package isolate

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	networkingv1 "k8s.io/client-go/kubernetes/typed/networking/v1"
	"k8s.io/utils/ptr"

	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// Keeper does what Plan plans. It is not safe for concurrent use.
type Keeper struct {
	Client networkingv1.NetworkPoliciesGetter
	Log    *slog.Logger

	told map[string]bool
	// refused are the namespaces in which the API server has refused something, as they were then, by config in round.
	refused map[string]*model.Namespace
	config  *config.Config
	round   int
}

// Keep brings the namespaces of the snapshot into the state that is asked for. While mode is audit it says what it would do, and
// does nothing.
//
// What fails is tried again the next time; what the API server refuses, only when the namespace or the configuration is another, or with
// another round. Until then nothing more is done in the namespace, so that no egress is closed before the way to DNS is open, nor
// that closed while egress is.
func (k *Keeper) Keep(ctx context.Context, s *model.Snapshot, c *config.Config, round int) {
	plan, err := Plan(s, c)
	if err != nil {
		k.once("plan", func() { k.Log.Error("namespaces cannot be isolated", "error", err.Error()) })
		return
	}
	if c.Mode == verdict.ModeAudit {
		k.rehearse(plan)
		return
	}
	if k.refused == nil || k.config != c || k.round != round {
		k.refused, k.config, k.round = map[string]*model.Namespace{}, c, round
	}
	failed := map[string]bool{}
	for i := range plan {
		a := &plan[i]
		ns := s.Namespace(a.Namespace)
		if failed[a.Namespace] || k.refused[a.Namespace] == ns {
			continue
		}
		err := k.do(ctx, a)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			continue
		}
		failed[a.Namespace] = true
		if apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) {
			k.refused[a.Namespace] = ns
		}
		k.failure(a, err)
	}
}

// rehearse says what would be done.
func (k *Keeper) rehearse(plan []Action) {
	for i := range plan {
		message := "the policy would be written, but for mode: audit"
		if plan[i].Apply == nil {
			message = "the policy would be removed, but for mode: audit"
		}
		k.once(message+plan[i].key(), func() { k.Log.Info(message, plan[i].attributes()...) })
	}
}

func (a *Action) key() string { return " " + a.Namespace + "/" + a.Name }

func (a *Action) attributes() []any { return []any{"namespace", a.Namespace, "policy", a.Name} }

// errStays is that a policy stays which was to be removed.
var errStays = errors.New("the policy stays")

// failure tells of one, but for those that the next look at the namespace mends.
func (k *Keeper) failure(a *Action, err error) {
	if errors.Is(err, errStays) || apierrors.IsNotFound(err) || apierrors.IsConflict(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return
	}
	message := "the policy cannot be written"
	if a.Apply == nil {
		message = "the policy cannot be removed"
	}
	k.Log.Error(message, append(a.attributes(), "error", err.Error())...)
}

func (k *Keeper) do(ctx context.Context, a *Action) error {
	if a.Apply == nil {
		return k.remove(ctx, a)
	}
	data, err := applied(a.Apply)
	if err != nil {
		return err
	}
	_, err = k.Client.NetworkPolicies(a.Namespace).Patch(ctx, a.Name, types.ApplyPatchType, data, metav1.PatchOptions{FieldManager: FieldManager, Force: ptr.To(true)})
	if err != nil {
		return err
	}
	switch {
	case a.Old == nil:
		k.Log.Info("the policy is written, as the namespace is to be isolated", a.attributes()...)
	case a.Old.Kept():
		k.Log.Info("the policy is written again, as it was not what the namespace is to have", a.attributes()...)
	default:
		k.Log.Warn("the policy is overwritten, as it was not marked as Portcullis's own: give policies of your own another name", a.attributes()...)
	}
	return nil
}

// remove removes the policy that stands there now, if Portcullis has written it. If another has taken its place meanwhile, or it has
// changed, the API server refuses, and the next look at the namespace decides.
func (k *Keeper) remove(ctx context.Context, a *Action) error {
	policies := k.Client.NetworkPolicies(a.Namespace)
	left := "left " + string(a.Old.UID)
	if k.told[left] {
		return errStays
	}
	np, err := policies.Get(ctx, a.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return err
	case np.UID != a.Old.UID || np.Labels[model.LabelManagedBy] != model.ManagedByPortcullis:
		return errStays // the watch has yet to tell of it
	case !slices.ContainsFunc(np.ManagedFields, func(m metav1.ManagedFieldsEntry) bool {
		return m.Manager == FieldManager && m.Operation == metav1.ManagedFieldsOperationApply
	}):
		k.once(left, func() {
			k.Log.Warn("the policy stays, as Portcullis has not written it: delete it if nothing needs it", a.attributes()...)
		})
		return errStays
	}
	err = policies.Delete(ctx, a.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &np.UID, ResourceVersion: &np.ResourceVersion}})
	if err == nil {
		k.Log.Info("the policy is removed, as nothing asks for it any more", a.attributes()...)
	}
	return err
}

// applied is the policy for server-side apply. Of the directions that it isolates, lists without items are written, too: so they
// are Portcullis's own, and replace what somebody else has added.
func applied(np *netv1.NetworkPolicy) ([]byte, error) {
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(np)
	if err != nil {
		return nil, err
	}
	for _, d := range np.Spec.PolicyTypes {
		field := strings.ToLower(string(d))
		if _, there, _ := unstructured.NestedSlice(object, "spec", field); !there {
			if err := unstructured.SetNestedSlice(object, []any{}, "spec", field); err != nil {
				return nil, err
			}
		}
	}
	return json.Marshal(object)
}

// once tells something once.
func (k *Keeper) once(key string, tell func()) {
	if k.told == nil {
		k.told = map[string]bool{}
	}
	if !k.told[key] {
		k.told[key] = true
		tell()
	}
}
