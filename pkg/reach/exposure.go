package reach

import (
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// ExposureOptions say what counts as exposed.
type ExposureOptions struct {
	// NodePorts is whether NodePort Services and hostPorts count.
	NodePorts bool
	// InternalClasses are the loadBalancerClasses of internal load balancers, which expose nothing to the internet.
	InternalClasses []string
}

// Exposure is one reason why pods are reached from outside of the cluster's pods, and on which of their ports.
type Exposure struct {
	// Service is nil for a hostPort.
	Service *model.Service
	Ports   netset.Ports
	// Sources are the addresses that may use the exposure; empty if every address may.
	Sources netset.Addrs
	// By is the object that forwards to the Service; its Kind is empty if the Service itself is exposed.
	By model.Origin
}

// Exposed is how the pods of the class are exposed, in the order of Services. For a hypothetical pod, unresolved are the
// Services that forward to a port name of which the pod's number is not known yet.
func (v *View) Exposed(c *model.PodClass, o ExposureOptions) (exposures []Exposure, unresolved []*model.Service) {
	ns := v.world.NamespaceOrImplied(c.Namespace)
	for _, svc := range ns.Services {
		if !svc.Selects(c.Labels) {
			continue
		}
		found, all := exposuresOf(ns, svc, c, o)
		exposures = append(exposures, found...)
		if !all && c.Hypothetical {
			unresolved = append(unresolved, svc)
		}
	}
	if o.NodePorts {
		for _, p := range c.Ports {
			if p.HostPort != 0 {
				exposures = append(exposures, Exposure{Ports: netset.PortsOf(p.Port)})
			}
		}
	}
	return exposures, unresolved
}

// exposuresOf says how one Service exposes the pods; all is false if a port name could not be resolved.
func exposuresOf(ns *model.Namespace, svc *model.Service, c *model.PodClass, o ExposureOptions) (out []Exposure, all bool) {
	all = true
	whole := svc.LoadBalancer && !slices.Contains(o.InternalClasses, svc.LoadBalancerClass) || svc.ExternalIPs || svc.NodePort && o.NodePorts
	if whole {
		e := Exposure{Service: svc}
		if svc.LoadBalancer {
			e.Sources = svc.SourceRanges
		}
		for i := range svc.Ports {
			ports, ok := targetPorts(&svc.Ports[i], c)
			e.Ports, all = e.Ports.Union(ports), all && ok
		}
		out = append(out, e)
	}
	for i := range ns.Backends {
		b := &ns.Backends[i]
		if b.Service != svc.Name {
			continue
		}
		e := Exposure{Service: svc, By: b.Origin}
		for j := range svc.Ports {
			if refersTo(b, &svc.Ports[j]) {
				ports, ok := targetPorts(&svc.Ports[j], c)
				if !mayBeTarget(b, &svc.Ports[j], c) {
					ports = ports.Intersect(netset.PortsOf(netset.Port{Protocol: svc.Ports[j].Port.Protocol, Number: b.Target}))
				}
				e.Ports, all = e.Ports.Union(ports), all && ok
			}
		}
		out = append(out, e)
	}
	return out, all
}

func refersTo(b *model.Backend, p *model.ServicePort) bool {
	switch {
	case b.PortName != "":
		return b.PortName == p.Name
	case b.PortNumber != 0:
		return b.PortNumber == p.Port.Number
	}
	return true
}

// mayBeTarget says whether all that the Service's port forwards to may be the backend's Target: there is none, or the port has a
// name, which stands for some number once there are pods.
func mayBeTarget(b *model.Backend, p *model.ServicePort, c *model.PodClass) bool {
	return b.Target == 0 || c.Hypothetical && p.TargetName != ""
}

// targetPorts are the pods' ports that a Service's port forwards to; ok is false if it is a name that the pods do not
// declare.
func targetPorts(p *model.ServicePort, c *model.PodClass) (ports netset.Ports, ok bool) {
	number := p.Target
	if p.TargetName != "" {
		if number, ok = c.NamedPort(p.Port.Protocol, p.TargetName); !ok {
			return netset.Ports{}, false
		}
	}
	if number == 0 {
		return netset.Ports{}, true
	}
	return netset.PortsOf(netset.Port{Protocol: p.Port.Protocol, Number: number}), true
}

// ExposedPorts is the union of the ports of the exposures.
func ExposedPorts(exposures []Exposure) netset.Ports {
	var out netset.Ports
	for i := range exposures {
		out = out.Union(exposures[i].Ports)
	}
	return out
}
