package model_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
)

const template = `template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c}]}}`

func TestEveryKindOfWorkloadStandsForItsPods(t *testing.T) {
	for name, c := range map[string]struct {
		kind, spec string
		pods       int
	}{
		"a Deployment":            {"apps/v1 Deployment", "replicas: 2, " + template, 2},
		"one replica by default":  {"apps/v1 Deployment", template, 1},
		"scaled to zero":          {"apps/v1 Deployment", "replicas: 0, " + template, 0},
		"a StatefulSet":           {"apps/v1 StatefulSet", "replicas: 3, " + template, 3},
		"a DaemonSet":             {"apps/v1 DaemonSet", template, 1},
		"a ReplicaSet":            {"apps/v1 ReplicaSet", "replicas: 4, " + template, 4},
		"a ReplicationController": {"v1 ReplicationController", "replicas: 5, " + template, 5},
		"a Job":                   {"batch/v1 Job", "parallelism: 6, " + template, 6},
		"a CronJob's next Job":    {"batch/v1 CronJob", "schedule: '@daily', jobTemplate: {spec: {parallelism: 7, " + template + "}}", 7},
	} {
		version, kind, _ := strings.Cut(c.kind, " ")
		s := snapshot(t, model.Facts{}, fmt.Sprintf("{apiVersion: %s, kind: %s, metadata: {namespace: shop, name: web}, spec: {%s}}", version, kind, c.spec))
		require.Len(t, s.Namespace("shop").Classes, 1, name)
		class := s.Namespace("shop").Classes[0]
		assert.Equal(t, map[string]string{"app": "web"}, class.Labels, name)
		assert.Equal(t, c.pods, class.Count(), name)
		assert.Equal(t, "shop/web", class.Name(), name)
		assert.Equal(t, kind+"/web", class.Template, name)
	}
}

func TestWorkloadsThatMakeNoMorePodsStandForNone(t *testing.T) {
	for name, object := range map[string]string{
		"complete":   `{apiVersion: batch/v1, kind: Job, metadata: {namespace: shop, name: web}, spec: {` + template + `}, status: {conditions: [{type: Complete, status: "True"}]}}`,
		"failed":     `{apiVersion: batch/v1, kind: Job, metadata: {namespace: shop, name: web}, spec: {` + template + `}, status: {conditions: [{type: Failed, status: "True"}]}}`,
		"controlled": `{apiVersion: apps/v1, kind: ReplicaSet, metadata: {namespace: shop, name: web, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: u, controller: true}]}, spec: {` + template + `}}`,
		"going":      `{apiVersion: apps/v1, kind: Deployment, metadata: {namespace: shop, name: web, deletionTimestamp: "2026-01-01T00:00:00Z"}, spec: {` + template + `}}`,
	} {
		assert.Empty(t, snapshot(t, model.Facts{}, object).NamespaceOrImplied("shop").Classes, name)
	}
	running := `{apiVersion: batch/v1, kind: Job, metadata: {namespace: shop, name: web}, spec: {` + template + `}, status: {conditions: [{type: Complete, status: "False"}]}}`
	assert.Len(t, snapshot(t, model.Facts{}, running).Namespace("shop").Classes, 1)
}

func TestPodsAskTheClustersDNSByTheirPolicy(t *testing.T) {
	for spec, want := range map[string]bool{
		"{}": true, "{dnsPolicy: ClusterFirst}": true, "{dnsPolicy: Default}": false, "{dnsPolicy: None}": false, "{hostNetwork: true}": false,
		"{hostNetwork: true, dnsPolicy: ClusterFirst}": false, "{hostNetwork: true, dnsPolicy: ClusterFirstWithHostNet}": true,
	} {
		s := snapshot(t, model.Facts{}, "{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: web}, spec: "+spec+"}")
		assert.Equal(t, want, s.Namespace("shop").Classes[0].ClusterDNS, spec)
	}
}

func TestClassesHaveOneKeyExactlyIfNoPolicyTellsTheirPodsApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store := model.NewStore()
		kinds := map[string]bool{}
		for i := range rapid.IntRange(1, 8).Draw(t, "pods") {
			labels := rapid.SampledFrom(universe()).Draw(t, "labels")
			port := rapid.SampledFrom([]int32{0, 80, 81}).Draw(t, "port")
			host := rapid.Bool().Draw(t, "hostNetwork")
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprint("p", i), Labels: labels}, Spec: corev1.PodSpec{HostNetwork: host}}
			if port != 0 {
				pod.Spec.Containers = []corev1.Container{{Ports: []corev1.ContainerPort{{ContainerPort: port}}}}
			}
			store.SetPod(pod)
			kinds[fmt.Sprint(labels, port, host)] = true
		}
		seen, pods := map[string]bool{}, 0
		for _, c := range store.Snapshot(model.Facts{}).Namespace("shop").Classes {
			assert.False(t, seen[c.Key()], c.Key())
			seen[c.Key()] = true
			pods += c.Count()
		}
		assert.Len(t, seen, len(kinds))
		assert.Equal(t, store.Counts()["Pod"], pods)
	})
}

func TestAHypotheticalPodSaysWhatItIs(t *testing.T) {
	c := model.NewHypothetical("shop", map[string]string{"tier": "a", "app": "web"}, model.ContainerPort{Name: "http", Port: netset.Port{Protocol: netset.TCP, Number: 80}})
	assert.True(t, c.Hypothetical)
	assert.Equal(t, "shop/(app=web,tier=a)", c.Name())
	assert.Equal(t, "Pods with app=web,tier=a", c.Describe())
	number, ok := c.NamedPort(netset.TCP, "http")
	assert.True(t, ok)
	assert.Equal(t, uint16(80), number)
	anyPod := model.NewHypothetical("shop", nil)
	assert.Equal(t, "shop/(any pod)", anyPod.Name())
	assert.Equal(t, "Pods", anyPod.Describe())
	assert.NotEqual(t, c.Key(), anyPod.Key())
}

func TestANamespaceThatChangesItsLabelsIsSelectedByTheNewOnes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store := model.NewStore()
		draw := rapid.SampledFrom(universe())
		meta := func(name string, labels map[string]string) *model.NamespaceMeta {
			return model.NewNamespaceMeta(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}})
		}
		for i := range 3 {
			store.SetNamespace(meta(fmt.Sprint("ns-", i), draw.Draw(t, "labels")))
		}
		store.SetPod(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns-0", Name: "p"}})
		before := store.Snapshot(model.Facts{})
		was := text(before)
		selector := compile(t, drawSelector(t))
		selected := func(s *model.Snapshot) (names []string) {
			for ns := range s.Select(&selector) {
				names = append(names, ns.Meta.Name)
			}
			return names
		}
		selectedBefore := selected(before)

		changed := meta(rapid.SampledFrom([]string{"ns-0", "ns-1", "new"}).Draw(t, "name"), draw.Draw(t, "new labels"))
		after := before.With(model.Change{Operation: model.Update, NewNS: changed})
		store.SetNamespace(changed)
		want := store.Snapshot(model.Facts{})
		assert.Equal(t, text(want), text(after))
		assert.Equal(t, selected(want), selected(after))
		assert.Equal(t, want.Len(), after.Len())
		assert.Equal(t, was, text(before), "the snapshot is immutable")
		assert.Equal(t, selectedBefore, selected(before))
	})
}

func TestManifestsThatSpeakOfOpenShiftsDNSAreForOpenShift(t *testing.T) {
	policy := func(namespace, port string) string {
		return `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {namespace: shop, name: dns}, spec: {podSelector: {}, policyTypes: [Egress], egress: [{
			to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ` + namespace + `}}}], ports: [{protocol: UDP, port: ` + port + `}]}]}}`
	}
	first := func(facts model.Facts, object string) string {
		return snapshot(t, facts, object).Facts().DNS[0].Namespace
	}
	assert.Equal(t, "openshift-dns", first(model.Facts{}, policy("openshift-dns", "5353")))
	assert.Equal(t, "kube-system", first(model.Facts{}, policy("openshift-dns", "53")))
	assert.Equal(t, "kube-system", first(model.Facts{}, policy("kube-system", "5353")))
	assert.Equal(t, "kube-system", first(model.Facts{Live: true}, policy("openshift-dns", "5353")), "a live cluster has its DNS Service, or has none")
}
