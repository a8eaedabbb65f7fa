package config

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// The one version there is, and its kind.
const (
	APIVersion = "config.portcullis.dev/v1alpha1"
	Kind       = "GuardConfiguration"
)

// GuardConfiguration says how strictly a cluster is guarded, and what is known of it that the cluster does not tell by
// itself. Every field has a default.
//
// The comments of the fields are the descriptions in docs/configuration.schema.json.
type GuardConfiguration struct {
	// APIVersion is the version of this file: config.portcullis.dev/v1alpha1, also where it is absent.
	APIVersion string `json:"apiVersion"`
	// Kind is the kind of this file: GuardConfiguration, also where it is absent.
	Kind string `json:"kind"`
	// Mode is what is done about violations: enforce denies them; audit is a dry run of the whole cluster, in which nothing
	// is denied, and what would have been is counted, logged, warned of and put into the audit annotations.
	Mode verdict.Mode `json:"mode"`
	// Defaults are the levels of Namespaces without the labels portcullis.dev/enforce, /warn and /audit.
	Defaults Levels `json:"defaults"`
	// Ratchet lets an UPDATE pass with a warning if it does not widen what the old object violated already.
	Ratchet bool `json:"ratchet"`
	// Exemptions are the names that are let through whatever is found.
	Exemptions Exemptions `json:"exemptions"`
	// Rules switches rules off, moves them to another level, and sets their parameters, by the rule's id. A rule that is
	// not listed has its own level and default parameters.
	Rules map[string]RuleConfiguration `json:"rules"`
	// CustomRules are rules of your own, in CEL: see custom-rules.md.
	CustomRules []CustomRule `json:"customRules"`
	// Claims says how the annotation portcullis.dev/exposed-by is followed up.
	Claims Claims `json:"claims"`
	// Mutations switches what is repaired at admission.
	Mutations Mutations `json:"mutations"`
	// Cluster is what is known of the cluster. What is absent is found in the cluster.
	Cluster Cluster `json:"cluster"`
	// LoadBalancer says where load balancers connect from.
	LoadBalancer LoadBalancer `json:"loadBalancer"`
	// IsolateNamespaces keeps a default deny in each Namespace that is not exempt and whose label portcullis.dev/isolate says
	// nothing else: none, ingress for incoming connections, or all for both directions with the way to DNS left open.
	IsolateNamespaces Isolation `json:"isolateNamespaces"`
	// Audit is the background audit.
	Audit Audit `json:"audit"`
	// Metrics says what the metrics tell.
	Metrics Metrics `json:"metrics"`
}

// Levels name a level each: privileged, baseline or restricted.
type Levels struct {
	// Enforce is the level whose violations are denied.
	Enforce finding.Level `json:"enforce"`
	// Warn is the level whose violations are warned of.
	Warn finding.Level `json:"warn"`
	// Audit is the level whose violations are recorded.
	Audit finding.Level `json:"audit"`
}

// Exemptions are names, without patterns.
type Exemptions struct {
	// Namespaces are the names of namespaces that are exempt with everything in them, besides kube-system, kube-public,
	// kube-node-lease and Portcullis's own.
	Namespaces []string `json:"namespaces"`
	// Users are the names of users that are exempt, as in system:serviceaccount:argocd:argocd-application-controller.
	Users []string `json:"users"`
	// Groups are the names of groups whose users are exempt.
	Groups []string `json:"groups"`
	// ExcludeDefaults takes the default namespaces off the list.
	ExcludeDefaults bool `json:"excludeDefaults"`
}

// RuleConfiguration is off, or a mapping of level and the rule's parameters.
type RuleConfiguration struct {
	// Level is off, baseline or restricted.
	Level RuleLevel
	// Params is what the rule's NewSettings returns, filled in; nil if the rule has no parameters.
	Params any
}

// RuleLevel is off, or the name of the level that a rule belongs to.
type RuleLevel string

// RuleOff switches a rule off.
const RuleOff RuleLevel = "off"

// CustomRule is a rule in CEL, the language of ValidatingAdmissionPolicies.
type CustomRule struct {
	// ID is the name of the rule, as in acme-owner: lower-case letters, digits and hyphens. It must not be that of another
	// rule.
	ID string `json:"id"`
	// Level is the level that the rule belongs to: baseline or restricted.
	Level finding.Level `json:"level"`
	// Severity is how much harm a finding stands for: info, low, medium or high.
	Severity finding.Severity `json:"severity"`
	// Message is what is the case where the expression is false, in a sentence.
	Message string `json:"message"`
	// MessageExpression yields a message that says more, as a text on one line. Where it fails, the message stands.
	MessageExpression string `json:"messageExpression,omitempty"`
	// Expression is what has to be true.
	Expression string `json:"expression"`
	// Fix is what to do about a finding, in a sentence.
	Fix string `json:"fix,omitempty"`
	// Path is the field that findings are about, as in spec.ingress; the whole object where it is absent.
	Path string `json:"path,omitempty"`
	// AppliesTo are the resources that the rule judges: networkpolicies, namespaces.
	AppliesTo []Resource `json:"appliesTo"`
	// Operations are those that the rule judges: CREATE, UPDATE, DELETE. An object as it stands, as for portcullis check, is
	// judged as though it were created.
	Operations []Operation `json:"operations"`
	// FailurePolicy is what becomes of an object for which the expression fails: Ignore lets it through as undetermined, and
	// Fail takes it as a violation.
	FailurePolicy FailurePolicy `json:"failurePolicy"`
}

// FailurePolicy is what becomes of an object for which an expression fails, as in a ValidatingAdmissionPolicy.
type FailurePolicy string

// The failure policies.
const (
	FailurePolicyIgnore FailurePolicy = "Ignore"
	FailurePolicyFail   FailurePolicy = "Fail"
)

// Resource is what a custom rule applies to.
type Resource string

// The resources.
const (
	ResourcePolicies   Resource = "networkpolicies"
	ResourceNamespaces Resource = "namespaces"
)

// Operation is what a custom rule judges, as in an AdmissionReview.
type Operation string

// The operations.
const (
	OperationCreate Operation = "CREATE"
	OperationUpdate Operation = "UPDATE"
	OperationDelete Operation = "DELETE"
)

// Claims are about the annotation portcullis.dev/exposed-by.
type Claims struct {
	// GracePeriod is how long a claim may wait for the object that it names, until the background audit reports a
	// violation. Whatever else is provisional has as long.
	GracePeriod metav1.Duration `json:"gracePeriod"`
}

// Mutations switches what is repaired at admission.
type Mutations struct {
	// PolicyTypes fills missing policyTypes, and adds the direction that the author wrote and the API server's default left
	// out.
	PolicyTypes bool `json:"policyTypes"`
	// NamespaceNameLabel gives each Namespace a label with its own name as value, or is true or false alone.
	NamespaceNameLabel NamespaceNameLabel `json:"namespaceNameLabel"`
	// NamespaceLabels are labels that are set on Namespaces that lack them.
	NamespaceLabels map[string]string `json:"namespaceLabels"`
	// CopyNamespaceLabels are the keys of labels that are copied from the Namespace to its NetworkPolicies that lack them.
	CopyNamespaceLabels []string `json:"copyNamespaceLabels"`
	// DNSEgress adds the egress rule for DNS to a policy that would be denied as dns-blocked.
	DNSEgress bool `json:"dnsEgress"`
}

// NamespaceNameLabel gives each Namespace a label with its own name as value.
type NamespaceNameLabel struct {
	// Enabled is whether it does.
	Enabled bool `json:"enabled"`
	// Key is the key of the label.
	Key string `json:"key"`
}

// Cluster is what is known of the cluster.
type Cluster struct {
	// CNI is the name of the CNI that enforces NetworkPolicies, as in calico or cilium. Where it is absent, it is found by
	// its DaemonSet.
	CNI string `json:"cni,omitempty"`
	// CIDRs are the cluster's own address ranges.
	CIDRs ClusterCIDRs `json:"cidrs"`
	// TrustedCIDRs are networks outside of the cluster that do not count as the public internet.
	TrustedCIDRs []CIDR `json:"trustedCIDRs,omitempty"`
	// DNS are the ways to reach the cluster's DNS. They are alternatives: one that is reachable is enough. Where the list is
	// absent, DNS is found by the Service kube-dns.
	DNS []DNS `json:"dns,omitempty"`
}

// ClusterCIDRs are the cluster's own address ranges.
type ClusterCIDRs struct {
	// Pods are the addresses of pods. Where they are absent, they are found by the Nodes.
	Pods []CIDR `json:"pods,omitempty"`
	// Services are the addresses of Services. Where they are absent, they are found by the ServiceCIDRs.
	Services []CIDR `json:"services,omitempty"`
	// Nodes are the addresses of nodes. Where they are absent, they are found by the Nodes.
	Nodes []CIDR `json:"nodes,omitempty"`
}

// CIDR is an address range, as in 10.0.0.0/8 or 2001:db8::/32.
type CIDR string

// DNS is one way to reach the cluster's DNS: pods, addresses, or both as alternatives.
type DNS struct {
	// NamespaceSelector selects the namespaces of the DNS pods; {} selects all.
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
	// PodSelector selects the DNS pods in these namespaces; where it is absent, all of them.
	PodSelector *metav1.LabelSelector `json:"podSelector,omitempty"`
	// CIDRs are addresses that answer DNS, such as those of NodeLocal DNSCache.
	CIDRs []CIDR `json:"cidrs,omitempty"`
	// Ports are the ports that the servers listen on, each for UDP and TCP; 53 where they are absent.
	Ports []Port `json:"ports,omitempty"`
}

// Port is a port number, from 1 to 65535.
type Port uint16

// LoadBalancer says where load balancers connect from.
type LoadBalancer struct {
	// Provider adds the address ranges that a provider documents: gke, or none.
	Provider Provider `json:"provider"`
	// SourceRanges are addresses that load balancers connect from.
	SourceRanges []CIDR `json:"sourceRanges,omitempty"`
}

// Provider is a provider of load balancers whose address ranges are known.
type Provider string

// The providers.
const (
	ProviderNone Provider = "none"
	ProviderGKE  Provider = "gke"
)

// Isolation is which default denies are made for Namespaces.
type Isolation string

// The isolations: no default deny, one for ingress, or one for both directions, with the way to DNS left open.
const (
	IsolateNone    Isolation = "none"
	IsolateIngress Isolation = "ingress"
	IsolateAll     Isolation = "all"
)

// Audit is the background audit.
type Audit struct {
	// Interval is the time between two passes over all of the cluster. What changes is looked at again within seconds.
	Interval metav1.Duration `json:"interval"`
	// Reports writes policy reports: those of OpenReports, or else of wgpolicyk8s.io, whichever API the cluster has.
	Reports bool `json:"reports"`
}

// Metrics is about what the metrics tell.
type Metrics struct {
	// NamespaceLabel is whether the label namespace carries the names of namespaces; it is empty otherwise.
	NamespaceLabel bool `json:"namespaceLabel"`
}
