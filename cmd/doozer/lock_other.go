//go:build !linux

package main

import (
	"os"
	"syscall"
)

func ownProgram() string {
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return path
}

func adoptOrphans() {}
func lockThread()   {}

// childAttr gives the command a process group of its own. Only on Linux does the
// kernel kill it when the guard is killed.
func childAttr(bool) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func reap(pid int, _ bool) int {
	for {
		var ws syscall.WaitStatus
		_, err := syscall.Wait4(pid, &ws, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return statusError
		case ws.Signaled():
			return 128 + int(ws.Signal())
		case ws.Exited():
			return ws.ExitStatus()
		}
	}
}

func endDescendants()     {}
func foreground(any) bool { return false }
func retakeTerminal(any)  {}
