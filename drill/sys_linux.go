package drill

import (
	"fmt"
	"syscall"
)

var errNoSpace error = syscall.ENOSPC

func mountTmpfs(dir string, size int64) error {
	return syscall.Mount("doozer-drill", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size))
}

func unmount(dir string) error { return syscall.Unmount(dir, syscall.MNT_DETACH) }
