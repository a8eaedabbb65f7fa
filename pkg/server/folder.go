package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/source/manifest"
)

const (
	// settle is how long a folder is to be quiet before it is read again: several events make one change.
	settle = 100 * time.Millisecond
	// lookAgain is the time between two readings without an event, where changes are not told (network file systems).
	lookAgain = 30 * time.Second
)

// folder is a cluster that stands in manifests. They are read again when they change; if something is wrong with them then, the
// old state stays.
type folder struct {
	path string
	log  *slog.Logger

	seen string // the stamp of what was read last, good or bad

	current atomic.Pointer[model.Snapshot]
	changed chan struct{} // told of every change; it has room for one
	mu      sync.Mutex    // guards what follows
	store   *model.Store
	facts   model.Facts
}

func openFolder(ctx context.Context, path string, facts model.Facts, log *slog.Logger) (*folder, error) {
	f := &folder{path: path, log: log, facts: facts, changed: make(chan struct{}, 1)}
	f.seen = f.stamp()
	if err := f.read(ctx); err != nil {
		return nil, fmt.Errorf("the state in %s cannot be served:\n%w", path, err)
	}
	return f, nil
}

// read reads the manifests. Anything wrong with them is an error, one line each.
func (f *folder) read(ctx context.Context) error {
	result, err := manifest.Load(ctx, []string{f.path}, nil)
	if err != nil {
		return err
	}
	if len(result.Problems) > 0 {
		lines := make([]string, len(result.Problems))
		for i, p := range result.Problems {
			lines[i] = fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Message)
			if p.Line == 0 {
				lines[i] = p.File + ": " + p.Message
			}
		}
		return errors.New(strings.Join(lines, "\n"))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.store = result.Store
	f.compile()
	return nil
}

// compile makes the snapshot. The caller holds the lock.
func (f *folder) compile() {
	f.current.Store(f.store.Snapshot(f.facts))
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

func (f *folder) Changed() <-chan struct{} { return f.changed }

func (f *folder) Snapshot() (*model.Snapshot, bool) { return f.current.Load(), true }

func (f *folder) SetFacts(facts model.Facts) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.facts = facts
	f.compile()
}

func (f *folder) Counts() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.store.Counts()
}

func (f *folder) Ready() error { return nil }

func (f *folder) WaitForSync(context.Context) error { return nil }

// Run reads the manifests again when they change, until the context ends.
func (f *folder) Run(ctx context.Context) error {
	watch := func() {}
	var events <-chan fsnotify.Event
	var lost <-chan error
	if watcher, err := fsnotify.NewWatcher(); err != nil {
		f.log.Warn("changes of the manifests are seen late", "path", f.path, "every", lookAgain.String(), "error", err.Error())
	} else {
		defer func() { _ = watcher.Close() }()
		watch, events, lost = func() { f.watch(watcher) }, watcher.Events, watcher.Errors
	}
	watch()
	ticker := time.NewTicker(lookAgain)
	defer ticker.Stop()
	quiet := time.NewTimer(settle) // they may have changed since they were first read
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-events:
			quiet.Reset(settle)
			continue
		case <-lost:
			quiet.Reset(settle)
			continue
		case <-quiet.C:
		case <-ticker.C:
		}
		watch()
		f.reread(ctx)
	}
}

// watch watches the folder with all that are in it, those that have come since included.
func (f *folder) watch(watcher *fsnotify.Watcher) {
	f.walk(func(path string, info fs.FileInfo) {
		if info.IsDir() || path == f.path {
			_ = watcher.Add(path) // one that is gone, or cannot be watched, is looked at now and then
		}
	})
}

// walk visits the files and folders; hidden ones are not read.
func (f *folder) walk(visit func(path string, info fs.FileInfo)) {
	_ = filepath.WalkDir(f.path, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if path != f.path && strings.HasPrefix(entry.Name(), ".") {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if info, err := os.Stat(path); err == nil { // of what a link leads to
			visit(path, info)
		}
		return nil
	})
}

// stamp tells one state of the files from another.
func (f *folder) stamp() string {
	var b strings.Builder
	f.walk(func(path string, info fs.FileInfo) {
		fmt.Fprintln(&b, path, info.Size(), info.ModTime().UnixNano())
	})
	return b.String()
}

// reread reads the manifests if they have changed.
func (f *folder) reread(ctx context.Context) {
	stamp := f.stamp()
	if stamp == f.seen {
		return
	}
	err := f.read(ctx)
	if ctx.Err() != nil {
		return
	}
	f.seen = stamp
	if err == nil {
		f.log.Info("the manifests are read again", "path", f.path)
		return
	}
	for line := range strings.Lines(err.Error()) {
		f.log.Error("the manifests are refused, and the old state stays", "problem", strings.TrimSpace(line))
	}
}
