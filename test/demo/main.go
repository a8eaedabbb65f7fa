// Command demo shows Portcullis at work: it starts a real control plane and `portcullis serve`, registered with it, and walks
// through a story with kubectl, printing each command and its real output. Then it waits, for tries of one's own.
//
//	go run ./test/demo
//
// With DEMO_ONCE=1 it ends by itself. Everything that it starts is stopped when it ends, however it ends. The exit code is 1
// if a step of the story does not turn out as told.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	ctx, abandoned := context.WithCancel(ctx)
	go followParent(ctx, abandoned)
	err := perform(ctx)
	stop()
	switch {
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "demo: interrupted")
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// followParent ends the demo when `go run`, which does not pass SIGTERM on, is gone.
func followParent(ctx context.Context, abandoned func()) {
	parent := os.Getppid()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if os.Getppid() != parent {
				abandoned()
			}
		}
	}
}

// perform starts everything, tells the story, and stops everything.
func perform(ctx context.Context) error {
	stage, err := build(ctx)
	if err != nil {
		return cause(ctx, err)
	}
	defer stage.stop()
	if err := stage.start(ctx); err != nil {
		return cause(ctx, err)
	}
	if err := stage.tell(ctx, story()); err != nil {
		return cause(ctx, err)
	}
	if os.Getenv("DEMO_ONCE") != "" {
		fmt.Println("\nThat was all. Without DEMO_ONCE it would wait now, for tries of your own.")
		return nil
	}
	stage.invite()
	select {
	case <-ctx.Done():
		fmt.Println("\nStopping.")
		return nil
	case <-stage.guard.Done():
		return errors.New("portcullis has ended")
	}
}

// cause is the interruption, if there was one, whatever failed because of it.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
