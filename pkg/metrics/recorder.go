// Package metrics counts what the guard does: a small Recorder that the admission handler, the configuration and the
// sources report to, and its Prometheus implementation. Label values come from fixed sets, from rule ids and from the
// names of namespaces; never from names of policies, users or addresses.
package metrics

import (
	"time"

	"github.com/portcullis-dev/portcullis/pkg/finding"
)

// Values of the label webhook.
const (
	WebhookValidate = "validate"
	WebhookMutate   = "mutate"
)

// Decision is how a review ended: the label decision.
type Decision string

// The decisions. A review that warns is allowed, too; Warned tells the two apart. Skipped are the writes that are let
// through unevaluated, and Error is what could not be evaluated.
const (
	Allowed Decision = "allowed"
	Denied  Decision = "denied"
	Warned  Decision = "warned"
	Exempt  Decision = "exempt"
	Skipped Decision = "skipped"
	Error   Decision = "error"
)

// Review is one admission review, answered.
type Review struct {
	Webhook   string // WebhookValidate or WebhookMutate
	Resource  string // plural, as in the request: "networkpolicies", "namespaces"; others count as "other"
	Operation string // as in the request: "CREATE", "UPDATE", "DELETE"; others count as "other"
	Decision  Decision
	DryRun    bool // the request's dryRun: the write has no effect
	Duration  time.Duration
}

// Denial is one rule's part in a refused write.
type Denial struct {
	Rule, Namespace string
	// WouldBe is whether nothing was refused, because of mode: audit.
	WouldBe bool
}

// Recorder counts. Implementations are safe for concurrent use and never block.
//
// Of a review with dryRun: true tell Review alone: it has no effect on the cluster, and so denies, finds and repairs
// nothing that would count.
type Recorder interface {
	// Review counts an answered review and its duration.
	Review(Review)
	// Denial counts one rule that denied, or with mode: audit would have denied, a write: once per rule and review.
	Denial(Denial)
	// Finding counts a finding of an evaluated write, with what was done about it: deny, warn, audit, exempt, provisional or
	// undetermined.
	Finding(rule string, level finding.Level, action string)
	// Mutation counts one repair, by its name in the configuration: policyTypes, namespaceNameLabel, namespaceLabels,
	// copyNamespaceLabels, dnsEgress.
	Mutation(name string)
	// ConfigReload counts an attempt to take over a changed configuration.
	ConfigReload(ok bool)
	// CertificateNotAfter tells when the serving certificate expires.
	CertificateNotAfter(time.Time)
	// SnapshotObjects tells how many objects of a kind ("Pod") the state of the cluster holds.
	SnapshotObjects(kind string, n int)
	// ForgetNamespace drops what is counted for a namespace that is gone.
	ForgetNamespace(name string)
}

// Discard is a Recorder that counts nothing.
type Discard struct{}

var _ Recorder = Discard{}

// Review implements Recorder.
func (Discard) Review(Review) {}

// Denial implements Recorder.
func (Discard) Denial(Denial) {}

// Finding implements Recorder.
func (Discard) Finding(string, finding.Level, string) {}

// Mutation implements Recorder.
func (Discard) Mutation(string) {}

// ConfigReload implements Recorder.
func (Discard) ConfigReload(bool) {}

// CertificateNotAfter implements Recorder.
func (Discard) CertificateNotAfter(time.Time) {}

// SnapshotObjects implements Recorder.
func (Discard) SnapshotObjects(string, int) {}

// ForgetNamespace implements Recorder.
func (Discard) ForgetNamespace(string) {}
