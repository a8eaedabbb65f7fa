package cluster

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestConfirmations(t *testing.T) {
	t.Run("calls that come while a reading runs share the next one, which starts after they asked", func(t *testing.T) {
		var readings atomic.Int32
		started, proceed := make(chan struct{}, 10), make(chan struct{})
		c := &confirmations{read: func(context.Context, string) error {
			readings.Add(1)
			started <- struct{}{}
			<-proceed
			return nil
		}}
		var calls sync.WaitGroup
		calls.Go(func() { assert.NoError(t, c.do(t.Context(), "shop")) })
		<-started
		joined := make([]*outcome, 50)
		for i := range joined {
			joined[i] = c.join("shop")
		}
		proceed <- struct{}{}
		<-started
		proceed <- struct{}{}
		for _, o := range joined {
			<-o.done
		}
		calls.Wait()
		assert.EqualValues(t, 2, readings.Load())
	})

	t.Run("namespaces do not wait for each other", func(t *testing.T) {
		held := make(chan struct{})
		c := &confirmations{read: func(_ context.Context, namespace string) error {
			if namespace == "shop" {
				<-held
			}
			return nil
		}}
		slow := c.join("shop")
		require.NoError(t, c.do(t.Context(), "pay"))
		close(held)
		<-slow.done
	})

	t.Run("a failure is told to all who shared the reading, and to none after", func(t *testing.T) {
		fail := true
		c := &confirmations{read: func(context.Context, string) error {
			if fail {
				return errors.New("connection refused")
			}
			return nil
		}}
		require.EqualError(t, c.do(t.Context(), "shop"), "connection refused")
		fail = false
		require.NoError(t, c.do(t.Context(), "shop"))
	})

	t.Run("who has no time left does not wait", func(t *testing.T) {
		held, read := make(chan struct{}), make(chan struct{})
		c := &confirmations{read: func(context.Context, string) error {
			defer close(read)
			<-held
			return nil
		}}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, c.do(ctx, "shop"), context.Canceled)
		close(held)
		<-read
	})

	t.Run("if nothing has been listed yet, then Confirm is Snapshot", func(t *testing.T) {
		s, _ := newSource(t)
		got, err := s.Confirm(t.Context(), "shop")
		require.NoError(t, err)
		want, _ := s.Snapshot()
		assert.Same(t, want, got)
	})
}
