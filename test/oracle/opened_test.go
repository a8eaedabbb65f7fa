package oracle_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"
	"pgregory.net/rapid"

	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/test/oracle"
	"github.com/portcullis-dev/portcullis/test/oracle/gen"
)

// narrowed is a policy after a small change, most of which take something away.
func narrowed(t *rapid.T, c *oracle.Cluster, p *networkingv1.NetworkPolicy) {
	types := []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}
	switch rapid.IntRange(0, 5).Draw(t, "change") {
	case 0:
		p.Spec.PolicyTypes = types
	case 1:
		p.Spec.PolicyTypes = types[:1]
	case 2:
		if n := len(p.Spec.Ingress); n > 0 {
			p.Spec.Ingress = slices.Delete(p.Spec.Ingress, n-1, n)
		}
	case 3:
		for i := range p.Spec.Egress {
			if n := len(p.Spec.Egress[i].To); n > 0 {
				p.Spec.Egress[i].To = slices.Delete(p.Spec.Egress[i].To, 0, 1) // the last one of all opens the rule to everybody
			}
		}
	case 4:
		for i := range p.Spec.Ingress {
			if n := len(p.Spec.Ingress[i].Ports); n > 0 {
				p.Spec.Ingress[i].Ports = slices.Delete(p.Spec.Ingress[i].Ports, n-1, n)
			}
		}
	case 5:
		p.Spec = rapid.SampledFrom(c.Policies).Draw(t, "other").Spec
	}
}

func TestWhatIsOpenedAgreesWithOracle(t *testing.T) {
	opened, closed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		c := gen.Cluster(t)
		if len(c.Policies) == 0 {
			return
		}
		after := *c
		after.Policies = slices.Clone(c.Policies)
		i := rapid.IntRange(0, len(c.Policies)-1).Draw(t, "policy")
		after.Policies[i] = *c.Policies[i].DeepCopy()
		narrowed(t, c, &after.Policies[i])

		got := reach.Opened(newEngine(c, atOnce).view, newEngine(&after, atOnce).view, compile(&c.Policies[i]), compile(&after.Policies[i]))
		for _, conn := range gen.AllConnections(c) {
			was := oracle.Allowed(c, conn.From, conn.To, conn.Protocol, conn.Number).Allowed
			is := oracle.Allowed(&after, conn.From, conn.To, conn.Protocol, conn.Number).Allowed
			if is && !was {
				require.NotEmpty(t, got, "%s is opened\n%s\nbecomes\n%s", conn, gen.YAML(c), gen.YAML(&after))
				opened++
				return
			}
		}
		if got == "" {
			closed++
		}
	})
	assert.Positive(t, opened, "the test is worth something")
	assert.Positive(t, closed, "the test is worth something")
}
