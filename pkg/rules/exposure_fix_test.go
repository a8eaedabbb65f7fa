package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/engine"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rules"
	"github.com/portcullis-dev/portcullis/pkg/source/manifest"
)

// exposedPod is a pod that a load balancer exposes on port 8443 to some networks.
const exposedPod = `
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: shop, labels: {app: web}}
spec: {containers: [{name: main, image: registry.example/web:1, ports: [{containerPort: 8443}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  type: LoadBalancer
  loadBalancerSourceRanges: [%s]
  selector: {app: web}
  ports: [{port: 443, targetPort: 8443}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: [%s]}
`

func TestAFixThatWouldBeTooLongForAPersonIsNotWritten(t *testing.T) {
	cfg, err := config.Load(nil, "", rules.Catalogue())
	require.NoError(t, err)
	// list is n items, each with a number from 11, where no address is special for a while.
	list := func(n int, item string) string {
		var out []string
		for i := range n {
			out = append(out, fmt.Sprintf(item, 11+i))
		}
		return strings.Join(out, ", ")
	}
	const everybody = "{from: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: 8443}]}"
	for name, c := range map[string]struct {
		id, ranges, ingress string
		patched             bool
	}{
		"64 peers":                  {"internet-ingress", "", "{from: [" + list(64, "{ipBlock: {cidr: %d.0.0.0/8}}") + "], ports: [{port: 9090}]}", true},
		"65 peers":                  {"internet-ingress", "", "{from: [" + list(65, "{ipBlock: {cidr: %d.0.0.0/8}}") + "], ports: [{port: 9090}]}", false},
		"65 peers of two rules":     {"internet-ingress", "", "{from: [" + list(64, "{ipBlock: {cidr: %d.0.0.0/8}}") + "], ports: [{port: 9090}]}, {from: [{ipBlock: {cidr: 76.0.0.0/8}}], ports: [{port: 9090}]}", false},
		"64 rules without peers":    {"internet-ingress", "", list(64, "{ports: [{port: 90%d}]}"), true},
		"65 rules without peers":    {"internet-ingress", "", list(65, "{ports: [{port: 90%d}]}"), false},
		"16 networks that are kept": {"external-ingress", list(16, "52.94.%d.7/32"), everybody, true},
		"17 networks that are kept": {"external-ingress", list(17, "52.94.%d.7/32"), everybody, false},
	} {
		result, err := manifest.Load(t.Context(), []string{manifest.Stdin}, strings.NewReader(fmt.Sprintf(exposedPod, c.ranges, c.ingress)))
		require.NoError(t, err)
		require.Empty(t, result.Problems, name)
		p := result.Policies[0]
		// external-ingress is left out where internet-ingress finds something.
		var alone []finding.Finding
		for i := range cfg.Rules {
			if cfg.Rules[i].ID == c.id {
				alone = engine.New(cfg.Rules[i:i+1]).Evaluate(result.Store.Snapshot(cfg.Facts), model.Change{OldPolicy: p, NewPolicy: p})
			}
		}
		require.Len(t, alone, 1, name)
		assert.Equal(t, c.patched, len(alone[0].Patch) > 0, name)
		assert.NotEmpty(t, alone[0].Fix, name)
	}
}
