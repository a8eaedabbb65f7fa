package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
)

// Managed is a certificate that cert-manager makes and renews: the elected replica applies an Issuer and a Certificate, and
// all load the Secret.
type Managed struct {
	*secret
	InCluster
	dynamic dynamic.Interface
	issuer  *cmmeta.IssuerReference // nil for a CA of its own

	mu        sync.RWMutex
	condition string // what keeps the Certificate from being ready; empty if nothing does
}

var _ Source = (*Managed)(nil)

// NewManaged prepares a Managed, whose Certificate has the name of the Secret. The issuer is as in ParseIssuer; nil has a CA made that
// signs for nobody else. Nothing is read before Run.
func NewManaged(o InCluster, d dynamic.Interface, issuer *cmmeta.IssuerReference) *Managed {
	return &Managed{
		InCluster: o, dynamic: d, issuer: issuer, secret: newSecret(o.Client, o.Namespace, o.Secret, o.Log, readManaged),
		condition: "the Certificate has not been read yet",
	}
}

// ParseIssuer reads an issuer as KIND/NAME, where KIND is Issuer, ClusterIssuer, or that of another API group as in
// KIND.GROUP/NAME. The empty text is nil.
func ParseIssuer(text string) (*cmmeta.IssuerReference, error) {
	if text == "" {
		return nil, nil
	}
	kind, name, _ := strings.Cut(text, "/")
	kind, group, foreign := strings.Cut(kind, ".")
	known := kind == certmanagerv1.IssuerKind || kind == certmanagerv1.ClusterIssuerKind
	if name == "" || strings.Contains(name, "/") || foreign && group == "" || !foreign && !known {
		return nil, fmt.Errorf("%q is no issuer: name it as in Issuer/NAME, ClusterIssuer/NAME or KIND.GROUP/NAME", text)
	}
	if !foreign {
		group = certmanagerv1.SchemeGroupVersion.Group
	}
	return &cmmeta.IssuerReference{Name: name, Kind: kind, Group: group}, nil
}

func readManaged(s *corev1.Secret) (*tls.Certificate, []byte, error) {
	pair, err := tls.X509KeyPair(s.Data[corev1.TLSCertKey], s.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return nil, nil, fmt.Errorf("the Secret %s/%s has no serving certificate of use: %w", s.Namespace, s.Name, err)
	}
	bundle := s.Data[cmmeta.TLSCAKey]
	if len(bundle) == 0 {
		bundle = s.Data[corev1.TLSCertKey]
	}
	return &pair, bundle, nil
}

// GetCertificate implements Source. While there is none, it says why the Certificate is not ready.
func (m *Managed) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	leaf, err := m.secret.GetCertificate(hello)
	if err != nil {
		m.mu.RLock()
		defer m.mu.RUnlock()
		if m.condition != "" {
			err = fmt.Errorf("%w; %s", err, m.condition)
		}
	}
	return leaf, err
}

// Run implements Source.
func (m *Managed) Run(ctx context.Context, changed func()) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return m.watchCertificate(ctx, m.heed) })
	group.Go(func() error {
		return m.run(ctx, changed, m.election(), func(events recorder) worker {
			return &applier{Managed: m, events: events}
		}, watchWebhooks(m.Client, m.Webhooks), func(ctx context.Context, ping func()) error {
			return m.watchCertificate(ctx, func(*certmanagerv1.Certificate) { ping() })
		})
	})
	return group.Wait()
}

// errAbsent is told while cert-manager is not there. Its kinds may come at any time.
var errAbsent = errors.New("cert-manager's CustomResourceDefinitions are not there: install cert-manager, or choose another --cert-source")

// look is how often cert-manager's kinds are looked for while they are not there.
const look = 2 * time.Second

// installed says whether cert-manager's kinds are there.
func (m *Managed) installed() (bool, error) {
	_, err := m.Client.Discovery().ServerResourcesForGroupVersion(certmanagerv1.SchemeGroupVersion.String())
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// watchCertificate tells of every state of the Certificate, and by nil that there is none, until ctx ends.
func (m *Managed) watchCertificate(ctx context.Context, tell func(*certmanagerv1.Certificate)) error {
	err := wait.PollUntilContextCancel(ctx, look, true, func(context.Context) (bool, error) {
		there, err := m.installed()
		switch {
		case err != nil:
			m.note(err.Error())
		case !there:
			m.note(errAbsent.Error())
		}
		return there && err == nil, nil
	})
	if err != nil {
		return nil // ctx has ended
	}
	informer := dynamicinformer.NewFilteredDynamicInformer(m.dynamic, certificates, m.Namespace, 0, cache.Indexers{}, func(o *metav1.ListOptions) {
		o.FieldSelector = "metadata.name=" + m.Secret
	}).Informer()
	handle := func(o any) {
		found, ok := o.(*unstructured.Unstructured)
		if !ok || found.GetName() != m.Secret {
			return
		}
		c := &certmanagerv1.Certificate{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(found.Object, c); err != nil {
			m.note("the Certificate cannot be read: " + err.Error())
			return
		}
		tell(c)
	}
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: handle, UpdateFunc: func(_, o any) { handle(o) }, DeleteFunc: func(any) { tell(nil) },
	}); err != nil {
		return err
	}
	informer.RunWithContext(ctx)
	return nil
}

func (m *Managed) note(condition string) (changed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	changed = m.condition != condition
	m.condition = condition
	return changed
}

// heed notes why the Certificate is not ready, and tells it.
func (m *Managed) heed(c *certmanagerv1.Certificate) {
	why := notReady(m.Namespace+"/"+m.Secret, c)
	if m.note(why) && why != "" {
		m.Log.Warn("cert-manager has no certificate for Portcullis just now", "reason", why)
	}
}

// notReady is why a Certificate is not ready, in words; empty if it is.
func notReady(name string, c *certmanagerv1.Certificate) string {
	if c == nil {
		return "the Certificate " + name + " is not there"
	}
	ready := condition(c, certmanagerv1.CertificateConditionReady)
	if ready == nil {
		return "cert-manager has not looked at the Certificate " + name + " yet: do its controllers run?"
	}
	if ready.Status == cmmeta.ConditionTrue {
		return ""
	}
	text := fmt.Sprintf("the Certificate %s is not ready (%s): %s", name, ready.Reason, ready.Message)
	if issuing := condition(c, certmanagerv1.CertificateConditionIssuing); issuing != nil && issuing.Message != ready.Message {
		text += "; " + issuing.Message
	}
	return text
}

func condition(c *certmanagerv1.Certificate, kind certmanagerv1.CertificateConditionType) *certmanagerv1.CertificateCondition {
	for i := range c.Status.Conditions {
		if c.Status.Conditions[i].Type == kind {
			return &c.Status.Conditions[i]
		}
	}
	return nil
}
