package rules

import (
	"iter"
	"math/bits"
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/model"
)

// portion is one peer of a rule with the rule's ports: the smallest part that is looked at.
type portion struct {
	policy     *model.Policy
	direction  model.Direction
	rule, peer int // peer is -1 for a rule that is for every peer
	at         int // where it is in its side
}

func (x portion) on() *model.Rule { return &x.policy.Rules[x.direction][x.rule] }

// to is the peer; nil for every peer.
func (x portion) to() *model.Peer {
	if x.peer < 0 {
		return nil
	}
	return &x.on().Peers[x.peer]
}

func portionsOf(policy *model.Policy, d model.Direction) []portion {
	if !policy.Isolates(d) {
		return nil
	}
	out := make([]portion, 0, countPortions(d, policy))
	for i := range policy.Rules[d] {
		if policy.Rules[d][i].AllPeers() {
			out = append(out, portion{policy: policy, direction: d, rule: i, peer: -1})
		}
		for j := range policy.Rules[d][i].Peers {
			out = append(out, portion{policy: policy, direction: d, rule: i, peer: j})
		}
	}
	return out
}

// mostPortions bounds the work, which grows with the square of them.
const mostPortions = 256

// marks are some of the portions of a side.
type marks [mostPortions / 64]uint64

// everything marks all portions.
var everything = marks{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}

func (m *marks) set(at int)   { m[at/64] |= 1 << (at % 64) }
func (m *marks) clear(at int) { m[at/64] &^= 1 << (at % 64) }

func (m *marks) add(o marks) {
	for i := range m {
		m[i] |= o[i]
	}
}

func (m *marks) keep(o marks) {
	for i := range m {
		m[i] &= o[i]
	}
}

// all are the places of the marked portions, ascending.
func (m marks) all() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, word := range m {
			for ; word != 0; word &= word - 1 {
				if !yield(i*64 + bits.TrailingZeros64(word)) {
					return
				}
			}
		}
	}
}

// side is the portions of one direction, and an index of them by what their peers demand: most of them have nothing to do with
// each other.
type side struct {
	direction model.Direction
	all       []portion // in the order of policies, rules and peers
	left      marks     // those that have not been taken away
	// everyone are the portions for every peer, blocks those of ipBlocks, demanding those of selectors by one label that the peer
	// demands, and wide those of all other selectors.
	everyone, blocks, wide marks
	demanding              map[demand]marks
}

// demand is a label of pods, or of their namespaces.
type demand struct {
	ofNamespace bool
	key, value  string
}

// newSide is that of all policies; of the one policy if there are too many portions; empty if it alone has too many.
func newSide(policies []*model.Policy, policy *model.Policy, d model.Direction, own *model.Selector) *side {
	s := &side{direction: d, demanding: map[demand]marks{}}
	n := countPortions(d, policies...)
	if n > mostPortions {
		policies, n = []*model.Policy{policy}, countPortions(d, policy)
	}
	if n > mostPortions {
		return s
	}
	s.all = make([]portion, 0, n)
	for _, p := range policies {
		for _, x := range portionsOf(p, d) {
			s.put(x, own)
		}
	}
	return s
}

func countPortions(d model.Direction, policies ...*model.Policy) int {
	n := 0
	for _, p := range policies {
		if p.Isolates(d) {
			for i := range p.Rules[d] {
				n += max(len(p.Rules[d][i].Peers), 1)
			}
		}
	}
	return n
}

func hasPortions(p *model.Policy, d model.Direction) bool {
	return p.Isolates(d) && len(p.Rules[d]) > 0
}

func (s *side) put(x portion, own *model.Selector) {
	x.at = len(s.all)
	s.all = append(s.all, x)
	s.left.set(x.at)
	peer := x.to()
	switch {
	case peer == nil:
		s.everyone.set(x.at)
	case peer.IPBlock != nil:
		s.blocks.set(x.at)
	default:
		for demanded := range demandsOf(peer, own) {
			m := s.demanding[demanded]
			m.set(x.at)
			s.demanding[demanded] = m
			return
		}
		s.wide.set(x.at)
	}
}

// demandsOf are the labels that all pods of the peer, or their namespaces, carry. own selects the policies' namespace.
func demandsOf(peer *model.Peer, own *model.Selector) iter.Seq[demand] {
	return func(yield func(demand) bool) {
		if peer.PodSelector != nil {
			for key, value := range peer.PodSelector.Demanded() {
				if !yield(demand{false, key, value}) {
					return
				}
			}
		}
		in := peer.NamespaceSelector
		if in == nil {
			in = own
		}
		for key, value := range in.Demanded() {
			if !yield(demand{true, key, value}) {
				return
			}
		}
	}
}

// of are the portions of the policy, and marksOf marks them.
func (s *side) of(policy *model.Policy) []portion {
	from := slices.IndexFunc(s.all, func(x portion) bool { return x.policy == policy })
	if from < 0 {
		return nil
	}
	to := from
	for to < len(s.all) && s.all[to].policy == policy {
		to++
	}
	return s.all[from:to]
}

func (s *side) marksOf(policy *model.Policy) marks {
	var m marks
	for _, x := range s.of(policy) {
		m.set(x.at)
	}
	return m
}

// leavesOut says whether the policy has portions that are not among those of the side.
func (s *side) leavesOut(policy *model.Policy) bool {
	return hasPortions(policy, s.direction) && len(s.of(policy)) == 0
}

// near are those left, among some, that may have to do with x: a peer that holds another demands no label that the other does not.
func (s *side) near(x portion, among marks, own *model.Selector) iter.Seq[int] {
	m := s.everyone
	if peer := x.to(); peer != nil && peer.IPBlock != nil {
		m.add(s.blocks)
	} else if peer != nil {
		m.add(s.wide)
		for demanded := range demandsOf(peer, own) {
			m.add(s.demanding[demanded])
		}
	}
	m.keep(among)
	m.keep(s.left)
	m.clear(x.at)
	return m.all()
}
