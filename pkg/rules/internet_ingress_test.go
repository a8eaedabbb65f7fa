package rules_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/engine"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rules"
)

// A small internet: the addresses from 20.0.0.0 to 27.255.255.255, all of which are public, in cells of a /16 each.
const (
	firstOctet = 20
	octets     = 8
	cells      = octets * 256
)

func cell(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(firstOctet + i/256), byte(i % 256), 1, 1})
}

// drawBlock draws a prefix of whole cells.
func drawBlock(t *rapid.T, name string) netip.Prefix {
	at := cell(rapid.IntRange(0, cells-1).Draw(t, name+" at"))
	return netip.PrefixFrom(at, rapid.IntRange(7, 16).Draw(t, name+" bits")).Masked()
}

// drawn is a policy of a few rules for the pod shop/web.
func drawn(t *rapid.T) *networkingv1.NetworkPolicy {
	np := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
	np.Spec.PolicyTypes = []networkingv1.PolicyType{"Ingress"}
	for range rapid.IntRange(1, 4).Draw(t, "rules") {
		var r networkingv1.NetworkPolicyIngressRule
		for range rapid.IntRange(1, 6).Draw(t, "peers") {
			b := drawBlock(t, "block")
			block := &networkingv1.IPBlock{CIDR: b.String()}
			for range rapid.IntRange(0, 3).Draw(t, "exceptions") {
				if e := drawBlock(t, "exception"); b.Contains(e.Addr()) && e.Bits() > b.Bits() {
					block.Except = append(block.Except, e.String())
				}
			}
			r.From = append(r.From, networkingv1.NetworkPolicyPeer{IPBlock: block})
		}
		for range rapid.IntRange(0, 2).Draw(t, "ports") {
			first := int32(rapid.IntRange(1, 4).Draw(t, "port"))
			last := int32(rapid.IntRange(int(first), 4).Draw(t, "end"))
			number := intstr.FromInt32(first)
			r.Ports = append(r.Ports, networkingv1.NetworkPolicyPort{Port: &number, EndPort: &last})
		}
		np.Spec.Ingress = append(np.Spec.Ingress, r)
	}
	return np
}

// lets says, from the documentation of the API alone, whether the policy lets the address connect to the port.
func lets(np *networkingv1.NetworkPolicy, from netip.Addr, port int32) bool {
	for _, r := range np.Spec.Ingress {
		onPort := len(r.Ports) == 0
		for _, p := range r.Ports {
			onPort = onPort || p.Port.IntVal <= port && port <= *p.EndPort
		}
		for _, peer := range r.From {
			inside := netip.MustParsePrefix(peer.IPBlock.CIDR).Contains(from)
			for _, e := range peer.IPBlock.Except {
				inside = inside && !netip.MustParsePrefix(e).Contains(from)
			}
			if onPort && inside {
				return true
			}
		}
	}
	return false
}

func TestInternetIngressAgreesWithCountingAddresses(t *testing.T) {
	cfg, err := config.Load(nil, "", rules.Catalogue())
	require.NoError(t, err)
	judge := engine.New(cfg.Rules)
	rapid.Check(t, func(t *rapid.T) {
		np := drawn(t)
		exposed := int32(rapid.IntRange(0, 4).Draw(t, "exposed port"))
		store := model.NewStore()
		store.SetPod(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", Labels: map[string]string{"app": "web"}}})
		if exposed > 0 {
			store.SetService(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}, Spec: corev1.ServiceSpec{
				Type: corev1.ServiceTypeLoadBalancer, Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(exposed)}}}})
		}
		p := model.CompilePolicy(np, model.Authored{})
		store.SetPolicy(p)
		found := ofRule(judge.Evaluate(store.Snapshot(model.Facts{}), model.Change{OldPolicy: p, NewPolicy: p}), "internet-ingress")

		wide := false
		for _, port := range []int32{1, 2, 3, 4, 9} { // 9 stands for those that no rule names
			open := 0
			for i := range cells {
				if port != exposed && lets(np, cell(i), port) {
					open++
				}
			}
			wide = wide || open >= 256
		}
		require.Equal(t, wide, len(found) == 1)
		if wide {
			assert.Equal(t, finding.Violation, found[0].Outcome)
			from := netip.MustParseAddr(found[0].Witness.From)
			var port int32
			_, err := fmt.Sscanf(found[0].Witness.Port, "TCP/%d", &port)
			if err != nil { // a rule without ports allows other protocols as well
				return
			}
			assert.True(t, lets(np, from, port), "the witness %s is let in", found[0].Witness)
			assert.NotEqual(t, exposed, port)
		}
	})
}
