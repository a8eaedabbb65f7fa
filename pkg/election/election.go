// Package election has one of several replicas do what only one may do at a time.
package election

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// How long a replica that is gone stays elected, at most; how long one that cannot renew its election goes on; and how often all
// of them try. They are the defaults of Kubernetes's own components.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
)

// Election is a Lease that one of the replicas holds at a time. All fields are required.
type Election struct {
	Client           kubernetes.Interface
	Namespace, Lease string
	// Task is what the elected replica does, for the log: "audits the cluster".
	Task string
	Log  *slog.Logger
}

// Run calls lead whenever this replica is elected, with a context that ends when it is no more, until ctx ends. The Lease is
// given back, and Run returns, once lead has returned.
func (e Election) Run(ctx context.Context, lead func(context.Context)) error {
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("cannot tell the own name from those of other replicas: %w", err)
	}
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: e.Namespace, Name: e.Lease},
		Client:     e.Client.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: host + "_" + string(uuid.NewUUID())},
	}
	for ctx.Err() == nil {
		if err := e.term(ctx, lock, lead); err != nil {
			return err
		}
	}
	return nil
}

// term is one election, until it is lost or ctx ends.
func (e Election) term(ctx context.Context, lock resourcelock.Interface, lead func(context.Context)) error {
	// The Lease is held until the work has ended, so that no two replicas are at it.
	holding, release := context.WithCancel(context.WithoutCancel(ctx))
	defer release()
	elected, done := make(chan context.Context, 1), make(chan struct{})
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: lock, LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
		ReleaseOnCancel: true, Name: e.Lease,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(term context.Context) { elected <- term },
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return fmt.Errorf("preparing the election of the replica that %s: %w", e.Task, err)
	}
	go func() {
		defer close(done)
		elector.Run(holding)
	}()
	select {
	case <-ctx.Done():
	case <-done:
	case term := <-elected:
		e.Log.Info("this replica "+e.Task, "lease", e.Namespace+"/"+e.Lease)
		working, stop := context.WithCancel(term)
		undo := context.AfterFunc(ctx, stop)
		lead(working)
		undo()
		stop()
	}
	release()
	<-done
	return nil
}
