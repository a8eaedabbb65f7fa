package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// An exposure finding may mend itself in two ways: the policy claims that an object will expose the pods, and it is not there
// yet; or the pods are not there yet, and some that carry more labels, or give numbers to port names, would be exposed by the
// Services that are.

// later says why the openings may be justified later; empty if they may not.
func (s *exposureSettings) later(p *rule.Pass, all, bad []opening, justify func(*opening, []reach.Exposure)) string {
	policy := p.Change.NewPolicy
	ns := p.World.NamespaceOrImplied(policy.Namespace)
	claims, _ := model.ParseClaims(policy.Annotations)
	for _, c := range claims {
		if !exists(ns, c) {
			return fmt.Sprintf("the policy claims to be exposed by %s, which does not exist yet", c)
		}
	}
	if !bad[0].class.Hypothetical {
		return ""
	}
	if len(bad) < len(all) || len(bad) < len(p.Reach.Select(policy).Classes) {
		return "the pods do not exist yet, and some that the policy would select are exposed"
	}
	for i := range bad {
		if why := s.escape(p, &bad[i], justify); why != "" {
			return why
		}
	}
	return ""
}

// claimed is what the policy claims to be exposed by, for a sentence that says that it is not so.
func claimed(policy *model.Policy) string {
	claims, _ := model.ParseClaims(policy.Annotations)
	if len(claims) == 0 {
		return ""
	}
	return ", although the policy claims to be exposed by " + claims[0].String()
}

func exists(ns *model.Namespace, c model.Claim) bool {
	if c.Kind == "service" {
		return slices.ContainsFunc(ns.Services, func(svc *model.Service) bool { return svc.Name == c.Name })
	}
	if slices.Contains(ns.Exposers, c.String()) {
		return true
	}
	return slices.ContainsFunc(ns.Backends, func(b model.Backend) bool {
		switch c.Kind {
		case "gateway": // it may only be known by the routes that name it
			return slices.Contains(strings.Split(b.Origin.Gateways, ","), ns.Meta.Name+"/"+c.Name)
		case "route":
			return b.Origin.Kind == "route" && b.Origin.Namespace == ns.Meta.Name && b.Origin.Name == c.Name
		}
		return false
	})
}

// escape says how a pod that does not exist yet may escape the finding; empty if it cannot.
func (s *exposureSettings) escape(p *rule.Pass, o *opening, justify func(*opening, []reach.Exposure)) string {
	if svc := s.mayResolve(p, o); svc != nil {
		return fmt.Sprintf("no pod exists yet that tells which port Service %s/%s exposes", svc.Namespace, svc.Name)
	}
	ns := p.World.NamespaceOrImplied(o.class.Namespace)
	labels := o.class.Labels
	var names []string
	for _, svc := range ns.Services {
		selector := model.SelectorOf(svc.Selector)
		extended, ok := selector.Extend(labels)
		if !ok || len(extended) == len(labels) || !p.Change.NewPolicy.PodSelector.Matches(extended) {
			continue
		}
		class := model.NewHypothetical(o.class.Namespace, extended, o.class.Ports...)
		exposures, unresolved := p.Reach.Exposed(class, s.options())
		if len(exposures) == 0 && len(unresolved) == 0 {
			continue
		}
		labels, names = extended, append(names, "Service "+svc.Namespace+"/"+svc.Name)
		richer := opening{class: class, conns: o.conns}
		justify(&richer, exposures)
		if richer.unjustified.IsEmpty() || s.mayResolve(p, &richer) != nil {
			return fmt.Sprintf("no pod exists yet, and one with %s would be exposed by %s", model.FormatLabels(labels), strings.Join(names, " and "))
		}
	}
	return ""
}

// mayResolve is a Service that may justify the opening once a pod says which number a port name has; nil if none may. Either
// the Service names the port and the policy gives the number, or the reverse.
func (s *exposureSettings) mayResolve(p *rule.Pass, o *opening) *model.Service {
	ports := o.unjustified.PortsOf(netset.AllAddrs())
	var named netset.Ports
	for _, declared := range o.class.Ports {
		named = named.Union(netset.PortsOf(declared.Port))
	}
	exposures, unresolved := p.Reach.Exposed(o.class, s.options())
	if byNumber := ports.Minus(named); byNumber.IsEmpty() {
		for _, e := range exposures {
			if e.Service != nil && ports.Size() <= e.Ports.Minus(named).Size() {
				return e.Service
			}
		}
	} else if byNumber.Size() <= unresolvedNames(unresolved, o.class) && ports.Minus(byNumber).IsEmpty() {
		return unresolved[0]
	}
	return nil
}

func unresolvedNames(services []*model.Service, class *model.PodClass) int {
	n := 0
	for _, svc := range services {
		for _, port := range svc.Ports {
			if _, known := class.NamedPort(port.Port.Protocol, port.TargetName); port.TargetName != "" && !known {
				n++
			}
		}
	}
	return n
}
