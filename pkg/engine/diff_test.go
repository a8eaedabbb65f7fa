package engine_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/portcullis-dev/portcullis/pkg/engine"
	"github.com/portcullis-dev/portcullis/pkg/model"
)

// world has the pods shop/web (two), shop/db, and three in ops, and the policies given. Beside them there are what no diff is
// to count: a pod on the host's network and Deployments without replicas.
func world(t *testing.T, policies ...*model.Policy) *model.Snapshot {
	t.Helper()
	store := model.NewStore()
	for name, app := range map[string]string{"shop/web-1": "web", "shop/web-2": "web", "shop/db-1": "db", "ops/prometheus-1": "prometheus", "ops/grafana-1": "grafana", "ops/loki-1": "loki"} {
		namespace, pod, _ := strings.Cut(name, "/")
		main := int32(5432)
		if namespace == "ops" {
			main = 9999
		}
		store.SetPod(&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: pod, Labels: map[string]string{"app": app}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "main", ContainerPort: main}}}}},
		})
	}
	store.SetPod(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "agent-1", Labels: map[string]string{"app": "agent"}}, Spec: corev1.PodSpec{HostNetwork: true}})
	none := int32(0)
	for _, name := range []string{"asleep", "dormant"} {
		_, err := store.Apply(&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Spec: appsv1.DeploymentSpec{
			Replicas: &none, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": name}}}}})
		require.NoError(t, err)
	}
	for _, p := range policies {
		store.SetPolicy(p)
	}
	return store.Snapshot(model.Facts{})
}

func policy(t *testing.T, name, spec string) *model.Policy {
	t.Helper()
	np := networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
	require.NoError(t, yaml.UnmarshalStrict([]byte(spec), &np.Spec))
	return model.CompilePolicy(&np, model.Authored{})
}

const (
	denyAll      = `{policyTypes: [Ingress]}`
	fromShop     = `{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}], ports: [{port: 5432}]}]}`
	fromOps      = `{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ops}}, podSelector: {matchLabels: {app: prometheus}}}], ports: [{port: 9100}]}]}`
	fromAnyPod   = `{policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {}}], ports: [{port: 80}]}]}`
	internet     = `{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: 8.0.0.0/8}}], ports: [{port: 80}]}]}`
	noEgress     = `{policyTypes: [Egress]}`
	toInternet   = `{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 8.0.0.0/8}}], ports: [{port: 443}]}]}`
	everyAddress = `{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}, {ipBlock: {cidr: "::/0"}}], ports: [{port: 80}]}]}`
	toDB         = `{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 5432}]}]}`
)

func TestTheDiffTellsWhatAChangeOpensAndCloses(t *testing.T) {
	for name, c := range map[string]struct {
		others    []string
		old, new  string
		operation model.Operation
		want      []string
	}{
		"a default deny closes everything":            {nil, "", denyAll, model.Create, []string{"closes: * → shop/* every port (3 pods)"}},
		"a second default deny closes nothing":        {[]string{denyAll}, "", denyAll, model.Create, nil},
		"deleting it opens everything":                {nil, denyAll, "", model.Delete, []string{"opens: * → shop/* every port (3 pods)"}},
		"a rule in an isolated namespace opens ports": {[]string{denyAll}, "", fromShop, model.Create, []string{"opens: shop/* → shop/db-1 TCP/5432 (1 pod)"}},
		"the first rule closes what it does not allow": {nil, "", fromShop, model.Create,
			[]string{"closes: * → shop/db-1 every port, but what rules allow (1 pod)"}},
		"a rule taken away closes ports": {[]string{denyAll}, fromOps, "", model.Delete, []string{"closes: ops/prometheus-1 → shop/web-1 TCP/9100 (2 pods)"}},
		"every pod of the cluster":       {[]string{denyAll}, "", fromAnyPod, model.Create, []string{"opens: */* → shop/* TCP/80 (3 pods)"}},
		"every address, pods' included":  {[]string{denyAll}, "", strings.Replace(internet, "8.0.0.0/8", "0.0.0.0/0", 1), model.Create, []string{"opens: 0.0.0.0/0 → shop/web-1 TCP/80 (2 pods)"}},
		"addresses":                      {[]string{denyAll}, "", internet, model.Create, []string{"opens: 8.0.0.0/8 → shop/web-1 TCP/80 (2 pods)"}},
		"egress that the other side does not let in opens nothing": {[]string{denyAll, noEgress}, "", toDB, model.Create, nil},
		"egress is from the policy's pods":                         {[]string{noEgress}, "", toDB, model.Create, []string{"opens: shop/web-1 → shop/db-1 TCP/5432 (2 pods)"}},
		"an update of nothing":                                     {nil, fromShop, fromShop, model.Update, nil},
		"an update of a port": {nil, fromShop, strings.Replace(fromShop, "5432", "5433", 1), model.Update,
			[]string{"opens: shop/* → shop/db-1 TCP/5433 (1 pod)", "closes: shop/* → shop/db-1 TCP/5432 (1 pod)"}},
		"an update of the podSelector": {nil, fromShop, strings.Replace(fromShop, "app: db", "app: web", 1), model.Update,
			[]string{"closes: * → shop/web-1 every port, but what rules allow (2 pods)", "opens: * → shop/db-1 every port, some of it allowed before (1 pod)"}},
		"an update of the podSelector among isolated pods": {[]string{denyAll}, fromShop, strings.Replace(fromShop, "app: db", "app: web", 1), model.Update,
			[]string{"opens: shop/* → shop/web-1 TCP/5432 (2 pods)", "closes: shop/* → shop/db-1 TCP/5432 (1 pod)"}},
		"the first rule, of addresses alone": {nil, "", internet, model.Create,
			[]string{"closes: * → shop/web-1 every port but TCP/80 (2 pods)", "closes: 0.0.0.0/0 except 8.0.0.0/8; ::/0 → shop/web-1 TCP/80 (2 pods)"}},
		"egress to addresses":                       {[]string{noEgress}, "", toInternet, model.Create, []string{"opens: shop/web-1 → 8.0.0.0/8 TCP/443 (2 pods)"}},
		"every address of both families":            {[]string{denyAll}, "", everyAddress, model.Create, []string{"opens: * → shop/web-1 TCP/80 (2 pods)"}},
		"every address, where every pod is allowed": {[]string{fromAnyPod}, "", everyAddress, model.Create, []string{"opens: any address → shop/web-1 TCP/80 (2 pods)"}},
		"a named port is that of the pods connected to": {[]string{noEgress}, "", strings.Replace(toDB, "5432", "main", 1), model.Create,
			[]string{"opens: shop/web-1 → shop/db-1 TCP/5432 (2 pods)"}},
		"a rule put before another": {[]string{denyAll}, fromOps, strings.Replace(fromOps, "ingress: [", "ingress: [{from: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 1}]}, ", 1), model.Update,
			[]string{"opens: shop/db-1 → shop/web-1 TCP/1 (2 pods)"}},
		"a rule taken from before another": {[]string{denyAll}, strings.Replace(fromOps, "ingress: [", "ingress: [{from: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 1}]}, ", 1), fromOps, model.Update,
			[]string{"closes: shop/db-1 → shop/web-1 TCP/1 (2 pods)"}},
		"egress ceases to be isolated":                       {nil, noEgress, denyAll, model.Update, []string{"closes: * → shop/* every port (3 pods)", "opens: shop/* → * every port (3 pods)"}},
		"a change that the other policies have made already": {[]string{fromShop, denyAll}, "", fromShop, model.Create, nil},
		"a named port is that of the policy's pods": {[]string{denyAll}, "", strings.Replace(fromOps, "9100", "main", 1), model.Create,
			[]string{"opens: ops/prometheus-1 → shop/web-1 TCP/5432 (2 pods)"}},
		"some pods of a namespace": {[]string{denyAll}, "", strings.Replace(fromOps, "{matchLabels: {app: prometheus}}", "{matchExpressions: [{key: app, operator: NotIn, values: [loki]}]}", 1), model.Create,
			[]string{"opens: ops/grafana-1 and 1 more → shop/web-1 TCP/9100 (2 pods)"}},
		"pods that do not exist": {nil, "", strings.Replace(fromShop, "app: db", "app: none", 1), model.Create, nil},
		"an object as it stands": {nil, fromShop, fromShop, model.Exists, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var policies []*model.Policy
			for i, other := range c.others {
				policies = append(policies, policy(t, "other-"+string(rune('a'+i)), other))
			}
			change := model.Change{Operation: c.operation}
			if c.old != "" {
				change.OldPolicy = policy(t, "changed", c.old)
				policies = append(policies, change.OldPolicy)
			}
			if c.new != "" {
				change.NewPolicy = policy(t, "changed", c.new)
			}
			assert.Equal(t, c.want, engine.New(nil).Review(world(t, policies...), change).Diff())
		})
	}
}

func TestTheDiffHasAtMostThreeLines(t *testing.T) {
	many := `{policyTypes: [Ingress], ingress: [
		{from: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 1}]}, {from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 2}, {port: 3}]},
		{from: [{ipBlock: {cidr: 8.0.0.0/8}}], ports: [{port: 4}]}, {from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ops}}}], ports: [{port: 5}]}]}`
	change := model.Change{Operation: model.Create, NewPolicy: policy(t, "changed", many)}
	assert.Equal(t, []string{
		"opens: 8.0.0.0/8 → shop/* TCP/4 (3 pods)", "opens: shop/web-1 → shop/* TCP/2-3 (3 pods)", "opens: ops/* → shop/* TCP/5 (3 pods), and 1 more",
	}, engine.New(nil).Review(world(t, policy(t, "other", denyAll)), change).Diff())
}
