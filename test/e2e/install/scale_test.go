package install

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/verdict"
	"github.com/portcullis-dev/portcullis/test/controlplane"
)

// full is the cluster of the scale test while Portcullis audits it.
type full struct {
	crowds []crowd
	found  []string // what is to be found in the crowds' namespaces, as lines
	watch  *watched
	token  string // of whoever may read reports and metrics
}

// TestTheAuditOfAClusterOf100NamespacesA1000PoliciesAnd5000Pods installs Portcullis where all of that is there already, as docs/audit.md
// and docs/install.md say. It is the last test of the package, as its namespaces take long to go.
func TestTheAuditOfAClusterOf100NamespacesA1000PoliciesAnd5000Pods(t *testing.T) {
	routeAPIs(t)
	f := &full{crowds: crowds()}
	definitions, err := controlplane.ReportDefinitions(within(t))
	require.NoError(t, err)
	kubectl(t, "apply", "--filename", definitions)
	kubectl(t, "wait", "--for=condition=Established", "crd/reports.openreports.io", "crd/clusterreports.openreports.io")
	f.populate(t)

	makeNamespace(t)
	kubectl(t, "create", "namespace", "monitoring")
	kubectl(t, "--namespace", "monitoring", "create", "serviceaccount", "prometheus")
	kubectl(t, "create", "clusterrolebinding", "prometheus-portcullis", "--clusterrole=portcullis-metrics", "--serviceaccount=monitoring:prometheus")
	f.token = strings.TrimSpace(kubectl(t, "--namespace", "monitoring", "create", "token", "prometheus"))
	f.watch = watchReports(t)
	started := time.Now()
	helm(t, "install", "portcullis", chart(), "--values", valuesFile(t, "config: {audit: {reports: true}}\nrbac: {isolateNamespaces: true}\n"), "--wait")
	f.awaitFound(t, "the first pass is in the reports")
	t.Logf("the reports are written %s after helm install has begun", time.Since(started).Round(time.Millisecond))

	t.Run("everybody says the same", f.agree)
	t.Run("there are Events, and not too many", f.events)
	t.Run("what could be enforced", f.whatIf)
	t.Run("drift", f.drift)
	t.Run("default denies", f.isolation)
	t.Run("another replica takes over", f.takeOver)
	t.Run("everybody still says the same", f.agree)
	t.Run("what it asks for", func(t *testing.T) { verbsAreUsed(t, started, notForReports()...) })
	f.end(t, definitions)
}

// notForReports are rights that this run does not come to need, or that the audit log does not tell of.
func notForReports() []string {
	var out []string
	for _, resource := range []string{"clusterreports.openreports.io", "reports.openreports.io"} {
		out = append(out, "create "+resource) // asked for where an apply makes something, as for networkpolicies below; the log has the apply alone
	}
	for _, resource := range []string{"clusterpolicyreports.wgpolicyk8s.io", "policyreports.wgpolicyk8s.io"} { // the other API for reports
		out = append(out, "list "+resource, "create "+resource, "patch "+resource, "delete "+resource)
	}
	return append(out, "create networkpolicies.networking.k8s.io")
}

// populate makes everything, and waits until the controller manager has made its share.
func (f *full) populate(t *testing.T) {
	begun := time.Now()
	clusterDNS(t)
	inParallel(t, f.crowds, func(c crowd, ctx context.Context, client kubernetes.Interface) error { return c.make(ctx, client) })
	t.Logf("%d namespaces with their policies are made after %s", len(f.crowds), time.Since(begun).Round(time.Millisecond))
	inParallel(t, f.crowds, func(c crowd, ctx context.Context, client kubernetes.Interface) error { return c.people(ctx, client) })
	eventually(t, "all pods are made", func(ctx context.Context) bool { return podsMade(ctx) == podsOfEach*len(f.crowds) })
	t.Logf("%d pods are made after %s", podsOfEach*len(f.crowds), time.Since(begun).Round(time.Millisecond))
	for _, c := range f.crowds {
		for _, x := range c.found {
			f.found = append(f.found, line(c.subject(x.policy), x.rule, x.action))
		}
	}
	slices.Sort(f.found)
}

// subject is one of its policies, or the Namespace if that is empty.
func (c crowd) subject(policy string) finding.Subject {
	if policy == "" {
		return finding.Subject{Kind: finding.KindNamespace, Name: c.namespace()}
	}
	return finding.Subject{Kind: finding.KindNetworkPolicy, Namespace: c.namespace(), Name: policy}
}

func ofCrowd(namespace string) bool { return strings.HasPrefix(namespace, "scale-") }

// awaitFound waits until the reports say what is to be found, and besides, what is given.
func (f *full) awaitFound(t *testing.T, what string, besides ...string) {
	t.Helper()
	want := slices.Sorted(slices.Values(append(slices.Clone(f.found), besides...)))
	took := f.watch.await(t, what, func() bool { return slices.Equal(want, f.watch.lines(ofCrowd)) }, func() string {
		var more, less []string
		have := f.watch.lines(ofCrowd)
		for _, l := range have {
			if !slices.Contains(want, l) {
				more = append(more, l)
			}
		}
		for _, l := range want {
			if !slices.Contains(have, l) {
				less = append(less, l)
			}
		}
		return fmt.Sprintf("reported although it should not be:\n%s\nnot reported:\n%s", strings.Join(more, "\n"), strings.Join(less, "\n"))
	})
	t.Logf("%s: after %s", what, took.Round(time.Millisecond))
}

// drift changes what is around policies, three times over, and back.
func (f *full) drift(t *testing.T) {
	right := func(pair int) (crowd, crowd) { // two partners of which nothing is found
		at := 2 * len(flaws()) * pair
		require.Empty(t, f.crowds[at+1].name)
		return f.crowds[at], f.crowds[at+1]
	}
	a, _ := right(0)
	internal, exposed := `{"spec":{"type":"ClusterIP","allocateLoadBalancerNodePorts":null}}`, `{"spec":{"type":"LoadBalancer","allocateLoadBalancerNodePorts":false}}`
	kubectl(t, "--namespace", a.namespace(), "patch", "service", "front", "--patch", internal)
	f.awaitFound(t, "a Service is no load balancer any more", line(a.subject("front-in"), "internet-ingress", verdict.ActionDeny))
	kubectl(t, "--namespace", a.namespace(), "patch", "service", "front", "--patch", exposed)
	f.awaitFound(t, "the Service is one again")

	// The partners cannot connect any more, as the one is not who the other means.
	b, partner := right(1)
	kubectl(t, "label", "namespace", b.namespace(), "--overwrite", "cell=gone")
	f.awaitFound(t, "a namespace is relabelled",
		line(partner.subject("api-in"), "peer-matches-nothing", verdict.ActionWarn), line(partner.subject("jobs-out"), "peer-matches-nothing", verdict.ActionWarn),
		line(b.subject("api-in"), "one-sided-allow", verdict.ActionWarn), line(b.subject("jobs-out"), "one-sided-allow", verdict.ActionWarn))
	kubectl(t, "label", "namespace", b.namespace(), "--overwrite", "cell="+cell(b.number))
	f.awaitFound(t, "the namespace has its label again")

	c, _ := right(2)
	policies := shared.cluster.Client.NetworkingV1().NetworkPolicies(c.namespace())
	old, err := policies.Get(within(t), "db-in", metav1.GetOptions{})
	require.NoError(t, err)
	kubectl(t, "--namespace", c.namespace(), "delete", "networkpolicy", "db-in")
	f.awaitFound(t, "a policy is deleted", line(c.subject("api-out"), "one-sided-allow", verdict.ActionWarn))
	old.ResourceVersion, old.UID = "", ""
	_, err = policies.Create(within(t), old, metav1.CreateOptions{})
	require.NoError(t, err)
	f.awaitFound(t, "the policy is back")
}

// isolation takes from the namespaces the labels that ask for default denies.
func (f *full) isolation(t *testing.T) {
	kept := func() []string {
		return strings.Fields(kubectl(t, "get", "networkpolicies", "--all-namespaces", "--selector=app.kubernetes.io/managed-by=portcullis",
			"--output=jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} {end}"))
	}
	var want, without []string
	for _, c := range f.crowds {
		switch c.labels["portcullis.dev/isolate"] {
		case "all":
			want = append(want, c.namespace()+"/portcullis-allow-dns", c.namespace()+"/portcullis-default-deny")
		case "ingress":
			want = append(want, c.namespace()+"/portcullis-default-deny")
		default:
			continue
		}
		without = append(without, line(c.subject(""), "namespace-not-isolated", verdict.ActionWarn))
	}
	assert.Equal(t, want, kept())
	for _, l := range without {
		kubectl(t, "label", "namespace", strings.Fields(l)[0], "portcullis.dev/isolate-")
	}
	f.awaitFound(t, "the default denies are gone", without...)
	assert.Empty(t, kept())
	f.found = slices.Sorted(slices.Values(append(f.found, without...)))
}

// takeOver stops the replica that audits. The other one writes what has changed, and nothing else.
func (f *full) takeOver(t *testing.T) {
	leader, _ := f.auditing(t, "/report")
	require.NotEmpty(t, leader)
	before, since := f.watch.all(), time.Now()
	kubectl(t, "--namespace", namespace, "delete", "pod", leader, "--wait=false")
	eventually(t, "another replica audits", func(context.Context) bool {
		name, _ := f.auditing(t, "/report")
		return name != "" && name != leader
	})
	last := f.crowds[len(f.crowds)-2]
	front := last.subject("front-in")
	patch := func(kind string) {
		kubectl(t, "--namespace", last.namespace(), "patch", "service", "front", "--patch", fmt.Sprintf(`{"spec":{"type":%q,"allocateLoadBalancerNodePorts":null}}`, kind))
	}
	patch("ClusterIP")
	f.awaitFound(t, "what drifts is reported by the other replica", line(front, "internet-ingress", verdict.ActionDeny))
	patch("LoadBalancer")
	f.awaitFound(t, "and what is right again is not")
	after := f.watch.all()
	for key, r := range before {
		if r.Metadata.Namespace == namespace {
			continue // what is found of its own policy is about its pods, which have changed
		}
		assert.Equal(t, r.Metadata.ResourceVersion, after[key].Metadata.ResourceVersion, "the report about %s is written again", r.subject())
	}
	assert.Len(t, after, len(before))
	written := map[string]bool{}
	for _, event := range requests(t, since) {
		if ref := event.ObjectRef; ref != nil && ref.APIGroup == "openreports.io" && ref.Namespace != namespace && slices.Contains([]string{"patch", "delete"}, event.Verb) {
			written[ref.Namespace+"/"+ref.Name] = true
		}
	}
	assert.Len(t, written, 1, "reports are written or deleted")
}

// end takes Portcullis away. A report goes with its policy also without it.
func (f *full) end(t *testing.T, definitions string) {
	helm(t, "uninstall", "portcullis", "--wait")
	kubectl(t, "delete", "namespace", namespace, "monitoring", "--wait=false")
	kubectl(t, "delete", "clusterrolebinding", "prometheus-portcullis")
	for _, c := range f.crowds {
		if len(c.found) == 0 || c.found[0].policy == "" {
			continue
		}
		gone := c.subject(c.found[0].policy)
		kubectl(t, "--namespace", gone.Namespace, "delete", "networkpolicy", gone.Name)
		took := f.watch.await(t, "the garbage collector removes the report", func() bool {
			for _, r := range f.watch.all() {
				if r.subject() == gone {
					return false
				}
			}
			return true
		}, func() string { return gone.String() })
		t.Logf("the garbage collector removes the report of %s: after %s", gone, took.Round(time.Millisecond))
		break
	}
	kubectl(t, "delete", "--filename", definitions, "--wait=false")
	for _, c := range f.crowds { // the rest of the tests does not wait for it
		require.NoError(t, shared.cluster.Client.CoreV1().Namespaces().Delete(within(t), c.namespace(), metav1.DeleteOptions{}))
	}
}

// program is portcullis as users run it, on the cluster.
func program(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	return run(t, filepath.Join(shared.root, "bin", "portcullis-static"), append(args, "--kubeconfig", shared.cluster.Admin.Kubeconfig)...)
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(text), into), text)
}
