package certs

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/portcullis-dev/portcullis/certs/rotation"
)

// Step does one step of the elected replica's work at a time, as Run does, and says when the next one is due.
func (k *Kept) Step(ctx context.Context, now func() time.Time) func() (time.Time, error) {
	keeper := &keeper{InCluster: k.InCluster, policy: k.policy, events: silent{}, now: now}
	return func() (time.Time, error) { return keeper.step(ctx) }
}

// Policy is what the rotation is by.
func (k *Kept) Policy() rotation.Policy { return k.policy }

type silent struct{}

func (silent) Eventf(_, _ runtime.Object, _, _, _, _ string, _ ...any) {}

// Wanted is what is applied for cert-manager.
func (m *Managed) Wanted() ([]*unstructured.Unstructured, error) {
	a := &applier{Managed: m}
	var out []*unstructured.Unstructured
	for _, o := range a.wanted() {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o.object)
		if err != nil {
			return nil, err
		}
		out = append(out, &unstructured.Unstructured{Object: content})
	}
	return out, nil
}
