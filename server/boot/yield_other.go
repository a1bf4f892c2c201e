//go:build !linux

package boot

import "runtime"

// yield lets goroutines run that wait for a processor.
func yield() { runtime.Gosched() }
