package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
)

// How often, and how long, an API server is asked that does not answer.
const (
	askAgain = 500 * time.Millisecond
	giveUp   = 10 * time.Second
)

// reach asks the API server for its version. It may be restarting just now; but a wrong address or wrong credentials are to be
// told soon.
func reach(ctx context.Context, client kubernetes.Interface, host string, log *slog.Logger) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, askAgain, giveUp, true, func(ctx context.Context) (bool, error) {
		one, cancel := context.WithTimeout(ctx, giveUp/2)
		defer cancel()
		err := client.Discovery().RESTClient().Get().AbsPath("/version").Do(one).Error()
		if apierrors.IsForbidden(err) {
			return true, nil // it answers, and that is all that is asked
		}
		if apierrors.IsUnauthorized(err) {
			return false, fmt.Errorf("the API server at %s does not accept the credentials: give those of a user of the cluster with --kubeconfig: %w", host, err)
		}
		if err != nil && last == nil {
			log.Warn("the API server does not answer; trying again", "address", host, "error", err.Error())
		}
		last = err
		return err == nil, nil
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		return fmt.Errorf("the API server at %s cannot be reached: start it, or name the kubeconfig of another with --kubeconfig: %w", host, shortened(last))
	}
	return err
}

// shortened is the cause of a network error without the request around it.
func shortened(err error) error {
	if network := (*net.OpError)(nil); errors.As(err, &network) {
		return network
	}
	return err
}
