package main

import (
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ownProgram is the running program, also if its file was replaced meanwhile.
func ownProgram() string { return "/proc/self/exe" }

// adoptOrphans makes this process the parent of all that its descendants leave
// behind: so it can find and end them.
func adoptOrphans() { unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// lockThread keeps the calling goroutine on its thread for ever.
func lockThread() { runtime.LockOSThread() }

// childAttr gives the command a process group of its own, and lets the kernel
// kill it when the guard ends.
func childAttr(foreground bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Foreground: foreground, Ctty: 0}
}

// reap waits for the end of the process pid, and for all that was left to this
// process meanwhile. A command in the foreground that was stopped from the
// terminal goes on: who waits for it would not know, and its lock would be lost.
func reap(pid int, foreground bool) int {
	for {
		var ws unix.WaitStatus
		got, err := unix.Wait4(-1, &ws, unix.WUNTRACED, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return statusError
		case got != pid:
		case ws.Stopped():
			if foreground && ws.StopSignal() == unix.SIGTSTP {
				syscall.Kill(-pid, syscall.SIGCONT)
			}
		case ws.Signaled():
			return 128 + int(ws.Signal())
		case ws.Exited():
			return ws.ExitStatus()
		}
	}
}

// endDescendants kills all children, whose children become ours, until there are
// none: within reason, as one in an uninterruptible sleep ends when it wakes.
func endDescendants() {
	for began := time.Now(); time.Since(began) < childGrace; {
		for _, pid := range children() {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		var ws unix.WaitStatus
		got, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
		if err == unix.ECHILD {
			return
		}
		if got == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

// children are the processes whose parent this one is.
func children() (pids []int) {
	tasks, _ := os.ReadDir("/proc/self/task")
	for _, t := range tasks {
		text, _ := os.ReadFile("/proc/self/task/" + t.Name() + "/children")
		for _, f := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(f); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// foreground tells whether stdin is a terminal in whose foreground this process
// is.
func foreground(stdin any) bool {
	f, ok := stdin.(*os.File)
	if !ok {
		return false
	}
	pgrp, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP)
	return err == nil && pgrp == unix.Getpgrp()
}

// retakeTerminal makes this process's group the foreground again.
func retakeTerminal(stdin any) {
	if f, ok := stdin.(*os.File); ok {
		signal.Ignore(syscall.SIGTTOU) // which the next line brings to who is in the background
		unix.IoctlSetPointerInt(int(f.Fd()), unix.TIOCSPGRP, unix.Getpgrp())
	}
}
