//go:build !linux

package drill

import (
	"errors"
	"syscall"
)

var errNoSpace error = syscall.ENOSPC

func mountTmpfs(string, int64) error { return errors.New("only on Linux") }

func unmount(string) error { return nil }
