package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Process is one run of a program. It dies with the one that started it.
type Process struct {
	cmd   *exec.Cmd
	done  chan struct{} // closed after Wait has returned
	ended time.Time     // set before done is closed
	// expected is set when the test asks for the process's end, or about it.
	expected atomic.Bool
}

// StartProcess runs bin with its output appended to the log file.
func StartProcess(logPath, bin string, args ...string) (*Process, error) {
	return startProcess(bin, args, logPath, nil)
}

// startProcess runs bin with its output appended to the log file. ended, if not
// nil, is called when the process has ended, before anybody can know it from the
// process.
func startProcess(bin string, args []string, logPath string, ended func()) (*Process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	fmt.Fprintf(log, "--- %s %s\n", bin, strings.Join(args, " "))
	cmd := exec.Command(bin, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = sysProcAttr()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Process{cmd: cmd, done: make(chan struct{})}
	go func() {
		cmd.Wait() // the state is asked for later
		p.ended = time.Now()
		if ended != nil {
			ended()
		}
		close(p.done)
	}()
	return p, nil
}

// Running tells whether it has not ended; a stopped one runs.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// strayEnd tells of an end that nobody in the test has to do with, "" if there
// was none. A node that another hand kills logs nothing, and looks from outside
// like one that hangs.
func (p *Process) strayEnd() string {
	if p.Running() || p.expected.Load() {
		return ""
	}
	return fmt.Sprintf("%v at %s", p.cmd.ProcessState, p.ended.UTC().Format("15:04:05.000"))
}

// Signal is nil for a process that has ended already.
func (p *Process) Signal(s syscall.Signal) error {
	if (s == syscall.SIGKILL || s == syscall.SIGTERM) && p.Running() {
		p.expected.Store(true)
	}
	err := p.cmd.Process.Signal(s)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// Kill ends it by SIGKILL, which also ends what is stopped, and waits.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// Pid is 0 when it does not run; p may be nil.
func (p *Process) Pid() int {
	if p == nil || !p.Running() {
		return 0
	}
	return p.cmd.Process.Pid
}

// exitStatus is the status after the end; -1 after a signal.
func (p *Process) exitStatus() int {
	<-p.done
	return p.cmd.ProcessState.ExitCode()
}

// rss is the resident memory in bytes, as /proc tells it.
func (p *Process) rss() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			kb, err := strconv.ParseInt(f[1], 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("no VmRSS")
}

// RunOnce runs the cluster's program with args to its end, which is forced after
// StartLimit, and returns its status (-1 after a signal) and what it printed.
func (c *Cluster) RunOnce(args []string, logPath string) (status int, out string, err error) {
	p, err := startProcess(c.bin, args, logPath, nil)
	if err != nil {
		return 0, "", err
	}
	select {
	case <-p.done:
	case <-time.After(StartLimit):
		p.Kill()
	}
	b, err := os.ReadFile(logPath)
	if err != nil {
		return 0, "", err
	}
	_, out, _ = strings.Cut(string(b), "\n")
	return p.exitStatus(), out, nil
}
