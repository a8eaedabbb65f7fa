package certs

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

var (
	certificates = certmanagerv1.SchemeGroupVersion.WithResource("certificates")
	issuers      = certmanagerv1.SchemeGroupVersion.WithResource("issuers")
)

// Names of what is applied beside the Certificate, if the CA is to be one of its own: an Issuer that signs the CA, and the CA, which is a
// Certificate, its Secret and the Issuer that signs by it.
const (
	rootName = "portcullis-selfsigned"
	caName   = "portcullis-ca"
)

// applier applies what cert-manager is to do, and has it write the caBundle: the elected replica's work.
type applier struct {
	*Managed
	events recorder
	told   string // the condition of the Certificate of which an Event tells
}

// step applies everything. The API server writes nothing that is already so.
func (a *applier) step(ctx context.Context) (until time.Time, err error) {
	there, err := a.installed()
	switch {
	case err != nil:
		return time.Time{}, fmt.Errorf("cannot ask for cert-manager's kinds: %w", err)
	case !there:
		return time.Time{}, errAbsent
	}
	for _, o := range a.wanted() {
		if err := a.apply(ctx, o.resource, o.object); err != nil {
			return time.Time{}, err
		}
	}
	if err := a.tell(ctx); err != nil {
		return time.Time{}, err
	}
	configurations, err := configurations(ctx, a.Client, a.Webhooks)
	if err != nil {
		return time.Time{}, err
	}
	for _, c := range configurations {
		if err := c.injectFrom(ctx, a.Webhooks, a.Namespace+"/"+a.Secret); err != nil {
			return time.Time{}, err
		}
	}
	return time.Now().Add(longest), nil
}

type applied struct {
	resource schema.GroupVersionResource
	object   runtime.Object
}

// wanted is what is applied, in this order.
func (a *applier) wanted() []applied {
	issuer := a.issuer
	var out []applied
	if issuer == nil {
		issuer = &cmmeta.IssuerReference{Name: caName, Kind: certmanagerv1.IssuerKind, Group: certmanagerv1.SchemeGroupVersion.Group}
		root := &certmanagerv1.Issuer{TypeMeta: kindOf(certmanagerv1.IssuerKind), ObjectMeta: a.meta(rootName)}
		root.Spec.SelfSigned = &certmanagerv1.SelfSignedIssuer{}
		ca := a.certificate(caName, a.CALifetime, cmmeta.IssuerReference{Name: rootName, Kind: certmanagerv1.IssuerKind, Group: issuer.Group})
		ca.Spec.IsCA, ca.Spec.CommonName = true, "portcullis CA"
		// With the same key, what the CA has signed before it is renewed is verified by the renewed one, too.
		ca.Spec.PrivateKey.RotationPolicy = certmanagerv1.RotationPolicyNever
		signs := &certmanagerv1.Issuer{TypeMeta: kindOf(certmanagerv1.IssuerKind), ObjectMeta: a.meta(caName)}
		signs.Spec.CA = &certmanagerv1.CAIssuer{SecretName: caName}
		out = append(out, applied{issuers, root}, applied{certificates, ca}, applied{issuers, signs})
	}
	leaf := a.certificate(a.Secret, a.LeafLifetime, *issuer)
	leaf.Spec.Usages = []certmanagerv1.KeyUsage{certmanagerv1.UsageDigitalSignature, certmanagerv1.UsageServerAuth}
	for _, host := range a.Hosts {
		if net.ParseIP(host) != nil {
			leaf.Spec.IPAddresses = append(leaf.Spec.IPAddresses, host)
		} else {
			leaf.Spec.DNSNames = append(leaf.Spec.DNSNames, host)
		}
	}
	return append(out, applied{certificates, leaf})
}

// certificate is what all Certificates have in common: ECDSA on P-256, in a Secret of the same name. When it is renewed, cert-manager
// decides, after two thirds of the time by default, or who sets renewBefore.
func (a *applier) certificate(name string, lifetime time.Duration, issuer cmmeta.IssuerReference) *certmanagerv1.Certificate {
	return &certmanagerv1.Certificate{
		TypeMeta: kindOf(certmanagerv1.CertificateKind), ObjectMeta: a.meta(name),
		Spec: certmanagerv1.CertificateSpec{
			SecretName: name, Duration: &metav1.Duration{Duration: lifetime}, IssuerRef: issuer, RevisionHistoryLimit: ptr.To[int32](2),
			PrivateKey: &certmanagerv1.CertificatePrivateKey{
				Algorithm: certmanagerv1.ECDSAKeyAlgorithm, Size: 256, RotationPolicy: certmanagerv1.RotationPolicyAlways,
			},
		},
	}
}

func kindOf(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: certmanagerv1.SchemeGroupVersion.String(), Kind: kind}
}

func (a *applier) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: a.Namespace, Name: name, Labels: map[string]string{managedBy: portcullis, nameLabel: portcullis}}
}

func (a *applier) apply(ctx context.Context, resource schema.GroupVersionResource, object runtime.Object) error {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return err
	}
	delete(content, "status")
	o := &unstructured.Unstructured{Object: content}
	_, err = a.dynamic.Resource(resource).Namespace(a.Namespace).Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	return rights(err, "apply", o.GetKind(), a.Namespace+"/"+o.GetName())
}

// tell writes an Event when the Certificate becomes ready, or is so no more.
func (a *applier) tell(ctx context.Context) error {
	found, err := a.dynamic.Resource(certificates).Namespace(a.Namespace).Get(ctx, a.Secret, metav1.GetOptions{})
	if err != nil {
		return rights(err, "get", certmanagerv1.CertificateKind, a.Namespace+"/"+a.Secret)
	}
	c := &certmanagerv1.Certificate{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(found.Object, c); err != nil {
		return err
	}
	ready := condition(c, certmanagerv1.CertificateConditionReady)
	if ready == nil || a.told == string(ready.Status)+ready.Reason {
		return nil
	}
	a.told = string(ready.Status) + ready.Reason
	if why := notReady(a.Namespace+"/"+a.Secret, c); why != "" {
		a.events.Eventf(found, nil, corev1.EventTypeWarning, "CertificateNotReady", "Follow", "%s", why)
	} else {
		a.events.Eventf(found, nil, corev1.EventTypeNormal, "CertificateReady", "Follow", "%s", ready.Message)
	}
	return nil
}

// injectFrom has cert-manager's cainjector write the caBundle from the Certificate, given as namespace/name.
func (c *configuration) injectFrom(ctx context.Context, name, certificate string) error {
	if c.annotations[injectFrom] == certificate {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{injectFrom: certificate}}})
	if err != nil {
		return err
	}
	err = c.patch(ctx, types.MergePatchType, patch)
	if apierrors.IsNotFound(err) {
		return nil // it is annotated when it is there again
	}
	return rights(err, "patch", c.kind, name)
}
