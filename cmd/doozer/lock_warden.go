package main

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/doozer-store/doozer/client/session"
)

// warden is the guard's side: the goroutine of run owns all of it.
type warden struct {
	orders  chan order // closed when doozer is gone
	exits   chan ended // of the command
	reports *json.Encoder

	start    *launch
	deadline time.Duration
	pid      int // of the command, and its process group; 0: none
	// termed and killed: the command was told to end; lost: because of the
	// deadline. ending: because doozer is gone, or has said so; endBy is when it
	// has to be over.
	termed, killed, lost bool
	ending               bool
	endBy                time.Duration
}

// ended is how the command ended.
type ended struct{ status int }

// wardenTick is how often the warden looks at the clock: timers stand still
// while the machine sleeps.
const wardenTick = 50 * time.Millisecond

// read hands over orders until doozer is gone: its end of the pipe is closed
// then, however it ended.
func (w *warden) read(r io.Reader) {
	defer close(w.orders)
	dec := json.NewDecoder(r)
	for {
		var o order
		if dec.Decode(&o) != nil {
			return
		}
		w.orders <- o
	}
}

// run follows orders and the clock until the command has ended, unless it is to
// stay for more, or doozer is gone without having given one.
func (w *warden) run() int {
	// What ends doozer from a terminal or a service manager reaches the
	// command through doozer. The guard has to live until the command is dead.
	passed := make(chan os.Signal, 16)
	signal.Notify(passed, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU)
	defer signal.Stop(passed)
	adoptOrphans()
	tick := time.NewTicker(wardenTick)
	defer tick.Stop()
	orders := w.orders
	for {
		select {
		case o, ok := <-orders:
			if !ok {
				orders = nil
				if w.orphan() {
					return statusDone
				}
			} else if w.obey(o) {
				return statusError
			}
		case sig := <-passed:
			if sig == syscall.SIGTERM {
				w.signal(syscall.SIGTERM)
			}
		case e := <-w.exits:
			w.end(e)
			if !w.start.Stay || orders == nil {
				return statusDone
			}
			w.ready()
		case <-tick.C:
		}
		w.look(session.BootTime())
	}
}

// obey does one order. It returns true if the command could not be started, and
// there will be no other.
func (w *warden) obey(o order) (failed bool) {
	w.deadline = max(w.deadline, o.Deadline)
	if o.Signal != 0 {
		w.signal(syscall.Signal(o.Signal))
	}
	if o.Stop && w.pid != 0 {
		w.endWithin(w.start.Grace)
	}
	if o.Start == nil || w.pid != 0 {
		return false
	}
	w.start = o.Start
	started := make(chan notice)
	go w.spawn(started)
	r := <-started
	w.pid = r.Pid
	w.reports.Encode(r)
	return r.Error != "" && !w.start.Stay
}

// spawn starts the command and waits for it. It keeps its thread: the kernel
// kills the command when the thread that started it ends, with the process.
func (w *warden) spawn(started chan<- notice) {
	lockThread()
	s := w.start
	cmd := &exec.Cmd{Path: s.Path, Args: s.Args, Env: s.Env, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	cmd.SysProcAttr = childAttr(s.Foreground)
	if err := cmd.Start(); err != nil {
		started <- notice{Error: err.Error()}
		return
	}
	started <- notice{Pid: cmd.Process.Pid}
	w.exits <- ended{status: reap(cmd.Process.Pid, s.Foreground)}
}

// orphan makes the warden end the command: nobody extends its deadline any more.
// Until then the lock is held, so there is time to end in good order. It returns
// true if there is no command.
func (w *warden) orphan() bool {
	if w.pid == 0 {
		return true
	}
	w.endWithin(childGrace)
	return false
}

// endWithin makes the command end: with SIGTERM now, with SIGKILL after the time
// given, or before the deadline.
func (w *warden) endWithin(grace time.Duration) {
	endBy := session.BootTime() + grace
	if !w.start.Forever {
		endBy = min(endBy, w.deadline-w.start.Kill)
	}
	if !w.ending || endBy < w.endBy {
		w.endBy = endBy
	}
	w.ending = true
	w.term()
}

// ready makes the warden one that has no command.
func (w *warden) ready() {
	w.pid, w.endBy = 0, 0
	w.termed, w.killed, w.lost, w.ending = false, false, false, false
}

// look does what the clock says.
func (w *warden) look(now time.Duration) {
	if w.pid == 0 {
		return
	}
	if w.ending && now >= w.endBy {
		w.kill()
	}
	if w.start.Forever {
		return
	}
	if !w.lost && now >= w.deadline-w.start.Term {
		w.lost = true
		w.term()
	}
	if w.lost && now >= w.deadline-w.start.Kill {
		w.kill()
	}
}

func (w *warden) term() {
	if !w.termed {
		w.termed = true
		w.signal(syscall.SIGTERM)
	}
}

// kill kills the command's process group, again and again until it is gone.
func (w *warden) kill() {
	w.killed = true
	syscall.Kill(-w.pid, syscall.SIGKILL)
}

// signal passes a signal on to the command's process group; one that is stopped
// has to run in order to end.
func (w *warden) signal(sig syscall.Signal) {
	if w.pid == 0 {
		return
	}
	syscall.Kill(-w.pid, sig)
	if sig == syscall.SIGTERM {
		syscall.Kill(-w.pid, syscall.SIGCONT)
	}
}

// end tells that the command has ended. If it was told to, or others come after
// it, nothing of it may go on: neither its process group nor what has left that.
func (w *warden) end(e ended) {
	if w.termed || w.killed || w.start.Stay {
		syscall.Kill(-w.pid, syscall.SIGKILL)
		endDescendants()
	}
	w.reports.Encode(notice{Ended: true, Status: e.status, Lost: w.lost})
}
