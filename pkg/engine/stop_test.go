package engine_test

import (
	"context"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/engine"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

func TestAReviewEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	begun, later := make(chan struct{}), false
	e := engine.New([]rule.Configured{
		a("endless", func(p *rule.Pass) {
			close(begun)
			for !p.Stopped() {
				runtime.Gosched()
			}
			p.Report(nil, finding.Witness{}, "half of it is known")
		}),
		a("later", func(*rule.Pass) { later = true }),
	})
	go func() {
		<-begun
		cancel()
	}()
	r, err := e.ReviewWithin(ctx, world(t), model.Change{Operation: model.Create, NewPolicy: policy(t, "web", denyAll)})
	require.ErrorIs(t, err, context.Canceled)
	assert.Nil(t, r)
	assert.False(t, later, "the rules after it do not run")
}

func TestAReviewWithinItsTimeIsThatWithoutOne(t *testing.T) {
	e := engine.New([]rule.Configured{a("care", func(p *rule.Pass) {
		assert.False(t, p.Stopped())
		p.Report(nil, finding.Witness{}, "whole")
	})})
	c := model.Change{Operation: model.Create, NewPolicy: policy(t, "web", denyAll)}
	r, err := e.ReviewWithin(t.Context(), world(t), c)
	require.NoError(t, err)
	assert.Equal(t, e.Review(world(t), c).Findings, r.Findings)
}
