package admission

import (
	"testing"

	json "github.com/go-json-experiment/json"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/randfill"
)

func TestSpecReadsEveryFieldThereIs(t *testing.T) {
	filler := randfill.NewWithSeed(1).NilChance(0.2).NumElements(0, 3).Funcs(func(p *intstr.IntOrString, c randfill.Continue) {
		*p = intstr.FromInt32(int32(c.Uint32()))
		if c.Bool() {
			*p = intstr.FromString(c.String(5))
		}
	})
	for range 500 {
		var want networkingv1.NetworkPolicySpec
		filler.Fill(&want)
		text, err := json.Marshal(&want)
		require.NoError(t, err)
		sameAsReflection(t, text)
	}
}

func TestSpecReadsWhatTheAPIServerWouldNotSend(t *testing.T) {
	for _, text := range []string{
		`{}`, `{"ingress":[]}`, `{"ingress":null,"egress":null,"policyTypes":null,"podSelector":null}`,
		`{"ingress":[null,{}],"egress":[{"to":[null],"ports":[null]}]}`,
		`{"podSelector":{"matchLabels":{},"matchExpressions":[]}}`,
		`{"podSelector":{"matchLabels":{"a":null}}}`,
		`{"ingress":[{"from":[{"podSelector":{}},{"namespaceSelector":null},{"ipBlock":{"cidr":"::/0","except":null}}]}]}`,
		`{"ingress":[{"ports":[{"port":"http","protocol":null},{"port":-1,"endPort":2147483647},{"port":null}]}]}`,
		`{"\u0069ngress":[{"ports":[{"port":"h\u00e4\n"}]}],"unknown":{"a":[1,{}]}}`,
		`{"to":[{}],"ingress":[{"to":[{}]}]}`,
	} {
		sameAsReflection(t, []byte(text))
	}
}

func TestSpecRefusesWhatDoesNotFit(t *testing.T) {
	for _, text := range []string{
		`[]`, `7`, `"x"`, `{"ingress":{}}`, `{"ingress":[[]]}`, `{"policyTypes":"Ingress"}`, `{"policyTypes":[7]}`, `{"podSelector":[]}`,
		`{"ingress":[{"ports":[{"port":1.5}]}]}`, `{"ingress":[{"ports":[{"port":2147483648}]}]}`, `{"ingress":[{"ports":[{"port":true}]}]}`,
		`{"ingress":[{"ports":[{"endPort":"9"}]}]}`, `{"ingress":[],"ingress":[]}`, `{"ingress":[`, `{"ingress":[}`, `{"ingress"}`,
		`{"podSelector":{"matchLabels":{"a":1}}}`, `{"podSelector":{"matchLabels":[]}}`, "{\"policyTypes\":[\"\xff\"]}",
	} {
		var got spec
		assert.Error(t, json.Unmarshal([]byte(text), &got), text)
	}
}

// sameAsReflection demands that the text is read as reflection reads it, or that both refuse it.
func sameAsReflection(t *testing.T, text []byte) {
	t.Helper()
	var want networkingv1.NetworkPolicySpec
	wantErr := json.Unmarshal(text, &want)
	var got spec
	err := json.Unmarshal(text, &got)
	if wantErr != nil {
		require.Error(t, err, "%s", text)
		return
	}
	require.NoError(t, err, "%s", text)
	require.Equal(t, want, networkingv1.NetworkPolicySpec(got), "%s", text)
}

func FuzzSpec(f *testing.F) {
	for _, seed := range []string{
		`{"podSelector":{"matchLabels":{"app":"web"},"matchExpressions":[{"key":"a","operator":"In","values":["b"]}]},"policyTypes":["Ingress"]}`,
		`{"ingress":[{"from":[{"ipBlock":{"cidr":"10.0.0.0/8","except":["10.1.0.0/16"]}}],"ports":[{"port":80,"endPort":90,"protocol":"TCP"}]}]}`,
		`{"egress":[{"to":[{"namespaceSelector":{},"podSelector":null}],"ports":[{"port":"dns"}]},null]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if string(text) != "null" {
			sameAsReflection(t, text)
		}
	})
}
