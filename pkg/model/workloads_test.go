package model_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/portcullis-dev/portcullis/pkg/model"
)

// podsOf is the pods of each workload of shop, by kind/name.
func podsOf(s *model.Snapshot) map[string][]string {
	out := map[string][]string{}
	ns := s.NamespaceOrImplied("shop")
	for i := range ns.Workloads {
		w := &ns.Workloads[i]
		names := []string{}
		for _, c := range ns.PodsOf(w) {
			names = append(names, c.Name())
		}
		out[w.Kind+"/"+w.Name] = names
	}
	return out
}

func TestTheWorkloadsOfANamespaceKnowTheirPods(t *testing.T) {
	const template = `{metadata: {labels: %s}, spec: {containers: [{name: c, ports: [{containerPort: %d}]}]}}`
	workload := func(kind, name, selector, labels string, port int) string {
		return fmt.Sprintf(`{apiVersion: apps/v1, kind: %s, metadata: {namespace: shop, name: %s}, spec: {selector: %s, template: `+template+`}}`, kind, name, selector, labels, port)
	}
	pod := func(name, labels string, port int) string {
		return fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: %s, labels: %s}, spec: {containers: [{name: c, ports: [{containerPort: %d}]}]}}`, name, labels, port)
	}
	for _, c := range []struct {
		name    string
		objects []string
		want    map[string][]string
	}{
		{"if there are no pods, then its template stands for them", []string{workload("Deployment", "web", "{matchLabels: {app: web}}", "{app: web}", 80)},
			map[string][]string{"Deployment/web": {"shop/web"}}},
		{"if pods are made from it, then they are its pods", []string{workload("Deployment", "web", "{matchLabels: {app: web}}", "{app: web}", 80),
			pod("web-1", "{app: web, hash: x}", 80), pod("other", "{app: other}", 80)},
			map[string][]string{"Deployment/web": {"shop/web-1"}}},
		{"if there are only pods of an older template, then both the pods and the template", []string{
			workload("Deployment", "web", "{matchLabels: {app: web}}", "{app: web, version: new}", 80), pod("web-1", "{app: web, version: old}", 80)},
			map[string][]string{"Deployment/web": {"shop/web", "shop/web-1"}}},
		{"if two templates are equal, then one class stands for both", []string{
			workload("StatefulSet", "a", "{matchLabels: {app: web}}", "{app: web}", 80), workload("StatefulSet", "b", "{matchLabels: {app: web}}", "{app: web}", 80)},
			map[string][]string{"StatefulSet/a": {"shop/a"}, "StatefulSet/b": {"shop/a"}}},
		{"if it has no selector, then the labels of its template find its pods", []string{
			`{apiVersion: batch/v1, kind: CronJob, metadata: {namespace: shop, name: nightly}, spec: {jobTemplate: {spec: {template: {metadata: {labels: {app: nightly}}}}}}}`,
			pod("nightly-1", "{app: nightly, job: x}", 80)},
			map[string][]string{"CronJob/nightly": {"shop/nightly-1"}}},
		{"if it has neither selector nor labels, then no other pod is its own", []string{
			`{apiVersion: batch/v1, kind: Job, metadata: {namespace: shop, name: once}, spec: {template: {}}}`, pod("other", "{app: other}", 80)},
			map[string][]string{"Job/once": {"shop/once"}}},
	} {
		assert.Equal(t, c.want, podsOf(snapshot(t, model.Facts{}, c.objects...)), c.name)
	}
}
