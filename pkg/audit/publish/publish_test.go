package publish_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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

	networkingv1 "k8s.io/api/networking/v1"
)

// scene is a publisher and what it has written.
type scene struct {
	t         *testing.T
	client    *fake.Clientset
	dynamic   *dynamicfake.FakeDynamicClient
	clock     *clocktesting.FakeClock
	publisher *publish.Publisher
	results   audit.Results
	reports   map[string]*unstructured.Unstructured // that stand, by namespace and name
	pruned    string                                // a field that the definition of reports lacks
}

func begin(t *testing.T, configuration string) *scene {
	t.Helper()
	s := &scene{
		t: t, client: fake.NewClientset(), clock: clocktesting.NewFakeClock(time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)),
		dynamic: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
			{Group: "openreports.io", Version: "v1alpha1", Resource: "reports"}:        "ReportList",
			{Group: "openreports.io", Version: "v1alpha1", Resource: "clusterreports"}: "ClusterReportList",
		}),
	}
	s.store()
	s.publisher = s.replica("one")
	c, err := config.Load([]byte(configuration), "guard.yaml", rules.Catalogue())
	require.NoError(t, err)
	store := model.NewStore()
	store.SetPolicy(model.CompilePolicy(&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "u-1"}}, model.Authored{}))
	s.results = audit.Results{Config: c, Snapshot: store.Snapshot(model.Facts{Live: true})}
	return s
}

// store has reports kept, as a CustomResourceDefinition does.
func (s *scene) store() {
	s.reports = map[string]*unstructured.Unstructured{}
	s.dynamic.PrependReactor("patch", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
		o := &unstructured.Unstructured{}
		require.NoError(s.t, json.Unmarshal(a.(clienttesting.PatchAction).GetPatch(), &o.Object))
		unstructured.RemoveNestedField(o.Object, s.pruned)
		s.reports[a.GetNamespace()+"/"+o.GetName()] = o
		return true, o.DeepCopy(), nil
	})
	s.dynamic.PrependReactor("delete", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
		delete(s.reports, a.GetNamespace()+"/"+a.(clienttesting.DeleteAction).GetName())
		return true, nil, nil
	})
	s.dynamic.PrependReactor("list", "reports", func(clienttesting.Action) (bool, runtime.Object, error) {
		list := &unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "openreports.io/v1alpha1", "kind": "ReportList"}}
		for _, o := range s.reports {
			list.Items = append(list.Items, *o.DeepCopy())
		}
		return true, list, nil
	})
}

// replica is a publisher of its own, as of a replica that takes over.
func (s *scene) replica(name string) *publish.Publisher {
	return publish.New(publish.Options{Client: s.client, Dynamic: s.dynamic, Clock: s.clock, Log: slog.New(slog.DiscardHandler), Instance: name})
}

// find sets what was found of shop/web, by rule and action.
func (s *scene) find(found ...string) {
	s.results.Items = nil
	for _, text := range found {
		rule, action, _ := strings.Cut(text, " ")
		s.results.Items = append(s.results.Items, audit.Item{FirstSeen: s.clock.Now(), Decided: verdict.Decided{
			Action: verdict.Action(action),
			Finding: finding.Finding{
				Rule: rule, Level: finding.Baseline, Severity: finding.High, Message: strings.Repeat("Too much. ", 300),
				Subject: finding.Subject{Kind: finding.KindNetworkPolicy, Namespace: "shop", Name: "web"},
			},
		}})
	}
	results := s.results
	s.publisher.Publish(s.t.Context(), &results)
}

func (s *scene) events() []eventsv1.Event {
	list, err := s.client.EventsV1().Events("shop").List(s.t.Context(), metav1.ListOptions{})
	require.NoError(s.t, err)
	return list.Items
}

// writes are the patches and deletions of reports.
func (s *scene) writes() (out []string) {
	for _, a := range s.dynamic.Actions() {
		if a.GetVerb() == "patch" || a.GetVerb() == "delete" {
			out = append(out, a.GetVerb()+" "+a.GetNamespace()+"/"+a.GetResource().Resource)
		}
	}
	s.dynamic.ClearActions()
	return out
}

// serve has the API server serve OpenReports.
func (s *scene) serve() {
	s.client.Resources = []*metav1.APIResourceList{{GroupVersion: "openreports.io/v1alpha1", APIResources: []metav1.APIResource{{Name: "reports"}, {Name: "clusterreports"}}}}
}

func TestThereIsOneEventForEachViolationAndDay(t *testing.T) {
	s := begin(t, "")
	s.find("internet-ingress deny", "all-ports warn", "redundant audit", "dns-blocked provisional", "host-network exempt")
	s.find("internet-ingress deny", "all-ports warn")
	require.Len(t, s.events(), 2, "of what is neither denied nor warned of there is none")
	event := s.events()[0]
	assert.LessOrEqual(t, len(event.Note), 1024)
	assert.Equal(t, "web", event.Regarding.Name)
	assert.EqualValues(t, "u-1", event.Regarding.UID)

	s.clock.Step(24 * time.Hour)
	s.find("internet-ingress deny", "all-ports warn")
	assert.Len(t, s.events(), 4)
}

func TestIfAnotherReplicaHasWrittenTheEventThenItIsNotWrittenAgain(t *testing.T) {
	s := begin(t, "")
	s.find("internet-ingress deny")
	other := s.replica("two")
	results := s.results
	other.Publish(t.Context(), &results)
	assert.Len(t, s.events(), 1)
}

func TestIfEventsAreForbiddenThenItIsTriedOnceInAPass(t *testing.T) {
	s := begin(t, "")
	tries := 0
	s.client.PrependReactor("create", "events", func(clienttesting.Action) (bool, runtime.Object, error) {
		tries++
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "events"}, "", nil)
	})
	s.find("internet-ingress deny", "all-ports warn")
	assert.Equal(t, 1, tries)
}

func TestAReportIsWrittenIfItIsNewOrHasChanged(t *testing.T) {
	s := begin(t, "audit: {reports: true}")
	s.serve()
	s.find("internet-ingress deny")
	assert.Equal(t, []string{"patch shop/reports"}, s.writes())
	s.clock.Step(time.Hour)
	s.find("internet-ingress deny")
	assert.Empty(t, s.writes(), "nothing has changed but the time")
	s.find("internet-ingress deny", "all-ports warn")
	assert.Equal(t, []string{"patch shop/reports"}, s.writes())
	s.find()
	assert.Equal(t, []string{"delete shop/reports"}, s.writes(), "if nothing is found any more, then there is no report")
	s.find()
	assert.Empty(t, s.writes())
}

func TestIfReportsAreNotServedThenTheyAreLookedForAgain(t *testing.T) {
	s := begin(t, "audit: {reports: true}")
	s.find("internet-ingress deny")
	assert.Empty(t, s.writes())
	s.serve()
	s.find("internet-ingress deny")
	assert.Empty(t, s.writes(), "not at once")
	s.clock.Step(time.Minute)
	s.find("internet-ingress deny")
	assert.Equal(t, []string{"patch shop/reports"}, s.writes())
}

func TestIfReportsAreNotAskedForThenThereAreNone(t *testing.T) {
	s := begin(t, "")
	s.serve()
	s.find("internet-ingress deny")
	assert.Empty(t, s.writes())
}
