package admission

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/metrics"
	"github.com/portcullis-dev/portcullis/pkg/model"
)

// MaxBody is the most bytes of a review that are read. Two objects of the 3 MiB that an API server takes in one request fit.
const MaxBody = 7 << 20

// Paths of the two endpoints.
const (
	ValidatePath = "/validate"
	MutatePath   = "/mutate"
)

// Options are what the handler asks of its surroundings. State and Config are required.
type Options struct {
	// State is the cluster as it stands; false while it is not known in full, and then nothing is judged.
	State func() (*model.Snapshot, bool)
	// Confirm is the state after what lies in the namespace has been read again; see Handler.confirmed. Nil where the state
	// is never behind.
	Confirm func(ctx context.Context, namespace string) (*model.Snapshot, error)
	// Config is the configuration in force: the same pointer for as long as it does not change.
	Config func() *config.Config
	// Authorize says whether the user may exempt the NetworkPolicy: the verb exempt on networkpolicies in the API group
	// portcullis.dev. An error means that it cannot be told. Without the function nobody may.
	Authorize func(ctx context.Context, user authenticationv1.UserInfo, namespace, name string) (bool, error)
	// Recorder counts; nil counts nothing.
	Recorder metrics.Recorder
	// Log gets one line for each rule that denies, and for each review that fails; nil drops them.
	Log *slog.Logger
	// Now is the time; nil is the system's clock.
	Now func() time.Time
}

// Handler answers admission reviews, at ValidatePath and MutatePath.
type Handler struct {
	options Options
	current atomic.Pointer[guard]
	bodies  sync.Pool // of *bytes.Buffer
	room    room
}

var _ http.Handler = (*Handler)(nil)

// New makes a handler.
func New(options Options) *Handler {
	if options.Recorder == nil {
		options.Recorder = metrics.Discard{}
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Authorize == nil {
		options.Authorize = func(context.Context, authenticationv1.UserInfo, string, string) (bool, error) { return false, nil }
	}
	return &Handler{options: options, bodies: sync.Pool{New: func() any { return new(bytes.Buffer) }}, room: newRoom()}
}

// ServeHTTP implements http.Handler. An answer is given with status 200 and is a verdict; everything else is an error, so
// that the webhook's failurePolicy decides.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var judge func(context.Context, []byte) (*outcome, error)
	webhook := metrics.WebhookValidate
	switch r.URL.Path {
	case ValidatePath:
		judge = h.validate
	case MutatePath:
		judge, webhook = h.mutate, metrics.WebhookMutate
	default:
		http.Error(w, "not found: the webhook's paths are "+ValidatePath+" and "+MutatePath, http.StatusNotFound)
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "send an AdmissionReview by POST", http.StatusMethodNotAllowed)
		return
	}
	start := h.options.Now()
	ctx, cancel := context.WithTimeout(r.Context(), budget(r.URL.Query().Get("timeout")))
	defer cancel()
	var reply once
	// When the time is up, the rules stop. The answer does not wait for the one that is at it.
	stop := context.AfterFunc(ctx, func() {
		reply.do(func() { h.reply(w, r, webhook, start, nil, ctx.Err()) })
	})
	o, err := h.answer(ctx, w, r, judge)
	stop()
	reply.do(func() { h.reply(w, r, webhook, start, o, err) })
}

// once does one thing of several, the one that comes first. Whoever comes second waits for it.
type once struct {
	mu   sync.Mutex
	done bool
}

func (o *once) do(what func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.done {
		o.done = true
		what()
	}
}

// reply gives the answer, or the error, and counts and logs it. o may be nil beside an error.
func (h *Handler) reply(w http.ResponseWriter, r *http.Request, webhook string, start time.Time, o *outcome, err error) {
	if err != nil {
		o = o.failed()
		h.fail(w, r, err)
	} else {
		write(w, http.StatusOK, "application/json", o.body)
	}
	h.record(webhook, o, h.options.Now().Sub(start))
}

// write sends a whole answer at once. An error means that the client has gone: nobody is left to be told.
func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// longest is the most time that an API server gives: "The timeout value must be between 1 and 30 seconds."
const longest = 30 * time.Second

// budget is how long a review may take, by the timeout parameter that the API server adds to the URL: what is left after a
// margin for the way back. Without the parameter it is the API server's default of ten seconds.
func budget(timeout string) time.Duration {
	total, err := time.ParseDuration(timeout)
	if err != nil || total <= 0 {
		total = 10 * time.Second
	}
	total = min(total, longest)
	return total - min(total/10, 500*time.Millisecond)
}

// statusError is an error with the HTTP status that it is answered with.
type statusError struct {
	status int
	error
}

// answer reads the body and judges it, within the time that ctx gives.
func (h *Handler) answer(ctx context.Context, w http.ResponseWriter, r *http.Request, judge func(context.Context, []byte) (*outcome, error)) (o *outcome, err error) {
	if !isJSON(r.Header.Get("Content-Type")) {
		return nil, statusError{http.StatusUnsupportedMediaType, fmt.Errorf("Content-Type is %q: send application/json", clip(r.Header.Get("Content-Type")))}
	}
	leave, err := h.room.enter(ctx, r.ContentLength)
	if err != nil {
		return nil, err
	}
	defer leave()
	body := h.bodies.Get().(*bytes.Buffer)
	defer func() {
		if body.Cap() <= 1<<20 {
			body.Reset()
			h.bodies.Put(body)
		}
	}()
	if err := readBody(ctx, body, w, r); err != nil {
		return nil, err
	}
	defer func() {
		if p := recover(); p != nil {
			o, err = nil, panicked{p, debug.Stack()}
		}
	}()
	return judge(ctx, body.Bytes())
}

func isJSON(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && media == "application/json"
}

// readTime is the most time for a body to arrive. API servers send it at once.
const readTime = 5 * time.Second

func readBody(ctx context.Context, into *bytes.Buffer, w http.ResponseWriter, r *http.Request) error {
	tooLarge := statusError{http.StatusRequestEntityTooLarge, fmt.Errorf("the review has more than %d bytes", MaxBody)}
	if r.ContentLength > MaxBody {
		return tooLarge
	}
	if r.ContentLength > 0 {
		into.Grow(int(r.ContentLength) + bytes.MinRead) // ReadFrom wants that much room to see the end
	}
	// Where a deadline is not supported, the server's own timeouts hold.
	controller := http.NewResponseController(w)
	deadline, _ := ctx.Deadline()
	if latest := time.Now().Add(readTime); latest.Before(deadline) {
		deadline = latest
	}
	controller.SetReadDeadline(deadline)
	defer controller.SetReadDeadline(time.Time{})
	if _, err := into.ReadFrom(http.MaxBytesReader(w, r.Body, MaxBody)); err != nil {
		if limit := (*http.MaxBytesError)(nil); errors.As(err, &limit) {
			return tooLarge
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return refuse("the review ends before its announced length")
		}
		return fmt.Errorf("reading the review: %w", err)
	}
	return nil
}

type panicked struct {
	value any
	stack []byte
}

func (p panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// errNotReady is the state of the cluster not being known.
var errNotReady = errors.New("the state of the cluster is not read in full yet: try again in a few seconds")

// fail is the one function that answers what could not be evaluated. What it tells the client is no secret and names no
// internals.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, text := http.StatusInternalServerError, "the review could not be evaluated: "+err.Error()
	var withStatus statusError
	var crash panicked
	switch {
	case errors.As(err, &withStatus):
		status, text = withStatus.status, err.Error()
	case errors.As(err, &malformed{}):
		status, text = http.StatusBadRequest, err.Error()
	case errors.As(err, &crash):
		text = "the review could not be evaluated, by a fault in portcullis that its log describes"
		h.options.Log.Error("panic while judging a review", "path", r.URL.Path, "panic", fmt.Sprint(crash.value), "stack", string(crash.stack))
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, os.ErrDeadlineExceeded):
		text = "the review could not be evaluated within the time that the API server gave"
	}
	if status == http.StatusInternalServerError && crash.stack == nil {
		h.options.Log.Error("review not evaluated", "path", r.URL.Path, "error", text)
	} else if crash.stack == nil {
		h.options.Log.Warn("request refused", "path", r.URL.Path, "status", status, "error", text)
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	write(w, status, "text/plain; charset=utf-8", []byte(text+"\n"))
	if crash.stack == nil && errors.Is(err, context.DeadlineExceeded) {
		_ = http.NewResponseController(w).Flush() // the rules are still at it, and the answer must not wait
	}
}
