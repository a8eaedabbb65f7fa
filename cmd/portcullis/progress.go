package main

import (
	"fmt"
	"sync"
	"time"
)

// progressing shows on a terminal what takes longer than a second, until done is called. done may be called again.
func (s streams) progressing(what string) (done func()) {
	if !s.progress {
		return func() {}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		shown := false
		for seconds := 1; ; seconds++ {
			select {
			case <-stop:
				if shown {
					_, _ = fmt.Fprint(s.err, "\r\x1b[K")
				}
				return
			case <-ticker.C:
				shown = true
				_, _ = fmt.Fprintf(s.err, "\r\x1b[K%s (%d s)", what, seconds)
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(stop)
		<-stopped
	})
}
