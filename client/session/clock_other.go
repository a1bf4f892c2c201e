//go:build !linux

package session

import "time"

var processStart = time.Now()

// BootTime is the clock of sessions: the time since this process was started. It
// stands still while the machine sleeps where Go's monotonic clock does: there,
// what was held before a sleep may seem held for a moment after it, and only the
// token protects.
func BootTime() time.Duration { return time.Since(processStart) }
