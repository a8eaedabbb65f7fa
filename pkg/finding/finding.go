// Package finding holds what a rule reports: pure data, with an order, and an extent that tells whether one finding
// goes further than another.
package finding

import (
	"cmp"
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// Kinds of subject.
const (
	KindNetworkPolicy = "NetworkPolicy"
	KindNamespace     = "Namespace"
	KindCluster       = "Cluster"
)

// Subject is the object a finding speaks of. A Namespace has no Namespace of its own; the cluster is
// {Kind: "Cluster", Name: "cluster"}.
type Subject struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// String is namespace/name, or name alone for what has no namespace.
func (s Subject) String() string {
	if s.Namespace == "" {
		return s.Name
	}
	return s.Namespace + "/" + s.Name
}

// Title names the subject to people, with its kind: "NetworkPolicy shop/web", "Namespace shop", "the cluster".
func (s Subject) Title() string {
	if s.Kind == KindCluster {
		return "the cluster"
	}
	return s.Kind + " " + s.String()
}

// Space is the namespace that the subject belongs to, or that it is; empty for the cluster.
func (s Subject) Space() string {
	if s.Kind == KindNamespace {
		return s.Name
	}
	return s.Namespace
}

// Witness is one concrete connection that proves a finding. Where the finding is about a pod and not about a
// connection, only To is set.
type Witness struct {
	From string `json:"from,omitempty"` // an address, or namespace/pod
	To   string `json:"to,omitempty"`   // an address, or namespace/pod
	Port string `json:"port,omitempty"` // "TCP/8080"
}

// IsZero says whether there is no witness.
func (w Witness) IsZero() bool { return w == Witness{} }

// String is "8.8.8.8 -> shop/web-6d4:9090" for TCP, and names any other protocol: "shop/web-6d4 -> 8.8.8.8:UDP/53".
func (w Witness) String() string {
	to := w.To
	if number, isTCP := cutPrefix(w.Port, "TCP/"); isTCP {
		to += ":" + number
	} else if w.Port != "" {
		to += ":" + w.Port
	}
	if w.From == "" {
		return to
	}
	return w.From + " -> " + to
}

func cutPrefix(s, prefix string) (string, bool) {
	if len(s) > len(prefix) && s[:len(prefix)] == prefix {
		return s[len(prefix):], true
	}
	return s, false
}

// PatchOp is one operation of a JSON Patch (RFC 6902) on the subject.
type PatchOp struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	From  string `json:"from,omitempty"` // of move and copy
	Value any    `json:"value,omitempty"`
}

// Source is where the subject was read from. The zero value means from the API server.
type Source struct {
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"` // counted from 1
}

// Part is one piece of a finding's extent: what Key stands for (a pod class, a field) is concerned, on Conns where the
// rule is about connections.
type Part struct {
	Key   string
	Conns netset.Conns
}

// Finding is one true thing that a rule says of a subject.
type Finding struct {
	Rule     string
	Level    Level
	Severity Severity
	Custom   bool // the rule is one of the configuration, which the catalogue does not have
	Outcome  Outcome
	Subject  Subject
	Path     string // the field, as in spec.ingress[0].from[0]; empty for the whole object
	Message  string // one or two sentences, without the fix
	Fix      string // what to do, as a sentence in the imperative; empty if the rule knows none
	Witness  Witness
	Pods     int // pods concerned
	Patch    []PatchOp
	Source   Source
	// Extent is all that the finding covers, for the ratchet: see Within.
	Extent []Part
}

// Compare orders findings by namespace, name, rule and path, as reports list them: what has no namespace comes first.
func Compare(a, b Finding) int {
	return cmp.Or(
		cmp.Compare(a.Subject.Namespace, b.Subject.Namespace),
		cmp.Compare(a.Subject.Name, b.Subject.Name),
		cmp.Compare(a.Rule, b.Rule),
		cmp.Compare(a.Path, b.Path),
		cmp.Compare(a.Subject.Kind, b.Subject.Kind),
		cmp.Compare(a.Message, b.Message),
	)
}

// Sort puts findings into the order of Compare.
func Sort(fs []Finding) { slices.SortStableFunc(fs, Compare) }

// Within says whether everything that f covers is covered already by findings of the same rule among old. A finding
// without an extent is covered by any finding of its rule on the same path.
func (f Finding) Within(old []Finding) bool {
	if len(f.Extent) == 0 {
		return slices.ContainsFunc(old, func(o Finding) bool { return o.Rule == f.Rule && o.Path == f.Path })
	}
	covered := map[string]netset.Conns{}
	for _, o := range old {
		if o.Rule != f.Rule {
			continue
		}
		for _, p := range o.Extent {
			covered[p.Key] = covered[p.Key].Union(p.Conns)
		}
	}
	for _, part := range f.Extent {
		if by, found := covered[part.Key]; !found || !by.ContainsAll(part.Conns) {
			return false
		}
	}
	return true
}
