package model_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/portcullis-dev/portcullis/pkg/model"
)

// manifest is the spec of a policy as somebody writes it. What is empty is left out.
type manifest struct{ policyTypes, ingress, egress string }

var (
	typesWritten = []string{"", `["Ingress"]`, `["Egress"]`, `["Ingress","Egress"]`}
	rulesWritten = map[string]model.Written{
		"": model.WrittenNothing, "null": model.WrittenNothing, "[]": model.WrittenEmpty, "[{}]": model.WrittenRules,
		`[{"ports":[{"port":443}]}]`: model.WrittenRules,
	}
)

func drawManifest(t *rapid.T) manifest {
	lists := []string{"", "[]", "[{}]", `[{"ports":[{"port":443}]}]`}
	return manifest{rapid.SampledFrom(typesWritten).Draw(t, "policyTypes"), rapid.SampledFrom(lists).Draw(t, "ingress"), rapid.SampledFrom(lists).Draw(t, "egress")}
}

func (m manifest) json() string {
	fields := []string{`"podSelector":{}`}
	for _, f := range [][2]string{{"policyTypes", m.policyTypes}, {"ingress", m.ingress}, {"egress", m.egress}} {
		if f[1] != "" {
			fields = append(fields, fmt.Sprintf("%q:%s", f[0], f[1]))
		}
	}
	return `{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","spec":{` + strings.Join(fields, ",") + `}}`
}

// fields is the field set of a server-side apply of the manifest.
func (m manifest) fields() string {
	fields := []string{`"f:podSelector":{}`}
	for _, f := range [][2]string{{"policyTypes", m.policyTypes}, {"ingress", m.ingress}, {"egress", m.egress}} {
		if f[1] != "" && f[1] != "null" {
			fields = append(fields, fmt.Sprintf(`"f:%s":{}`, f[0]))
		}
	}
	return `{"f:spec":{` + strings.Join(fields, ",") + `}}`
}

func (m manifest) authored() model.Authored {
	return model.Authored{Known: true, PolicyTypes: m.policyTypes != "", Rules: [2]model.Written{model.Ingress: rulesWritten[m.ingress], model.Egress: rulesWritten[m.egress]}}
}

// stored is what a webhook sees of the manifest: policyTypes are those of before or else by default, protocols are filled in, and
// empty lists are gone.
func (m manifest) stored(t require.TestingT, typesBefore []networkingv1.PolicyType) *networkingv1.NetworkPolicy {
	var np networkingv1.NetworkPolicy
	require.NoError(t, json.Unmarshal([]byte(m.json()), &np))
	if len(np.Spec.PolicyTypes) == 0 {
		np.Spec.PolicyTypes = typesBefore
	}
	if len(np.Spec.PolicyTypes) == 0 {
		np.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		if len(np.Spec.Egress) > 0 {
			np.Spec.PolicyTypes = append(np.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
		}
	}
	tcp := corev1.ProtocolTCP
	for _, r := range np.Spec.Ingress {
		for i := range r.Ports {
			r.Ports[i].Protocol = &tcp
		}
	}
	for _, r := range np.Spec.Egress {
		for i := range r.Ports {
			r.Ports[i].Protocol = &tcp
		}
	}
	text, err := json.Marshal(&np)
	require.NoError(t, err)
	var out networkingv1.NetworkPolicy
	require.NoError(t, json.Unmarshal(text, &out))
	return &out
}

func drawTypesBefore(t *rapid.T) []networkingv1.PolicyType {
	return rapid.SliceOfNDistinct(rapid.SampledFrom([]networkingv1.PolicyType{"Ingress", "Egress"}), 0, 2, rapid.ID).Draw(t, "policyTypes before")
}

func TestWhatTheAuthorAppliedIsRecoveredFromTheManifestOfClientSideApply(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawManifest(t)
		np := m.stored(t, drawTypesBefore(t))
		np.Annotations = map[string]string{model.LastApplied: m.json()}
		assert.Equal(t, m.authored(), model.AuthoredBy(np), m.json())
	})
}

func TestWhatTheAuthorAppliedIsRecoveredFromTheFieldsOfServerSideApply(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawManifest(t)
		np := m.stored(t, drawTypesBefore(t))
		all := `{"f:spec":{"f:podSelector":{},"f:policyTypes":{},"f:ingress":{},"f:egress":{}}}`
		np.ManagedFields = []metav1.ManagedFieldsEntry{
			{Operation: metav1.ManagedFieldsOperationUpdate, FieldsV1: metav1.NewFieldsV1(all)},
			{Operation: metav1.ManagedFieldsOperationApply, FieldsV1: metav1.NewFieldsV1(m.fields())},
			{Operation: metav1.ManagedFieldsOperationApply, Subresource: "status", FieldsV1: metav1.NewFieldsV1(all)},
		}
		assert.Equal(t, m.authored(), model.AuthoredBy(np), m.fields())
		np.ManagedFields = np.ManagedFields[:1]
		assert.False(t, model.AuthoredBy(np).Known, "entries of updates are computed after defaulting, and prove nothing")
	})
}

func TestTheManifestProvesNothingOnceTheObjectIsAnother(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		applied, stored := drawManifest(t), drawManifest(t)
		np := stored.stored(t, nil)
		np.Annotations = map[string]string{model.LastApplied: applied.json()}
		same := strings.Trim(applied.ingress, "nul[]") == strings.Trim(stored.ingress, "nul[]") && strings.Trim(applied.egress, "nul[]") == strings.Trim(stored.egress, "nul[]")
		assert.Equal(t, same, model.AuthoredBy(np).Known, "applied %s, and it is %s", applied.json(), stored.json())
	})
	np := manifest{egress: "[]"}.stored(t, nil)
	np.Annotations = map[string]string{model.LastApplied: manifest{egress: "[]"}.json()}
	require.True(t, model.AuthoredBy(np).Known)
	np.Spec.PodSelector.MatchLabels = map[string]string{"app": "web"}
	assert.False(t, model.AuthoredBy(np).Known, "other pods")
}

func TestWhatCannotBeReadProvesNothing(t *testing.T) {
	np := manifest{}.stored(t, nil)
	assert.Zero(t, model.AuthoredBy(np))
	for _, text := range []string{"", "[]", "{", `{"spec":{"egress":{}}}`, `{"spec":{"ingress":[{"ports":[{"port":{}}]}]}}`, `{"spec":7}`, "\xff"} {
		np.Annotations = map[string]string{model.LastApplied: text}
		assert.False(t, model.AuthoredBy(np).Known, text)
		assert.False(t, model.AuthoredByFields([]byte(text), &np.Spec).Known, text)
	}
	assert.False(t, model.AuthoredByFields([]byte(`{"f:metadata":{"f:labels":{}}}`), &np.Spec).Known, "who applied only labels said nothing of the rules")
}

func TestPiecesOfEvidenceAddUpInAnyOrder(t *testing.T) {
	draw := func(t *rapid.T, name string) model.Authored {
		if !rapid.Bool().Draw(t, name+" known") {
			return model.Authored{}
		}
		written := rapid.SampledFrom([]model.Written{model.WrittenNothing, model.WrittenEmpty, model.WrittenRules})
		return model.Authored{Known: true, PolicyTypes: rapid.Bool().Draw(t, name+" types"), Rules: [2]model.Written{written.Draw(t, name+" ingress"), written.Draw(t, name+" egress")}}
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := draw(t, "a"), draw(t, "b"), draw(t, "c")
		assert.Equal(t, a, a.And(a))
		assert.Equal(t, a, a.And(model.Authored{}))
		assert.Equal(t, a.And(b), b.And(a))
		assert.Equal(t, a.And(b).And(c), a.And(b.And(c)))
	})
}
