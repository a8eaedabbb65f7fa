package certs

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
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

// election is a Lease that one of the replicas holds at a time.
type election struct {
	client          kubernetes.Interface
	namespace, name string
	log             *slog.Logger
}

// run calls lead whenever this replica is elected, with a context that ends when it is no more, until ctx ends. It returns after lead.
func (e election) run(ctx context.Context, lead func(context.Context)) error {
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("cannot tell the own name from those of other replicas: %w", err)
	}
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: e.namespace, Name: e.name},
		Client:     e.client.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: host + "_" + string(uuid.NewUUID())},
	}
	for ctx.Err() == nil {
		elected := make(chan context.Context, 1)
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: lock, LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
			ReleaseOnCancel: true, Name: e.name,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(ctx context.Context) { elected <- ctx },
				OnStoppedLeading: func() {},
			},
		})
		if err != nil {
			return fmt.Errorf("preparing the election of the replica that looks after the certificates: %w", err)
		}
		over := make(chan struct{})
		var leading sync.WaitGroup
		leading.Go(func() {
			select {
			case term := <-elected:
				e.log.Info("this replica looks after the certificates", "lease", e.namespace+"/"+e.name)
				lead(term)
			case <-over:
			}
		})
		elector.Run(ctx) // the term ends with it
		close(over)
		leading.Wait()
	}
	return nil
}
