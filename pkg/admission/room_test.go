package admission_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/portcullis-dev/portcullis/pkg/admission"
	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/model"
)

func TestNobodyChoosesToBeWaitedForLongerThanAnAPIServerWaits(t *testing.T) {
	for timeout, want := range map[string]time.Duration{
		"": 9500 * time.Millisecond, "nonsense": 9500 * time.Millisecond, "-1s": 9500 * time.Millisecond,
		"2s": 1800 * time.Millisecond, "30s": 29500 * time.Millisecond, "10h": 29500 * time.Millisecond,
	} {
		assert.Equal(t, want, admission.Budget(timeout), timeout)
	}
}

// crowd is a handler that is asked for its state by every review, and holds up the first one until it is let go.
type crowd struct {
	*admission.Handler
	first, letGo chan struct{}
}

func newCrowd(t *testing.T) *crowd {
	f := newFixture(t)
	snapshot := f.store.Snapshot(model.Facts{Live: true})
	c := &crowd{first: make(chan struct{}), letGo: make(chan struct{})}
	inside := make(chan struct{}, 1)
	inside <- struct{}{}
	c.Handler = admission.New(admission.Options{
		Config: func() *config.Config { return f.config },
		State: func() (*model.Snapshot, bool) {
			select {
			case <-inside:
				close(c.first)
				<-c.letGo
			default:
			}
			return snapshot, true
		},
	})
	return c
}

// status is that of the answer to a review of at least that many bytes.
func (c *crowd) status(t *testing.T, size int, timeout string, length func(*http.Request)) int {
	np := policy()
	np.Annotations["example.org/filling"] = strings.Repeat("x", size)
	r := httptest.NewRequest(http.MethodPost, "/validate?timeout="+timeout, bytes.NewReader(body(t, request(t, admissionv1.Create, np, nil))))
	r.Header.Set("Content-Type", "application/json")
	if length != nil {
		length(r)
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w.Code
}

func TestLargeReviewsWaitForEachOtherAndSmallOnesForNobody(t *testing.T) {
	const large = 4 << 20
	c := newCrowd(t)
	ended := make(chan int)
	go func() { ended <- c.status(t, large, "30s", nil) }()
	<-c.first
	assert.Equal(t, http.StatusInternalServerError, c.status(t, large, "50ms", nil), "there is no room for two")
	assert.Equal(t, http.StatusInternalServerError, c.status(t, 10, "50ms", func(r *http.Request) { r.ContentLength = -1 }), "it may be large")
	assert.Equal(t, http.StatusOK, c.status(t, large/2, "30s", nil), "there is for this one")
	assert.Equal(t, http.StatusOK, c.status(t, 10, "30s", nil))
	close(c.letGo)
	assert.Equal(t, http.StatusOK, <-ended)
	assert.Equal(t, http.StatusOK, c.status(t, large, "30s", nil), "the room is given back")
	assert.Equal(t, http.StatusRequestEntityTooLarge, c.status(t, 2*large, "30s", nil))
	assert.Equal(t, http.StatusOK, c.status(t, large, "30s", nil), "by those that are refused, too")
}
