package process

import (
	"os"
	"syscall"
)

// endWithStarter has the kernel kill the program when the thread that started
// it ends, and puts it in a process group of its own.
func endWithStarter() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// confine puts the program in its jail. Whoever is not root needs a user
// namespace to change root, in which the program's user is the starter's.
func confine(attr *syscall.SysProcAttr, jail *Jail) error {
	attr.Chroot = jail.Root
	attr.Credential = &syscall.Credential{Uid: uint32(jail.UID), Gid: uint32(jail.GID), NoSetGroups: os.Getuid() != 0}
	if os.Getuid() != 0 {
		attr.Cloneflags = syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: jail.UID, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: jail.GID, HostID: os.Getgid(), Size: 1}}
	}
	return nil
}
