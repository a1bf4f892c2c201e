package quiet

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Alarm is a timer of the kernel's. Its methods are safe for concurrent use.
type Alarm struct {
	file *os.File
	raw  syscall.RawConn
	ring chan struct{}
	wg   sync.WaitGroup
}

// NewAlarm returns an Alarm that is not set.
func NewAlarm() (*Alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("quiet: timerfd_create: %w", err)
	}
	a := &Alarm{file: os.NewFile(uintptr(fd), "timerfd"), ring: make(chan struct{}, 1)}
	if a.raw, err = a.file.SyscallConn(); err == nil {
		// Fails where the runtime can't wait for the descriptor.
		err = a.file.SetReadDeadline(time.Time{})
	}
	if err != nil {
		_ = a.file.Close()
		return nil, fmt.Errorf("quiet: timerfd: %w", err)
	}
	a.wg.Go(a.wait)
	return a, nil
}

// wait passes on that the time has come, until Close.
func (a *Alarm) wait() {
	var expired [8]byte
	read := func(fd uintptr) bool {
		_, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&expired[0])), uintptr(len(expired)))
		return errno == 0
	}
	for a.raw.Read(read) == nil {
		select {
		case a.ring <- struct{}{}:
		default:
		}
	}
}

// Set lets Ring receive once when d has passed, at once if d is not positive.
// What was set before does not count any more; if it was due, Ring may have it
// already.
func (a *Alarm) Set(d time.Duration) {
	at := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(d, 1)))} // 0 would disarm it
	_ = a.raw.Control(func(fd uintptr) {                                // fails once it is closed
		_, _, _ = syscall.RawSyscall6(syscall.SYS_TIMERFD_SETTIME, fd, 0, uintptr(unsafe.Pointer(&at)), 0, 0, 0)
	})
}

// Ring is the channel, of one slot, that receives.
func (a *Alarm) Ring() <-chan struct{} { return a.ring }

// Close ends the alarm. It may be called twice.
func (a *Alarm) Close() {
	_ = a.file.Close()
	a.wg.Wait()
}
