package rules

import (
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rule"
)

// unisolates-pods: a DELETE, or an UPDATE of podSelector or policyTypes, that leaves pods not isolated in a direction in which
// they were isolated before.
//
// "By default, a pod is non-isolated": the last policy that selects a pod takes the isolation with it, and everything is
// allowed from then on. Counted are the pods and templates that there are.
func unisolatesPods() *rule.Rule {
	return &rule.Rule{
		ID: "unisolates-pods", Level: finding.Restricted, Severity: finding.Medium,
		Subjects: []string{finding.KindNetworkPolicy},
		Run:      runUnisolatesPods,
		Doc: rule.Doc{
			Title: "Isolation lost with the last policy",
			Why: "Policies only allow. With the last one that selects a pod goes its isolation, and what looked like taking a permission away " +
				"opens every port to everyone.",
			References: []rule.Reference{docsPolicies, nsaHardening},
			Finds:      "A DELETE, or an UPDATE of podSelector or policyTypes, after which pods are no longer isolated in a direction in which they were. It is found at admission only.",
			Remedy:     "Keep a policy that isolates every pod of the namespace and allows nothing (a default deny), and let other policies add to it.",
			Bad:        unisolatesPodsBad,
			Good:       unisolatesPodsGood,
			OnDelete:   true,
		},
	}
}

const unisolatesPodsBad = `# Deleting this policy, where no other one selects the pods.
apiVersion: networking.k8s.io/v1
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
        - podSelector:
            matchLabels:
              app: web
---
apiVersion: v1
kind: Pod
metadata:
  name: db-0
  namespace: shop
  labels:
    app: db
`

const unisolatesPodsGood = unisolatesPodsBad + `---
# With this policy beside it, the pods stay isolated.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: default-deny
  namespace: shop
spec:
  podSelector: {}
  policyTypes: [Ingress]
`

func runUnisolatesPods(p *rule.Pass) {
	old := p.Change.OldPolicy
	if old == nil || p.Change.Operation != model.Update && p.Change.Operation != model.Delete {
		return
	}
	for _, d := range model.Directions {
		if !old.Isolates(d) {
			continue
		}
		var lost crowd
		for _, c := range p.Before.Select(old).Classes {
			if !c.Hypothetical && c.Count() > 0 && !p.Reach.Isolated(c, d) {
				lost = append(lost, c)
			}
		}
		if len(lost) == 0 {
			continue
		}
		w := finding.Witness{To: lost[0].Name()}
		may := lost.verb("accept", "accepts") + " connections from everyone on every port"
		if d == model.Egress {
			may = "may connect to everything on every port"
		}
		at := spec("podSelector")
		if now := p.Change.NewPolicy; now != nil && !now.Isolates(d) {
			at = spec("policyTypes")
		}
		if p.Change.Operation == model.Delete {
			at = nil
		}
		b := p.Report(at, w, "%s %s no longer isolated for %s (%s): %s %s",
			lost.who(), lost.verb("are", "is"), d.Field(), w, lost.verb("they", "it"), may)
		b.Fix("Apply a policy first that isolates these pods for " + d.Field() + " and allows what is meant, such as a default deny for the namespace")
		b.Pods(lost.count()).Covers(keys(lost)...)
	}
}
