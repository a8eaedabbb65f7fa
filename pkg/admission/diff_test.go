package admission_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const closesAll = "portcullis: closes: * → shop/web-6d4 every port (1 pod)"

func TestWhatAChangeClosesIsToldInAWarning(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-6d4"}}
	allowed := newFixture(t)
	allowed.store.SetPod(pod)
	create := request(t, admissionv1.Create, policy(), nil)
	assert.Equal(t, []string{closesAll}, allowed.review("/validate", create).Warnings)

	quiet := newFixture(t)
	quiet.store.SetPod(pod)
	quiet.namespace("shop", map[string]string{"portcullis.dev/warn": "privileged"})
	assert.Empty(t, quiet.review("/validate", create).Warnings, "a namespace that wants no warnings gets none")

	denied := newFixture(t)
	denied.store.SetPod(pod)
	got := denied.review("/validate", request(t, admissionv1.Create, policy("internet-ingress", violation), nil))
	assert.False(t, got.Allowed)
	assert.NotContains(t, got.Result.Message, "closes:", "what does not happen closes nothing")
}
