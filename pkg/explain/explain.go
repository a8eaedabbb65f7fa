package explain

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
)

// Explain answers the question for the cluster as it stands. An end is named NAMESPACE/NAME, KIND/NAME with the kinds of
// kubectl (deploy/web, svc/db), NAMESPACE/KIND/NAME, by an address, or as the internet. The error is for people: what is
// wrong with the question, and what there is instead.
func Explain(world *model.Snapshot, q Question) (*Explanation, error) {
	if q.Namespace == "" {
		q.Namespace = "default"
	}
	asked, err := parsePort(q.Port)
	if err != nil {
		return nil, err
	}
	r := &resolver{world: world, namespace: q.Namespace}
	from, fromErr := r.resolve("--from", q.From)
	to, toErr := r.resolve("--to", q.To)
	if err := errors.Join(fromErr, toErr); err != nil {
		return nil, err
	}
	if from.outside() && to.outside() {
		return nil, fmt.Errorf("both ends are addresses outside of the cluster: NetworkPolicies are about pods, so name one")
	}
	if from.service != nil {
		r.note("%s does not connect to anything itself: its pods are what is explained.", from)
	}
	wants, err := r.wants(to, asked)
	if err != nil {
		return nil, err
	}
	r.hintService(to, asked)
	r.hintHostNetwork(from, to)
	if cni := world.Facts().CNI; cni == "flannel" {
		r.note("%s enforces no NetworkPolicies: with it alone, nothing that is blocked here is blocked in the cluster.", cni)
	}
	x := &explainer{view: reach.NewView(world), single: from.one() && to.one()}
	for _, w := range wants {
		x.ask(from, to, w)
	}
	if len(x.pairs) == 0 {
		return nil, fmt.Errorf("%s is one pod: it always reaches itself, and there is no other", from)
	}
	out := &Explanation{From: from.End, To: to.End, Port: asked.String(), Notes: r.notes, Cases: x.cases()}
	out.Verdict = verdictOf(out.Cases)
	if out.Verdict != Allowed {
		out.Change, out.NoChange = x.change()
		if out.Change != nil && (q.From == internet || q.To == internet) {
			out.Notes = append(out.Notes, "The change is for "+internetAddr+" alone: write the addresses that are meant in its place.")
		}
	}
	return out, nil
}

// one says whether the end is one pod or one address.
func (e *end) one() bool { return len(e.ends) == 1 && (e.ends[0].Outside() || e.ends[0].Pod != nil) }

func verdictOf(cases []Case) Verdict {
	out := cases[0].Verdict
	for _, c := range cases[1:] {
		if c.Verdict != out {
			return Mixed
		}
	}
	return out
}

// hintService tells of a Service's port where it may have been taken for that of the pods.
func (r *resolver) hintService(to *end, asked want) {
	if to.service != nil || to.outside() || asked.number == 0 {
		return
	}
	for _, svc := range r.world.NamespaceOrImplied(to.Namespace).Services {
		if !slices.ContainsFunc(to.ends, func(e reach.Endpoint) bool { return !svc.Headless && svc.Selects(e.Class.Labels) }) {
			continue
		}
		for i := range svc.Ports {
			p := &svc.Ports[i]
			if p.Port == (netset.Port{Protocol: asked.protocol, Number: asked.number}) && (p.TargetName != "" || p.Target != asked.number) {
				target := p.TargetName
				if target == "" {
					target = fmt.Sprint(p.Target)
				}
				r.note("Policies see the pods' ports, and %s is a port of Service %s/%s, which forwards it to %s: to ask for that, write %s/svc/%s or --port %s.",
					asked, svc.Namespace, svc.Name, target, svc.Namespace, svc.Name, target)
			}
		}
	}
}

// hintHostNetwork tells what holds for pods on the network of their node.
func (r *resolver) hintHostNetwork(ends ...*end) {
	for _, e := range ends {
		if e.Kind != kindNode && slices.ContainsFunc(e.ends, func(e reach.Endpoint) bool { return !e.Outside() && e.Class.HostNetwork }) {
			r.note("%s runs on the host's network: with most CNIs no policy isolates it, and to the policies of others it is its node's address, which the pods of that node itself always let in.", e)
		}
	}
}

// explainer gathers the answers for all pairs of the ends' pods.
type explainer struct {
	view *reach.View
	// single is whether both ends are one pod or address, so that a pod is asked about itself.
	single bool
	pairs  []pair
}

// pair is one question to the view, and its answer.
type pair struct {
	from, to reach.Endpoint
	want     want
	port     netset.Port // of to; not valid for all ports, or if to has no such port
	verdict  Verdict
	c        Case // without From and To
}

// mostPairs bounds how many pairs of pods are looked at one by one, where their classes share no answer.
const mostPairs = 2048

// ask answers for each pair of classes; where the pods of a class differ by their addresses, for each pair of pods.
func (x *explainer) ask(from, to *end, w want) {
	for _, a := range from.ends {
		for _, b := range to.ends {
			p := x.answer(a, b, w)
			as, bs := podsOf(a), podsOf(b)
			alike := p.verdict != Unknown && p.c.UnknownPorts == "" && sameFamilies(as) && sameFamilies(bs)
			if alike && !onlyItself(a, b) || len(as)*len(bs) > mostPairs {
				x.pairs = append(x.pairs, p)
				continue
			}
			for _, a := range as {
				for _, b := range bs {
					if x.single || a.Pod == nil || a.Class != b.Class || a.Pod != b.Pod {
						x.pairs = append(x.pairs, x.answer(a, b, w))
					}
				}
			}
		}
	}
}

// onlyItself says whether both are the one pod that there is of a class.
func onlyItself(a, b reach.Endpoint) bool {
	return !a.Outside() && a.Class == b.Class && len(a.Class.Pods) == 1
}

// podsOf are the endpoint's pods one by one.
func podsOf(e reach.Endpoint) []reach.Endpoint {
	if e.Outside() || e.Pod != nil || len(e.Class.Pods) == 0 {
		return []reach.Endpoint{e}
	}
	out := make([]reach.Endpoint, len(e.Class.Pods))
	for i := range e.Class.Pods {
		out[i] = reach.Endpoint{Class: e.Class, Pod: &e.Class.Pods[i]}
	}
	return out
}

// sameFamilies says whether all pods have addresses of the same families.
func sameFamilies(pods []reach.Endpoint) bool {
	families := func(e reach.Endpoint) (four, six bool) {
		if e.Pod != nil {
			for _, ip := range e.Pod.IPs {
				four, six = four || ip.Is4(), six || !ip.Is4()
			}
		}
		return four, six
	}
	four, six := families(pods[0])
	return !slices.ContainsFunc(pods, func(e reach.Endpoint) bool {
		f, s := families(e)
		return f != four || s != six
	})
}

// cases are the pairs, those with the same answer in one case: first those of one source, then those of the same targets.
func (x *explainer) cases() []Case {
	all := make([]Case, len(x.pairs))
	for i := range x.pairs {
		p := &x.pairs[i]
		all[i] = p.c
		all[i].From, all[i].To = namesOf(p.from), namesOf(p.to)
	}
	all = merged(all, func(c *Case) *[]string { return &c.To })
	return merged(all, func(c *Case) *[]string { return &c.From })
}

// merged are the cases, those that differ in one field alone as one.
func merged(cases []Case, field func(*Case) *[]string) []Case {
	var out []Case
	at := map[string]int{}
	for _, c := range cases {
		rest := c
		*field(&rest) = nil
		key, err := json.Marshal(rest)
		i, known := at[string(key)]
		if err != nil || !known {
			at[string(key)] = len(out)
			out = append(out, c)
			continue
		}
		names := field(&out[i])
		for _, name := range *field(&c) {
			if !slices.Contains(*names, name) {
				*names = append(*names, name)
			}
		}
	}
	return out
}

// namesOf are namespace/name of the pods, or of the workload that has none yet, or the address.
func namesOf(e reach.Endpoint) []string {
	switch {
	case e.Outside():
		return []string{e.Addr.String()}
	case e.Class.Namespace == "":
		return []string{e.Class.Pods[0].Name}
	case e.Pod != nil:
		return []string{e.Class.Namespace + "/" + e.Pod.Name}
	case len(e.Class.Pods) == 0:
		return []string{e.Class.Name()}
	}
	out := make([]string, len(e.Class.Pods))
	for i := range e.Class.Pods {
		out[i] = e.Class.Namespace + "/" + e.Class.Pods[i].Name
	}
	return out
}
