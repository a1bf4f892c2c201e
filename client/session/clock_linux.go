package session

import (
	"time"

	"golang.org/x/sys/unix"
)

// BootTime is the clock of sessions: the time since the machine was started, on
// CLOCK_BOOTTIME, the same for all processes of a machine. Unlike Go's monotonic
// clock it goes on while the machine sleeps, and nobody can set it.
func BootTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("session: CLOCK_BOOTTIME: " + err.Error()) // since Linux 2.6.39
	}
	return time.Duration(ts.Nano())
}
