package oracle_test

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/test/oracle"
	"github.com/portcullis-dev/portcullis/test/oracle/gen"
)

// engine is pkg/reach, asked in the oracle's terms.
type engine struct {
	view *reach.View
	pods map[string]reach.Endpoint // by namespace/name: with all addresses
	at   map[string]reach.Endpoint // by namespace/name@address: as if it had this address alone
}

func compile(np *networkingv1.NetworkPolicy) *model.Policy {
	return model.CompilePolicy(np, model.Authored{})
}

// history is how a cluster has come to be; the answers must not depend on it.
type history int

const (
	atOnce          history = iota // all objects stored, then one snapshot
	lastByChange                   // the last policy added by a Change to a snapshot without it
	changedByChange                // the last policy changed by a Change, from something else
	oneByOne                       // a snapshot after each object, and objects that come and go
	histories
)

func newEngine(c *oracle.Cluster, h history) *engine {
	facts := model.Facts{CNI: "calico"}
	if c.Cilium {
		facts.CNI = model.CNICilium
	}
	return engineOf(snapshot(c, facts, h))
}

func engineOf(world *model.Snapshot) *engine {
	e := &engine{view: reach.NewView(world), pods: map[string]reach.Endpoint{}, at: map[string]reach.Endpoint{}}
	for ns := range e.view.World().Namespaces() {
		for _, class := range ns.Classes {
			for i := range class.Pods {
				pod := &class.Pods[i]
				name := class.Namespace + "/" + pod.Name
				e.pods[name] = reach.Endpoint{Class: class, Pod: pod}
				for _, ip := range pod.IPs {
					e.at[name+"@"+ip.String()] = reach.Endpoint{Class: class, Pod: &model.Pod{Name: pod.Name, IPs: []netip.Addr{ip}}}
				}
			}
		}
	}
	return e
}

func snapshot(c *oracle.Cluster, facts model.Facts, h history) *model.Snapshot {
	store := model.NewStore()
	step := func() {
		if h == oneByOne {
			store.Snapshot(facts)
		}
	}
	if h == oneByOne {
		for i := range c.Pods {
			stray := c.Pods[i].DeepCopy()
			stray.Name, stray.Spec.HostNetwork, stray.Spec.Containers = "stray", false, nil
			store.SetPod(stray)
			other := c.Pods[i].DeepCopy()
			other.Labels, other.Status.PodIPs = map[string]string{"app": "other"}, nil
			store.SetPod(other)
		}
		for i := range c.Policies {
			store.SetPolicy(compile(&networkingv1.NetworkPolicy{ObjectMeta: c.Policies[i].ObjectMeta}))
		}
		step()
	}
	policies := c.Policies
	var last *networkingv1.NetworkPolicy
	if n := len(policies); n > 0 && (h == lastByChange || h == changedByChange) {
		last, policies = &policies[n-1], policies[:n-1]
	}
	for i := range policies {
		store.SetPolicy(compile(&policies[i]))
		step()
	}
	for i := range c.Pods {
		store.SetPod(&c.Pods[i])
		_ = store.Delete("Pod", c.Pods[i].Namespace, "stray")
		step()
	}
	for i := range c.Namespaces {
		store.SetNamespace(model.NewNamespaceMeta(&c.Namespaces[i]))
		step()
	}
	if last == nil {
		return store.Snapshot(facts)
	}
	change := model.Change{Operation: model.Create, NewPolicy: compile(last)}
	if h == changedByChange {
		change.Operation, change.OldPolicy = model.Update, compile(&networkingv1.NetworkPolicy{ObjectMeta: last.ObjectMeta})
		store.SetPolicy(change.OldPolicy)
	}
	return store.Snapshot(facts).With(change)
}

// pod is the pod with all of its addresses.
func (e *engine) pod(p *corev1.Pod) reach.Endpoint { return e.pods[p.Namespace+"/"+p.Name] }

// end is the end at its one address.
func (e *engine) end(of oracle.Endpoint) reach.Endpoint {
	if of.Pod == nil {
		return reach.Endpoint{Addr: of.IP}
	}
	return e.at[of.Pod.Namespace+"/"+of.Pod.Name+"@"+of.IP.String()]
}

func portOf(p gen.Port) netset.Port {
	protocol, _ := netset.ParseProtocol(string(p.Protocol))
	return netset.Port{Protocol: protocol, Number: uint16(p.Number)}
}
