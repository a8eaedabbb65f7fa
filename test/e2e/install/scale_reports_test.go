package install

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

// policyReport is a Report or ClusterReport of OpenReports.
type policyReport struct {
	Kind     string
	Metadata struct{ Namespace, Name, ResourceVersion string }
	Scope    *struct{ Kind, Namespace, Name string }
	Summary  reportSummary
	Results  []struct {
		Rule, Result string
		Properties   struct{ Action verdict.Action }
	}
}

type reportSummary struct{ Pass, Fail, Warn, Error, Skip int }

// subject is the object that the report is about.
func (r *policyReport) subject() finding.Subject {
	if r.Scope == nil {
		return finding.Subject{Kind: finding.KindCluster, Name: "cluster"}
	}
	return finding.Subject{Kind: r.Scope.Kind, Namespace: r.Scope.Namespace, Name: r.Scope.Name}
}

// lines are what the report says, each as in "shop/web internet-ingress deny", sorted.
func (r *policyReport) lines() []string {
	var out []string
	for _, result := range r.Results {
		out = append(out, line(r.subject(), result.Rule, result.Properties.Action))
	}
	slices.Sort(out)
	return out
}

func line(of finding.Subject, rule string, action verdict.Action) string {
	return fmt.Sprintf("%s %s %s", of, rule, action)
}

// reportsRead are all reports as kubectl prints them.
func reportsRead(t *testing.T) []policyReport {
	t.Helper()
	var list struct{ Items []policyReport }
	out := kubectl(t, "get", "reports.openreports.io,clusterreports.openreports.io", "--all-namespaces", "--output=json")
	require.NoError(t, json.Unmarshal([]byte(out), &list))
	return list.Items
}

// summariesShown are those of the table that kubectl prints of the reports in namespaces, by namespace/name.
func summariesShown(t *testing.T) map[string]reportSummary {
	t.Helper()
	rows := strings.Split(strings.TrimSpace(kubectl(t, "get", "reports.openreports.io", "--all-namespaces")), "\n")
	head := strings.Fields(rows[0])
	out := map[string]reportSummary{}
	for _, row := range rows[1:] {
		cells := strings.Fields(row)
		require.Len(t, cells, len(head), row)
		number := func(column string) int {
			at := slices.Index(head, column)
			require.GreaterOrEqual(t, at, 0, rows[0])
			n, err := strconv.Atoi(cells[at])
			require.NoError(t, err, row)
			return n
		}
		name := cells[0] + "/" + cells[slices.Index(head, "NAME")]
		out[name] = reportSummary{number("PASS"), number("FAIL"), number("WARN"), number("ERROR"), number("SKIP")}
	}
	return out
}

// watched are the reports as a watch tells of them.
type watched struct {
	mu      sync.Mutex
	reports map[string]policyReport // by kind/namespace/name
	changed chan struct{}
}

// watchReports begins to watch.
func watchReports(t *testing.T) *watched {
	t.Helper()
	client, err := dynamic.NewForConfig(shared.cluster.Admin.Config)
	require.NoError(t, err)
	w := &watched{reports: map[string]policyReport{}, changed: make(chan struct{}, 1)}
	factory := dynamicinformer.NewDynamicSharedInformerFactory(client, 0)
	for _, resource := range []string{"reports", "clusterreports"} {
		informer := factory.ForResource(schema.GroupVersionResource{Group: "openreports.io", Version: "v1alpha1", Resource: resource}).Informer()
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(object any) { w.note(object, true) },
			UpdateFunc: func(_, object any) { w.note(object, true) },
			DeleteFunc: func(object any) { w.note(object, false) },
		})
		require.NoError(t, err)
	}
	stop := make(chan struct{})
	factory.Start(stop)
	t.Cleanup(func() {
		close(stop)
		factory.Shutdown()
	})
	factory.WaitForCacheSync(within(t).Done())
	return w
}

func (w *watched) note(object any, present bool) {
	if last, unknown := object.(cache.DeletedFinalStateUnknown); unknown {
		object = last.Obj
	}
	var r policyReport
	u, ok := object.(*unstructured.Unstructured)
	if !ok {
		return
	}
	if text, err := u.MarshalJSON(); err != nil || json.Unmarshal(text, &r) != nil {
		return
	}
	key := r.Kind + "/" + r.Metadata.Namespace + "/" + r.Metadata.Name
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.reports, key)
	if present {
		w.reports[key] = r
	}
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// all are the reports as they are now.
func (w *watched) all() map[string]policyReport {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.reports)
}

// lines are what the reports about objects of those namespaces say, sorted.
func (w *watched) lines(in func(namespace string) bool) []string {
	var out []string
	for _, r := range w.all() {
		if s := r.subject(); in(s.Space()) {
			out = append(out, r.lines()...)
		}
	}
	slices.Sort(out)
	return out
}

// await waits until the reports say so, and yields how long that took.
func (w *watched) await(t *testing.T, what string, is func() bool, now func() string) time.Duration {
	t.Helper()
	begun := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), limit/3)
	defer cancel()
	for !is() {
		select {
		case <-w.changed:
		case <-ctx.Done():
			require.Fail(t, what+": "+ctx.Err().Error(), "%s\n%s", now(), shared.kubelet.LogTail())
		}
	}
	return time.Since(begun)
}
