//go:build !linux

package process

import (
	"errors"
	"syscall"
)

// endWithStarter leaves the program in this one's process group, so that a
// terminal's signals reach it too: only Linux can tie it to its starter.
func endWithStarter() *syscall.SysProcAttr { return nil }

func confine(*syscall.SysProcAttr, *Jail) error {
	return errors.New("only Linux can keep a program within a directory as another user")
}
