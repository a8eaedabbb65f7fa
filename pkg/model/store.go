package model

import (
	"fmt"
	"maps"
	"net/netip"

	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// Store is the table of all objects that a Snapshot is made of. It is filled from manifests or by an informer, and not
// safe for concurrent use.
type Store struct {
	spaces  map[string]*table
	dirty   map[string]bool
	origins map[originKey][]string // the namespaces that an origin's backends are in
	nodes   map[string]node
	cidrs   map[string]netset.Addrs // of ServiceCIDRs, by name
	agents  map[string]Agent        // CNI agents' DaemonSets, by namespace/name
	nodeDNS map[string]netset.Addrs // of NodeLocal DNSCache, by the name of its DaemonSet
	counts  map[string]int          // objects by kind
	ranges  *ranges                 // of nodes and cidrs; nil when they have changed

	objects    bool // whether Apply keeps the objects of policies and Namespaces
	configured Facts
	last       *Snapshot
}

type node struct {
	podCIDRs, addresses netset.Addrs
}

type originKey struct{ kind, namespace, name string }

// table holds the objects of one namespace.
type table struct {
	meta      *NamespaceMeta
	pods      map[string]podRecord
	classes   map[string]*classRecord
	workloads map[string]workloadRecord // by kind/name
	services  map[string]*Service
	policies  map[string]*Policy
	grants    map[string][]grant
	exposers  map[string]bool // "ingress/web", "gateway/edge"
	backends  map[originKey][]backendRecord
}

type podRecord struct {
	class *classRecord
	ips   []netip.Addr
	owner string
}

// classRecord is what the pods of a class share, interned.
type classRecord struct {
	key   string
	class PodClass // without Pods
	pods  int
}

type workloadRecord struct {
	key      string
	class    PodClass // without Pods
	selector Selector
	replicas int
}

type backendRecord struct {
	Backend
	fromKind, fromNamespace string // of a route, for ReferenceGrants
}

type grant struct {
	fromKind, fromNamespace string
	service                 string // empty for every Service
}

// NewStore makes an empty store.
func NewStore() *Store {
	return &Store{
		spaces: map[string]*table{}, dirty: map[string]bool{}, origins: map[originKey][]string{},
		nodes: map[string]node{}, cidrs: map[string]netset.Addrs{}, agents: map[string]Agent{},
		nodeDNS: map[string]netset.Addrs{}, counts: map[string]int{},
	}
}

// KeepObjects says whether Apply keeps, from now on, the objects of policies and Namespaces beside what is compiled.
func (s *Store) KeepObjects(keep bool) { s.objects = keep }

// Counts is how many objects of each kind are in the store.
func (s *Store) Counts() map[string]int { return maps.Clone(s.counts) }

func (s *Store) space(name string) *table {
	t := s.spaces[name]
	if t == nil {
		t = &table{
			pods: map[string]podRecord{}, classes: map[string]*classRecord{}, workloads: map[string]workloadRecord{},
			services: map[string]*Service{}, policies: map[string]*Policy{}, grants: map[string][]grant{},
			exposers: map[string]bool{}, backends: map[originKey][]backendRecord{},
		}
		s.spaces[name] = t
	}
	s.dirty[name] = true
	return t
}

// put stores or, if keep is false, removes one entry of a table, and counts it.
func put[V any](s *Store, kind string, m map[string]V, key string, value V, keep bool) {
	before := len(m)
	if keep {
		m[key] = value
	} else {
		delete(m, key)
	}
	s.counts[kind] += len(m) - before
}

// SetPolicy stores a compiled NetworkPolicy.
func (s *Store) SetPolicy(p *Policy) {
	put(s, "NetworkPolicy", s.space(p.Namespace).policies, p.Name, p, true)
}

// Delete removes an object by its kind, namespace and name. What is not there is no error.
func (s *Store) Delete(kind, namespace, name string) error {
	switch kind {
	case "Namespace":
		if t := s.spaces[name]; t != nil {
			if t.meta != nil {
				s.counts[kind]--
			}
			t.meta = nil
			s.dirty[name] = true
		}
		return nil
	case "Node":
		put(s, kind, s.nodes, name, node{}, false)
		s.ranges = nil
		return nil
	case "ServiceCIDR":
		put(s, kind, s.cidrs, name, netset.Addrs{}, false)
		s.ranges = nil
		return nil
	}
	if origin, isOrigin := originKinds[kind]; isOrigin {
		s.setBackends(kind, keyOfOrigin(kind, origin, namespace, name), nil)
		if namespace == "" {
			return nil
		}
	}
	t := s.spaces[namespace]
	if t == nil {
		return nil
	}
	s.dirty[namespace] = true
	switch kind {
	case "Pod":
		s.dropPod(t, name)
	case "Service":
		put(s, kind, t.services, name, nil, false)
	case "NetworkPolicy":
		put(s, kind, t.policies, name, nil, false)
	case "ReferenceGrant":
		put(s, kind, t.grants, name, nil, false)
	case "Ingress":
		delete(t.exposers, "ingress/"+name)
	case "Gateway":
		put(s, kind, t.exposers, "gateway/"+name, false, false)
	default:
		if _, isOrigin := originKinds[kind]; isOrigin {
			return nil
		}
		if !workloadKinds[kind] {
			return fmt.Errorf("kind %q is not kept", kind)
		}
		put(s, kind, t.workloads, kind+"/"+name, workloadRecord{}, false)
		if kind == "DaemonSet" {
			delete(s.agents, namespace+"/"+name)
			if namespace == dnsNamespace {
				delete(s.nodeDNS, name)
			}
		}
	}
	return nil
}

func (s *Store) dropPod(t *table, name string) {
	old, there := t.pods[name]
	if !there {
		return
	}
	old.class.pods--
	if old.class.pods == 0 {
		delete(t.classes, old.class.key)
	}
	put(s, "Pod", t.pods, name, podRecord{}, false)
}

func (s *Store) setPod(namespace, name string, class PodClass, ips []netip.Addr, owner string) {
	t := s.space(namespace)
	s.dropPod(t, name)
	key := classKey(&class)
	record := t.classes[key]
	if record == nil {
		class.key = key
		record = &classRecord{key: key, class: class}
		t.classes[key] = record
	}
	record.pods++
	put(s, "Pod", t.pods, name, podRecord{class: record, ips: ips, owner: owner}, true)
}

// setBackends replaces the backends that an object gives, in whichever namespaces they are.
func (s *Store) setBackends(kind string, from originKey, backends map[string][]backendRecord) {
	old, there := s.origins[from]
	for _, namespace := range old {
		delete(s.space(namespace).backends, from)
	}
	if backends == nil {
		delete(s.origins, from)
		if there {
			s.counts[kind]--
		}
		return
	}
	namespaces := make([]string, 0, len(backends))
	for namespace, records := range backends {
		s.space(namespace).backends[from] = records
		namespaces = append(namespaces, namespace)
	}
	s.origins[from] = namespaces
	if !there {
		s.counts[kind]++
	}
}

// Snapshot compiles what has changed since the last call and yields the cluster as it stands. Facts that are configured are
// given; those that are empty are found in the objects, where they can be.
func (s *Store) Snapshot(configured Facts) *Snapshot {
	facts := s.facts(configured)
	all := s.last == nil || configured.NamespaceNameLabel != s.configured.NamespaceNameLabel || configured.Live != s.configured.Live
	s.configured = configured
	next := &Snapshot{}
	if s.last != nil && !all {
		*next = s.last.clone()
	}
	next.facts = facts
	relabelled := all
	for name := range s.spaces {
		if !all && !s.dirty[name] {
			continue
		}
		t := s.spaces[name]
		if t.empty() {
			delete(s.spaces, name)
			next.spaces = next.spaces.without(name)
			relabelled = true
			continue
		}
		old := next.Namespace(name)
		compiled := t.compile(name, &configured)
		if old == nil || !maps.Equal(old.Meta.Labels, compiled.Meta.Labels) {
			relabelled = true
		}
		next.spaces = next.spaces.with(compiled)
	}
	if relabelled {
		next.labels = &lazyIndex{}
	}
	clear(s.dirty)
	s.last = next
	return next
}

func (t *table) empty() bool {
	return t.meta == nil && len(t.pods) == 0 && len(t.workloads) == 0 && len(t.services) == 0 && len(t.policies) == 0 &&
		len(t.grants) == 0 && len(t.exposers) == 0 && len(t.backends) == 0
}
