package publish

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// A report is written when its findings are others than those that stand, or when what stands is not what was written. Who has written a
// report knows what the API server has made of it: fields that its definition lacks are dropped. Who takes over compares the findings
// alone, without the times at which they were found first, which the one before has known better.

// digests are of what a report says; of nothing else that may stand in it.
type digests struct {
	findings [sha256.Size]byte // without times
	stored   [sha256.Size]byte // with times, as the API server has it; zero if it was not written by this process
}

// parts are the fields of a report that are written, besides those that name it.
var parts = [...]string{"source", "scope", "summary", "results"}

func digestsOf(report *unstructured.Unstructured) digests {
	said := map[string]any{}
	for _, part := range parts {
		said[part] = report.Object[part]
	}
	// Who else owns the report, is of no interest.
	uid, _, _ := unstructured.NestedString(report.Object, "scope", "uid")
	said["owned"] = slices.ContainsFunc(report.GetOwnerReferences(), func(o metav1.OwnerReference) bool { return string(o.UID) == uid })
	d := digests{stored: digest(said)}
	if results, is := said["results"].([]any); is {
		timeless := make([]any, len(results))
		for i, result := range results {
			timeless[i] = result
			if fields, is := result.(map[string]any); is {
				fields = maps.Clone(fields)
				delete(fields, timestamp)
				timeless[i] = fields
			}
		}
		said["results"] = timeless
	}
	d.findings = digest(said)
	return d
}

// digest is of JSON. Maps are marshalled with their keys sorted, and what is from JSON can be marshalled.
func digest(v any) [sha256.Size]byte {
	text, _ := json.Marshal(v)
	return sha256.Sum256(text)
}

// readReports finds the reports that stand, and which of them are not as they were written.
func (p *Publisher) readReports(ctx context.Context) error {
	standing := map[place]digests{}
	for _, resource := range []string{p.reports.api.reports, p.reports.api.cluster} {
		options := metav1.ListOptions{LabelSelector: managedBy + "=" + source, Limit: 500}
		for {
			list, err := p.options.Dynamic.Resource(p.reports.api.group.WithResource(resource)).List(ctx, options)
			if err != nil {
				return err
			}
			for i := range list.Items {
				o := &list.Items[i]
				if !strings.HasPrefix(o.GetName(), namePrefix) {
					continue
				}
				at := place{o.GetNamespace(), o.GetName()}
				standing[at] = p.standing(at, digestsOf(o))
			}
			if options.Continue = list.GetContinue(); options.Continue == "" {
				break
			}
		}
	}
	p.reports.digests = standing
	return nil
}

// standing is what is known of a report that stands.
func (p *Publisher) standing(at place, found digests) digests {
	written, known := p.reports.digests[at]
	switch {
	case !known || written.stored == [sha256.Size]byte{}:
		return digests{findings: found.findings}
	case written.stored == found.stored:
		return written
	}
	return digests{} // edited: it says what no report says
}
