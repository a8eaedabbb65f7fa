package controlplane_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portcullis-dev/portcullis/test/controlplane"
)

// running says whether the process runs: one that has ended and that nobody has
// waited for yet does not.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}

func requireThreeRunning(t *testing.T, pids map[string]int) {
	t.Helper()
	require.Len(t, pids, 3)
	for name, pid := range pids {
		require.True(t, running(pid), name)
	}
}

func requireAllEnd(t *testing.T, pids map[string]int) {
	t.Helper()
	for name, pid := range pids {
		require.Eventually(t, func() bool { return !running(pid) }, time.Minute, 10*time.Millisecond, name)
	}
}

func TestIfTheAPIServerRestartsThenDataAndAddressStayAndAfterStopNothingIsLeft(t *testing.T) {
	logs := t.TempDir()
	t.Setenv("TMPDIR", t.TempDir())
	cp, err := controlplane.Start(t.Context(), controlplane.Options{LogDir: logs})
	require.NoError(t, err)
	t.Cleanup(cp.Stop)
	before := cp.PIDs()
	requireThreeRunning(t, before)
	policy := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "kept"}}
	created, err := cp.Client.NetworkingV1().NetworkPolicies("default").Create(within(t), policy, metav1.CreateOptions{})
	require.NoError(t, err)

	require.NoError(t, cp.RestartAPIServer(within(t)))
	after := cp.PIDs()
	requireThreeRunning(t, after)
	assert.Equal(t, before["etcd"], after["etcd"])
	assert.NotEqual(t, before["kube-apiserver"], after["kube-apiserver"])
	assert.False(t, running(before["kube-apiserver"]))
	read, err := cp.Client.NetworkingV1().NetworkPolicies("default").Get(within(t), "kept", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, created.UID, read.UID)
	_, err = cp.CreateNamespace(within(t), "made-after-the-restart", nil)
	require.NoError(t, err, "the controllers work on")

	cp.Stop()
	for name, pid := range after {
		assert.False(t, running(pid), name)
	}
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	assert.Empty(t, left, "the files are removed")
	assert.FileExists(t, filepath.Join(logs, "kube-apiserver.log"), "the logs are not")
	assert.Error(t, cp.RestartAPIServer(within(t)), "what is stopped stays so")
	cp.Stop()
}

func TestIfTheContextOfStartEndsThenEveryComponentEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cp, err := controlplane.Start(ctx, controlplane.Options{})
	require.NoError(t, err)
	t.Cleanup(cp.Stop)
	pids := cp.PIDs()
	requireThreeRunning(t, pids)
	cancel()
	requireAllEnd(t, pids)
}

func TestIfTheProgramIsKilledThenEveryComponentEnds(t *testing.T) {
	t.Parallel()
	victim := exec.Command(os.Args[0])
	victim.Env = append(os.Environ(), victimRole+"=1", "TMPDIR="+t.TempDir())
	victim.Stderr = os.Stderr
	out, err := victim.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, victim.Start())
	var pids map[string]int
	require.NoError(t, json.NewDecoder(out).Decode(&pids))
	requireThreeRunning(t, pids)

	require.NoError(t, victim.Process.Kill())
	_ = victim.Wait()
	requireAllEnd(t, pids)
}
