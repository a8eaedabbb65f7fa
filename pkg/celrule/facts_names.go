package celrule

import (
	"strconv"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// sorts are the selected pods by the numbers that they give to the names of ports in the policy. Pods of one sort have the same ports
// open, so one of them is enough to look at.
type sorts struct {
	first []*model.PodClass       // of each sort
	of    map[*model.PodClass]int // the place of each class's sort in first
}

// unlike are one class of selected pods of each sort; none if it takes too long to look at them.
func (f *facts) unlike(d model.Direction) []*model.PodClass {
	s := &f.sorts[d]
	if s.of != nil {
		return s.first
	}
	s.of = map[*model.PodClass]int{}
	names, steps := f.portNames(d)
	places := map[string]int{}
	var numbers []byte
	for _, c := range f.view.Select(f.policy).Classes {
		if !f.step(1 + len(names)) {
			break
		}
		numbers = numbers[:0]
		for _, n := range names {
			number, _ := c.NamedPort(n.Protocol, n.Name)
			numbers = append(strconv.AppendUint(numbers, uint64(number), 10), ' ')
		}
		place, there := places[string(numbers)]
		if !there {
			f.step(steps)
			place = len(s.first)
			places[string(numbers)], s.first = place, append(s.first, c)
		}
		s.of[c] = place
	}
	if !f.step(0) {
		s.first = nil
	}
	return s.first
}

// portNames are the names of ports in the rules of the direction, and how many ports there are altogether. Names of egress are not
// those of the selected pods.
func (f *facts) portNames(d model.Direction) (names []model.PortSpec, ports int) {
	type name struct {
		protocol netset.Protocol
		name     string
	}
	seen := map[name]bool{}
	for _, r := range f.rules(d) {
		ports += len(r.Ports)
		for _, p := range r.Ports {
			if n := (name{p.Protocol, p.Name}); d == model.Ingress && p.Name != "" && !seen[n] {
				seen[n], names = true, append(names, p)
			}
		}
	}
	return names, ports
}
