package reach_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
)

// pair is a view of the pods shop/from and shop/to, written in YAML without their metadata, and of one policy for the whole
// namespace.
type pair struct {
	view     *reach.View
	from, to reach.Endpoint
}

func newPair(t *testing.T, facts model.Facts, from, to, policy string) pair {
	t.Helper()
	store := model.NewStore()
	for name, text := range map[string]string{"from": from, "to": to} {
		var pod corev1.Pod
		require.NoError(t, yaml.UnmarshalStrict([]byte(text), &pod))
		pod.Namespace, pod.Name, pod.Labels = "shop", name, map[string]string{"app": name}
		store.SetPod(&pod)
	}
	np := networkingv1.NetworkPolicy{}
	np.Namespace, np.Name = "shop", "policy"
	require.NoError(t, yaml.UnmarshalStrict([]byte(policy), &np.Spec))
	store.SetPolicy(model.CompilePolicy(&np, model.Authored{}))
	p := pair{view: reach.NewView(store.Snapshot(facts))}
	for _, class := range p.view.World().Namespace("shop").Classes {
		end := reach.Endpoint{Class: class, Pod: &class.Pods[0]}
		if class.Labels["app"] == "from" {
			p.from = end
		} else {
			p.to = end
		}
	}
	return p
}

func (p pair) connect(port uint16) reach.Truth {
	return p.view.Connection(p.from, p.to, netset.Port{Protocol: netset.TCP, Number: port}).Allowed
}

func TestIfThePeerIsOnTheHostNetworkThenItHasNoNamedPorts(t *testing.T) {
	const (
		from   = `{status: {podIPs: [{ip: 10.0.0.1}]}}`
		named  = `{spec: {containers: [{name: c, ports: [{name: http, containerPort: 80}]}]}, status: {podIPs: [{ip: 10.0.0.2}]}}`
		host   = `{spec: {hostNetwork: true, containers: [{name: c, ports: [{name: http, containerPort: 80}]}]}, status: {podIPs: [{ip: 10.0.0.2}]}}`
		policy = `{policyTypes: [Egress], egress: [{ports: [{port: http}, {port: 81}]}]}`
	)
	pod := newPair(t, model.Facts{}, from, named, policy)
	assert.Equal(t, reach.Yes, pod.connect(80))
	node := newPair(t, model.Facts{}, from, host, policy)
	assert.Equal(t, reach.No, node.connect(80))
	assert.Equal(t, reach.Yes, node.connect(81))
}
