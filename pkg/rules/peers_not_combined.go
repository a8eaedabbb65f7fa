package rules

import (
	"fmt"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// peers-not-combined: a namespaceSelector and a podSelector as two items of one list, where the evidence says that one item was
// meant: the podSelector matches no pod in the policy's own namespace, and does match pods in the selected namespaces.
//
// Two items are either of them: every pod of those namespaces, and the own namespace's pods with those labels.
func peersNotCombined() *rule.Rule {
	return &rule.Rule{
		ID: "peers-not-combined", Level: finding.Restricted, Severity: finding.Medium,
		Subjects: []string{finding.KindNetworkPolicy},
		Run:      runPeersNotCombined,
		Doc: rule.Doc{
			Title: "Two peers where one was meant",
			Why: "A dash more or less decides whether two selectors are both demanded or either is enough. With the dash, every pod of the selected " +
				"namespaces is let in, whatever its labels.",
			References: []rule.Reference{
				{Title: "Kubernetes: behaviour of to and from selectors", URL: "https://kubernetes.io/docs/concepts/services-networking/network-policies/#behavior-of-to-and-from-selectors"}},
			Finds:  "A namespaceSelector and a podSelector as two items, where the podSelector matches no pod here, and does in the selected namespaces.",
			Remedy: "Write both selectors into one item: take out the second dash.",
			Bad:    combined("        - podSelector:"),
			Good:   combined("          podSelector:"),
		},
	}
}

// combined is an example whose podSelector stands in a line of its own.
func combined(line string) string {
	return `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: db
  namespace: shop
spec:
  podSelector:
    matchLabels:
      app: db
  policyTypes: [Ingress]
  ingress:
    - from:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: reports
` + line + `
            matchLabels:
              app: nightly
      ports:
        - port: 5432
---
apiVersion: v1
kind: Pod
metadata:
  name: db-0
  namespace: shop
  labels:
    app: db
---
apiVersion: v1
kind: Pod
metadata:
  name: nightly-0
  namespace: reports
  labels:
    app: nightly
`
}

func runPeersNotCombined(p *rule.Pass) {
	policy := p.Change.NewPolicy
	if policy == nil {
		return
	}
	own := p.World.NamespaceOrImplied(policy.Namespace).Classes
	if len(own) == 0 {
		return
	}
	for _, d := range model.Directions {
		if !policy.Isolates(d) {
			continue
		}
		for i := range policy.Rules[d] {
			peers := policy.Rules[d][i].Peers
			for j := range peers {
				// The item before is the one that the dash cuts off.
				if j == 0 || peers[j].PodSelector == nil || peers[j].NamespaceSelector != nil || peers[j-1].NamespaceSelector == nil || peers[j-1].PodSelector != nil {
					continue
				}
				if anyMatches(own, peers[j].PodSelector) {
					continue
				}
				if pod, all := inNamespaces(p.World, peers[j-1].NamespaceSelector, peers[j].PodSelector); pod != nil {
					reportNotCombined(p, d, i, j, pod, all)
				}
			}
		}
	}
}

// inNamespaces is a class that both selectors match, and all classes of the namespaces.
func inNamespaces(s *model.Snapshot, namespaces, pods *model.Selector) (match *model.PodClass, all crowd) {
	looked := 0
	for ns := range s.Select(namespaces) {
		if looked++; looked > mostLooked {
			break
		}
		for _, c := range ns.Classes {
			all = append(all, c)
			if match == nil && pods.Matches(c.Labels) {
				match = c
			}
		}
	}
	return match, all
}

func reportNotCombined(p *rule.Pass, d model.Direction, i, j int, meant *model.PodClass, all crowd) {
	peers := p.Change.NewPolicy.Rules[d][i].Peers
	at := fmt.Sprintf("/spec/%s/%d/%s/", d.Field(), i, d.PeersField())
	p.Report(peerPath(d, i, j), finding.Witness{To: meant.Name()},
		"The namespaceSelector and the podSelector are two peers, and so every pod of %s is allowed; no pod of namespace %s has %s, and %s has",
		namespacesText(peers[j-1].NamespaceSelector), p.Change.NewPolicy.Namespace, peers[j].PodSelector, meant.Name()).
		Fix("Take out the second dash, so that both selectors are one peer",
			finding.PatchOp{Op: "move", From: fmt.Sprint(at, j, "/podSelector"), Path: fmt.Sprint(at, j-1, "/podSelector")},
			finding.PatchOp{Op: "remove", Path: fmt.Sprint(at, j)}).Pods(all.count())
}
