//go:build !linux

package quiet

import (
	"errors"
	"fmt"
	"time"
)

// Alarm is a timer of the kernel's; there is none.
type Alarm struct{}

// NewAlarm returns an error.
func NewAlarm() (*Alarm, error) {
	return nil, fmt.Errorf("quiet: a timer of the kernel: %w", errors.ErrUnsupported)
}

// Set does nothing.
func (*Alarm) Set(time.Duration) {}

// Ring never receives.
func (*Alarm) Ring() <-chan struct{} { return nil }

// Close does nothing.
func (*Alarm) Close() {}
