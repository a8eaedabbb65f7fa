// Package process runs programs that do not outlive the one that started them.
//
// A program ends when it is stopped, and on Linux also when the starting program
// ends in any other way, SIGKILL included. Elsewhere a program whose starter was
// killed goes on. On Linux the programs are a process group each: a Ctrl-C in
// the terminal reaches the starter alone, which then stops them in its order.
package process

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// Spec says what to run.
type Spec struct {
	Path string   // of the executable
	Args []string // without the program's name
	Env  []string // KEY=value, added to this program's environment
	Dir  string   // working directory; empty: this program's
	Log  string   // file to which both outputs are appended
	// Jail, if not nil, keeps the program within a directory, as a container would.
	Jail *Jail
}

// Jail is what a program in a container has of its host. Path and Dir are within Root, and the environment is Env alone. It needs
// Linux, and root or user namespaces.
type Jail struct {
	Root     string // directory that the program takes for /
	UID, GID int    // as whom it runs
}

// Process is a running program, or one that has ended.
type Process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{}
	err  error // valid once done is closed
}

// Start starts the program.
func Start(spec Spec) (*Process, error) {
	name := filepath.Base(spec.Path)
	log, err := os.OpenFile(spec.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	cmd := exec.Command(spec.Path, spec.Args...)
	cmd.Env = append(os.Environ(), spec.Env...)
	cmd.Dir = spec.Dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = endWithStarter()
	if spec.Jail != nil {
		cmd.Path, cmd.Err, cmd.Env = spec.Path, nil, append([]string{}, spec.Env...)
		if err := confine(cmd.SysProcAttr, spec.Jail); err != nil {
			return nil, fmt.Errorf("start %s: %w", name, err)
		}
	}
	p := &Process{name: name, log: spec.Log, cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go p.run(log, started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// run starts the program and waits for its end on one thread. Linux signals the
// death of the parent when the parent's thread ends that started the program,
// so this thread must last as long as the program does.
func (p *Process) run(log *os.File, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer func() { _ = log.Close() }()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.err = p.cmd.Wait()
	close(p.done)
}

// PID is the program's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed once the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how the program ended: nil while it runs and after an exit with code 0.
func (p *Process) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// Stop asks the program to end, by SIGTERM, ends it by force after the grace
// period, and returns once it has ended. A program that has ended is left alone.
func (p *Process) Stop(grace time.Duration) {
	if p.cmd.Process.Signal(syscall.SIGTERM) == nil {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-p.done:
			return
		case <-timer.C:
		}
	}
	_ = p.cmd.Process.Kill()
	<-p.done
}

// String names the program and its log for messages.
func (p *Process) String() string { return fmt.Sprintf("%s (log: %s)", p.name, p.log) }

// LogTail is at most the last n lines, and the last 16 KiB, of the program's log.
func (p *Process) LogTail(n int) string {
	const limit = 16 << 10
	f, err := os.Open(p.log)
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	defer func() { _ = f.Close() }()
	if end, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, end-limit), io.SeekStart)
	}
	text, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	lines := bytes.Split(bytes.TrimRight(text, "\n"), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-n):], []byte("\n")))
}
