package e2e

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var (
	ingressOnly = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
	bothTypes   = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}
)

const addedEgress = "Warning: portcullis: added Egress to spec.policyTypes: the manifest has an egress section and no policyTypes"

func TestANamespaceGetsALabelWithItsNameAndAWrongOneIsCorrected(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	label := func() string {
		ns, err := shared.cluster.Client.CoreV1().Namespaces().Get(within(t), s.namespace, metav1.GetOptions{})
		require.NoError(t, err)
		return ns.Labels["networking/namespace"]
	}
	assert.Equal(t, s.namespace, label())
	s.admitted("", []string{"label", "--overwrite", "namespace", "$NS", "networking/namespace=kube-system"}, "Warning: portcullis: corrected the label networking/namespace")
	assert.Equal(t, s.namespace, label())
	s.admitted("", []string{"label", "namespace", "$NS", "networking/namespace-"}, "Warning: portcullis: set the label networking/namespace=$NS")
	assert.Equal(t, s.namespace, label())
}

// dnsForAll lets the tests of this file write egress rules without being denied for DNS.
func (s *scene) dnsForAll() {
	s.t.Helper()
	s.admitted(policy("allow-dns", "api", toDNS), apply)
}

func TestAnEgressSectionThatIsAppliedLaterIsRepaired(t *testing.T) {
	t.Parallel()
	for name, how := range map[string][]string{
		"by apply":             {"apply", "--filename=-"},
		"by server-side apply": {"apply", "--server-side", "--filename=-"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.dnsForAll()
			s.admitted(policy("web", "api", noTypes), how)
			assert.Equal(t, ingressOnly, s.types("web"))
			s.admitted(policy("web", "api", noTypesEgress), how, addedEgress)
			assert.Equal(t, bothTypes, s.types("web"))
			assert.NotContains(t, s.admitted(policy("web", "api", noTypesEgress), how), "added", "and once repaired, it stays so")
			assert.Equal(t, bothTypes, s.types("web"))
			s.audited(`"networkpolicies.portcullis.dev/mutated":"policyTypes"`)
		})
	}
}

func TestReplaceDefaultsAfreshAndNeedsNoRepair(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.dnsForAll()
	s.admitted(policy("web", "api", noTypes), apply)
	assert.NotContains(t, s.admitted(policy("web", "api", noTypesEgress), []string{"replace", "--filename=-"}), "added Egress")
	assert.Equal(t, bothTypes, s.types("web"))
}

func TestAnEmptyEgressSectionIsRepairedWhereItLeavesATrace(t *testing.T) {
	t.Parallel()
	const nothing = noTypes + "\n  egress: []"
	for name, c := range map[string]struct {
		how  []string
		want []networkingv1.PolicyType
	}{
		"apply leaves the manifest":                       {[]string{"apply", "--filename=-"}, bothTypes},
		"server-side apply leaves the fields":             {[]string{"apply", "--server-side", "--filename=-"}, bothTypes},
		"create leaves nothing, and nobody can repair it": {[]string{"create", "--filename=-"}, ingressOnly},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, "portcullis.dev/enforce", "privileged")
			s.admitted(policy("web", "api", nothing), c.how)
			assert.Equal(t, c.want, s.types("web"))
		})
	}
}

func TestPolicyTypesThatTheAuthorWroteAreNeverChanged(t *testing.T) {
	t.Parallel()
	s := newScene(t, "portcullis.dev/enforce", "privileged")
	s.admitted(policy("web", "api", "  policyTypes: [Ingress]\n"+noTypesEgress), apply)
	assert.Equal(t, ingressOnly, s.types("web"))
}

func TestTheAPIServerDoesNotAskForRepairsWhereThereIsNothingToRepair(t *testing.T) {
	// Not in parallel: others would be counted, too.
	s := newScene(t, "portcullis.dev/enforce", "privileged")
	const series = `portcullis_admission_reviews_total{decision="*",dry_run="*",operation="*",resource="networkpolicies",webhook="mutate"}`
	before := metrics(t).Sum(series)
	s.admitted(policy("web", "api", narrowIngress), apply)
	s.admitted(policy("web", "api", noTypes), apply)
	assert.Equal(t, before, metrics(t).Sum(series))
	s.admitted(policy("other", "api", noTypes+"\n  egress: []"), []string{"apply", "--filename=-", "--dry-run=server"})
	assert.Equal(t, before+1, metrics(t).Sum(series))
}
