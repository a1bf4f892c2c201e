package cluster

import "syscall"

// sysProcAttr makes a node die with the process that started it, and keeps the
// terminal's Ctrl-C from it: how an interrupted run ends is for the run to say.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
