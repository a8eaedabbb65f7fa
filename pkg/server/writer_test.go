package server_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/portcullis-dev/portcullis/pkg/audit"
	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rules"
	"github.com/portcullis-dev/portcullis/pkg/server"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// oneOnly is a limit that lets one request through, and all others wait until it is lifted.
type oneOnly struct {
	first   chan struct{} // holds one token
	lifted  <-chan struct{}
	waiting chan<- struct{} // told of who waits, with room for one
}

func (l oneOnly) Wait(ctx context.Context) error {
	select {
	case <-l.first:
		return nil
	default:
	}
	select {
	case l.waiting <- struct{}{}:
	default:
	}
	select {
	case <-l.lifted:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l oneOnly) TryAccept() bool { return false }
func (l oneOnly) Accept()         { _ = l.Wait(context.Background()) }
func (l oneOnly) Stop()           {}
func (l oneOnly) QPS() float32    { return 1 }

func TestADefaultDenyIsWrittenBeforeTheEventsThatWait(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	requests := make(chan string, 100)
	cluster := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests <- r.Method + " " + r.URL.Path
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}")
	}))
	defer cluster.Close()

	lifted, waiting := make(chan struct{}), make(chan struct{}, 1)
	publisher, keeper, err := server.Writers(&rest.Config{Host: cluster.URL}, slog.New(slog.DiscardHandler), func(float32, int) flowcontrol.RateLimiter {
		l := oneOnly{make(chan struct{}, 1), lifted, waiting}
		l.first <- struct{}{}
		return l
	})
	require.NoError(t, err)

	c, err := config.Load(nil, "", rules.Catalogue())
	require.NoError(t, err)
	store := model.NewStore()
	store.SetNamespace(&model.NamespaceMeta{Name: "shop", UID: "u-1", Described: true, Labels: map[string]string{model.LabelIsolate: "ingress"}})
	found := func(rule string) audit.Item {
		return audit.Item{Decided: verdict.Decided{Action: verdict.ActionWarn, Finding: finding.Finding{
			Rule: rule, Subject: finding.Subject{Kind: finding.KindNamespace, Name: "shop"}, Message: "Something is so.",
		}}}
	}
	results := &audit.Results{Snapshot: store.Snapshot(c.Facts), Config: c, Items: []audit.Item{found("one"), found("two"), found("three")}}

	published := make(chan struct{})
	go func() {
		defer close(published)
		publisher.Publish(ctx, results)
	}()
	select {
	case <-waiting: // an Event, for its limit
	case <-ctx.Done():
		require.NoError(t, ctx.Err())
	}
	keeper.Keep(ctx, results.Snapshot, c, 1)
	close(lifted)
	<-published
	close(requests)
	var order []string
	for r := range requests {
		order = append(order, r[:strings.Index(r, " ")+1]+r[strings.LastIndex(r, "/")+1:])
	}
	assert.Equal(t, []string{"POST events", "PATCH portcullis-default-deny", "POST events", "POST events"}, order)
}
