package explain_test

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/explain"
	"github.com/portcullis-dev/portcullis/pkg/model"
	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/source/manifest"
)

// cluster is that of testdata, with more objects as YAML.
func cluster(t *testing.T, facts model.Facts, more ...string) *model.Snapshot {
	t.Helper()
	input, err := manifest.Load(t.Context(), []string{"testdata/cluster.yaml", manifest.Stdin}, strings.NewReader(strings.Join(more, "\n---\n")))
	require.NoError(t, err)
	require.Empty(t, input.Problems)
	return input.Store.Snapshot(facts)
}

func ask(t *testing.T, facts model.Facts, from, to, port string) *explain.Explanation {
	t.Helper()
	e, err := explain.Explain(cluster(t, facts), explain.Question{From: from, To: to, Port: port, Namespace: "shop"})
	require.NoError(t, err)
	return e
}

// said are the verdicts of the cases: "web-1,web-2 -> db TCP/5432 (postgres): blocked".
func said(e *explain.Explanation) []string {
	var out []string
	for _, c := range e.Cases {
		text := strings.Join(c.From, ",") + " -> " + strings.Join(c.To, ",") + " " + c.Port + c.Ports
		if c.PortName != "" {
			text += " (" + c.PortName + ")"
		}
		text += ": " + string(c.Verdict)
		out = append(out, strings.ReplaceAll(text, "shop/", ""))
	}
	return out
}

func TestNamesAreResolvedAsKubectlDoes(t *testing.T) {
	for name, want := range map[string]string{
		"web": "Deployment shop/web", "deploy/web": "Deployment shop/web", "Deployments/web": "Deployment shop/web",
		"deployment.apps/web": "Deployment shop/web", "shop/web": "Deployment shop/web", "shop/deploy/web": "Deployment shop/web",
		"web-1": "Pod shop/web-1", "po/web-1": "Pod shop/web-1", "pods/web-1": "Pod shop/web-1", "shop/pod/web-1": "Pod shop/web-1",
		"sts/db": "StatefulSet shop/db", "svc/db": "Service shop/db", "service/db": "Service shop/db",
		"monitoring/prometheus": "Deployment monitoring/prometheus", "monitoring/svc/prometheus": "Service monitoring/prometheus",
		"monitoring/ds/node-exporter": "DaemonSet monitoring/node-exporter",
		"10.0.0.2":                    "Pod shop/web-2", "fd00::9": "Pod shop/legacy", "[fd00::9]": "Pod shop/legacy", "::ffff:10.0.0.2": "Pod shop/web-2",
		"10.96.0.20": "Service shop/web", "9.9.9.9": "9.9.9.9", "internet": "8.8.8.8", "2600::1": "2600::1", "192.168.7.1": "Node 192.168.7.1",
	} {
		e := ask(t, model.Facts{Nodes: netset.AddrsOf(netip.MustParsePrefix("192.168.7.0/24"))}, "shop/pod/web-2", name, "")
		assert.Equal(t, want, e.To.String(), name)
	}
}

func TestWhatCannotBeResolvedSaysWhatThereIs(t *testing.T) {
	world := cluster(t, model.Facts{},
		"{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: web, namespace: shop}, spec: {template: {metadata: {labels: {app: web2}}}}}",
		"{apiVersion: v1, kind: Pod, metadata: {name: dns, namespace: shop}, spec: {containers: [{name: c, ports: [{name: dns, containerPort: 53, protocol: UDP}, {name: dns, containerPort: 54}]}]}}")
	for _, c := range []struct{ from, to, port, want string }{
		{"web-1", "web", "", "--to web: several are named so: write shop/deploy/web or shop/sts/web"},
		{"web-1", "deploy/db", "", "--to deploy/db: namespace shop has no Deployment db, but StatefulSet shop/db: write shop/sts/db"},
		{"web-1", "prometheus", "", "--to prometheus: namespace shop has no pod, workload or Service named prometheus, but there is monitoring/deploy/prometheus, monitoring/svc/prometheus"},
		{"web-1", "web-11", "", "--to web-11: namespace shop has no pod, workload or Service named web-11: did you mean shop/web-1?"},
		{"web-1", "monitoring/x", "", "--to monitoring/x: namespace monitoring has no pod, workload or Service named x; it has monitoring/ds/node-exporter, monitoring/deploy/prometheus, monitoring/svc/prometheus"},
		{"web-1", "shopp/nothing", "", "--to shopp/nothing: there is no namespace shopp: did you mean shop?"},
		{"web-1", "somewhere/nothing", "", "--to somewhere/nothing: there is no namespace somewhere; there are monitoring, shop"},
		{"web-1", "default/web-2", "", "--to default/web-2: there is no namespace default, but there is shop/web-2"},
		{"web-1", "shop/dep/web", "", `--to shop/dep/web: "dep" is no kind that has pods: use pod, deploy, sts, ds, job, cronjob, rs, rc or svc`},
		{"web-1", "a//b", "", `--to "a//b" is no name: write NAMESPACE/NAME, KIND/NAME as in deploy/web or svc/db, NAMESPACE/KIND/NAME, an address, or internet`},
		{"web-1", "", "", "--to is empty: write NAMESPACE/NAME, KIND/NAME as in deploy/web or svc/db, NAMESPACE/KIND/NAME, an address, or internet"},
		{"10.0.0.0/8", "web-1", "", "--from 10.0.0.0/8 is a range: name one address of it, as in 10.0.0.0"},
		{"fe80::1%eth0", "web-1", "", "--from fe80::1%eth0: an address with a zone is of one node only, and no NetworkPolicy knows it"},
		{"10.0.0.1:80", "web-1", "", "--from 10.0.0.1:80: write the address alone, 10.0.0.1, and the port as --port 80"},
		{"300.1.1.1", "web-1", "", "--from 300.1.1.1 is no IP address, nor the name of anything here"},
		{"internet", "9.9.9.9", "", "both ends are addresses outside of the cluster: NetworkPolicies are about pods, so name one"},
		{"web-1", "svc/elsewhere", "", "--to svc/elsewhere: Service shop/elsewhere has no selector, so where it leads is not known here: name the address that it forwards to"},
		{"web-1", "svc/nobody", "", "--to svc/nobody: Service shop/nobody selects no pods: none in namespace shop has app=nobody"},
		{"web-1", "svc/web", "8080", "Service shop/web has no port TCP/8080; it has TCP/80 (http), TCP/9000 (metrics)"},
		{"web-1", "svc/web", "9090", "Service shop/web has no port TCP/9090, but forwards TCP/9000 (metrics) to it: ask for that, or name the pods in place of the Service"},
		{"web-1", "sts/db", "http", "--port http: StatefulSet shop/db has no port of that name; it has TCP/5432 (postgres)"},
		{"web-1", "legacy", "http", "--port http: Pod shop/legacy declares no ports, and so has no names for them: give a number"},
		{"web-1", "dns", "dns", "--port dns: it is TCP/54 and UDP/53 of shop/dns: write one of the two"},
		{"web-1", "internet", "http", "--port http: only pods have names for ports: give a number, as in TCP/443"},
		{"web-1", "web-2", "ICMP/1", `--port ICMP/1: "ICMP" is no protocol: write TCP, UDP or SCTP, as in UDP/53`},
		{"web-1", "web-2", "0", "--port 0: a port is one number from 1 to 65535"},
		{"web-1", "web-2", "80-90", "--port 80-90: a port is one number from 1 to 65535"},
		{"web-1", "web-2", "TCP/", `--port "TCP/" is no port: write one number or name, as in TCP/8080, 8080, http or UDP/dns`},
		{"sts/db", "sts/db", "80", ""},
	} {
		_, err := explain.Explain(world, explain.Question{From: c.from, To: c.to, Port: c.port, Namespace: "shop"})
		if c.want == "" {
			assert.NoError(t, err, c)
			continue
		}
		assert.EqualError(t, err, c.want)
	}
}

func TestAServiceStandsForThePodsAndPortsBehindIt(t *testing.T) {
	e := ask(t, model.Facts{}, "internet", "svc/web", "80")
	assert.Equal(t, []string{"8.8.8.8 -> web-1,web-2 TCP/8080 (http): allowed", "8.8.8.8 -> web-old TCP/80 (http): allowed"}, said(e), "each pod resolves the name for itself")
	assert.Equal(t, "TCP/80", e.Cases[0].ServicePort)
	assert.Contains(t, e.Notes, "Service shop/web forwards TCP/80 (http) to the port named http of its pods.")

	e = ask(t, model.Facts{}, "internet", "svc/web", "metrics")
	assert.Equal(t, []string{"8.8.8.8 -> web-1,web-2,web-old TCP/9090: blocked"}, said(&explain.Explanation{Cases: merged(e.Cases)}))
	assert.Equal(t, explain.Mixed, ask(t, model.Facts{}, "internet", "svc/web", "").Verdict, "all of its ports")

	e = ask(t, model.Facts{}, "web-1", "svc/db", "5432")
	assert.Equal(t, []string{"web-1 -> db TCP/5432: allowed"}, said(e))
	assert.Contains(t, e.Notes, "Service shop/db is headless: clients connect to the pods' own addresses, and no port is translated.")

	e = ask(t, model.Facts{}, "internet", "deploy/web", "80")
	assert.Contains(t, e.Notes, "Policies see the pods' ports, and TCP/80 is a port of Service shop/web, which forwards it to http: to ask for that, write shop/svc/web or --port http.")
}

// merged puts the targets of all cases into one.
func merged(cases []explain.Case) []explain.Case {
	out := cases[0]
	for _, c := range cases[1:] {
		out.To = append(out.To, c.To...)
	}
	return []explain.Case{out}
}

func TestPodsThatDifferHaveTheirOwnAnswers(t *testing.T) {
	e := ask(t, model.Facts{}, "deploy/web", "sts/db", "postgres")
	assert.Equal(t, explain.Mixed, e.Verdict)
	assert.Equal(t, []string{"web-1 -> db TCP/5432 (postgres): allowed", "web-2 -> db TCP/5432 (postgres): blocked", "web-old -> db TCP/5432 (postgres): blocked"}, said(e), "by their addresses")

	e = ask(t, model.Facts{}, "deploy/web", "deploy/web", "metrics")
	assert.Equal(t, []string{"web-1,web-2 -> web-1,web-2 TCP/9090 (metrics): blocked", "web-1,web-2 -> web-old : blocked", "web-old -> web-1,web-2 TCP/9090 (metrics): blocked"}, said(e))
	for _, c := range e.Cases {
		if len(c.To) == 1 && c.To[0] == "shop/web-old" {
			assert.Equal(t, "These pods declare no port named metrics.", c.Reason)
		}
	}
	assert.Nil(t, e.Change)
	assert.NotEmpty(t, e.NoChange)
}

func TestWhatIsNotKnownIsSaidToBe(t *testing.T) {
	e := ask(t, model.Facts{}, "sts/db", "monitoring/prometheus", "9090")
	assert.Equal(t, explain.Unknown, e.Verdict)
	assert.Equal(t, []string{"ipBlock 10.0.0.0/16 may hold the pod's address, which is not known here"}, e.Cases[0].Ingress.Policies[0].Rules[0].Reasons)
	require.NotNil(t, e.Change, "by labels it would be known")

	known := model.Facts{PodCIDRs: netset.AddrsOf(netip.MustParsePrefix("10.0.0.0/24"))}
	e = ask(t, known, "sts/db", "monitoring/prometheus", "9090")
	assert.Equal(t, explain.Allowed, e.Verdict)
	assert.Equal(t, []string{"ipBlock 10.0.0.0/16 holds every address that the pod may have"}, e.Cases[0].Ingress.Policies[0].Rules[0].Reasons)

	e = ask(t, model.Facts{CNI: model.CNICilium}, "sts/db", "monitoring/prometheus", "9090")
	assert.Equal(t, explain.Blocked, e.Verdict)
	assert.Equal(t, []string{"ipBlock 10.0.0.0/16 matches no pods or nodes: Cilium compares them by labels, and never by address"}, e.Cases[0].Ingress.Policies[0].Rules[0].Reasons)
}

func TestPodsOnTheHostsNetworkAreNodes(t *testing.T) {
	e := ask(t, model.Facts{}, "monitoring/ds/node-exporter", "deploy/web", "8080")
	assert.Equal(t, explain.Unknown, ask(t, model.Facts{}, "monitoring/ds/node-exporter", "deploy/web", "http").Verdict)
	assert.Contains(t, e.Notes, "DaemonSet monitoring/node-exporter runs on the host's network: with most CNIs no policy isolates it, and to the policies of others it is its node's address, which the pods of that node itself always let in.")
	assert.Contains(t, e.NoChange, "which are not known here")
	assert.Equal(t, "NetworkPolicies do not apply to the host's network with most CNIs", e.Cases[0].Egress.Reason)

	nodes := model.Facts{Nodes: netset.AddrsOf(netip.MustParsePrefix("10.9.0.1/32"))}
	e = ask(t, nodes, "monitoring/ds/node-exporter", "sts/db", "5432")
	assert.Equal(t, explain.Blocked, e.Verdict)
	require.NotNil(t, e.Change)
	patch, err := json.Marshal(e.Change.Steps[0].Patch)
	require.NoError(t, err)
	assert.JSONEq(t, `[{"op":"add","path":"/spec/ingress/-","value":{"from":[{"ipBlock":{"cidr":"10.9.0.1/32"}}],"ports":[{"port":5432,"protocol":"TCP"}]}}]`, string(patch))

	nodes.CNI = model.CNICilium
	e = ask(t, nodes, "monitoring/ds/node-exporter", "sts/db", "5432")
	assert.Contains(t, e.NoChange, "CiliumNetworkPolicy")
}

func TestWithoutAPortAllPortsAreSummarised(t *testing.T) {
	e := ask(t, model.Facts{}, "internet", "web-1", "")
	assert.Equal(t, []string{"8.8.8.8 -> web-1 TCP/443,8080: allowed"}, said(e))
	assert.Equal(t, "TCP/443,8080", e.Cases[0].Ingress.Policies[1].Rules[0].Ports)
	e = ask(t, model.Facts{}, "internet", "sts/db", "")
	assert.Equal(t, explain.Blocked, e.Verdict)
	assert.Equal(t, "Ask for one port with --port to see the change that would allow it.", e.NoChange)
	e = ask(t, model.Facts{}, "sts/db", "monitoring/prometheus", "")
	assert.Equal(t, explain.Unknown, e.Verdict)
	assert.Equal(t, "all ports", e.Cases[0].UnknownPorts)
}

func TestEachSideTellsItsPoliciesRulesAndLines(t *testing.T) {
	e := ask(t, model.Facts{}, "web-1", "sts/db", "postgres")
	c := e.Cases[0]
	assert.Equal(t, "no policy isolates it for egress, so everything is allowed", c.Egress.Reason)
	assert.Equal(t, []string{"the egress rules of shop/web have no effect: its policyTypes leave out Egress"}, c.Egress.Ignored)
	require.Len(t, c.Ingress.Policies, 2)
	db, deny := c.Ingress.Policies[0], c.Ingress.Policies[1]
	assert.Equal(t, "it has no ingress rules, and so allows nothing", deny.Reason)
	assert.Equal(t, "spec.ingress[0].from[1]", db.Rules[0].Path)
	assert.Equal(t, 126, db.Rules[0].Source.Line)
	assert.Equal(t, []string{"ipBlock 10.0.0.1/32 holds the pod's address 10.0.0.1", "port TCP/5432 is among its ports TCP/postgres (5432 on these pods)"}, db.Rules[0].Reasons)

	blocks := func(from string) []string {
		return ask(t, model.Facts{}, from, "web-1", "443").Cases[0].Ingress.Policies[1].Rules[0].Reasons
	}
	assert.Equal(t, "ipBlock 0.0.0.0/0 except 10.0.0.0/8 holds 8.8.8.8", blocks("8.8.8.8")[0])
	assert.Equal(t, "from[0]: ipBlock 0.0.0.0/0 except 10.0.0.0/8 does not hold 10.9.9.9", blocks("10.9.9.9")[0])

	e = ask(t, model.Facts{}, "legacy", "monitoring/prometheus", "80")
	assert.Equal(t, []string{"ipBlock 10.0.0.0/16 does not hold the pod's address fd00::9"}, e.Cases[0].Ingress.Policies[0].Rules[0].Reasons)
	e = ask(t, model.Facts{}, "legacy", "web-1", "80")
	assert.Equal(t, "They have no address family in common: one has only IPv4 addresses and the other only IPv6 ones.", e.Cases[0].Reason)
	e = ask(t, model.Facts{}, "web-1", "web-1", "1")
	assert.Equal(t, "A pod always reaches itself.", e.Cases[0].Reason)
}

func TestTheChangeIsTheSmallest(t *testing.T) {
	const port = `"ports":[{"port":5432,"protocol":"TCP"}]`
	for _, c := range []struct{ name, policies, from, want string }{
		{"if a policy is for these pods alone, then a rule of it", "", "monitoring/prometheus",
			`[{"op":"add","path":"/spec/ingress/-","value":{"from":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"monitoring"}},"podSelector":{"matchLabels":{"app":"prometheus"}}}],` + port + `}}]`},
		{"if a rule is for this port alone, then a peer of it", `ports: [{port: 5432}], from: [{podSelector: {matchLabels: {app: backend}}}]`, "deploy/web",
			`[{"op":"add","path":"/spec/ingress/0/from/-","value":{"podSelector":{"matchLabels":{"app":"web"}}}}]`},
		{"if a rule is for this peer alone, then a port of it", `ports: [{port: 80}], from: [{podSelector: {matchLabels: {app: web}}}]`, "deploy/web",
			`[{"op":"add","path":"/spec/ingress/0/ports/-","value":{"port":5432,"protocol":"TCP"}}]`},
		{"if a rule is for the port and has more ports, then a new rule", `ports: [{port: 5432}, {port: 80}], from: [{podSelector: {matchLabels: {app: backend}}}]`, "deploy/web",
			`[{"op":"add","path":"/spec/ingress/-","value":{"from":[{"podSelector":{"matchLabels":{"app":"web"}}}],` + port + `}}]`},
		{"if a rule is for the peer among others, then a new rule", `ports: [{port: 80}], from: [{podSelector: {}}]`, "deploy/web",
			`[{"op":"add","path":"/spec/ingress/-","value":{"from":[{"podSelector":{"matchLabels":{"app":"web"}}}],` + port + `}}]`},
	} {
		var more []string
		if c.policies != "" {
			more = append(more, "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: db, namespace: shop}, spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{"+c.policies+"}]}}")
		}
		input, err := manifest.Load(t.Context(), []string{"testdata/cluster.yaml", manifest.Stdin}, strings.NewReader(strings.Join(more, "")))
		require.NoError(t, err)
		e, err := explain.Explain(input.Store.Snapshot(model.Facts{}), explain.Question{From: c.from, To: "sts/db", Port: "5432", Namespace: "shop"})
		require.NoError(t, err, c.name)
		require.NotNil(t, e.Change, c.name)
		require.Len(t, e.Change.Steps, 1, c.name)
		patch, err := json.Marshal(e.Change.Steps[0].Patch)
		require.NoError(t, err)
		assert.JSONEq(t, c.want, string(patch), c.name)
	}
}

func TestAPolicyForEveryPodIsNotWidenedButANewOneIsMade(t *testing.T) {
	e := ask(t, model.Facts{}, "sts/db", "legacy", "80")
	assert.Equal(t, "They have no address family in common: one has only IPv4 addresses and the other only IPv6 ones.", ask(t, model.Facts{}, "web-1", "legacy", "80").Cases[0].Reason)
	require.NotNil(t, e.Change)
	require.Len(t, e.Change.Steps, 1)
	step := e.Change.Steps[0]
	require.NotNil(t, step.Policy)
	assert.Equal(t, "legacy-allow-from-db", step.Name)
	assert.Equal(t, map[string]string{"app": "legacy"}, step.Policy.Spec.PodSelector.MatchLabels)
	require.Len(t, e.Change.Opens, 1)
	assert.Equal(t, []string{"shop/db"}, e.Change.Opens[0].From)
	assert.Equal(t, []string{"shop/legacy"}, e.Change.Opens[0].To)
	assert.Equal(t, "TCP/80", e.Change.Opens[0].Ports)
}

func TestOneChangeServesPodsOfAllReleases(t *testing.T) {
	e := ask(t, model.Facts{}, "deploy/web", "deploy/web", "7777")
	require.NotNil(t, e.Change)
	require.Len(t, e.Change.Steps, 1)
	patch, err := json.Marshal(e.Change.Steps[0].Patch)
	require.NoError(t, err)
	assert.JSONEq(t, `[{"op":"add","path":"/spec/ingress/-","value":{"from":[{"podSelector":{"matchLabels":{"app":"web"}}}],"ports":[{"port":7777,"protocol":"TCP"}]}}]`, string(patch))
}

func TestIfFlannelIsTheCNIThenItIsSaidThatNothingIsEnforced(t *testing.T) {
	assert.Contains(t, ask(t, model.Facts{CNI: "flannel"}, "web-1", "web-2", "80").Notes,
		"flannel enforces no NetworkPolicies: with it alone, nothing that is blocked here is blocked in the cluster.")
}

func TestIfAnAddressOfAPodIsNamedThenItsFamilyAloneIsAskedAbout(t *testing.T) {
	world := cluster(t, model.Facts{},
		`{apiVersion: v1, kind: Pod, metadata: {namespace: both, name: a, labels: {app: a}}, status: {podIPs: [{ip: 10.7.0.1}, {ip: "fd00:7::1"}]}}`,
		`{apiVersion: v1, kind: Pod, metadata: {namespace: both, name: b, labels: {app: b}}, status: {podIPs: [{ip: 10.7.0.2}, {ip: "fd00:7::2"}]}}`,
		`{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {namespace: both, name: b}, spec: {podSelector: {matchLabels: {app: b}},
		  policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: "fd00:7::/64"}}]}]}}`)
	for _, c := range []struct {
		from, to string
		want     explain.Verdict
	}{
		{"both/a", "both/b", explain.Allowed},
		{"fd00:7::1", "both/b", explain.Allowed},
		{"10.7.0.1", "both/b", explain.Blocked},
		{"both/a", "10.7.0.2", explain.Blocked},
		{"10.7.0.1", "fd00:7::2", explain.Blocked},
	} {
		for _, port := range []string{"TCP/80", ""} {
			e, err := explain.Explain(world, explain.Question{From: c.from, To: c.to, Port: port})
			require.NoError(t, err)
			assert.Equal(t, c.want, e.Verdict, "%s -> %s %s", c.from, c.to, port)
		}
	}
}
