package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
)

// Names of the files, as in a Secret of the type kubernetes.io/tls.
const (
	certificateFile = "tls.crt"
	keyFile         = "tls.key"
	authorityFile   = "ca.crt"
)

// again is how often the files are read whether a change is noticed or not. Not every file system tells of changes.
const again = 2 * time.Second

// Files is a certificate that is read from files, and read again when they change.
type Files struct {
	dir     string
	watcher *certwatcher.CertWatcher
}

var _ Source = (*Files)(nil)

// NewFiles reads tls.crt and tls.key in the folder. Where there is a ca.crt, too, it is the CA bundle, and else tls.crt is.
func NewFiles(dir string) (*Files, error) {
	f := &Files{dir: dir}
	for _, name := range []string{certificateFile, keyFile} {
		if _, err := os.Stat(f.path(name)); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no %s in %s: a certificate source of files needs %s and %s there", name, dir, certificateFile, keyFile)
		}
	}
	watcher, err := certwatcher.New(f.path(certificateFile), f.path(keyFile))
	if err != nil {
		return nil, fmt.Errorf("reading %s and %s in %s: %w", certificateFile, keyFile, dir, err)
	}
	f.watcher = watcher.WithWatchInterval(again)
	return f, nil
}

func (f *Files) path(name string) string { return filepath.Join(f.dir, name) }

// GetCertificate implements Source.
func (f *Files) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return f.watcher.GetCertificate(hello)
}

// CABundle implements Source.
func (f *Files) CABundle() ([]byte, error) {
	bundle, err := os.ReadFile(f.path(authorityFile))
	if errors.Is(err, fs.ErrNotExist) {
		bundle, err = os.ReadFile(f.path(certificateFile))
	}
	if err != nil {
		return nil, fmt.Errorf("reading the CA bundle: %w", err)
	}
	return bundle, nil
}

// NotAfter implements Source.
func (f *Files) NotAfter() time.Time {
	current, err := f.watcher.GetCertificate(nil)
	if err != nil || current == nil || current.Leaf == nil {
		return time.Time{}
	}
	return current.Leaf.NotAfter
}

// Run implements Source. A pair that cannot be read is refused, and the old one stays.
func (f *Files) Run(ctx context.Context, changed func()) error {
	changes := make(chan struct{}, 1)
	f.watcher.RegisterCallback(func(tls.Certificate) {
		select {
		case changes <- struct{}{}:
		default:
		}
	})
	<-changes // the callback is called at once for what has been read already
	ended := make(chan error, 1)
	go func() { ended <- f.watcher.Start(ctx) }()
	for {
		select {
		case err := <-ended:
			return err
		case <-changes:
			changed()
		}
	}
}
