package e2e

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/portcullis-dev/portcullis/test/controlplane"
	"github.com/portcullis-dev/portcullis/test/guard"
)

// limit bounds every single wait, and poll is the time between two looks.
const (
	limit = 3 * time.Minute
	poll  = 20 * time.Millisecond
)

var scenes atomic.Uint32

// scene is a namespace of a test's own.
type scene struct {
	t         *testing.T
	namespace string
	user      *controlplane.User
}

// newScene makes a namespace, with labels given as key, value.
func newScene(t *testing.T, labels ...string) *scene {
	t.Helper()
	s := &scene{t: t, namespace: "e2e-" + strconv.Itoa(int(scenes.Add(1))), user: shared.cluster.Admin}
	set := map[string]string{}
	for i := 0; i < len(labels); i += 2 {
		set[labels[i]] = labels[i+1]
	}
	_, err := shared.cluster.CreateNamespace(within(t), s.namespace, set)
	require.NoError(t, err)
	return s
}

// as is the scene with another user at the keyboard.
func (s *scene) as(user *controlplane.User) *scene {
	return &scene{t: s.t, namespace: s.namespace, user: user}
}

// within is a context for one call. It outlives that of the test, so that it serves what a test cleans up, too.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), limit)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until is is true.
func eventually(t *testing.T, what string, is func(context.Context) bool) {
	t.Helper()
	err := wait.PollUntilContextCancel(within(t), poll, true, func(ctx context.Context) (bool, error) { return is(ctx), nil })
	if err != nil {
		require.Fail(t, what+": "+err.Error(), "the end of Portcullis's log:\n%s", logTail())
	}
}

func logTail() string {
	text, err := os.ReadFile(logFile())
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4096):])
}

// result is what a command printed, and its exit code.
type result struct {
	out, err string
	code     int
}

// kubectl runs a command in the namespace; $NS in the arguments and the input is its name.
func (s *scene) kubectl(input string, args ...string) result {
	s.t.Helper()
	for i := range args {
		args[i] = s.fill(args[i])
	}
	command := s.user.Kubectl(within(s.t), append([]string{"--namespace=" + s.namespace}, args...)...)
	var out, err bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(s.fill(input)), &out, &err
	failure := command.Run()
	if exit := (*exec.ExitError)(nil); failure != nil && !errors.As(failure, &exit) {
		require.NoError(s.t, failure)
	}
	return result{out.String(), err.String(), command.ProcessState.ExitCode()}
}

func (s *scene) fill(text string) string { return strings.ReplaceAll(text, "$NS", s.namespace) }

// admitted runs a command that is to succeed, with these parts of warnings among others, and yields what it printed as
// warnings.
func (s *scene) admitted(input string, args []string, warnings ...string) string {
	s.t.Helper()
	got := s.kubectl(input, args...)
	require.Zero(s.t, got.code, got.err)
	for _, want := range warnings {
		assert.Contains(s.t, got.err, s.fill(want))
	}
	return got.err
}

// refused runs a command until Portcullis's answer has all these parts. Nothing but a denial is ever right; but the witness is not
// before the watch has told of the pods.
func (s *scene) refused(input string, args []string, parts ...string) {
	s.t.Helper()
	var got result
	eventually(s.t, "the denial that is wanted", func(context.Context) bool {
		got = s.kubectl(input, args...)
		require.Equal(s.t, 1, got.code, "%s%s", got.out, got.err)
		require.Contains(s.t, got.err, `admission webhook "networkpolicies.portcullis.dev" denied the request: `)
		for _, part := range parts {
			if !strings.Contains(got.err, s.fill(part)) {
				s.t.Logf("not yet %q: %s", s.fill(part), got.err)
				return false
			}
		}
		return true
	})
}

var apply = []string{"apply", "--filename=-"}

// pod makes a running pod with the label app, whose container has the port.
func (s *scene) pod(app string, port int32) {
	s.t.Helper()
	_, err := shared.cluster.CreateRunningPod(within(s.t), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: app, Namespace: s.namespace, Labels: map[string]string{"app": app}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "main", Image: "registry.invalid/main", Ports: []corev1.ContainerPort{{ContainerPort: port}},
		}}},
	})
	require.NoError(s.t, err)
}

// stored is the policy as it is stored.
func (s *scene) stored(name string) *networkingv1.NetworkPolicy {
	s.t.Helper()
	np, err := shared.cluster.Client.NetworkingV1().NetworkPolicies(s.namespace).Get(within(s.t), name, metav1.GetOptions{})
	require.NoError(s.t, err)
	return np
}

func (s *scene) types(name string) []networkingv1.PolicyType { return s.stored(name).Spec.PolicyTypes }

// none checks that no policy is stored.
func (s *scene) none() {
	s.t.Helper()
	list, err := shared.cluster.Client.NetworkingV1().NetworkPolicies(s.namespace).List(within(s.t), metav1.ListOptions{})
	require.NoError(s.t, err)
	assert.Empty(s.t, list.Items)
}

func metrics(t *testing.T) guard.Metrics {
	t.Helper()
	m, err := shared.guard.Metrics(within(t))
	require.NoError(t, err)
	return m
}

// policy is a manifest of a NetworkPolicy that selects the pods with a label app.
func policy(name, app, spec string) string {
	return `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: ` + name + `}
spec:
  podSelector: {matchLabels: {app: ` + app + `}}
` + spec + "\n"
}

// Parts of a spec.
const (
	openIngress   = "  policyTypes: [Ingress]\n  ingress: [{ports: [{port: 9090}]}]"
	narrowIngress = "  policyTypes: [Ingress]\n  ingress: [{from: [{podSelector: {matchLabels: {app: client}}}], ports: [{port: 9090}]}]"
	toDatabase    = "  policyTypes: [Egress]\n  egress: [{to: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 5432}]}]"
	toDNS         = `  policyTypes: [Egress]
  egress:
  - to:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
      podSelector: {matchLabels: {k8s-app: kube-dns}}
    ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]`
	noTypes       = "  ingress: [{from: [{podSelector: {matchLabels: {app: client}}}], ports: [{port: 9090}]}]"
	noTypesEgress = noTypes + "\n  egress: [{to: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 5432}]}]"
)

// relabelled changes the enforced level, and waits until writes are judged by it. It yields the warnings.
func (s *scene) relabelled(from, to string) string {
	s.t.Helper()
	warnings := s.admitted("", []string{"label", "--overwrite", "namespace", "$NS", "portcullis.dev/enforce=" + to})
	marker := `"networkpolicies.portcullis.dev/level":"` + to + `"`
	eventually(s.t, "the level "+to+" after "+from, func(context.Context) bool {
		s.admitted(policy("level-of-now", "nobody", narrowIngress), []string{"create", "--filename=-"})
		s.admitted("", []string{"delete", "networkpolicy", "level-of-now"})
		return s.inAuditLog("level-of-now", marker)
	})
	return warnings
}

// inAuditLog says whether a line of the audit log about the namespace has all parts.
func (s *scene) inAuditLog(parts ...string) bool {
	s.t.Helper()
	log, err := os.ReadFile(shared.cluster.AuditLog())
	require.NoError(s.t, err)
	for line := range strings.Lines(string(log)) {
		found := strings.Contains(line, `"namespace":"`+s.namespace+`"`)
		for _, part := range parts {
			found = found && strings.Contains(line, part)
		}
		if found {
			return true
		}
	}
	return false
}

// audited waits until a line of the audit log about the namespace has all parts.
func (s *scene) audited(parts ...string) {
	s.t.Helper()
	eventually(s.t, strings.Join(parts, " and ")+" in the audit log", func(context.Context) bool { return s.inAuditLog(parts...) })
}
