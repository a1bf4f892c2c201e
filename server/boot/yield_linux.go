package boot

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// yield lets goroutines and then other threads of the machine run that wait for
// a processor.
func yield() {
	runtime.Gosched()
	_, _, _ = unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
}
