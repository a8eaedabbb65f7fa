package cyclonus

import (
	"maps"
	"math/bits"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portcullis-dev/portcullis/test/oracle"
	"github.com/portcullis-dev/portcullis/test/oracle/gen"
)

// Difference is a reason for which Cyclonus may answer otherwise.
type Difference struct {
	Name string
	// Why is what is right, and where that stands.
	Why string
	// concerns says whether the connection can be concerned at all.
	concerns func(*oracle.Cluster, gen.Connection) bool
	// tell changes how Cyclonus is told of the cluster, so that it need not know.
	tell func(*telling)
}

// Differences are all reasons that are known.
func Differences() []Difference {
	return []Difference{
		{
			"hostNetwork", "Cyclonus knows of no pods on the host's network. With most network plugins they are outside of NetworkPolicy, and to others they are an address: " +
				"\"the network plugin cannot distinguish hostNetwork pod traffic from all other traffic, and hence it ignores hostNetwork pods when matching podSelector and namespaceSelector\" (the NetworkPolicy documentation). It is told so.",
			func(_ *oracle.Cluster, x gen.Connection) bool { return onHost(x.From) || onHost(x.To) },
			func(t *telling) { t.hostNetwork = true },
		},
		{
			"cilium", "Cyclonus matches pods by ipBlocks. Cilium does not. It is told of no ipBlocks, where both ends are pods.",
			func(c *oracle.Cluster, x gen.Connection) bool {
				return c.Cilium && x.From.Pod != nil && x.To.Pod != nil
			},
			func(t *telling) { t.cilium = true },
		},
		{
			"port names", "Cyclonus takes one name for a port. A pod may have several for one number, and a policy may name either. It is asked for each.",
			func(_ *oracle.Cluster, x gen.Connection) bool {
				return len(telling{portNames: true}.portNamesOf(x)) > 1
			},
			func(t *telling) { t.portNames = true },
		},
		{
			"NotIn", "Cyclonus lets NotIn match only what has the label. Kubernetes: \"all resources with key equal to tier and values distinct from frontend and backend, and all resources with no labels with the tier key\" (the documentation of labels). It is told NotIn as In of a label that says so.",
			func(c *oracle.Cluster, _ gen.Connection) bool {
				return anySelector(c, func(s *metav1.LabelSelector) bool {
					return slices.ContainsFunc(s.MatchExpressions, func(e metav1.LabelSelectorRequirement) bool { return e.Operator == metav1.LabelSelectorOpNotIn })
				})
			},
			func(t *telling) { t.notIn = true },
		},
		{
			"empty value", "Cyclonus lets matchLabels with an empty value match what lacks the label. Kubernetes: \"matchLabels is a map of {key,value} pairs. A single {key,value} in the matchLabels map is equivalent to an element of matchExpressions, whose key field is \"key\", the operator is \"In\", and the values array contains only \"value\"\" (LabelSelector). It is told it as that.",
			func(c *oracle.Cluster, _ gen.Connection) bool {
				return anySelector(c, func(s *metav1.LabelSelector) bool {
					return slices.Contains(slices.Collect(maps.Values(s.MatchLabels)), "")
				})
			},
			func(t *telling) { t.emptyValue = true },
		},
	}
}

func onHost(e oracle.Endpoint) bool { return e.Pod != nil && e.Pod.Spec.HostNetwork }

// anySelector says whether any selector of the cluster's policies is so.
func anySelector(c *oracle.Cluster, is func(*metav1.LabelSelector) bool) bool {
	for i := range c.Policies {
		spec := &c.Policies[i].Spec
		if is(&spec.PodSelector) {
			return true
		}
		for _, r := range spec.Ingress {
			for _, p := range r.From {
				if p.PodSelector != nil && is(p.PodSelector) || p.NamespaceSelector != nil && is(p.NamespaceSelector) {
					return true
				}
			}
		}
		for _, r := range spec.Egress {
			for _, p := range r.To {
				if p.PodSelector != nil && is(p.PodSelector) || p.NamespaceSelector != nil && is(p.NamespaceSelector) {
					return true
				}
			}
		}
	}
	return false
}

// absent is the key of the label that says that another key is not there.
func absent(key string) string { return "absent/" + key }

// labels adds, for NotIn, what is absent.
func (t telling) labels(labels map[string]string) map[string]string {
	if !t.notIn {
		return labels
	}
	out := maps.Clone(labels)
	if out == nil {
		out = map[string]string{}
	}
	for key, value := range labels {
		out["value/"+key] = value
	}
	for _, key := range gen.LabelKeys() {
		if _, there := labels[key]; !there {
			out["value/"+key] = absent(key)
		}
	}
	return out
}

// selector writes the selector in the words that t asks for.
func (t telling) selector(s *metav1.LabelSelector) {
	if s == nil {
		return
	}
	for i := range s.MatchExpressions {
		if e := &s.MatchExpressions[i]; t.notIn && e.Operator == metav1.LabelSelectorOpNotIn {
			e.Key = "value/" + e.Key // which everything has
		}
	}
	for key, value := range s.MatchLabels {
		if t.emptyValue && value == "" {
			delete(s.MatchLabels, key)
			s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpIn, Values: []string{value}})
		}
	}
}

// Explain names the differences for which Cyclonus answers otherwise: the first one that does alone, or as few together as it
// takes; false if even all of those that the connection is concerned by do not make it agree.
func Explain(c *oracle.Cluster, x gen.Connection, want Answer) (name string, ok bool) {
	var concerned []Difference
	for _, d := range Differences() {
		if d.concerns(c, x) {
			concerned = append(concerned, d)
		}
	}
	best := 0
	for set := uint(1); set < 1<<len(concerned); set++ {
		if best != 0 && bits.OnesCount(set) >= bits.OnesCount(uint(best)) {
			continue
		}
		var t telling
		for i, d := range concerned {
			if set&(1<<i) != 0 {
				d.tell(&t)
			}
		}
		if t.ask(c, x) == want {
			best = int(set)
		}
	}
	for i, d := range concerned {
		if best&(1<<i) == 0 {
			continue
		}
		if name != "" {
			name += " and "
		}
		name += d.Name
	}
	return name, best != 0
}
