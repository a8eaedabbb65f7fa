package reach

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/portcullis-dev/portcullis/pkg/model"
)

// matrix computes what Between says of every two pod classes, at once: a side of a class depends on nothing but the
// policies that isolate it and, for ingress, on its named ports, so that classes that agree in these share one line.
type matrix struct {
	world     *model.Snapshot
	view      *View
	classes   []*model.PodClass
	workloads []*Workload
	// has is, by class, which families its pods have: for some pod, surely; possibly; every.
	has []familiesOf
	// lines are, by direction and class, the class's line, or -1 if the class is not isolated.
	lines [2][]int
	sides [2][]side
}

// side is one line of one direction.
type side struct {
	subject *model.PodClass // any of the classes that share it
	peers   []int32         // by class: an index into allowed; 0 for nothing
	allowed []sidePorts
}

// sidePorts is what one side allows, by family.
type sidePorts [2]Ports

type familiesOf [2]Match

func newMatrix(world *model.Snapshot) *matrix {
	m := &matrix{world: world, view: NewView(world)}
	m.workloads, m.classes = workloadsOf(world)
	m.has = make([]familiesOf, len(m.classes))
	for i, c := range m.classes {
		for f, family := range families {
			m.has[i][f] = m.view.have(Endpoint{Class: c, Family: family}, family)
		}
	}
	for _, d := range []model.Direction{model.Ingress, model.Egress} {
		m.lines[d] = make([]int, len(m.classes))
		known := map[string]int{}
		for i, c := range m.classes {
			policies := m.view.Isolating(c, d)
			if len(policies) == 0 {
				m.lines[d][i] = -1
				continue
			}
			key := sideKey(policies, c, d)
			at, there := known[key]
			if !there {
				at = len(m.sides[d])
				known[key] = at
				m.sides[d] = append(m.sides[d], side{subject: c, allowed: make([]sidePorts, 1)})
			}
			m.lines[d][i] = at
		}
		for _, w := range m.workloads {
			w.Isolated[d] = true
			for _, class := range w.classes {
				w.Isolated[d] = w.Isolated[d] && m.lines[d][class] >= 0
			}
		}
	}
	return m
}

// sideKey is equal for classes whose policies allow the same in the direction.
func sideKey(policies []*model.Policy, c *model.PodClass, d model.Direction) string {
	var b strings.Builder
	b.WriteString(c.Namespace)
	named := false
	for _, p := range policies {
		b.WriteByte('\n')
		b.WriteString(p.Name)
		for i := range p.Rules[d] {
			named = named || p.Rules[d][i].Named
		}
	}
	if d == model.Ingress && named {
		for _, p := range c.Ports {
			b.WriteString("\n:" + p.Name + ":" + p.Port.String())
		}
	}
	return b.String()
}

// fill computes the lines, on as many processors as there are.
func (m *matrix) fill(ctx context.Context) error {
	var todo []*side
	var directions []model.Direction
	for d := range m.sides {
		for i := range m.sides[d] {
			todo, directions = append(todo, &m.sides[d][i]), append(directions, model.Direction(d))
		}
	}
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(len(todo), runtime.GOMAXPROCS(0)) {
		group.Go(func() {
			view := NewView(m.world)
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(todo) {
					return
				}
				m.fillSide(view, todo[i], directions[i])
			}
		})
	}
	group.Wait()
	return ctx.Err()
}

func (m *matrix) fillSide(view *View, s *side, d model.Direction) {
	s.peers = make([]int32, len(m.classes))
	byAddress, spaces := m.peersOf(s.subject, view.Isolating(s.subject, d), d)
	var last sidePorts // most peers are like the one before
	lastAt := int32(0)
	for i, c := range m.classes {
		if !byAddress && !spaces[c.Namespace] {
			continue
		}
		var got sidePorts
		if byAddress {
			for f, family := range families {
				got[f] = view.Allowed(s.subject, d, Endpoint{Class: c, Family: family})
			}
		} else {
			got[0] = view.Allowed(s.subject, d, Endpoint{Class: c})
			got[1] = got[0]
		}
		if got[0].Possible.IsEmpty() && got[1].Possible.IsEmpty() {
			continue
		}
		if lastAt == 0 || !got.equal(&last) {
			lastAt, last = int32(len(s.allowed)), got
			for at := range s.allowed {
				if at > 0 && s.allowed[at].equal(&got) {
					lastAt = int32(at)
					break
				}
			}
			if int(lastAt) == len(s.allowed) {
				s.allowed = append(s.allowed, got)
			}
		}
		s.peers[i] = lastAt
	}
}

func (p *sidePorts) equal(q *sidePorts) bool { return p[0].equal(q[0]) && p[1].equal(q[1]) }

func (p Ports) equal(q Ports) bool {
	return p.Every.Equal(q.Every) && p.Some.Equal(q.Some) && p.Possible.Equal(q.Possible)
}

// peersOf says whether addresses decide, or whether there are rules for every peer; and else in which namespaces pods may
// be allowed.
func (m *matrix) peersOf(subject *model.PodClass, policies []*model.Policy, d model.Direction) (all bool, spaces map[string]bool) {
	spaces = map[string]bool{}
	for _, p := range policies {
		for i := range p.Rules[d] {
			r := &p.Rules[d][i]
			if !r.External.IsEmpty() {
				return true, nil
			}
			for j := range r.Peers {
				switch peer := &r.Peers[j]; {
				case peer.IPBlock != nil:
				case peer.NamespaceSelector == nil:
					spaces[subject.Namespace] = true
				default:
					for ns := range m.world.Select(peer.NamespaceSelector) {
						spaces[ns.Meta.Name] = true
					}
				}
			}
		}
	}
	return false, spaces
}
