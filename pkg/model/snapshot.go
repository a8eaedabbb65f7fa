package model

import (
	"hash/maphash"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Snapshot is the cluster at one moment. It is immutable.
type Snapshot struct {
	facts  Facts
	spaces spaces
	labels *lazyIndex // shared by all snapshots whose Namespaces have the same labels
}

// Facts are what is known of the cluster as a whole.
func (s *Snapshot) Facts() *Facts { return &s.facts }

// Namespace is the namespace of that name, or nil.
func (s *Snapshot) Namespace(name string) *Namespace { return s.spaces.get(name) }

// NamespaceOrImplied is the namespace of that name, or an empty one where the snapshot knows of none: it may just have
// been made.
func (s *Snapshot) NamespaceOrImplied(name string) *Namespace {
	if ns := s.spaces.get(name); ns != nil {
		return ns
	}
	return &Namespace{Meta: impliedMeta(name, &s.facts)}
}

// Policy is the policy of that name, or nil.
func (s *Snapshot) Policy(namespace, name string) *Policy {
	ns := s.spaces.get(namespace)
	if ns == nil {
		return nil
	}
	at, found := slices.BinarySearchFunc(ns.Policies, name, func(p *Policy, name string) int { return strings.Compare(p.Name, name) })
	if !found {
		return nil
	}
	return ns.Policies[at]
}

// Namespaces are all namespaces, sorted by name.
func (s *Snapshot) Namespaces() iter.Seq[*Namespace] {
	return func(yield func(*Namespace) bool) {
		for _, name := range s.index().names {
			if !yield(s.spaces.get(name)) {
				return
			}
		}
	}
}

// Len is the number of namespaces.
func (s *Snapshot) Len() int { return s.spaces.len() }

func (s *Snapshot) clone() Snapshot {
	return Snapshot{facts: s.facts, spaces: s.spaces, labels: s.labels}
}

// With is the snapshot after the change. It is copy-on-write, and costs no more than the namespace touched.
func (s *Snapshot) With(c Change) *Snapshot {
	next := s.clone()
	switch {
	case c.Policy() != nil:
		ns := *s.NamespaceOrImplied(c.Policy().Namespace)
		if s.spaces.get(ns.Meta.Name) == nil {
			next.labels = &lazyIndex{}
		}
		ns.Policies = withPolicy(ns.Policies, c)
		next.spaces = s.spaces.with(&ns)
	case c.NewNS != nil:
		ns := *s.NamespaceOrImplied(c.NewNS.Name)
		if !maps.Equal(ns.Meta.Labels, c.NewNS.Labels) || s.spaces.get(c.NewNS.Name) == nil {
			next.labels = &lazyIndex{}
		}
		ns.Meta = *c.NewNS
		next.spaces = s.spaces.with(&ns)
	}
	return &next
}

func withPolicy(policies []*Policy, c Change) []*Policy {
	name := c.Policy().Name
	at, found := slices.BinarySearchFunc(policies, name, func(p *Policy, name string) int { return strings.Compare(p.Name, name) })
	out := make([]*Policy, 0, len(policies)+1)
	out = append(out, policies[:at]...)
	if c.NewPolicy != nil && c.Operation != Delete {
		out = append(out, c.NewPolicy)
	}
	if found {
		at++
	}
	return append(out, policies[at:]...)
}

// spaces is a persistent map of namespaces: a changed copy shares all shards but one with the original.
type spaces struct {
	shards [shardCount]map[string]*Namespace
}

const shardCount = 64

var shardSeed = maphash.MakeSeed()

func shardOf(name string) uint64 { return maphash.String(shardSeed, name) % shardCount }

func (s *spaces) get(name string) *Namespace { return s.shards[shardOf(name)][name] }

func (s *spaces) len() int {
	n := 0
	for _, shard := range s.shards {
		n += len(shard)
	}
	return n
}

func (s spaces) with(ns *Namespace) spaces {
	at := shardOf(ns.Meta.Name)
	shard := make(map[string]*Namespace, len(s.shards[at])+1)
	maps.Copy(shard, s.shards[at])
	shard[ns.Meta.Name] = ns
	s.shards[at] = shard
	return s
}

func (s spaces) without(name string) spaces {
	at := shardOf(name)
	shard := maps.Clone(s.shards[at])
	delete(shard, name)
	s.shards[at] = shard
	return s
}

// lazyIndex is the index of the Namespaces' labels, made when it is first asked for.
type lazyIndex struct {
	once sync.Once
	namespaceIndex
}

type namespaceIndex struct {
	names []string // sorted
	keys  map[string]*keyIndex
}

type keyIndex struct {
	count   int
	byValue map[string][]string // names of namespaces, sorted
}

func (s *Snapshot) index() *namespaceIndex {
	s.labels.once.Do(func() {
		ix := namespaceIndex{keys: map[string]*keyIndex{}}
		for _, shard := range s.spaces.shards {
			for name := range shard {
				ix.names = append(ix.names, name)
			}
		}
		slices.Sort(ix.names)
		for _, name := range ix.names {
			for key, value := range s.spaces.get(name).Meta.Labels {
				k := ix.keys[key]
				if k == nil {
					k = &keyIndex{byValue: map[string][]string{}}
					ix.keys[key] = k
				}
				k.count++
				k.byValue[value] = append(k.byValue[value], name)
			}
		}
		s.labels.namespaceIndex = ix
	})
	return &s.labels.namespaceIndex
}

// Select yields the namespaces whose labels the selector matches, sorted by name. It looks only at candidates where the
// selector demands one of a few values.
func (s *Snapshot) Select(sel *Selector) iter.Seq[*Namespace] {
	return func(yield func(*Namespace) bool) {
		if names, ok := sel.Values(metav1NamespaceName); ok && len(names) == 1 {
			if ns := s.spaces.get(names[0]); ns != nil && sel.Matches(ns.Meta.Labels) {
				yield(ns)
			}
			return
		}
		ix := s.index()
		for _, name := range ix.candidates(sel) {
			if ns := s.spaces.get(name); ns != nil && sel.Matches(ns.Meta.Labels) && !yield(ns) {
				return
			}
		}
	}
}

func (ix *namespaceIndex) candidates(sel *Selector) []string {
	best, narrowed := ix.names, false
	for _, t := range sel.terms {
		if t.absentOK || t.negated {
			continue
		}
		var names []string
		if k := ix.keys[t.key]; k != nil {
			for _, v := range t.values {
				names = append(names, k.byValue[v]...)
			}
		}
		if len(names) < len(best) || !narrowed {
			best, narrowed = names, true
		}
	}
	if narrowed {
		slices.Sort(best)
	}
	return best
}

// SelectsAll says whether the selector matches every namespace there is, and how many those are. The cost does not depend
// on their number.
func (s *Snapshot) SelectsAll(sel *Selector) (all bool, namespaces int) {
	ix := s.index()
	total := len(ix.names)
	for _, t := range sel.terms {
		count, listed := 0, 0
		if k := ix.keys[t.key]; k != nil {
			count = k.count
			for _, v := range t.values {
				listed += len(k.byValue[v])
			}
		}
		matching := listed
		if t.negated {
			matching = count - listed
		}
		if t.absentOK {
			matching += total - count
		}
		if matching < total {
			return false, total
		}
	}
	return true, total
}
