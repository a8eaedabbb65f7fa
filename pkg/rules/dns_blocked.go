package rules

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/reach"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// dns-blocked: pods that, once the change is in, are isolated for egress and cannot reach the cluster's DNS over UDP by any
// of the policies that select them.
//
// Judged are the pods that the policy isolates; and on UPDATE and DELETE, the pods that the old policy selected, that stay
// isolated by others, and that had DNS before. All policies together count, for policies only add. One of several DNS
// servers is enough, NodeLocal DNSCache among them where its DaemonSet is in kube-system. Left out are the DNS servers themselves, hostNetwork pods, and pods whose dnsPolicy is not the
// cluster's.
//
// Provisional: no pod exists, and some that the policy would select, or one that another policy selects, too, would reach
// DNS; or only the address of the DNS Service is allowed, and the CNI is not known. Undetermined: whether an ipBlock holds
// the DNS pods depends on addresses that are not known.
func dnsBlocked() *rule.Rule {
	return &rule.Rule{
		ID: "dns-blocked", Level: finding.Baseline, Severity: finding.Medium,
		Subjects: []string{finding.KindNetworkPolicy},
		Run:      runDNSBlocked,
		Doc: rule.Doc{
			Title: "Egress isolation without DNS",
			Why: "Almost everything that a pod connects to, it looks up first. Pods that are isolated for egress and may not ask the cluster's " +
				"DNS fail with time-outs that point everywhere but to the policy.",
			References: []rule.Reference{docsPolicies,
				{Title: "Kubernetes: DNS for Services and Pods", URL: "https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/"},
				{Title: "Kubernetes: NodeLocal DNSCache", URL: "https://kubernetes.io/docs/tasks/administer-cluster/nodelocaldns/"}},
			Finds: "Pods that are isolated for egress and that none of the policies selecting them lets reach the cluster's DNS over UDP: by the " +
				"policy that is written, and on UPDATE and DELETE by the loss of what the old one allowed. The cluster's DNS are its DNS pods, and the " +
				"addresses of NodeLocal DNSCache where its DaemonSet node-local-dns is in kube-system.",
			Remedy: "Add an egress rule to the DNS pods, UDP and TCP, here or in one policy for the whole namespace; apply that one first.",
			Opens:  "DNS to the cluster's DNS servers, UDP and TCP",
			Bad:    dnsBlockedBad,
			Good:   dnsBlockedGood,
		},
	}
}

const dnsBlockedBad = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: shop
spec:
  podSelector:
    matchLabels:
      app: web
  policyTypes: [Egress]
  egress:
    - to:
        - podSelector:
            matchLabels:
              app: db
      ports:
        - port: 5432
`

const dnsBlockedGood = dnsBlockedBad + `    - to:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: kube-system
          podSelector:
            matchLabels:
              k8s-app: kube-dns
      ports:
        - protocol: UDP
          port: 53
        - protocol: TCP
          port: 53
`

func runDNSBlocked(p *rule.Pass) {
	isolated, losing := dnsSuspects(p)
	switch blocked, unknown := withoutDNS(p.Reach, isolated); {
	case len(blocked) > 0:
		reportBlocked(p, blocked, len(isolated))
	case len(unknown) > 0:
		p.Undetermined("Whether %s reaches the cluster's DNS is not known, because the addresses of the DNS pods are not: set cluster.cidrs.pods or cluster.dns in the configuration", unknown[0].Name())
	}
	if blocked, _ := withoutDNS(p.Reach, losing); len(blocked) > 0 {
		reportLosing(p, blocked)
	}
}

// dnsSuspects are the pods that the policy isolates for egress, and others that may lose what its old version allowed.
func dnsSuspects(p *rule.Pass) (isolated, losing crowd) {
	if policy := p.Change.NewPolicy; policy != nil && policy.Isolates(model.Egress) {
		for _, c := range p.Reach.Select(policy).Classes {
			if c.ClusterDNS && !p.Reach.ServesDNS(c) {
				isolated = append(isolated, c)
			}
		}
	}
	old := p.Change.OldPolicy
	if old == nil || p.Change.Operation == model.Exists || !old.Isolates(model.Egress) {
		return isolated, nil
	}
	for _, c := range p.Before.Select(old).Classes {
		if c.Hypothetical || !c.ClusterDNS || p.Reach.ServesDNS(c) || slices.Contains(isolated, c) || !p.Reach.Isolated(c, model.Egress) {
			continue
		}
		if p.Before.DNS(c).UDP == reach.Yes {
			losing = append(losing, c)
		}
	}
	return isolated, losing
}

// withoutDNS are the classes that do not reach DNS, and those of which that is not known.
func withoutDNS(v *reach.View, classes crowd) (blocked, unknown crowd) {
	for _, c := range classes {
		switch v.DNS(c).UDP {
		case reach.No:
			blocked = append(blocked, c)
		case reach.Unknown:
			unknown = append(unknown, c)
		}
	}
	return blocked, unknown
}

func reportBlocked(p *rule.Pass, blocked crowd, judged int) {
	policy := p.Change.NewPolicy
	at := spec("egress")
	if len(policy.Rules[model.Egress]) == 0 {
		at = spec("policyTypes")
	}
	w := dnsWitness(p.Reach, blocked[0])
	b := p.Report(at, w, "%s %s isolated for egress, and no policy lets %s reach the cluster's DNS (%s)%s",
		blocked.who(), blocked.verb("are", "is"), blocked.verb("them", "it"), w, dnsCause(p.Reach, blocked[0]))
	fix, patch := dnsFix(policy, p.Reach)
	b.Fix(fix, patch...).Pods(blocked.count()).Covers(keys(blocked)...)
	if why := dnsLater(p, blocked, judged); why != "" {
		b.Provisional(why)
	}
}

func reportLosing(p *rule.Pass, blocked crowd) {
	w := dnsWitness(p.Reach, blocked[0])
	isolating := p.Reach.Isolating(blocked[0], model.Egress)[0]
	what := "is deleted"
	if p.Change.Operation == model.Update {
		what = "is changed"
	}
	b := p.Report(nil, w, "%s %s the cluster's DNS (%s) when this policy %s, and %s isolated for egress by %s%s",
		blocked.who(), blocked.verb("lose", "loses"), w, what, blocked.verb("stay", "stays"), isolating.Subject(), dnsCause(p.Reach, blocked[0]))
	b.Fix(fmt.Sprintf("Let another policy allow DNS for these pods first, or delete %s before", isolating.Subject()))
	b.Pods(blocked.count()) // and no extent for the ratchet, as a policy that stays as it is takes nothing away
	if why := dnsByCNI(p, blocked); why != "" {
		b.Provisional(why)
	}
}

// keys are the classes as the extent of a finding that is not about connections.
func keys(classes crowd) []finding.Part {
	out := make([]finding.Part, len(classes))
	for i, c := range classes {
		out[i].Key = c.Key()
	}
	return out
}

// dnsWitness is the connection that the pods lack.
func dnsWitness(v *reach.View, c *model.PodClass) finding.Witness {
	w := finding.Witness{From: c.Name(), Port: "UDP/53"}
	servers := v.World().Facts().DNS
	for i := range servers {
		server := &servers[i]
		w.Port = netset.Port{Protocol: netset.UDP, Number: server.Ports[0]}.String()
		if classes := v.DNSClasses(server); len(classes) > 0 {
			w.To = classes[0].Name()
			return w
		}
		if addr, ok := server.Addrs.Witness(); ok {
			w.To = addr.String()
			return w
		}
	}
	w.To = "the cluster's DNS"
	return w
}

// dnsCause tells the most common mistakes apart.
func dnsCause(v *reach.View, c *model.PodClass) string {
	answer := v.DNS(c)
	facts := v.World().Facts()
	switch {
	case answer.TCP == reach.Yes:
		return ": TCP is allowed and DNS needs UDP, and a port without protocol is TCP alone"
	case answer.ByServiceIP:
		return ": the address of the DNS Service is allowed, and most CNIs compare the address of the pod behind it"
	}
	standard := netset.PortsOf(netset.Port{Protocol: netset.UDP, Number: 53})
	for i := range facts.DNS {
		server := &facts.DNS[i]
		for _, class := range v.DNSClasses(server) {
			if v.Allowed(c, model.Egress, reach.Endpoint{Class: class}).Some.Overlaps(standard) {
				return fmt.Sprintf(": UDP/53 is allowed, which is the port of the Service, and the DNS pods listen on %d", server.Ports[0])
			}
		}
	}
	if why := dnsMissed(v, c); why != "" {
		return why
	}
	if why := dnsOnNode(v, c); why != "" {
		return why
	}
	if slices.ContainsFunc(facts.DNS, func(server model.DNSServer) bool { return onHost(v, &server) }) {
		return ": the DNS pods are on the host's network, where no selector finds them"
	}
	return ""
}

// nodeDNS are addresses that answer DNS on the node itself (https://kubernetes.io/docs/tasks/administer-cluster/nodelocaldns/,
// https://cloud.google.com/kubernetes-engine/docs/how-to/cloud-dns), where they are in use.
var nodeDNS = []netset.NamedAddr{
	{Addr: netip.MustParseAddr("169.254.20.10"), Name: "NodeLocal DNSCache"},
	{Addr: netip.MustParseAddr("169.254.169.254"), Name: "Cloud DNS for GKE"},
}

// dnsOnNode tells that DNS on the node is allowed, which the cluster is not known to have; empty if it is not. What is allowed to
// every address is not meant for it.
func dnsOnNode(v *reach.View, c *model.PodClass) string {
	allowed := v.External(c, model.Egress).AddrsOn(netset.PortRange(netset.UDP, dnsPort, dnsPort))
	servers := v.World().Facts().DNS
	found := slices.IndexFunc(servers, func(server model.DNSServer) bool { return server.OnNode })
	for i, known := range nodeDNS {
		if allowed.Contains(known.Addr) && !allowed.HasAtLeast(8, 16) {
			if i == 0 && found >= 0 {
				return fmt.Sprintf(": %s is allowed, and %s answers at %s here", known.Addr, known.Name, servers[found].Addrs.Short(3))
			}
			return fmt.Sprintf(": %s is allowed, where %s answers; if it does here, name it in cluster.dns of the configuration", known.Addr, known.Name)
		}
	}
	return ""
}

const dnsPort = 53

// dnsMissed tells the label by which a rule for the DNS pods does not find their namespace; empty if there is no such rule.
func dnsMissed(v *reach.View, c *model.PodClass) string {
	facts := v.World().Facts()
	for i := range facts.DNS {
		server := &facts.DNS[i]
		if server.PodSelector == nil || server.Namespace == "" {
			continue
		}
		labels := v.World().NamespaceOrImplied(server.Namespace).Meta.Labels
		meant := func(peer model.Peer) bool {
			return peer.NamespaceSelector != nil && !peer.NamespaceSelector.Matches(labels) && (peer.PodSelector == nil ||
				slices.ContainsFunc(v.DNSClasses(server), func(dns *model.PodClass) bool { return peer.PodSelector.Matches(dns.Labels) }))
		}
		for _, p := range v.Isolating(c, model.Egress) {
			for k := range p.Rules[model.Egress] {
				r := &p.Rules[model.Egress][k]
				if !slices.ContainsFunc(server.Ports, func(n uint16) bool { return r.Numeric.Contains(netset.Port{Protocol: netset.UDP, Number: n}) }) {
					continue
				}
				if j := slices.IndexFunc(r.Peers, meant); j >= 0 {
					selector := r.Peers[j].NamespaceSelector
					return fmt.Sprintf(": policy %s looks for the DNS pods in namespaces with %s, and namespace %s is not labelled so: write %s: %s",
						p.Subject(), selector, server.Namespace, metadataName, server.Namespace)
				}
			}
		}
	}
	return ""
}

// dnsLater says why the pods may reach DNS later; empty if they may not.
func dnsLater(p *rule.Pass, blocked crowd, judged int) string {
	if !blocked[0].Hypothetical {
		return dnsByCNI(p, blocked)
	}
	if len(blocked) < judged {
		return "the pods do not exist yet, and some that the policy would select reach DNS"
	}
	policy := p.Change.NewPolicy
	for _, other := range p.World.NamespaceOrImplied(policy.Namespace).Policies {
		if other.Name == policy.Name || !other.Isolates(model.Egress) {
			continue
		}
		for _, c := range blocked {
			labels, ok := other.PodSelector.Extend(c.Labels)
			if !ok || !policy.PodSelector.Matches(labels) {
				continue
			}
			if p.Reach.DNS(model.NewHypothetical(c.Namespace, labels)).UDP == reach.Yes {
				return fmt.Sprintf("no pod exists yet, and one with %s would reach DNS by %s", model.FormatLabels(labels), other.Subject())
			}
		}
	}
	return ""
}

// dnsByCNI says why it depends on the CNI whether the pods reach DNS, by the address of its Service; empty if it does not.
func dnsByCNI(p *rule.Pass, blocked crowd) string {
	byPodOnly := func(c *model.PodClass) bool { return !p.Reach.DNS(c).ByServiceIP }
	if p.World.Facts().CNI != "" || slices.ContainsFunc(blocked, byPodOnly) {
		return ""
	}
	return "which CNI enforces policies here is not known: set cluster.cni in the configuration"
}
