package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// The command that tests run under locks. It takes a lock of the kernel's on a
// file, which it and its child have for exactly as long as they live: if it
// can't get it, two commands live at once.

// init makes the test binary that command, and the guard of one.
func init() {
	if len(os.Args) == 2 && os.Args[1] == guardArg {
		os.Exit(guardProcess())
	}
	if os.Getenv("DOOZER_TEST_CHILD") != "" {
		os.Exit(lockChild(os.Getenv("DOOZER_TEST_CHILD"), os.Getenv("DOOZER_TEST_HOW")))
	}
}

// lockChild writes into path.log what it sees; path-N.log in slot N of run. how is "deaf": it ignores
// SIGTERM; or "fork": it leaves a child in a session of its own.
func lockChild(path, how string) int {
	if slot := os.Getenv("DOOZER_RUN_SLOT"); slot != "" {
		path += "-" + slot
	}
	log, err := os.OpenFile(path+".log", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666)
	if err != nil {
		return 1
	}
	token := os.Getenv("DOOZER_LOCK_TOKEN")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return 1
	}
	if syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		fmt.Fprintln(log, "overlap", token)
		return 1
	}
	terms := make(chan os.Signal, 1)
	signal.Notify(terms, syscall.SIGTERM)
	if how == "fork" {
		cmd := exec.Command("sleep", "1000")
		cmd.ExtraFiles = []*os.File{file}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			return 1
		}
	}
	fmt.Fprintln(log, "begin", token)
	for range terms {
		fmt.Fprintln(log, "term", token)
		if how != "deaf" {
			return 7
		}
	}
	return 0
}
