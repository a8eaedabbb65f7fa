package certs

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portcullis-dev/portcullis/certs/rotation"
)

// keeper makes and rotates the certificate in the Secret, and keeps the webhooks' caBundle in step: the elected replica's work.
type keeper struct {
	InCluster
	policy rotation.Policy
	events recorder
	now    func() time.Time

	seen  [][]byte // the caBundles, as they were last seen
	since time.Time
	told  string // what is refused, and was told
}

// step does the next thing that the state asks for. It reads the caBundles before the Secret, and writes only what is still as it was
// read, as package rotation demands.
func (k *keeper) step(ctx context.Context) (until time.Time, err error) {
	configurations, err := configurations(ctx, k.Client, k.Webhooks)
	if err != nil {
		return time.Time{}, err
	}
	secrets := k.Client.CoreV1().Secrets(k.Namespace)
	secret, err := secrets.Get(ctx, k.Secret, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		secret = nil
	case err != nil:
		return time.Time{}, rights(err, "get", "Secret", k.Secret)
	}
	step, err := rotation.Next(k.policy, k.state(configurations, secret))
	if err != nil {
		return time.Time{}, err
	}
	switch step.Act {
	case rotation.Wait:
		return step.Until, nil
	case rotation.Refuse:
		k.refuse(secret)
		return k.now().Add(longest), nil
	case rotation.Patch:
		for _, c := range configurations {
			if err := c.setBundle(ctx, k.Webhooks, step.Bundle); err != nil {
				return time.Time{}, err
			}
		}
		k.Log.Info("the webhooks' caBundle is written", "reason", step.Why)
	case rotation.Create, rotation.Update:
		return k.now(), k.write(ctx, secret, step)
	}
	return k.now(), nil
}

func (k *keeper) state(configurations []configuration, secret *corev1.Secret) rotation.State {
	state := rotation.State{Now: k.now()}
	for _, c := range configurations {
		for _, w := range c.webhooks {
			state.Bundles = append(state.Bundles, w.caBundle)
		}
	}
	if k.since.IsZero() || !slices.EqualFunc(k.seen, state.Bundles, slices.Equal[[]byte]) {
		k.seen, k.since = state.Bundles, state.Now
	}
	state.Since = k.since
	if secret != nil {
		state.Secret = &rotation.Secret{Data: secret.Data, Annotations: secret.Annotations, Ours: ours(secret)}
		if state.Secret.Ours {
			k.told = ""
		}
	}
	return state
}

// write makes the Secret, or changes it, unless it has changed since it was read.
func (k *keeper) write(ctx context.Context, secret *corev1.Secret, step rotation.Step) error {
	data, annotations, err := step.Material.Encode()
	if err != nil {
		return err
	}
	secrets := k.Client.CoreV1().Secrets(k.Namespace)
	verb := "update"
	if step.Act == rotation.Create {
		verb = "create"
		secret, err = secrets.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: k.Namespace, Name: k.Secret, Labels: map[string]string{managedBy: portcullis, nameLabel: portcullis}, Annotations: annotations},
			Type:       corev1.SecretTypeTLS,
			Data:       data,
		}, metav1.CreateOptions{FieldManager: fieldManager})
	} else {
		secret = secret.DeepCopy()
		secret.Data = data
		delete(secret.Annotations, rotation.OldUntilAnnotation)
		for key, value := range annotations {
			metav1.SetMetaDataAnnotation(&secret.ObjectMeta, key, value)
		}
		secret, err = secrets.Update(ctx, secret, metav1.UpdateOptions{FieldManager: fieldManager})
	}
	if apierrors.IsAlreadyExists(err) {
		return err
	}
	if err := rights(err, verb, "Secret", k.Secret); err != nil {
		return err
	}
	k.Log.Info("the Secret is written", "secret", k.Namespace+"/"+k.Secret, "reason", step.Why)
	k.events.Eventf(secret, nil, corev1.EventTypeNormal, "CertificateWritten", "Write", "%s", step.Why)
	return nil
}

// refuse tells, once, that the Secret is not touched.
func (k *keeper) refuse(secret *corev1.Secret) {
	if told := "UID " + string(secret.UID); told != k.told {
		k.told = told
		k.Log.Error("the Secret is left alone", "secret", k.Namespace+"/"+k.Secret, "reason", errForeign.Error())
		k.events.Eventf(secret, nil, corev1.EventTypeWarning, "ForeignSecret", "Refuse", "%s", errForeign.Error())
	}
}
