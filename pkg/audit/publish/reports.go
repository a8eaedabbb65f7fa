package publish

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/portcullis-dev/portcullis/pkg/audit"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

const (
	source     = "portcullis"
	managedBy  = "app.kubernetes.io/managed-by"
	namePrefix = "portcullis-" // of every report that is written here
	// clusterReport is the name of the report about the cluster as a whole.
	clusterReport = namePrefix + "cluster"
	// timestamp is the field of a result that tells when it was found first.
	timestamp = "timestamp"
)

// api is one of the two APIs that policy reports may have.
type api struct {
	group            schema.GroupVersion
	reports, cluster string // resources
	kinds            [2]string
	hasSource        bool // spec: the report itself names its source
}

// apis are both, the preferred one first: OpenReports, which the other has become
// (https://github.com/kubernetes-sigs/wg-policy-prototypes, https://openreports.io).
var apis = [...]api{
	{schema.GroupVersion{Group: "openreports.io", Version: "v1alpha1"}, "reports", "clusterreports", [2]string{"Report", "ClusterReport"}, true},
	{schema.GroupVersion{Group: "wgpolicyk8s.io", Version: "v1alpha2"}, "policyreports", "clusterpolicyreports", [2]string{"PolicyReport", "ClusterPolicyReport"}, false},
}

// reports are those that are known to be written.
type reports struct {
	api    *api // nil while none is known to be served
	looked time.Time
	// digests are of what stands, by place.
	digests map[place]digests
	// fullPasses is audit.Results.FullPasses when digests were last compared with what stands.
	fullPasses int
}

// place is where a report is: the namespace is empty for one about the cluster, or about a Namespace.
type place struct{ namespace, name string }

func newReports() reports { return reports{digests: map[place]digests{}} }

// again is how often it is asked whether reports are served.
const again = 15 * time.Second

// writeReports writes a report for each object of which something is found, and removes those of objects of which nothing is
// found any more. What has not changed is not written.
func (p *Publisher) writeReports(ctx context.Context, r *audit.Results) {
	if p.reports.api == nil && !p.findAPI(ctx) {
		return
	}
	if p.reports.fullPasses != r.FullPasses {
		// Reports that somebody has deleted or edited meanwhile are written again.
		if err := p.readReports(ctx); err != nil {
			p.failed(ctx, "policy reports", err)
			return
		}
		p.reports.fullPasses = r.FullPasses
	}
	want := p.wanted(r)
	for _, at := range slices.SortedFunc(maps.Keys(want), func(a, b place) int { return compare(a, b) }) {
		object := want[at]
		digest := digestsOf(object)
		if p.reports.digests[at].findings == digest.findings {
			continue
		}
		data, err := json.Marshal(object)
		if err == nil {
			force := true
			object, err = p.resource(at).Patch(ctx, at.name, types.ApplyPatchType, data, metav1.PatchOptions{FieldManager: controller, Force: &force})
		}
		switch {
		case err == nil:
			digest.stored = digestsOf(object).stored
			p.reports.digests[at] = digest
		case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		case apierrors.IsNotFound(err): // the namespace is gone, or reports are served no more
			if !p.served(ctx, p.reports.api) {
				p.reports = newReports()
				return
			}
		case p.failed(ctx, "policy reports", err):
			return
		}
	}
	for at := range p.reports.digests {
		if want[at] != nil {
			continue
		}
		err := p.resource(at).Delete(ctx, at.name, metav1.DeleteOptions{})
		switch {
		case err == nil || apierrors.IsNotFound(err):
			delete(p.reports.digests, at)
		case p.failed(ctx, "policy reports", err):
			return
		}
	}
}

func compare(a, b place) int {
	switch {
	case a.namespace != b.namespace && a.namespace < b.namespace, a.namespace == b.namespace && a.name < b.name:
		return -1
	case a == b:
		return 0
	}
	return 1
}

// findAPI finds which reports are served, and what of them is written.
func (p *Publisher) findAPI(ctx context.Context) bool {
	now := p.options.Clock.Now()
	if !p.reports.looked.IsZero() && now.Sub(p.reports.looked) < again {
		return false
	}
	p.reports.looked = now
	for i := range apis {
		if !p.served(ctx, &apis[i]) {
			continue
		}
		p.reports.api = &apis[i]
		if err := p.readReports(ctx); err != nil {
			p.reports.api = nil
			p.failed(ctx, "policy reports", err)
			return false
		}
		p.options.Log.Info("policy reports are written", "api", apis[i].group.String())
		return true
	}
	if _, told := p.told["no reports"]; !told {
		p.told["no reports"] = now
		p.options.Log.Warn("policy reports are asked for, and the cluster has none: install the CRDs of openreports.io/v1alpha1 or of wgpolicyk8s.io/v1alpha2")
	}
	return false
}

func (p *Publisher) served(ctx context.Context, a *api) bool {
	list, err := p.options.Client.Discovery().ServerResourcesForGroupVersionWithContext(ctx, a.group.String())
	if err != nil {
		return false
	}
	return slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == a.reports })
}

func (p *Publisher) resource(at place) dynamic.ResourceInterface {
	if at.namespace == "" {
		return p.options.Dynamic.Resource(p.reports.api.group.WithResource(p.reports.api.cluster))
	}
	return p.options.Dynamic.Resource(p.reports.api.group.WithResource(p.reports.api.reports)).Namespace(at.namespace)
}

// wanted are the reports that there should be.
func (p *Publisher) wanted(r *audit.Results) map[place]*unstructured.Unstructured {
	bySubject := map[finding.Subject][]*audit.Item{}
	for i := range r.Items {
		bySubject[r.Items[i].Subject] = append(bySubject[r.Items[i].Subject], &r.Items[i])
	}
	out := map[place]*unstructured.Unstructured{}
	for subject, items := range bySubject {
		about := objectOf(r, subject)
		at := place{name: clusterReport}
		switch {
		case about != nil:
			at = place{about.Namespace, namePrefix + string(about.UID)}
		case subject.Kind != finding.KindCluster:
			continue // it is gone
		}
		out[at] = p.report(at, about, items)
	}
	return out
}

// report is the report about one object, and owned by it, so that it goes with it.
func (p *Publisher) report(at place, about *corev1.ObjectReference, items []*audit.Item) *unstructured.Unstructured {
	a := p.reports.api
	summary := map[string]any{"pass": int64(0), "fail": int64(0), "warn": int64(0), "error": int64(0), "skip": int64(0)}
	var results []any
	count := map[string]int{}
	for _, item := range items {
		result := resultOf(item)
		summary[result] = summary[result].(int64) + 1 + int64(item.More) // also of those that are left out
		if count[item.Rule]++; count[item.Rule] > mostOfRule {
			continue
		}
		results = append(results, map[string]any{
			"source": source, "policy": item.Rule, "rule": item.Rule, "category": "NetworkPolicy", "severity": item.Severity.String(), "result": result,
			"message":    cut(item.Advice(), 4096),
			"properties": map[string]any{"level": item.Level.String(), "action": string(item.Action), "field": item.Path},
			timestamp:    map[string]any{"seconds": item.FirstSeen.Unix(), "nanos": int64(0)},
		})
	}
	body := map[string]any{"summary": summary, "results": results}
	kind := a.kinds[0]
	if at.namespace == "" {
		kind = a.kinds[1]
	}
	if a.hasSource {
		body["source"] = source
	}
	metadata := map[string]any{
		"name": at.name, "labels": map[string]any{managedBy: source},
	}
	if at.namespace != "" {
		metadata["namespace"] = at.namespace
	}
	if about != nil {
		body["scope"] = map[string]any{"apiVersion": about.APIVersion, "kind": about.Kind, "name": about.Name, "uid": string(about.UID)}
		if about.Namespace != "" {
			body["scope"].(map[string]any)["namespace"] = about.Namespace
		}
		metadata["ownerReferences"] = []any{map[string]any{
			"apiVersion": about.APIVersion, "kind": about.Kind, "name": about.Name, "uid": string(about.UID),
		}}
	}
	body["apiVersion"], body["kind"], body["metadata"] = a.group.String(), kind, metadata
	return &unstructured.Unstructured{Object: body}
}

// resultOf is the item in the words of policy reports.
func resultOf(item *audit.Item) string {
	switch item.Action {
	case verdict.ActionDeny:
		return "fail"
	case verdict.ActionExempt:
		return "skip"
	case verdict.ActionUndetermined:
		return "error"
	}
	if item.WouldDeny {
		return "fail"
	}
	return "warn"
}
