package chart

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/utils/ptr"

	"github.com/portcullis-dev/portcullis/pkg/config"
	"github.com/portcullis-dev/portcullis/pkg/rules"
	"github.com/portcullis-dev/portcullis/pkg/server/registration"
)

// everything switches on what is off.
const everything = `
metrics: {serviceMonitor: {enabled: true, labels: {a: b}}, prometheusRule: {enabled: true}, dashboard: {enabled: true}}
autoscaling: {enabled: true}
namespace: {create: true}
certificates: {source: files, secretName: serving, clientCA: {configMapName: a, names: [b]}}
webhooks: {caBundle: bundle, annotations: {a: b}, url: "https://guard.example.org"}
hostNetwork: true
listenAddress: "[$(POD_IP)]"
image: {digest: "sha256:0000000000000000000000000000000000000000000000000000000000000000"}
imagePullSecrets: [{name: registry}]
nodeSelector: {a: b}
tolerations: [{operator: Exists}]
affinity: {nodeAffinity: {}}
podLabels: {a: b}
podAnnotations: {a: b}
serviceAccount: {annotations: {a: b}}
`

func TestTheChartIsWellFormedHoweverItIsSet(t *testing.T) {
	for name, values := range map[string]string{
		"defaults": "", "everything": everything,
		"as little as can be": `
webhooks: {enabled: false}
metrics: {enabled: false}
networkPolicy: {enabled: false}
podDisruptionBudget: {enabled: false}
topologySpread: {enabled: false}
priorityClassName: ""
`} {
		t.Run(name, func(t *testing.T) {
			out, err := run(t, values, path("bin", "control-plane", "helm"), "lint", path("deploy", "chart"), "--strict", "--values", "-")
			require.NoError(t, err, out)
			for name, o := range objects(t, rendered(t, values)) {
				assert.Equal(t, "portcullis", o.GetLabels()["app.kubernetes.io/name"], name)
				if _, clusterWide := map[string]bool{"Namespace": true, "ClusterRole": true, "ClusterRoleBinding": true,
					"ValidatingWebhookConfiguration": true, "MutatingWebhookConfiguration": true}[o.GetKind()]; !clusterWide {
					assert.Equal(t, "guards", o.GetNamespace(), name)
				}
			}
		})
	}
}

func TestTheWebhookConfigurationsAreThoseThatPortcullisItselfWouldRegister(t *testing.T) {
	for name, text := range map[string]string{
		"defaults":             "{}",
		"everything":           "{mutations: {copyNamespaceLabels: [team, env], namespaceLabels: {z: '1', a: '2'}, dnsEgress: true}, exemptions: {namespaces: [legacy, kube-system], users: ['system:b', alice, 'system:a', 'system:b', \"system:o'hara\"]}}",
		"only labels":          "{mutations: {policyTypes: false, namespaceNameLabel: {key: example.org/name}}}",
		"only DNS":             "{mutations: {policyTypes: false, dnsEgress: true, namespaceNameLabel: false}}",
		"the label off":        "{mutations: {namespaceNameLabel: {enabled: false, key: example.org/name}}}",
		"no mutations":         "{mutations: {policyTypes: false, namespaceNameLabel: false}}",
		"without the defaults": "{exemptions: {excludeDefaults: true, namespaces: [legacy]}}",
		"nothing is exempt":    "{exemptions: {excludeDefaults: true}}",
	} {
		t.Run(name, func(t *testing.T) {
			all := objects(t, rendered(t, "config: "+text))
			var guard corev1.ConfigMap
			read(t, all, "ConfigMap/portcullis", &guard)
			c, err := config.Load([]byte(guard.Data["guard.yaml"]), "guard.yaml", rules.Catalogue(), config.OwnNamespace("guards"))
			require.NoError(t, err)
			o := registration.Options{
				Client: func(path string) admissionregistrationv1.WebhookClientConfig {
					return admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{
						Namespace: "guards", Name: "portcullis", Path: &path, Port: ptr.To[int32](443)}}
				},
				ExemptNamespaces: c.Exemptions.Namespaces, ExemptUsers: c.Exemptions.Users, Mutations: c.Mutations,
			}
			var validating admissionregistrationv1.ValidatingWebhookConfiguration
			read(t, all, "ValidatingWebhookConfiguration/portcullis", &validating)
			assert.Equal(t, registration.Validating(o).Webhooks, validating.Webhooks)

			want := registration.Mutating(o).Webhooks
			if len(want) == 0 {
				assert.NotContains(t, all, "MutatingWebhookConfiguration/portcullis")
				return
			}
			var mutating admissionregistrationv1.MutatingWebhookConfiguration
			read(t, all, "MutatingWebhookConfiguration/portcullis", &mutating)
			assert.Equal(t, want, mutating.Webhooks)
		})
	}
}

func TestPortcullissOwnPoliciesPassItsOwnRestrictedLevel(t *testing.T) {
	for _, values := range []string{
		"", "metrics: {enabled: false}", "networkPolicy: {metricsFrom: []}", "networkPolicy: {apiServer: {cidrs: [203.0.113.7/32], ports: [443]}}",
		"networkPolicy: {webhookFrom: [{ipBlock: {cidr: 10.0.0.0/24}}, {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: konnectivity-agent}}}]}",
	} {
		out, err := run(t, rendered(t, values), shared.binary, "check", "--level", "restricted", "--fail-on", "warn", "-")
		assert.NoError(t, err, out)
		assert.Contains(t, out, "2 policies")
	}
	install, err := os.ReadFile(path("deploy", "install.yaml"))
	require.NoError(t, err)
	out, err := run(t, string(install), shared.binary, "check", "--level", "restricted", "--fail-on", "warn", "-")
	assert.NoError(t, err, out)
}

func TestValuesThatMakeNoSenseAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ values, want string }{
		"if a value is not known, then":                      {"replica: 3", "additional properties 'replica' not allowed"},
		"if a field of the configuration is not known, then": {"config: {mod: audit}", "additional properties 'mod' not allowed"},
		"if a rule is not known, then":                       {"config: {rules: {internet-ingres: off}}", "additional properties 'internet-ingres' not allowed"},
		"if the mode is wrong, then":                         {"config: {mode: audti}", "value must be one of 'enforce', 'audit'"},
		"if the failurePolicy is wrong, then":                {"webhooks: {networkPolicies: {failurePolicy: Deny}}", "value must be one of 'Fail', 'Ignore'"},
		"if the URL has a path, then":                        {"webhooks: {url: https://example.org/validate}", "does not match pattern"},
		"if files come without a Secret, then":               {"certificates: {source: files}", "needs certificates.secretName"},
		"if a peer of the webhook is not one, then":          {"networkPolicy: {webhookFrom: [{cidr: 10.0.0.0/24}]}", "additional properties 'cidr' not allowed"},
		"if a peer of the webhook is anybody, then":          {"networkPolicy: {webhookFrom: [{}]}", "minProperties"},
		"if somebody else writes the caBundle, then":         {"webhooks: {caBundle: bundle}", "webhooks.caBundle is for certificates.source files"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := helm(t, c.values, "template")
			require.Error(t, err)
			assert.Contains(t, out, c.want)
		})
	}
}

func TestEveryValueIsDescribedAndHasADefault(t *testing.T) {
	text, err := os.ReadFile(path("deploy", "chart", "values.schema.json"))
	require.NoError(t, err)
	var schema map[string]any
	require.NoError(t, json.Unmarshal(text, &schema))
	all, err := os.ReadFile(path("deploy", "chart", "README.md"))
	require.NoError(t, err)
	var visit func(prefix string, object map[string]any)
	visit = func(prefix string, object map[string]any) {
		properties, _ := object["properties"].(map[string]any)
		if len(properties) > 0 {
			assert.Equal(t, false, object["additionalProperties"], "%s takes what it does not know", prefix)
		}
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			property := properties[name].(map[string]any)
			assert.NotEmpty(t, property["description"], prefix+name)
			if prefix+name == "config" {
				continue
			}
			if property["properties"] == nil && name != "global" {
				assert.Contains(t, string(all), "| `"+prefix+name+"` | `", "%s%s has no default", prefix, name)
			}
			visit(prefix+name+".", property)
		}
	}
	visit("", schema)
}

func TestTheProgramKnowsAllFlagsOfTheChart(t *testing.T) {
	for _, values := range []string{"", everything, "certificates: {source: cert-manager, issuer: ClusterIssuer/a}\nwebhooks: {url: \"https://guard.example.org\"}"} {
		var d appsv1.Deployment
		read(t, objects(t, rendered(t, values)), "Deployment/portcullis", &d)
		out, err := run(t, "", shared.binary, append(d.Spec.Template.Spec.Containers[0].Args, "--help")...)
		assert.NoError(t, err, out)
	}
}

func TestEachSourceOfCertificatesHasTheRightsThatItNeeds(t *testing.T) {
	for source, want := range map[string]string{
		"self-signed": "leases create; leases/portcullis-audit,portcullis-certificates get,update; events patch; " +
			"secrets/portcullis-tls get,list,watch,update; secrets create",
		"cert-manager": "leases create; leases/portcullis-audit,portcullis-certificates get,update; events patch; " +
			"secrets/portcullis-tls list,watch; certificates/portcullis-tls get,list,watch,patch; certificates,issuers create; " +
			"certificates/portcullis-ca patch; issuers/portcullis-selfsigned,portcullis-ca patch",
		"cert-manager, issuer: Issuer/a": "leases create; leases/portcullis-audit,portcullis-certificates get,update; events patch; " +
			"secrets/portcullis-tls list,watch; certificates/portcullis-tls get,list,watch,patch; certificates create",
		"files, secretName: a": "leases create; leases/portcullis-audit get,update",
	} {
		var role rbacv1.Role
		read(t, objects(t, rendered(t, "certificates: {source: "+source+"}")), "Role/portcullis", &role)
		var got []string
		for _, r := range role.Rules {
			names := strings.Join(r.ResourceNames, ",")
			if names != "" {
				names = "/" + names
			}
			got = append(got, strings.Join(r.Resources, ",")+names+" "+strings.Join(r.Verbs, ","))
		}
		assert.Equal(t, want, strings.Join(got, "; "), source)
	}
}

func TestThePodHasNoMoreThanItNeeds(t *testing.T) {
	var d appsv1.Deployment
	read(t, objects(t, rendered(t, "")), "Deployment/portcullis", &d)
	pod := d.Spec.Template.Spec
	require.Len(t, pod.Containers, 1)
	c := pod.Containers[0]
	assert.True(t, *pod.SecurityContext.RunAsNonRoot)
	assert.Equal(t, corev1.SeccompProfileTypeRuntimeDefault, pod.SecurityContext.SeccompProfile.Type)
	assert.True(t, *c.SecurityContext.ReadOnlyRootFilesystem)
	assert.False(t, *c.SecurityContext.AllowPrivilegeEscalation)
	assert.Equal(t, []corev1.Capability{"ALL"}, c.SecurityContext.Capabilities.Drop)
	assert.Nil(t, pod.Volumes[0].HostPath)
	assert.EqualValues(t, 0, d.Spec.Strategy.RollingUpdate.MaxUnavailable.IntValue())
	assert.Greater(t, *pod.TerminationGracePeriodSeconds, int64(10+10), "the delay, and the time to answer what is open")
}

func TestNothingCanBeWrittenThatIsNotAskedFor(t *testing.T) {
	harmless := []string{"subjectaccessreviews", "tokenreviews", "events"}
	for values, want := range map[string][]string{
		"":                                     nil,
		"config: {audit: {reports: true}}":     {"create clusterpolicyreports", "create clusterreports", "create policyreports", "create reports", "delete clusterpolicyreports", "delete clusterreports", "delete policyreports", "delete reports", "patch clusterpolicyreports", "patch clusterreports", "patch policyreports", "patch reports"},
		"config: {isolateNamespaces: ingress}": {"create networkpolicies"},
		"rbac: {isolateNamespaces: true}":      {"create networkpolicies"},
	} {
		var role rbacv1.ClusterRole
		read(t, objects(t, rendered(t, values)), "ClusterRole/portcullis", &role)
		var writes []string
		for _, r := range role.Rules {
			assert.NotContains(t, strings.Join(append(append(r.Verbs, r.Resources...), r.APIGroups...), " "), "*")
			assert.NotContains(t, r.Resources, "secrets")
			for _, verb := range r.Verbs {
				for _, resource := range r.Resources {
					switch {
					case slices.Contains([]string{"get", "list", "watch"}, verb), verb == "create" && slices.Contains(harmless, resource), len(r.ResourceNames) > 0:
					default:
						writes = append(writes, verb+" "+resource)
					}
				}
			}
		}
		slices.Sort(writes)
		assert.Equal(t, want, writes, values)
	}
}
