//go:build !linux

package session

import "time"

var processStart = time.Now()

// bootTime stands still while the machine sleeps where Go's monotonic clock
// does: there, what was held before a sleep may seem held for a moment after
// it, and only the token protects.
func bootTime() time.Duration { return time.Since(processStart) }
