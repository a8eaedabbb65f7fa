package publish_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/portcullis-dev/portcullis/pkg/audit"
	"github.com/portcullis-dev/portcullis/pkg/audit/publish"
	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/rules"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
)

func item(rule, path string, action verdict.Action) audit.Item {
	subject := finding.Subject{Kind: finding.KindNetworkPolicy, Namespace: "shop", Name: "web"}
	return audit.Item{Decided: verdict.Decided{Finding: finding.Finding{Rule: rule, Path: path, Subject: subject, Message: "Something is so"}, Action: action}}
}

func TestAPolicyOfThousandsOfFindingsFloodsNeitherEventsNorReports(t *testing.T) {
	c, err := config.Load([]byte("audit: {reports: true}"), "guard.yaml", rules.Catalogue())
	require.NoError(t, err)
	store := model.NewStore()
	store.SetPolicy(&model.Policy{Namespace: "shop", Name: "web", UID: "1"})
	r := &audit.Results{Snapshot: store.Snapshot(c.Facts), Config: c}
	for i := range 5000 {
		r.Items = append(r.Items, item("all-namespaces", fmt.Sprintf("spec.ingress[%d]", i), verdict.ActionWarn))
	}
	r.Items[4999].More = 500
	r.Items = append(r.Items, item("internet-ingress", "spec.ingress[1]", verdict.ActionDeny))

	client := fake.NewClientset()
	client.Resources = []*metav1.APIResourceList{{GroupVersion: "openreports.io/v1alpha1", APIResources: []metav1.APIResource{{Name: "reports"}}}}
	group := schema.GroupVersion{Group: "openreports.io", Version: "v1alpha1"}
	dynamic := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		group.WithResource("reports"): "ReportList", group.WithResource("clusterreports"): "ClusterReportList",
	})
	var applied unstructured.Unstructured
	dynamic.PrependReactor("patch", "reports", func(a clienttesting.Action) (bool, runtime.Object, error) {
		return true, &applied, json.Unmarshal(a.(clienttesting.PatchAction).GetPatch(), &applied.Object)
	})
	publish.New(publish.Options{
		Client: client, Dynamic: dynamic, Clock: clocktesting.NewFakeClock(time.Unix(1, 0)), Log: slog.New(slog.DiscardHandler), Instance: "test",
	}).Publish(t.Context(), r)

	events, err := client.EventsV1().Events("shop").List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	count := map[string]int{}
	for _, e := range events.Items {
		count[e.Reason]++
	}
	assert.Equal(t, map[string]int{"all-namespaces": 10, "internet-ingress": 1}, count, "findings of one rule do not crowd out another")

	results, _, err := unstructured.NestedSlice(applied.Object, "results")
	require.NoError(t, err)
	assert.Len(t, results, 11)
	warned, _, err := unstructured.NestedFloat64(applied.Object, "summary", "warn")
	require.NoError(t, err)
	assert.EqualValues(t, 5500, warned, "the summary counts what is left out")
}
