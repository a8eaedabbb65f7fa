package admission

import (
	"context"

	"golang.org/x/sync/semaphore"
)

// A review takes some twenty times the memory of its body while it is judged. Large ones therefore share room for as many bytes as the
// largest one may have, and wait for each other; also for those that are still judged although their time is up. Small ones, as nearly
// all are, never wait.

// small is the most bytes of a review that never waits: some hundred rules.
const small = 128 << 10

// room is where large reviews are judged.
type room struct{ bytes *semaphore.Weighted }

func newRoom() room { return room{semaphore.NewWeighted(MaxBody)} }

// enter waits until there is room for a review of that many bytes; -1 for one whose length is not known. The error is that of ctx.
func (r room) enter(ctx context.Context, bytes int64) (leave func(), err error) {
	if bytes >= 0 && bytes <= small {
		return func() {}, nil
	}
	if bytes < 0 || bytes > MaxBody {
		bytes = MaxBody
	}
	if err := r.bytes.Acquire(ctx, bytes); err != nil {
		return nil, err
	}
	return func() { r.bytes.Release(bytes) }, nil
}
