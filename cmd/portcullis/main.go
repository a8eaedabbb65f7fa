// Command portcullis guards the NetworkPolicies of a Kubernetes cluster: as its admission webhook, and from the command
// line before a commit.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/portcullis-dev/portcullis/pkg/rules"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := program{streams: standardStreams(), rules: rules.Catalogue(), now: time.Now}
	code := p.run(ctx, os.Args)
	stop()
	os.Exit(code)
}
