package isolate_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	networkingv1 "k8s.io/client-go/kubernetes/typed/networking/v1"

	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/isolate"
	"github.com/portcullis-dev/portcullis/pkg/rules"
	"github.com/portcullis-dev/portcullis/pkg/source/manifest"
)

// refusing is a cluster that refuses to write one policy, and remembers the others.
type refusing struct {
	networkingv1.NetworkPolicyInterface
	namespace, refused string
	written            *[]string
}

func (r refusing) NetworkPolicies(namespace string) networkingv1.NetworkPolicyInterface {
	r.namespace = namespace
	return r
}

func (r refusing) Patch(_ context.Context, name string, _ types.PatchType, _ []byte, _ metav1.PatchOptions, _ ...string) (*netv1.NetworkPolicy, error) {
	if key := r.namespace + "/" + name; key != r.refused {
		*r.written = append(*r.written, key)
		return &netv1.NetworkPolicy{}, nil
	}
	return nil, errors.New("refused")
}

func TestIfTheWayToDNSCannotBeOpenedThenEgressIsNotIsolated(t *testing.T) {
	foreign := strings.ReplaceAll(deny("b", "", "{podSelector: {}, policyTypes: [Egress]}"), isolate.DefaultDeny, isolate.AllowDNS)
	for name, c := range map[string]struct {
		refused, manifests string
		want               []string
	}{
		"if all can be written, then all is": {
			"", "", []string{"a/portcullis-allow-dns", "a/portcullis-default-deny", "b/portcullis-allow-dns", "b/portcullis-default-deny"}},
		"if the way to DNS is refused in one namespace, then the other has both": {
			"a/portcullis-allow-dns", "", []string{"b/portcullis-allow-dns", "b/portcullis-default-deny"}},
		"if its name is taken, then the default deny waits, too": {
			"", foreign, []string{"a/portcullis-allow-dns", "a/portcullis-default-deny"}},
	} {
		t.Run(name, func(t *testing.T) {
			guard, err := config.Load([]byte("isolateNamespaces: all"), "guard.yaml", rules.Catalogue())
			require.NoError(t, err)
			result, err := manifest.Load(t.Context(), []string{manifest.Stdin}, strings.NewReader(namespace("a", "")+namespace("b", "")+c.manifests))
			require.NoError(t, err)
			var written []string
			k := isolate.Keeper{Client: refusing{refused: c.refused, written: &written}, Log: slog.New(slog.DiscardHandler)}
			k.Keep(t.Context(), result.Store.Snapshot(guard.Facts), guard)
			assert.Equal(t, c.want, written)
		})
	}
}
