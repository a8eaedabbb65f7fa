package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/pkg/finding"
	"github.com/portcullis-dev/portcullis/pkg/report"
)

// portcullis runs a command of the program against the cluster, with $NS in the arguments and the input.
func (s *scene) portcullis(input string, args ...string) result {
	s.t.Helper()
	for i := range args {
		args[i] = s.fill(args[i])
	}
	command := exec.CommandContext(within(s.t), shared.binary, args...)
	command.Env = append(os.Environ(), "KUBECONFIG="+s.user.Kubeconfig)
	var out, stderr bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader([]byte(s.fill(input))), &out, &stderr
	err := command.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		require.NoError(s.t, err)
	}
	return result{out.String(), stderr.String(), command.ProcessState.ExitCode()}
}

func readReport(t *testing.T, r result) report.Report {
	t.Helper()
	var out report.Report
	require.NoError(t, json.Unmarshal([]byte(r.out), &out), "%s%s", r.out, r.err)
	return out
}

// rulesFor are the rules found for a policy, with what is done about them.
func rulesFor(r report.Report, subject finding.Subject) map[string]string {
	out := map[string]string{}
	for _, f := range r.Findings {
		if f.Subject == subject {
			out[f.Rule] = string(f.Action)
		}
	}
	return out
}

const webPods = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: $NS}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web, ports: [{containerPort: 8443}]}]}
`

const webOpen = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: $NS}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress]
  ingress: [{ports: [{port: 8443}], from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]
`

const webService = `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: $NS}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 443, targetPort: 8443}]}
`

func TestCheckLiveJudgesManifestsByTheCluster(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.admitted(webPods, []string{"apply", "-f", "-"})
	policy := finding.Subject{Kind: finding.KindNetworkPolicy, Namespace: s.namespace, Name: "web"}

	file := filepath.Join(t.TempDir(), "policy.yaml")
	require.NoError(t, os.WriteFile(file, []byte(s.fill(webOpen)), 0o600))

	denied := s.portcullis("", "check", file, "--live", "-o", "json")
	assert.Equal(t, 1, denied.code, denied.err)
	assert.Equal(t, "deny", rulesFor(readReport(t, denied), policy)["internet-ingress"], "nothing in the cluster exposes the pods")
	for _, f := range readReport(t, denied).Findings {
		assert.Equal(t, policy, f.Subject, "if a manifest is judged by a cluster, then nothing else in the cluster is")
	}

	s.admitted(webService, []string{"apply", "-f", "-"})
	allowed := s.portcullis("", "check", file, "--live", "-o", "json")
	assert.Zero(t, allowed.code, allowed.err)
	assert.NotContains(t, rulesFor(readReport(t, allowed), policy), "internet-ingress", "a Service in the cluster exposes the port")

	s.admitted(webOpen, []string{"apply", "-f", "-"})
	whole := s.portcullis("", "check", "--live", "-o", "json")
	assert.Contains(t, rulesFor(readReport(t, whole), finding.Subject{Kind: finding.KindNetworkPolicy, Namespace: s.namespace, Name: "web"}),
		"cluster-cidr", "without manifests, what is in the cluster is judged")
}

// TestTheOtherCommandsSeeTheClusterToo asks about a Deployment that is in the cluster alone, and a policy that is in a file alone.
func TestTheOtherCommandsSeeTheClusterToo(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.admitted(webPods, []string{"apply", "-f", "-"})
	narrow := strings.Replace(webOpen, "from: [{ipBlock: {cidr: 0.0.0.0/0}}]", "from: [{ipBlock: {cidr: 203.0.113.0/24}}]", 1)
	file := filepath.Join(t.TempDir(), "policy.yaml")
	require.NoError(t, os.WriteFile(file, []byte(s.fill(narrow)), 0o600))

	reach := s.portcullis("", "reach", file, "--live")
	assert.Zero(t, reach.code, reach.err)
	assert.Regexp(t, `203\.0\.113\.0/24 +→ +`+s.namespace+`/web +TCP/8443\n`, reach.out)

	diff := s.portcullis("", "diff", "--live", file)
	assert.Zero(t, diff.code, diff.err)
	assert.Contains(t, diff.out, "Newly blocked:\n")
	assert.Contains(t, diff.out, s.namespace+"/web")
	assert.NotContains(t, diff.out, "Newly allowed:\n", "before, the pods were not isolated")

	blocked := s.portcullis("", "explain", "--from", "8.8.8.8", "--to", "$NS/web", "--port", "8443", "--live", file)
	assert.Equal(t, 1, blocked.code, blocked.err)
	allowed := s.portcullis("", "explain", "--from", "203.0.113.7", "--to", "$NS/web", "--port", "8443", "--live", file)
	assert.Zero(t, allowed.code, allowed.err)

	s.admitted(webService, []string{"apply", "-f", "-"})
	wide := strings.Replace(webOpen, "ports: [{port: 8443}], ", "", 1)
	require.NoError(t, os.WriteFile(file, []byte(s.fill(wide)), 0o600))
	fixed := s.portcullis("", "fix", file, "--live", "--rule", "internet-ingress")
	assert.Contains(t, fixed.out, "8443", "what the cluster's Service exposes is what the fix leaves open\n"+fixed.err)
	assert.NotEqual(t, s.fill(wide), fixed.out)
}

func TestCheckLiveSaysWhatItMayNotRead(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	nobody, err := shared.cluster.User("live-nobody")
	require.NoError(t, err)
	got := s.as(nobody).portcullis("", "check", "--live")
	assert.Equal(t, 2, got.code)
	assert.Contains(t, got.err, "cannot list ")
	assert.Contains(t, got.err, "forbidden")
}
