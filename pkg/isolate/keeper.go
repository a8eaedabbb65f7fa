package isolate

import (
	"context"
	"encoding/json"
	"log/slog"
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
}

// Keep brings the namespaces of the snapshot into the state that is asked for. While mode is audit it says what it would do, and
// does nothing. Egress is not isolated where the way to DNS cannot be opened before.
func (k *Keeper) Keep(ctx context.Context, s *model.Snapshot, c *config.Config) {
	plan, err := Plan(s, c)
	if err != nil {
		k.once("plan", func() { k.Log.Error("namespaces cannot be isolated", "error", err.Error()) })
		return
	}
	withoutDNS := "" // the namespace whose way to DNS is asked for, and not open
	for i := range plan {
		a := &plan[i]
		if ctx.Err() != nil {
			return
		}
		if a.Namespace == withoutDNS && a.Name == DefaultDeny && a.Apply != nil {
			continue
		}
		key := a.Namespace + "/" + a.Name
		switch {
		case a.Foreign:
			if a.Name == AllowDNS {
				withoutDNS = a.Namespace
			}
			k.once("foreign "+key, func() {
				k.Log.Warn("a namespace is not isolated, as it has a policy of the same name that is not Portcullis's: rename that one",
					"namespace", a.Namespace, "policy", a.Name)
			})
		case c.Mode == verdict.ModeAudit:
			k.once("dry run "+key, func() {
				k.Log.Info("would change a default deny, but for mode: audit", "namespace", a.Namespace, "policy", a.Name, "remove", a.Apply == nil)
			})
		default:
			if done := k.do(ctx, a); !done && a.Name == AllowDNS {
				withoutDNS = a.Namespace
			}
		}
	}
}

// do says whether it is done.
func (k *Keeper) do(ctx context.Context, a *Action) bool {
	policies := k.Client.NetworkPolicies(a.Namespace)
	var err error
	if a.Apply == nil {
		err = policies.Delete(ctx, a.Name, metav1.DeleteOptions{})
	} else {
		var data []byte
		if data, err = applied(a.Apply); err == nil {
			_, err = policies.Patch(ctx, a.Name, types.ApplyPatchType, data, metav1.PatchOptions{FieldManager: FieldManager, Force: ptr.To(true)})
		}
	}
	switch {
	case err == nil:
		k.Log.Info("a default deny is in place, or is gone, as the namespace asks", "namespace", a.Namespace, "policy", a.Name, "removed", a.Apply == nil)
	case apierrors.IsNotFound(err), apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause), ctx.Err() != nil:
	default:
		k.Log.Error("a default deny cannot be written", "namespace", a.Namespace, "policy", a.Name, "error", err.Error())
	}
	return err == nil
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
