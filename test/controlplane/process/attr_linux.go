package process

import "syscall"

// endWithStarter has the kernel kill the program when the thread that started
// it ends, and puts it in a process group of its own.
func endWithStarter() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
