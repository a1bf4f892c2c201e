package cluster

import (
	"bufio"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// ErrNoInject says that system calls of other processes can't be made to fail
// on this machine.
var ErrNoInject = errors.New("system calls can't be made to fail here")

// Inject attaches strace to the running node and makes a system call misbehave
// until undo is called or the process ends. fault is what strace takes after
// --inject: "fdatasync:error=EIO". With files, absolute paths, only calls on
// those misbehave. The error is ErrNoInject where strace is missing or not
// allowed to attach. undo may be called again.
func (n *Node) Inject(fault string, files ...string) (undo func(), err error) {
	n.c.t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		return nil, fmt.Errorf("%w: there is no strace", ErrNoInject)
	}
	call, _, _ := strings.Cut(fault, ":")
	args := []string{"-f", "-p", strconv.Itoa(n.Pid()), "-e", "trace=" + call, "-e", "inject=" + fault}
	for _, f := range files {
		if f, err = filepath.EvalSymlinks(f); err != nil {
			return nil, fmt.Errorf("strace: %w", err)
		}
		args = append(args, "-P", f)
	}
	cmd := exec.Command(strace, args...)
	cmd.SysProcAttr = sysProcAttr()
	out, err := cmd.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("strace: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("strace: %w", err)
	}
	first, ended := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if n == 0 {
				first <- lines.Text()
			}
		}
		cmd.Wait() // its status tells only that it was killed
	}()
	undo = sync.OnceFunc(func() {
		cmd.Process.Kill()
		<-ended
	})
	n.c.t.Cleanup(undo)
	select {
	case line := <-first:
		if !strings.Contains(line, "attached") {
			undo()
			return nil, fmt.Errorf("%w: %s", ErrNoInject, line)
		}
		return undo, nil
	case <-ended:
		return nil, fmt.Errorf("%w: strace ended at once", ErrNoInject)
	}
}
