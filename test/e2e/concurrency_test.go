package e2e

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestAPolicyThatFiftyClientsChangeAtOnceIsNeverAViolatingOne(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.pod("api", 9090)
	policies := shared.cluster.Client.NetworkingV1().NetworkPolicies(s.namespace)
	narrow := violating("api")
	narrow.Spec.Ingress[0].From = []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}}
	_, err := policies.Create(within(t), narrow, metav1.CreateOptions{})
	require.NoError(t, err)

	// Every second client opens the policy, and the others label it. Each tries until it has got its answer: written, or denied.
	const clients, rounds = 50, 4
	var written, denied atomic.Int64
	var group sync.WaitGroup
	ctx := within(t)
	for client := range clients {
		group.Go(func() {
			for round := 0; round < rounds && ctx.Err() == nil; {
				current, err := policies.Get(ctx, "api", metav1.GetOptions{})
				if !assert.NoError(t, err) {
					return
				}
				opens := client%2 == 0
				if opens {
					current.Spec.Ingress[0].From = nil
				} else {
					current.Labels = map[string]string{"client": fmt.Sprint(client), "round": fmt.Sprint(round)}
				}
				_, err = policies.Update(ctx, current, metav1.UpdateOptions{})
				switch {
				case apierrors.IsConflict(err):
					continue
				case apierrors.IsForbidden(err):
					assert.True(t, opens, "%v", err)
					assert.ErrorContains(t, err, "internet-ingress")
					denied.Add(1)
				case assert.NoError(t, err):
					assert.False(t, opens, "an open policy was written")
					written.Add(1)
				}
				round++
			}
		})
	}
	group.Wait()
	assert.EqualValues(t, clients*rounds/2, denied.Load())
	assert.EqualValues(t, clients*rounds/2, written.Load())
	assert.NotEmpty(t, s.stored("api").Spec.Ingress[0].From)
}
