package config

import (
	"bytes"
	"context"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// A ConfigMap's file is a link to a link: Kubernetes writes the new version into a new folder and then swaps the link to it
// (..data). The file itself never changes, so it is its folder that is watched. Where nothing can be watched, and where a
// change is not told (network file systems, links to elsewhere), the file is compared now and then.

const (
	// settle is how long the folder is to be quiet before the file is read: several events make one change.
	settle = 100 * time.Millisecond
	// lookAgain is the time between two looks at the file without an event.
	lookAgain = 30 * time.Second
)

// Watcher holds the configuration in force, and reads it again when its file changes. A new version that is bad is refused,
// and the old one stays.
type Watcher struct {
	path     string
	cat      *rule.Catalogue
	opts     []Option
	onReload func(*Config, error)

	current atomic.Pointer[Config]
	seen    []byte // the bytes last read, good or bad
	failure string // the last failure to read the file; empty if it was read
}

// NewWatcher loads the file; a bad one is an error, as Load's. onReload is called from Run after each change of the file:
// with the new configuration, already in force, or with the error for which it is refused. Once for each version.
func NewWatcher(path string, cat *rule.Catalogue, onReload func(*Config, error), opts ...Option) (*Watcher, error) {
	w := &Watcher{path: path, cat: cat, opts: opts, onReload: onReload}
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	loaded, err := Load(data, path, cat, opts...)
	if err != nil {
		return nil, err
	}
	w.seen = data
	w.current.Store(loaded)
	return w, nil
}

// Current is the configuration in force. It is safe for concurrent use.
func (w *Watcher) Current() *Config { return w.current.Load() }

// Run watches the file until the context is done. Call it once.
func (w *Watcher) Run(ctx context.Context) {
	events, stop := w.watch()
	defer stop()
	ticker := time.NewTicker(lookAgain)
	defer ticker.Stop()
	quiet := time.NewTimer(settle) // the file may have changed since it was first read
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-events:
			quiet.Reset(settle)
		case <-quiet.C:
			w.reload()
		case <-ticker.C:
			w.reload()
		}
	}
}

// watch yields a value, at the latest when the next is received, for each change in the folders of the file and of what it
// links to. Without inotify there are no events, and the ticker alone has to do.
func (w *Watcher) watch() (events <-chan struct{}, stop func()) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, func() {}
	}
	watch := func() bool {
		err := watcher.Add(filepath.Dir(w.path))
		if target, broken := filepath.EvalSymlinks(w.path); broken == nil && filepath.Dir(target) != filepath.Dir(w.path) {
			// The folder that is linked to now: once it is gone, there is an event in the first one.
			_ = watcher.Add(filepath.Dir(target))
		}
		return err == nil
	}
	if !watch() {
		_ = watcher.Close()
		return nil, func() {}
	}
	out := make(chan struct{}, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case _, open := <-watcher.Events:
				if !open {
					return
				}
				watch()
			case _, open := <-watcher.Errors:
				if !open {
					return
				}
				// Events may have been lost: look at the file.
			}
			select {
			case out <- struct{}{}:
			default:
			}
		}
	}()
	return out, func() {
		_ = watcher.Close()
		<-done
	}
}

// reload reads the file, and takes it over if it is new and good.
func (w *Watcher) reload() {
	data, err := readFile(w.path)
	if err != nil {
		if err.Error() != w.failure {
			w.failure = err.Error()
			w.onReload(nil, err)
		}
		return
	}
	if w.failure == "" && bytes.Equal(data, w.seen) {
		return
	}
	w.failure, w.seen = "", data
	loaded, err := Load(data, w.path, w.cat, w.opts...)
	if err != nil {
		w.onReload(nil, err)
		return
	}
	w.current.Store(loaded)
	w.onReload(loaded, nil)
}
