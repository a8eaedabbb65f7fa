package publish

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portcullis-dev/portcullis/pkg/audit"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// What API servers accept of an Event (https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/).
const (
	mostNote     = 1024
	mostInstance = 128
	controller   = "portcullis.dev/audit"
)

// events are the names of the Events of one day that are known to be written.
type events struct {
	day     string
	written map[string]bool
}

func newEvents() events { return events{written: map[string]bool{}} }

// writeEvents writes one Event for each violation and day, about the object that it is found of, and mostOfRule at most. The name of the Event says so,
// which is why no other process writes it again.
func (p *Publisher) writeEvents(ctx context.Context, r *audit.Results) {
	day := p.options.Clock.Now().UTC().Format(time.DateOnly)
	if p.events.day != day {
		p.events = newEvents()
		p.events.day = day
	}
	count := map[ofRule]int{}
	for i := range r.Items {
		item := &r.Items[i]
		if item.Action != verdict.ActionDeny && item.Action != verdict.ActionWarn {
			continue
		}
		if count[ofRule{item.Subject, item.Rule}]++; count[ofRule{item.Subject, item.Rule}] > mostOfRule {
			continue
		}
		regarding := objectOf(r, item.Subject)
		if regarding == nil {
			continue
		}
		event := p.event(item, regarding, day)
		if p.events.written[event.Namespace+"/"+event.Name] {
			continue
		}
		_, err := p.options.Client.EventsV1().Events(event.Namespace).Create(ctx, event, metav1.CreateOptions{})
		switch {
		case err == nil || apierrors.IsAlreadyExists(err):
			p.events.written[event.Namespace+"/"+event.Name] = true
		case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause), apierrors.IsNotFound(err):
		case p.failed(ctx, "Events", err):
			return
		}
	}
}

func (p *Publisher) event(item *audit.Item, regarding *corev1.ObjectReference, day string) *eventsv1.Event {
	namespace := regarding.Namespace
	if namespace == "" {
		namespace = metav1.NamespaceDefault // the namespace of Events about objects that have none
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{item.Rule, item.Path, string(regarding.UID), day}, "\x00")))
	return &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{Namespace: namespace, Name: "portcullis." + hex.EncodeToString(sum[:12])},
		EventTime:           metav1.NewMicroTime(p.options.Clock.Now()),
		ReportingController: controller,
		ReportingInstance:   cut(p.options.Instance, mostInstance),
		Action:              "Audit",
		Reason:              item.Rule,
		Regarding:           *regarding,
		Note:                cut(item.Sentence()+" "+fixOf(item), mostNote),
		Type:                corev1.EventTypeWarning,
	}
}

func fixOf(item *audit.Item) string {
	if item.Fix == "" {
		return "See: portcullis rules " + item.Rule
	}
	return "Fix: " + item.Fix
}

// cut is at most n bytes of the text.
func cut(s string, n int) string {
	s = strings.TrimSpace(s)
	if len(s) <= n {
		return s
	}
	const dots = "…"
	end := n - len(dots)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + dots
}

// objectOf is the object that a finding is about; nil if it is the cluster, or gone.
func objectOf(r *audit.Results, s finding.Subject) *corev1.ObjectReference {
	switch s.Kind {
	case finding.KindNamespace:
		if ns := r.Snapshot.Namespace(s.Name); ns != nil && ns.Meta.UID != "" {
			return &corev1.ObjectReference{APIVersion: "v1", Kind: s.Kind, Name: s.Name, UID: ns.Meta.UID}
		}
	case finding.KindNetworkPolicy:
		if p := r.Snapshot.Policy(s.Namespace, s.Name); p != nil && p.UID != "" {
			return &corev1.ObjectReference{APIVersion: "networking.k8s.io/v1", Kind: s.Kind, Namespace: s.Namespace, Name: s.Name, UID: p.UID}
		}
	}
	return nil
}
