package install

import (
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// peopled is what every namespace of the scale test has: a front that a load balancer exposes, an API, a database and jobs, each of
// which may connect to the next one and to nothing else. $PARTNER is the label of another namespace, whose jobs use this one's API and
// the other way round. Nothing is to be found of it.
var peopled = map[string]string{
	"deny": `{podSelector: {}, policyTypes: [Ingress, Egress]}`,
	"dns": `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}},
  podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]}]}`,
	"front-in": `{podSelector: {matchLabels: {app: front}}, policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0,
  except: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16]}}], ports: [{port: 8443}]}]}`,
	"front-out": `{podSelector: {matchLabels: {app: front}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: api}}}], ports: [{port: 8080}]}]}`,
	"api-in": `{podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: front}}},
  {namespaceSelector: {matchLabels: {cell: $PARTNER}}, podSelector: {matchLabels: {app: jobs}}}], ports: [{port: 8080}]}]}`,
	"api-out": `{podSelector: {matchLabels: {app: api}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 5432}]}]}`,
	"db-in":   `{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: api}}}], ports: [{port: 5432}]}]}`,
	"db-out":  `{podSelector: {matchLabels: {app: db}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: jobs}}}], ports: [{port: 8081}]}]}`,
	"jobs-in": `{podSelector: {matchLabels: {app: jobs}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 8081}]}]}`,
	"jobs-out": `{podSelector: {matchLabels: {app: jobs}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {cell: $PARTNER}},
  podSelector: {matchLabels: {app: api}}}], ports: [{port: 8080}]}]}`,
}

// flaw is what is wrong with a namespace, and what there is to be found of it for that reason.
type flaw struct {
	name        string
	labels      map[string]string            // of the Namespace
	annotations map[string]map[string]string // of policies, by name
	specs       map[string]string            // of policies, by name, instead of those in peopled
	internal    bool                         // no load balancer exposes the front
	found       []found
}

// found is a finding of a policy, or of the Namespace if that is empty.
type found struct {
	policy, rule string
	action       verdict.Action
}

// flaws are what can be wrong. Where a flaw has no name, nothing is.
func flaws() []flaw {
	return []flaw{
		{},
		{
			name: "the front's Service is no load balancer", internal: true,
			found: []found{{"front-in", "internet-ingress", verdict.ActionDeny}},
		},
		{
			name: "DNS over TCP alone",
			specs: map[string]string{"dns": `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}},
  podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{port: 53, protocol: TCP}]}]}`},
			found: []found{
				{"deny", "dns-blocked", verdict.ActionDeny}, {"dns", "dns-blocked", verdict.ActionDeny}, {"front-out", "dns-blocked", verdict.ActionDeny},
				{"api-out", "dns-blocked", verdict.ActionDeny}, {"db-out", "dns-blocked", verdict.ActionDeny}, {"jobs-out", "dns-blocked", verdict.ActionDeny},
			},
		},
		{
			name: "DNS over UDP alone",
			specs: map[string]string{"dns": `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}},
  podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{port: 53, protocol: UDP}]}]}`},
			found: []found{{"dns", "dns-udp-only", verdict.ActionWarn}},
		},
		{
			name: "egress rules without the type",
			specs: map[string]string{"db-in": `{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: api}}}], ports: [{port: 5432}]}],
  egress: [{to: [{podSelector: {matchLabels: {app: jobs}}}], ports: [{port: 8081}]}]}`},
			found: []found{{"db-in", "rules-ignored", verdict.ActionDeny}},
		},
		{
			name:        "a claim that cannot be read",
			annotations: map[string]map[string]string{"db-in": {"portcullis.dev/exposed-by": "nothing"}},
			found:       []found{{"db-in", "invalid-setting", verdict.ActionDeny}},
		},
		{
			name:   "a level that there is not",
			labels: map[string]string{"portcullis.dev/warn": "strictest"},
			found:  []found{{"", "invalid-setting", verdict.ActionDeny}},
		},
		{
			name: "the internet is open for jobs, less the metadata services of clouds",
			specs: map[string]string{"jobs-out": `{podSelector: {matchLabels: {app: jobs}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {cell: $PARTNER}},
  podSelector: {matchLabels: {app: api}}}], ports: [{port: 8080}]},
  {to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 100.64.0.0/10, 169.254.0.0/16,
  168.63.129.16/32, 172.16.0.0/12, 192.168.0.0/16]}}], ports: [{port: 443}]}]}`},
			found: []found{{"jobs-out", "internet-egress", verdict.ActionWarn}},
		},
		{
			name: "the metadata service is open for jobs",
			specs: map[string]string{"jobs-out": `{podSelector: {matchLabels: {app: jobs}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {cell: $PARTNER}},
  podSelector: {matchLabels: {app: api}}}], ports: [{port: 8080}]}, {to: [{ipBlock: {cidr: 169.254.169.254/32}}], ports: [{port: 80}]}]}`},
			found: []found{{"jobs-out", "metadata-egress", verdict.ActionWarn}},
		},
		{
			name: "every port of the partner",
			specs: map[string]string{"jobs-out": `{podSelector: {matchLabels: {app: jobs}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {cell: $PARTNER}},
  podSelector: {matchLabels: {app: api}}}]}]}`},
			found: []found{{"jobs-out", "all-ports", verdict.ActionWarn}},
		},
		{
			name: "fronts of every namespace",
			specs: map[string]string{"db-in": `{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: api}}},
  {namespaceSelector: {}, podSelector: {matchLabels: {app: front}}}], ports: [{port: 5432}]}]}`},
			found: []found{{"db-in", "all-namespaces", verdict.ActionWarn}},
		},
		{
			name:  "a port that no pod serves",
			specs: map[string]string{"db-in": `{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: api}}}], ports: [{port: 5432}, {port: 9999}]}]}`},
			found: []found{{"db-in", "unserved-port", verdict.ActionWarn}},
		},
		{
			name: "a peer that matches nothing, where restricted is enforced", labels: map[string]string{"portcullis.dev/enforce": "restricted"},
			specs: map[string]string{"jobs-in": `{podSelector: {matchLabels: {app: jobs}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: db}}},
  {podSelector: {matchLabels: {app: batch}}}], ports: [{port: 8081}]}]}`},
			found: []found{{"jobs-in", "peer-matches-nothing", verdict.ActionDeny}},
		},
		{
			name:  "two sides that name different ports",
			specs: map[string]string{"db-out": `{podSelector: {matchLabels: {app: db}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: jobs}}}], ports: [{port: 8082}]}]}`},
			found: []found{{"db-out", "one-sided-allow", verdict.ActionWarn}, {"jobs-in", "one-sided-allow", verdict.ActionWarn}},
		},
		{
			name: "a rule that is there twice",
			specs: map[string]string{"db-in": `{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: api}}}], ports: [{port: 5432}]},
  {from: [{podSelector: {matchLabels: {app: api}}}], ports: [{port: 5432}]}]}`},
			found: []found{{"db-in", "redundant", verdict.ActionWarn}},
		},
		{
			name:  "no default deny",
			specs: map[string]string{"deny": `{podSelector: {matchLabels: {app: front}}, policyTypes: [Ingress, Egress]}`},
			found: []found{{"", "namespace-not-isolated", verdict.ActionWarn}},
		},
		{
			name: "no default deny, and Portcullis is asked for one", labels: map[string]string{"portcullis.dev/isolate": "ingress"},
			specs: map[string]string{"deny": `{podSelector: {matchLabels: {app: front}}, policyTypes: [Ingress, Egress]}`},
		},
		{
			name: "no default deny, and Portcullis is asked for both directions", labels: map[string]string{"portcullis.dev/isolate": "all"},
			specs: map[string]string{"deny": `{podSelector: {matchLabels: {app: front}}, policyTypes: [Ingress, Egress]}`},
		},
		{
			name: "an exemption", internal: true,
			annotations: map[string]map[string]string{"front-in": {"portcullis.dev/exempt": "internet-ingress", "portcullis.dev/exempt-reason": "a migration"}},
			found:       []found{{"front-in", "internet-ingress", verdict.ActionExempt}},
		},
		{
			name: "a claim that is open", internal: true,
			annotations: map[string]map[string]string{"front-in": {"portcullis.dev/exposed-by": "service/balancer"}},
			found:       []found{{"front-in", "internet-ingress", verdict.ActionProvisional}},
		},
		{
			name: "no load balancer, where nothing is enforced", internal: true, labels: map[string]string{"portcullis.dev/enforce": "privileged"},
			found: []found{{"front-in", "internet-ingress", verdict.ActionWarn}},
		},
	}
}
