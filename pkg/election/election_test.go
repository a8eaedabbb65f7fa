package election_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/portcullis-dev/portcullis/pkg/election"
)

// Time is that of a synctest bubble: it passes when everybody waits.

// replica is one that wants to be elected. What it does when it is, lasts until its context ends and finish is closed.
type replica struct {
	began, asked chan struct{}
	finish       chan struct{}
	stop         context.CancelFunc
	returned     chan error
	cut          atomic.Bool // no write of its reaches the API server
}

// cluster is an API server, and how many replicas are at work.
type cluster struct {
	client        *fake.Clientset
	leading, most atomic.Int32
}

func newCluster() *cluster {
	c := &cluster{client: fake.NewClientset()}
	versioned(c.client)
	return c
}

// versioned has a server refuse the update of what was changed since it was read, as API servers do and the fake does not.
func versioned(client *fake.Clientset) {
	version := 0
	leases := coordinationv1.SchemeGroupVersion.WithResource("leases")
	client.PrependReactor("create", "leases", func(action clienttesting.Action) (bool, runtime.Object, error) {
		lease := action.(clienttesting.CreateAction).GetObject().(*coordinationv1.Lease)
		version++
		lease.ResourceVersion = strconv.Itoa(version)
		return true, lease, client.Tracker().Create(leases, lease, lease.Namespace)
	})
	client.PrependReactor("update", "leases", func(action clienttesting.Action) (bool, runtime.Object, error) {
		lease := action.(clienttesting.UpdateAction).GetObject().(*coordinationv1.Lease)
		old, err := client.Tracker().Get(leases, lease.Namespace, lease.Name)
		if err != nil {
			return true, nil, err
		}
		if old.(*coordinationv1.Lease).ResourceVersion != lease.ResourceVersion {
			return true, nil, apierrors.NewConflict(leases.GroupResource(), lease.Name, errors.New("it has been modified"))
		}
		version++
		lease.ResourceVersion = strconv.Itoa(version)
		return true, lease, client.Tracker().Update(leases, lease, lease.Namespace)
	})
}

// replica starts one.
func (c *cluster) replica(t *testing.T) *replica {
	t.Helper()
	client := &fake.Clientset{}
	r := &replica{began: make(chan struct{}, 9), asked: make(chan struct{}, 9), finish: make(chan struct{}), returned: make(chan error, 1)}
	client.AddReactor("*", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if r.cut.Load() {
			return true, nil, errors.New("the API server is away")
		}
		o, err := c.client.Invokes(action, &coordinationv1.Lease{})
		return true, o, err
	})
	ctx, cancel := context.WithCancel(t.Context())
	r.stop = cancel
	go func() {
		r.returned <- election.Election{
			Client: client, Namespace: "portcullis", Lease: "audit", Task: "audits", Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		}.Run(ctx, func(ctx context.Context) {
			if now := c.leading.Add(1); now > c.most.Load() {
				c.most.Store(now)
			}
			defer c.leading.Add(-1)
			r.began <- struct{}{}
			<-ctx.Done()
			r.asked <- struct{}{}
			<-r.finish
		})
	}()
	return r
}

func (c *cluster) holder(t *testing.T) string {
	t.Helper()
	lease, err := c.client.CoordinationV1().Leases("portcullis").Get(t.Context(), "audit", metav1.GetOptions{})
	require.NoError(t, err)
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

// end ends a replica, whose work lasts no longer.
func (r *replica) end(t *testing.T) {
	t.Helper()
	close(r.finish)
	r.stop()
	assert.NoError(t, <-r.returned)
}

// aMinute passes; whoever may be elected by then is.
func aMinute() {
	<-time.After(time.Minute)
	synctest.Wait()
}

func TestTheLeaseIsGivenBackOnlyOnceTheWorkHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		r := c.replica(t)
		<-r.began
		held := c.holder(t)
		assert.NotEmpty(t, held)

		r.stop()
		<-r.asked
		aMinute()
		assert.Equal(t, held, c.holder(t), "as long as it works, it renews the Lease")
		assert.Empty(t, r.returned)

		close(r.finish)
		require.NoError(t, <-r.returned)
		assert.Empty(t, c.holder(t))
	})
}

func TestASecondReplicaTakesOverOnceTheFirstHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		first := c.replica(t)
		<-first.began
		second := c.replica(t)
		aMinute()
		assert.Empty(t, second.began, "while one is elected, no other is")

		first.stop()
		<-first.asked
		aMinute()
		assert.Empty(t, second.began, "while the first has not ended, no other is elected")

		first.end(t)
		ended := time.Now()
		<-second.began
		assert.Less(t, time.Since(ended), 15*time.Second, "nobody waits for a Lease to expire that was given back")
		second.end(t)
		assert.EqualValues(t, 1, c.most.Load())
	})
}

func TestOfManyReplicasThatComeAndGoOneWorksAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		waiting := []*replica{c.replica(t), c.replica(t), c.replica(t), c.replica(t)}
		for len(waiting) > 0 {
			aMinute()
			elected := -1
			for i, r := range waiting {
				if len(r.began) > 0 {
					assert.Negative(t, elected, "two are elected")
					elected = i
				}
			}
			require.GreaterOrEqual(t, elected, 0, "nobody is elected")
			waiting[elected].end(t)
			waiting = append(waiting[:elected:elected], waiting[elected+1:]...)
		}
		assert.EqualValues(t, 1, c.most.Load())
	})
}

func TestAReplicaThatCannotRenewIsToldBeforeAnotherIsElectedAndMayBeElectedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		first := c.replica(t)
		<-first.began
		second := c.replica(t)
		first.cut.Store(true)
		close(first.finish)
		<-first.asked
		synctest.Wait()
		assert.Zero(t, c.leading.Load(), "it ends before the Lease expires")
		<-second.began

		first.cut.Store(false)
		second.end(t)
		<-first.began
		first.stop()
		require.NoError(t, <-first.returned)
		assert.EqualValues(t, 1, c.most.Load())
	})
}

func TestAReplicaThatWasNeverElectedEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		first := c.replica(t)
		<-first.began
		second := c.replica(t)
		aMinute()
		second.end(t)
		assert.Empty(t, second.began)
		first.end(t)
	})
}
