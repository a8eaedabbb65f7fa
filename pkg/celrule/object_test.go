package celrule

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
)

func drawSelector(t *rapid.T) metav1.LabelSelector {
	word := rapid.StringMatching(`[a-z]{1,3}`)
	return metav1.LabelSelector{
		MatchLabels: rapid.MapOfN(word, word, 0, 2).Draw(t, "matchLabels"),
		MatchExpressions: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) metav1.LabelSelectorRequirement {
			return metav1.LabelSelectorRequirement{Key: word.Draw(t, "key"), Operator: metav1.LabelSelectorOpIn, Values: rapid.SliceOfN(word, 0, 2).Draw(t, "values")}
		}), 0, 2).Draw(t, "matchExpressions"),
	}
}

func maybe[T any](t *rapid.T, draw func(*rapid.T) T) *T {
	if rapid.Bool().Draw(t, "absent") {
		return nil
	}
	return ptr.To(draw(t))
}

func drawPeers(t *rapid.T) []networkingv1.NetworkPolicyPeer {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) networkingv1.NetworkPolicyPeer {
		return networkingv1.NetworkPolicyPeer{
			PodSelector: maybe(t, drawSelector), NamespaceSelector: maybe(t, drawSelector),
			IPBlock: maybe(t, func(t *rapid.T) networkingv1.IPBlock {
				return networkingv1.IPBlock{CIDR: "10.0.0.0/8", Except: rapid.SampledFrom([][]string{nil, {}, {"10.1.0.0/16"}}).Draw(t, "except")}
			}),
		}
	}), 0, 2).Draw(t, "peers")
}

func drawPorts(t *rapid.T) []networkingv1.NetworkPolicyPort {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) networkingv1.NetworkPolicyPort {
		return networkingv1.NetworkPolicyPort{
			Protocol: ptr.To(rapid.SampledFrom([]corev1.Protocol{"TCP", "UDP"}).Draw(t, "protocol")),
			Port: maybe(t, func(t *rapid.T) intstr.IntOrString {
				return rapid.SampledFrom([]intstr.IntOrString{intstr.FromInt32(80), intstr.FromString("http")}).Draw(t, "port")
			}),
			EndPort: maybe(t, func(t *rapid.T) int32 { return rapid.Int32().Draw(t, "endPort") }),
		}
	}), 0, 2).Draw(t, "ports")
}

func TestAPolicyIsWhatTheAPIServerWouldSend(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		np := &networkingv1.NetworkPolicy{
			TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
			ObjectMeta: metav1.ObjectMeta{
				Name: "web", GenerateName: rapid.SampledFrom([]string{"", "web-"}).Draw(t, "generateName"), Namespace: "shop",
				Labels:      rapid.SampledFrom([]map[string]string{nil, {"a": "b"}}).Draw(t, "labels"),
				Annotations: rapid.SampledFrom([]map[string]string{nil, {"c": "d"}}).Draw(t, "annotations"),
			},
			Spec: networkingv1.NetworkPolicySpec{
				PodSelector: drawSelector(t), PolicyTypes: []networkingv1.PolicyType{"Egress", "Ingress"},
				Ingress: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) networkingv1.NetworkPolicyIngressRule {
					return networkingv1.NetworkPolicyIngressRule{From: drawPeers(t), Ports: drawPorts(t)}
				}), 0, 2).Draw(t, "ingress"),
				Egress: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) networkingv1.NetworkPolicyEgressRule {
					return networkingv1.NetworkPolicyEgressRule{To: drawPeers(t), Ports: drawPorts(t)}
				}), 0, 2).Draw(t, "egress"),
			},
		}
		want, err := runtime.DefaultUnstructuredConverter.ToUnstructured(np)
		require.NoError(t, err)
		got := policyValue(np, model.CompilePolicy(np, model.Authored{}))
		assert.Equal(t, plain(want), plain(got))
		assert.NoError(t, declared(got, "", policyType()))
	})
}

// plain makes equal values of equal types.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, value := range v {
			if key != "creationTimestamp" { // null in what the converter makes
				out[key] = plain(value)
			}
		}
		return out
	case map[string]string:
		out := map[string]any{}
		for key, value := range v {
			out[key] = value
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i])
		}
		return out
	}
	return v
}

func TestWhatTheAuthorLeavesOutIsFilledInAsByTheAPIServer(t *testing.T) {
	for name, c := range map[string]struct {
		spec networkingv1.NetworkPolicySpec
		want fields
	}{
		"nothing": {networkingv1.NetworkPolicySpec{}, fields{"podSelector": fields{}, "policyTypes": []any{"Ingress"}}},
		"egress": {
			networkingv1.NetworkPolicySpec{Egress: []networkingv1.NetworkPolicyEgressRule{{Ports: []networkingv1.NetworkPolicyPort{{}}}}},
			fields{"podSelector": fields{}, "policyTypes": []any{"Ingress", "Egress"}, "egress": []any{fields{"ports": []any{fields{"protocol": "TCP"}}}}},
		},
		"empty lists": {
			networkingv1.NetworkPolicySpec{Ingress: []networkingv1.NetworkPolicyIngressRule{}, Egress: []networkingv1.NetworkPolicyEgressRule{}},
			fields{"podSelector": fields{}, "policyTypes": []any{"Ingress"}},
		},
	} {
		np := &networkingv1.NetworkPolicy{Spec: c.spec}
		got := policyValue(np, model.CompilePolicy(np, model.Authored{}))
		assert.Equal(t, c.want, got["spec"], name)
		assert.Equal(t, fields{"namespace": "default"}, got["metadata"], name)
	}
}

// declared says whether every field of the value is declared, with its type.
func declared(v any, path string, d *apiservercel.DeclType) error {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			field, there := d.Fields[name]
			if !there {
				return fmt.Errorf("%s.%s is not declared", path, name)
			}
			if err := declared(value, path+"."+name, field.Type); err != nil {
				return err
			}
		}
	case []any:
		for i := range v {
			if err := declared(v[i], path+"[]", d.ElemType); err != nil {
				return err
			}
		}
	case map[string]string:
		if !d.IsMap() {
			return fmt.Errorf("%s is a map", path)
		}
	case string:
		if d != text && d.TypeName() != "dyn" {
			return fmt.Errorf("%s is a text", path)
		}
	case int64:
		if d != number && d.TypeName() != "dyn" {
			return fmt.Errorf("%s is a number", path)
		}
	}
	return nil
}

func TestANamespaceHasTheLabelsThatTheAPIServerSets(t *testing.T) {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Annotations: map[string]string{"a": "b"}}}
	meta := model.NewNamespaceMeta(ns)
	want := fields{"name": "shop", "labels": map[string]string{"kubernetes.io/metadata.name": "shop"}, "annotations": map[string]string{"a": "b"}}
	assert.Equal(t, want, namespaceValue(meta, ns)["metadata"])
	assert.NotContains(t, namespaceValue(meta, nil)["metadata"], "annotations")
	assert.NoError(t, declared(namespaceValue(meta, ns), "", namespaceType()))
	assert.Equal(t, finding.KindNamespace, namespaceValue(meta, ns)["kind"])
}
