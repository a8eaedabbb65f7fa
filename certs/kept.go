package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/portcullis-dev/portcullis/certs/rotation"
	"github.com/portcullis-dev/portcullis/pkg/election"
)

// managedBy is the label, and its value, of what Portcullis has made and may replace
// (https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/).
const (
	managedBy  = "app.kubernetes.io/managed-by"
	nameLabel  = "app.kubernetes.io/name"
	portcullis = "portcullis"
)

// InCluster says where in a cluster certificates are kept, and for whom.
type InCluster struct {
	Client kubernetes.Interface
	Log    *slog.Logger
	// Namespace is that of the Secret, the Lease and the Service.
	Namespace string
	// Secret holds the certificate, and who holds the Lease looks after it.
	Secret, Lease string
	// Webhooks is the name of the ValidatingWebhookConfiguration and the MutatingWebhookConfiguration whose caBundles follow.
	Webhooks string
	// Hosts are the names and addresses that the certificate is for.
	Hosts []string
	// CALifetime and LeafLifetime are how long a CA and a serving certificate hold.
	CALifetime, LeafLifetime time.Duration
}

// election is that of the replica that looks after the certificates.
func (o *InCluster) election() election.Election {
	return election.Election{Client: o.Client, Namespace: o.Namespace, Lease: o.Lease, Task: "looks after the certificates", Log: o.Log}
}

// ServiceHosts are the names by which a Service is reached in its cluster. API servers use the first one.
func ServiceHosts(service, namespace string) []string {
	host := service + "." + namespace + ".svc"
	return []string{host, host + ".cluster.local"}
}

// Kept is a certificate in a Secret that the replicas keep themselves: one of them makes and rotates it, by the steps of package
// rotation, and all load it.
type Kept struct {
	*secret
	InCluster
	policy rotation.Policy
}

var _ Source = (*Kept)(nil)

// NewKept prepares a Kept. Nothing is read before Run.
func NewKept(o InCluster) (*Kept, error) {
	policy, err := rotation.NewPolicy(o.Hosts, o.CALifetime, o.LeafLifetime)
	if err != nil {
		return nil, err
	}
	return &Kept{InCluster: o, policy: policy, secret: newSecret(o.Client, o.Namespace, o.Secret, o.Log, readKept)}, nil
}

func ours(s *corev1.Secret) bool { return s.Labels[managedBy] == portcullis }

// errForeign says why a Secret is neither used nor replaced.
var errForeign = errors.New("it is somebody else's, as it has no label " + managedBy + "=" + portcullis +
	": delete it, or give it the label to have it replaced, or choose another with --cert-secret")

func readKept(s *corev1.Secret) (*tls.Certificate, []byte, error) {
	if !ours(s) {
		return nil, nil, fmt.Errorf("the Secret %s/%s is left alone: %w", s.Namespace, s.Name, errForeign)
	}
	m, err := rotation.Decode(s.Data, s.Annotations)
	if m.Leaf == nil {
		return nil, nil, fmt.Errorf("the Secret %s/%s has no serving certificate of use: %w", s.Namespace, s.Name, errors.Join(err, errWaiting))
	}
	return m.Leaf, m.Bundle(), nil
}

// errWaiting is why there may be none for a moment.
var errWaiting = errors.New("the elected replica makes one as soon as the CA is in the webhooks' caBundle")

// Run implements Source.
func (k *Kept) Run(ctx context.Context, changed func()) error {
	return k.run(ctx, changed, k.election(), func(events recorder) worker {
		return &keeper{InCluster: k.InCluster, policy: k.policy, events: events, now: time.Now}
	}, watchWebhooks(k.Client, k.Webhooks))
}
