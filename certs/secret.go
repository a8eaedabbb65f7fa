package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// secret is the Secret that all replicas load the certificate from, and what of it is served.
type secret struct {
	client          kubernetes.Interface
	namespace, name string
	log             *slog.Logger
	// read finds the serving certificate and the CA bundle in the Secret.
	read func(*corev1.Secret) (*tls.Certificate, []byte, error)

	mu      sync.RWMutex
	leaf    *tls.Certificate // the last one that was of use
	bundle  []byte
	problem error // why what is in the Secret now is not served
}

func newSecret(client kubernetes.Interface, namespace, name string, log *slog.Logger, read func(*corev1.Secret) (*tls.Certificate, []byte, error)) *secret {
	s := &secret{client: client, namespace: namespace, name: name, log: log, read: read}
	s.problem = errors.New(s.words() + " has not been read yet")
	return s
}

func (s *secret) words() string { return "the Secret " + s.namespace + "/" + s.name }

// GetCertificate implements Source.
func (s *secret) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.leaf == nil {
		return nil, fmt.Errorf("there is no serving certificate yet: %w", s.problem)
	}
	return s.leaf, nil
}

// CABundle implements Source.
func (s *secret) CABundle() ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.leaf == nil {
		return nil, fmt.Errorf("there is no CA bundle yet: %w", s.problem)
	}
	return s.bundle, nil
}

// NotAfter implements Source.
func (s *secret) NotAfter() time.Time {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.leaf == nil {
		return time.Time{}
	}
	return s.leaf.Leaf.NotAfter
}

// take serves what is in the Secret, if it is of use; nil stands for a Secret that is not there. It says whether something else is
// served than before.
func (s *secret) take(found *corev1.Secret) bool {
	err := errors.New(s.words() + " is not there")
	var leaf *tls.Certificate
	var bundle []byte
	if found != nil {
		leaf, bundle, err = s.read(found)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.problem
	if s.problem = err; err != nil {
		if before == nil || before.Error() != err.Error() {
			s.log.Warn("the serving certificate is not taken from the Secret", "reason", err.Error())
		}
		return false
	}
	changed := s.leaf == nil || !s.leaf.Leaf.Equal(leaf.Leaf) || !bytes.Equal(s.bundle, bundle)
	s.leaf, s.bundle = leaf, bundle
	return changed
}

// trouble notes why the Secret cannot be read.
func (s *secret) trouble(err error) {
	if apierrors.IsForbidden(err) {
		err = fmt.Errorf("no right to read %s: the Role needs list and watch on it: %w", s.words(), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problem = err
}

// follow takes whatever the Secret becomes until the context ends, calls changed after each change of what is served, and also
// after each change of the Secret. Both are called from one goroutine.
func (s *secret) follow(ctx context.Context, changed, also func()) error {
	factory := informers.NewSharedInformerFactoryWithOptions(s.client, 0, informers.WithNamespace(s.namespace), only(s.name))
	informer := factory.Core().V1().Secrets().Informer()
	take := func(found *corev1.Secret) {
		if found != nil && found.Name != s.name {
			return
		}
		if s.take(found) {
			changed()
		}
		also()
	}
	err := informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, r *cache.Reflector, err error) {
		s.trouble(err)
		cache.DefaultWatchErrorHandler(ctx, r, err)
	})
	if err != nil {
		return err
	}
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { take(o.(*corev1.Secret)) },
		UpdateFunc: func(_, o any) { take(o.(*corev1.Secret)) },
		DeleteFunc: func(any) { take(nil) },
	})
	if err != nil {
		return err
	}
	factory.StartWithContext(ctx)
	if cache.WaitForCacheSync(ctx.Done(), registration.HasSynced) && len(informer.GetStore().List()) == 0 {
		s.take(nil)
	}
	<-ctx.Done()
	factory.Shutdown()
	return nil
}

// only has informers watch a single object, for which RBAC with resourceNames is enough.
func only(name string) informers.SharedInformerOption {
	return informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
	})
}
