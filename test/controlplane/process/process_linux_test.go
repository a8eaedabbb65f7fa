package process_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/portcullis-dev/portcullis/test/controlplane/process"
)

// role makes this test binary play one of the programs below.
const role = "PROCESS_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		os.Exit(m.Run())
	case "waits":
		fmt.Println("first line")
		fmt.Println("ready")
		<-time.After(time.Hour)
	case "ignores SIGTERM":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ready")
		<-time.After(time.Hour)
	case "fails":
		fmt.Println("out of luck")
		os.Exit(3)
	case "starts a program that waits":
		p, err := process.Start(process.Spec{Path: os.Args[0], Env: []string{role + "=waits"}, Log: os.Args[1]})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(p.PID())
		<-time.After(time.Hour)
	}
}

func start(t *testing.T, as string) *process.Process {
	t.Helper()
	p, err := process.Start(process.Spec{Path: os.Args[0], Env: []string{role + "=" + as}, Log: filepath.Join(t.TempDir(), "log")})
	require.NoError(t, err)
	t.Cleanup(func() { p.Stop(0) })
	return p
}

func awaitReady(t *testing.T, p *process.Process) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.HasSuffix(p.LogTail(1), "ready") }, 30*time.Second, 10*time.Millisecond)
}

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

func TestIfAProgramIsStoppedThenItHasEndedWhenStopReturns(t *testing.T) {
	p := start(t, "waits")
	awaitReady(t, p)
	assert.True(t, running(p.PID()))
	assert.NoError(t, p.Err())
	p.Stop(time.Minute)
	assert.False(t, running(p.PID()))
	assert.ErrorContains(t, p.Err(), "terminated")
	p.Stop(time.Minute)
}

func TestIfAProgramIgnoresTheRequestToEndThenItIsKilledAfterTheGracePeriod(t *testing.T) {
	p := start(t, "ignores SIGTERM")
	awaitReady(t, p)
	p.Stop(10 * time.Millisecond)
	assert.False(t, running(p.PID()))
	assert.ErrorContains(t, p.Err(), "killed")
}

func TestIfAProgramFailsThenItsErrorAndItsLastWordsAreKnown(t *testing.T) {
	p := start(t, "fails")
	<-p.Done()
	assert.ErrorContains(t, p.Err(), "exit status 3")
	assert.Equal(t, "out of luck", p.LogTail(5))
}

func TestTheTailOfTheLogHasNoMoreLinesThanAskedFor(t *testing.T) {
	p := start(t, "waits")
	awaitReady(t, p)
	assert.Equal(t, "ready", p.LogTail(1))
	assert.Equal(t, "first line\nready", p.LogTail(2))
}

func TestIfTheProgramDoesNotExistThenTheErrorNamesIt(t *testing.T) {
	_, err := process.Start(process.Spec{Path: "/nonexistent/etcd", Log: filepath.Join(t.TempDir(), "log")})
	assert.ErrorContains(t, err, "start etcd")
}

func TestIfTheStarterIsKilledThenItsProgramsEnd(t *testing.T) {
	starter := exec.Command(os.Args[0], filepath.Join(t.TempDir(), "log"))
	starter.Env = append(os.Environ(), role+"=starts a program that waits")
	out, err := starter.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, starter.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	require.NoError(t, err, line)
	require.True(t, running(pid))

	require.NoError(t, starter.Process.Kill())
	_ = starter.Wait()
	require.Eventually(t, func() bool { return !running(pid) }, 30*time.Second, 10*time.Millisecond)
}
