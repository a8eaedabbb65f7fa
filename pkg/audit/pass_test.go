package audit

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rules"
	"github.com/portcullis-dev/portcullis/test/bench"
)

// BenchmarkPassOverWhatHasChanged has a namespace come and go that no policy speaks of, and a policy change in a large cluster. What it
// measures is all of a pass but the rests.
func BenchmarkPassOverWhatHasChanged(b *testing.B) {
	cfg, err := config.Load(nil, "", rules.Catalogue())
	require.NoError(b, err)
	store := model.NewStore()
	require.NoError(b, bench.Fill(store, bench.Size{Namespaces: 1_000, Pods: 100_000, Policies: 10_000}))
	facts := model.Facts{Live: true}
	without := store.Snapshot(facts)
	store.SetNamespace(model.NewNamespaceMeta(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "guest"}}))
	with := store.Snapshot(facts)
	old := with.Namespace(bench.SubjectNamespace).Policies[0]
	changed := *old
	changed.Annotations = map[string]string{"changed": "yes"}
	store.SetPolicy(&changed)
	edited := store.Snapshot(facts)

	for name, other := range map[string]*model.Snapshot{"a namespace": without, "a policy": edited} {
		b.Run(name, func(b *testing.B) {
			current := with
			a := New(Options{
				Snapshot: func() (*model.Snapshot, bool) { return current, true }, Config: func() *config.Config { return cfg },
				Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler),
			})
			a.spaces = map[string]*space{}
			a.pass(b.Context(), true)
			for b.Loop() {
				if current = with; a.snapshot == with {
					current = other
				}
				a.pass(b.Context(), false)
			}
		})
	}
}
