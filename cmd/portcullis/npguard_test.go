package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/netset"
	"github.com/portcullis-dev/portcullis/pkg/report/graph"
)

// These tests compare with what netpol-analyzer, an independent program, has written for the same manifests. What it says
// differently, on purpose:
//   - edges from {ingress-controller} are guesses at where an Ingress's traffic comes from; Portcullis knows of no such pod;
//   - it knows IPv4 alone;
//   - pods of a Deployment's ReplicaSet it names by the ReplicaSet.

const npGuardFolder = "np-guard+netpol-analyzer"

// npEdge is one connection as both have it.
type npEdge struct{ from, to string }

var npReplicaSet = regexp.MustCompile(`-[0-9a-f]{8,10}\[ReplicaSet\]$`)

// npName is a name of netpol-analyzer in Portcullis's way: "default/Deployment/web", or an IPv4 range.
func npName(t *testing.T, text string) string {
	text = npReplicaSet.ReplaceAllString(strings.TrimSpace(text), "[Deployment]")
	name, kind, ok := strings.Cut(strings.TrimSuffix(text, "]"), "[")
	require.True(t, ok, text)
	if kind == "External" {
		return name
	}
	namespace, name, _ := strings.Cut(name, "/")
	return namespace + "/" + kind + "/" + name
}

// npPorts reads "TCP 80,90-99,UDP 53" and "All Connections".
func npPorts(t *testing.T, text string) netset.Ports {
	switch text {
	case "All Connections":
		return netset.AllPorts()
	case "No Connections":
		return netset.Ports{}
	}
	out := netset.Ports{}
	protocol := ""
	for _, item := range strings.Split(text, ",") {
		if name, rest, ok := strings.Cut(strings.TrimSpace(item), " "); ok {
			protocol, item = name, rest
		}
		ports, err := netset.ParsePorts(protocol + "/" + item)
		require.NoError(t, err, text)
		out = out.Union(ports)
	}
	return out
}

func jsonPorts(t *testing.T, items []string) netset.Ports {
	out := netset.Ports{}
	for _, item := range items {
		if item == "all" {
			return netset.AllPorts()
		}
		ports, err := netset.ParsePorts(item)
		require.NoError(t, err)
		out = out.Union(ports)
	}
	return out
}

// edgesOf are Portcullis's connections, with IPv4 ranges as netpol-analyzer writes them.
func edgesOf(t *testing.T, connections []graph.Connection) map[npEdge]string {
	out := map[npEdge]netset.Ports{}
	for _, c := range connections {
		for _, from := range names(t, c.From) {
			for _, to := range names(t, c.To) {
				e := npEdge{from, to}
				out[e] = out[e].Union(jsonPorts(t, c.Ports))
			}
		}
	}
	texts := map[npEdge]string{}
	for e, ports := range out {
		texts[e] = ports.String()
	}
	return texts
}

func names(t *testing.T, end graph.End) []string {
	if len(end.CIDRs) == 0 {
		return []string{end.Namespace + "/" + end.Kind + "/" + end.Name}
	}
	addrs := netset.Addrs{}
	for _, cidr := range end.CIDRs {
		prefix, _, err := netset.ParseCIDR(cidr)
		require.NoError(t, err)
		addrs = addrs.Union(netset.AddrsOf(prefix))
	}
	var out []string
	for _, r := range addrs.IPv4().Ranges() {
		out = append(out, r.From().String()+"-"+r.To().String())
	}
	return out
}

func TestNPGuardCorpusConnections(t *testing.T) {
	dir := filepath.Join(corpus(t), npGuardFolder)
	compared := 0
	for _, name := range []string{"onlineboutique_workloads", "k8s_ingress_test_new", "netpol-analysis-example-minimal"} {
		expected := filepath.Join(dir, "test_outputs", "connlist", name+"_connlist_output.txt")
		if _, err := os.Stat(expected); err != nil {
			expected = filepath.Join(dir, "test_outputs", "connlist", name+"_exposure_output.txt")
		}
		text, err := os.ReadFile(expected)
		require.NoError(t, err)
		want := map[npEdge]string{}
		for line := range strings.Lines(string(text)) {
			from, rest, ok := strings.Cut(strings.TrimSpace(line), " => ")
			if !ok {
				break // the connections come first, and "Exposure Analysis Result" after them
			}
			if from == "{ingress-controller}" {
				continue
			}
			to, ports, _ := strings.Cut(rest, " : ")
			want[npEdge{npName(t, from), npName(t, to)}] = npPorts(t, ports).String()
		}
		r := command{args: []string{"reach", filepath.Join(dir, "tests", name), "-o", "json"}}.run(t)
		var got struct{ Connections []graph.Connection }
		require.NoError(t, json.Unmarshal([]byte(r.out), &got), r.err)
		assert.Equal(t, want, edgesOf(t, got.Connections), name)
		compared += len(want)
	}
	assert.Greater(t, compared, 25, "the test is worth something")
	t.Logf("%d connections are the same", compared)
}

func TestNPGuardCorpusDifferences(t *testing.T) {
	dir := filepath.Join(corpus(t), npGuardFolder)
	line := regexp.MustCompile(`^diff-type: \w+, source: (.+), destination: (.+), (?:old|ref1): (.+), (?:new|ref2): (.+?)(, workloads-diff-info: .*)?$`)
	compared := 0
	for _, name := range []string{"onlineboutique_workloads_changed_netpols", "onlineboutique_workloads_changed_netpols_and_workloads", "onlineboutique_workloads_changed_workloads"} {
		text, err := os.ReadFile(filepath.Join(dir, "test_outputs", "diff", "diff_between_"+name+"_and_onlineboutique_workloads.txt"))
		require.NoError(t, err)
		opened, closed := map[npEdge]string{}, map[npEdge]string{}
		for text := range strings.Lines(string(text)) {
			m := line.FindStringSubmatch(strings.TrimSpace(text))
			if m == nil {
				continue
			}
			e := npEdge{npName(t, m[1]), npName(t, m[2])}
			was, is := npPorts(t, m[3]), npPorts(t, m[4])
			if more := is.Minus(was); !more.IsEmpty() {
				opened[e] = more.String()
			}
			if less := was.Minus(is); !less.IsEmpty() {
				closed[e] = less.String()
			}
		}
		r := command{args: []string{"diff", filepath.Join(dir, "tests", "onlineboutique_workloads"), filepath.Join(dir, "tests", name), "-o", "json"}}.run(t)
		var got struct{ Opened, Closed []graph.Connection }
		require.NoError(t, json.Unmarshal([]byte(r.out), &got), r.err)
		assert.Equal(t, opened, edgesOf(t, got.Opened), name)
		assert.Equal(t, closed, edgesOf(t, got.Closed), name)
		compared += len(opened) + len(closed)
	}
	assert.Greater(t, compared, 20, "the test is worth something")
	t.Logf("%d changes are the same", compared)
}
