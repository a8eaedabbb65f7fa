// Package explain tells why one connection is allowed or blocked: which policies isolate each end, what each of their rules
// says to the connection and why, and, if it is blocked, the change that allows it and opens the least besides.
//
// The verdict is that of reach.View.Connection. A change is told only if the cluster with it, evaluated again, allows the
// connection, and with all that it opens.
package explain

import (
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/netset"
)

// Verdict is the answer to a question.
type Verdict string

// The verdicts.
const (
	Allowed Verdict = "allowed"
	Blocked Verdict = "blocked"
	// Unknown: it depends on what the input does not tell, such as the addresses of pods.
	Unknown Verdict = "unknown"
	// Mixed: allowed for some of the pods or ports asked about, and not for others.
	Mixed Verdict = "mixed"
)

// Question is who wants to connect to whom.
type Question struct {
	// From and To are names as kubectl takes them, or addresses; see Explain.
	From, To string
	// Port is as in "TCP/8080", "8080", "http" or "UDP/dns"; empty for all ports.
	Port string
	// Namespace is where names without one are; empty for "default".
	Namespace string
}

// Explanation is the answer to a Question.
type Explanation struct {
	From End `json:"from"`
	To   End `json:"to"`
	// Port is as it was asked for; empty for all ports.
	Port    string  `json:"port,omitempty"`
	Verdict Verdict `json:"verdict"`
	// Notes are what else is to be known to read the answer.
	Notes []string `json:"notes,omitempty"`
	// Cases are the answers for the pods and ports asked about, those that share one answer together.
	Cases []Case `json:"cases"`
	// Change is what would allow everything asked about; nil if all of it is allowed, or if no change would do.
	Change *Change `json:"change,omitempty"`
	// NoChange is why no change is told although something is not allowed.
	NoChange string `json:"noChange,omitempty"`
}

// End is what a name or an address of the question stands for.
type End struct {
	// Kind is Pod, the kind of a workload, Service, Address or Node.
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// String is "Deployment shop/web", or the address.
func (e End) String() string {
	switch {
	case e.Kind == kindAddress:
		return e.Name
	case e.Namespace == "":
		return e.Kind + " " + e.Name
	}
	return e.Kind + " " + e.Namespace + "/" + e.Name
}

// Case is the answer for pods of which the same is true.
type Case struct {
	// From and To are pods, as namespace/name, workloads that have no pods yet, or addresses: each of From with each of To.
	From []string `json:"from"`
	To   []string `json:"to"`
	// Port is the pods' port that was asked for, behind the Service if one was named; empty for all ports.
	Port string `json:"port,omitempty"`
	// PortName is the name of the port, if it was asked for by that, or if the Service's port leads to it by that.
	PortName string `json:"portName,omitempty"`
	// ServicePort is the Service's port that leads to it.
	ServicePort string  `json:"servicePort,omitempty"`
	Verdict     Verdict `json:"verdict"`
	// Ports are those that are allowed, if all were asked for: "TCP/80,443 UDP/53".
	Ports string `json:"ports,omitempty"`
	// UnknownPorts are those of which it is not known, if all were asked for.
	UnknownPorts string `json:"unknownPorts,omitempty"`
	// Reason is why, where it is not the policies that decide.
	Reason string `json:"reason,omitempty"`
	// Egress and Ingress are what each end has to say; nil where Reason says it all.
	Egress  *Side `json:"egress,omitempty"`
	Ingress *Side `json:"ingress,omitempty"`
}

// Side is what the policies of one end say to the connection.
type Side struct {
	Verdict Verdict `json:"verdict"`
	// Reason is the verdict's in one sentence.
	Reason string `json:"reason"`
	// Policies are those that isolate the end in the direction, sorted by name; none if everything is allowed.
	Policies []Policy `json:"policies,omitempty"`
	// Ignored are policies that select the end and have rules for the direction, but no effect in it, for their policyTypes
	// leave it out.
	Ignored []string `json:"ignored,omitempty"`
}

// Policy is what one policy says to the connection.
type Policy struct {
	Namespace string          `json:"namespace"`
	Name      string          `json:"name"`
	Source    *finding.Source `json:"source,omitempty"`
	Verdict   Verdict         `json:"verdict"`
	// Reason is set if there is no rule to name.
	Reason string `json:"reason,omitempty"`
	Rules  []Rule `json:"rules,omitempty"`
}

// Rule is what one rule says to the connection.
type Rule struct {
	// Path is the rule's, as in spec.ingress[0], or, if it allows the connection, that of the peer that does.
	Path    string          `json:"path"`
	Source  *finding.Source `json:"source,omitempty"`
	Verdict Verdict         `json:"verdict"`
	// Ports are those that the rule allows to or from the peer, if all were asked for.
	Ports string `json:"ports,omitempty"`
	// Reasons are why the rule does or does not allow the connection: one for each of its peers, and one for its ports.
	Reasons []string `json:"reasons"`
}

// Change is what to do so that everything asked about is allowed.
type Change struct {
	Steps []Step `json:"steps"`
	// Opens are all connections between the pods there are, and with addresses, that are blocked now and allowed after it.
	Opens []Opened `json:"opens"`
}

// Step is a change of one policy, or a new policy.
type Step struct {
	Direction string `json:"direction"` // Ingress or Egress
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Patch is a JSON Patch of the policy that is there, and Source where it stands.
	Patch  []finding.PatchOp `json:"patch,omitempty"`
	Source *finding.Source   `json:"source,omitempty"`
	// Policy is a policy to create.
	Policy *networkingv1.NetworkPolicy `json:"policy,omitempty"`
}

// Opened is one group of connections that a change opens.
type Opened struct {
	// From and To are pods, as namespace/name, or addresses.
	From  []string `json:"from"`
	To    []string `json:"to"`
	Ports string   `json:"ports"`

	// PortSet is Ports, and Conns the addresses that are From or To, with the ports; empty between pods.
	PortSet netset.Ports `json:"-"`
	Conns   netset.Conns `json:"-"`
}
