package celrule

import (
	"fmt"
	"iter"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
)

// peer are pods that rules name, and which rules do, by their places.
type peer struct {
	*model.PodClass
	rules []int
}

// opening are the ports of several rules together; texts once they are asked for.
type opening struct {
	netset.Ports
	texts []string
}

// named are the pods that the rules of the direction name by selectors, in the rules' order. The error says that there are more than
// a rule looks at, or that it takes too long to tell.
func (f *facts) named(name string, d model.Direction) (out []peer, err error) {
	at := map[*model.PodClass]int{}
	rules := f.rules(d)
	for i := range rules {
		f.each(&rules[i], func(c *model.PodClass) bool {
			place, there := at[c]
			switch {
			case !there && len(out) == most:
				err = tooMany(name)
				return false
			case !there:
				place = len(out)
				at[c], out = place, append(out, peer{PodClass: c})
			}
			out[place].rules = append(out[place].rules, i)
			return true
		})
	}
	if !f.step(0) {
		err = errSteps
	}
	return out, err
}

func (f *facts) peers(name string, d model.Direction) (any, error) {
	named, err := f.named(name, d)
	if err != nil {
		return nil, err
	}
	if err := f.count(name, len(named)); err != nil {
		return nil, err
	}
	out := make([]any, len(named))
	for i := range named {
		open := f.open(d, &named[i])
		if open == nil {
			return nil, errSteps
		}
		if open.texts == nil {
			if open.texts, err = f.portTexts(name+".open", open.Ports); err != nil {
				return nil, err
			}
		}
		pod := podFields(named[i].PodClass)
		pod["open"] = open.texts
		out[i] = pod
	}
	return out, nil
}

// open are the ports of the rules between the selected pods and the peer; nil if that takes too long to tell. What does not depend
// on the peer is worked out once.
func (f *facts) open(d model.Direction, p *peer) *opening {
	key := fmt.Sprint(d, p.rules)
	if d == model.Egress {
		for _, i := range p.rules {
			if f.policy.Rules[d][i].Named {
				key += p.Key()
				break
			}
		}
	}
	if known := f.opened[key]; known != nil {
		return known
	}
	sets := make([]netset.Ports, 0, len(p.rules))
	for _, i := range p.rules {
		if !f.step(1 + len(f.policy.Rules[d][i].Ports)) {
			return nil
		}
		sets = append(sets, f.portsTowards(d, &f.policy.Rules[d][i], p.PodClass))
	}
	if !f.step(0) {
		return nil
	}
	out := &opening{Ports: netset.UnionPorts(sets...)}
	if f.opened == nil {
		f.opened = map[string]*opening{}
	}
	f.opened[key] = out
	return out
}

// portsTowards are the ports of the rule between the selected pods and the peer; of ingress, they are the same for any.
func (f *facts) portsTowards(d model.Direction, r *model.Rule, peer *model.PodClass) netset.Ports {
	pods := []*model.PodClass{peer}
	switch {
	case !r.Named:
		return r.Numeric
	case d == model.Ingress:
		pods = f.unlike(d)
	}
	var sets []netset.Ports
	for _, c := range pods {
		if !f.step(len(r.Ports)) {
			break
		}
		sets = append(sets, reach.PortsOn(r, c))
	}
	return netset.UnionPorts(sets...)
}

// namespacesInAStep is how many namespaces a selector looks at in the time of a step.
const namespacesInAStep = 20

// step takes steps, and says whether there were enough left.
func (f *facts) step(n int) bool {
	f.steps += n
	return f.steps <= mostSteps
}

// each calls visit with the pods that the rule names by selectors, each once, until it says no.
func (f *facts) each(r *model.Rule, visit func(*model.PodClass) bool) {
	for ns := range f.spaces(r) {
		for _, c := range ns.Classes {
			if !f.step(1+len(r.Peers)) || f.names(r, c) && !visit(c) {
				return
			}
		}
	}
}

// spaces yields the namespaces that the rule names, each once.
func (f *facts) spaces(r *model.Rule) iter.Seq[*model.Namespace] {
	if r.AllPeers() {
		return f.world.Namespaces()
	}
	return func(yield func(*model.Namespace) bool) {
		seen := map[*model.Namespace]bool{}
		for i := range r.Peers {
			if !f.step(1 + f.world.Len()/namespacesInAStep) {
				return
			}
			for ns := range f.spacesOf(&r.Peers[i]) {
				if !f.step(1) {
					return
				}
				if !seen[ns] && !yield(ns) {
					return
				}
				seen[ns] = true
			}
		}
	}
}

// spacesOf yields the namespaces that the peer names.
func (f *facts) spacesOf(p *model.Peer) iter.Seq[*model.Namespace] {
	switch {
	case p.IPBlock != nil, p.PodSelector != nil && !p.PodSelector.Satisfiable():
		return func(func(*model.Namespace) bool) {}
	case p.NamespaceSelector == nil:
		return func(yield func(*model.Namespace) bool) { yield(f.world.NamespaceOrImplied(f.policy.Namespace)) }
	}
	return f.world.Select(p.NamespaceSelector)
}

func (f *facts) names(r *model.Rule, c *model.PodClass) bool {
	if r.AllPeers() {
		return true
	}
	for i := range r.Peers {
		if r.Peers[i].IPBlock == nil && f.view.MatchPeer(f.policy.Namespace, &r.Peers[i], reach.Endpoint{Class: c}).Every {
			return true
		}
	}
	return false
}
