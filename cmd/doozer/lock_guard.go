package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/doozer-store/doozer/client/session"
)

// guardArg as the only argument makes the program a guard.
const guardArg = "__guard"

// The guard is a process between doozer and the command that runs under a lock.
// It holds the deadline, and ends the command when that comes, whatever has
// become of doozer: stopped, killed or cut off. It talks to no store. The
// protocol is one JSON object a line, orders down, reports up.

// order is what doozer tells the guard. Every field that is set is an order.
type order struct {
	// Deadline is until when the command may run, on CLOCK_BOOTTIME; 0: none
	// is known. One that comes later replaces it, unless it is earlier.
	Deadline time.Duration `json:"deadline,omitempty"`
	Start    *launch       `json:"start,omitempty"`
	// Signal is passed on to the command.
	Signal int `json:"signal,omitempty"`
	// Stop ends the command: SIGTERM, and SIGKILL after its Grace.
	Stop bool `json:"stop,omitempty"`
}

// launch is the command and how it is to end.
type launch struct {
	Path string   `json:"path"`
	Args []string `json:"args"`
	Env  []string `json:"env"`
	// Foreground: stdin is a terminal whose foreground the command gets.
	Foreground bool `json:"foreground,omitempty"`
	// Forever: there is no deadline.
	Forever bool `json:"forever,omitempty"`
	// Stay: the guard stays for the next command, and what this one leaves
	// behind when it ends by itself is ended too.
	Stay bool `json:"stay,omitempty"`
	// Grace is the time between SIGTERM and SIGKILL after a Stop.
	Grace time.Duration `json:"grace,omitempty"`
	// Term and Kill are how long before the deadline SIGTERM and SIGKILL come.
	Term time.Duration `json:"term"`
	Kill time.Duration `json:"kill"`
}

// notice is what the guard tells doozer.
type notice struct {
	Pid   int    `json:"pid,omitempty"`
	Error string `json:"error,omitempty"`
	// Ended: nothing of the command runs any more, or it ended by itself;
	// Status is its exit status, 128 and the signal if one ended it. Lost: it
	// was ended because of the deadline.
	Ended  bool `json:"ended,omitempty"`
	Status int  `json:"status,omitempty"`
	Lost   bool `json:"lost,omitempty"`
}

// guard is doozer's side: the process, and the pipes to and from it. Its reader
// is the goroutine of listen; orders may come from any goroutine.
type guard struct {
	cmd     *exec.Cmd
	reports chan notice // closed when the guard is gone
	from    *os.File

	mu       sync.Mutex // guards what follows
	to       *os.File
	closed   bool
	deadline time.Duration // the last one told
}

// startGuard starts the process. It has the same streams as doozer, but for
// stdin, for the command, and a process group of its own: what stops doozer's
// leaves it alone.
func startGuard(c *command, stdin io.Reader) (*guard, error) {
	orders, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	from, reports, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, orders.Close(), to.Close())
	}
	g := &guard{to: to, from: from, reports: make(chan notice)}
	g.cmd = exec.Command(ownProgram(), guardArg)
	g.cmd.Stdin, g.cmd.Stdout, g.cmd.Stderr = stdin, c.out, c.stderr
	g.cmd.ExtraFiles = []*os.File{orders, reports}
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	g.cmd.WaitDelay = childGrace
	err = g.cmd.Start()
	err = errors.Join(err, orders.Close(), reports.Close())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the guard: %w", err), to.Close(), from.Close())
	}
	go g.listen()
	return g, nil
}

// listen hands over the reports until the guard is gone.
func (g *guard) listen() {
	defer close(g.reports)
	dec := json.NewDecoder(g.from)
	for {
		var r notice
		if dec.Decode(&r) != nil {
			return
		}
		g.reports <- r
	}
}

// tell sends an order. That the guard may be gone is not told here: its reports
// end then. The pipe holds a thousand orders that the guard has not read; a
// guard that reads none for so long is stopped, and so are the orders.
func (g *guard) tell(o order) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.deadline = max(g.deadline, o.Deadline)
	if g.closed {
		return
	}
	text, err := json.Marshal(o)
	if err == nil {
		err = send(g.to, append(text, '\n'))
	}
	if err != nil {
		g.closed = true
		g.to.Close()
	}
}

// pipeEnd is what send needs of a pipe.
type pipeEnd interface {
	io.Writer
	SetWriteDeadline(t time.Time) error
}

// send writes text, unless the pipe takes nothing for orderTries times orderLimit.
// Once is not enough: where this process does not run for a moment its time is
// over before it has tried.
func send(to pipeEnd, text []byte) error {
	for tries := 0; ; tries++ {
		if err := to.SetWriteDeadline(time.Now().Add(orderLimit)); err != nil {
			return err
		}
		n, err := to.Write(text)
		if text = text[n:]; err == nil {
			return nil
		}
		if n > 0 {
			tries = -1 // it reads
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || tries+1 >= orderTries {
			return err
		}
	}
}

// close ends the guard, which ends the command if that still runs, and waits.
func (g *guard) close() {
	g.mu.Lock()
	if !g.closed {
		g.closed = true
		g.to.Close()
	}
	g.mu.Unlock()
	for range g.reports {
	}
	g.cmd.Wait()
	g.from.Close()
}

// ward is a command for the guard, and what reaches it from outside.
type ward struct {
	launch
	deadline time.Duration
	// signals are passed on to it.
	signals <-chan os.Signal
	// stop ends it when it is closed; nil: nothing does.
	stop <-chan struct{}
	// started is told its process, once; nil: nobody wants to know.
	started func(pid int)
}

// run starts the command and waits for its end, passing signals on. The second
// result tells that it was ended because of the deadline.
func (g *guard) run(w ward) (status int, lost bool, err error) {
	g.tell(order{Deadline: w.deadline, Start: &w.launch})
	pid := 0
	tick := time.NewTicker(wardenTick)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if !w.Forever && pid != 0 && g.due(w.Kill/2) {
				// The guard should have done so; it may be stopped.
				syscall.Kill(-pid, syscall.SIGKILL)
				syscall.Kill(g.cmd.Process.Pid, syscall.SIGCONT)
			}
		case <-w.stop:
			w.stop = nil
			g.tell(order{Stop: true})
		case sig := <-w.signals:
			if n, ok := sig.(syscall.Signal); ok {
				g.tell(order{Signal: int(n)})
			}
		case r, ok := <-g.reports:
			switch {
			case !ok:
				endGroup(pid)
				return 0, false, errGuardGone
			case r.Error != "":
				return 0, false, fmt.Errorf("%s: %s", w.Args[0], r.Error)
			case r.Ended:
				return r.Status, r.Lost, nil
			}
			pid = max(pid, r.Pid)
			if w.started != nil {
				w.started(pid)
			}
		}
	}
}

// due tells whether the last deadline that the guard was told is closer than
// before.
func (g *guard) due(before time.Duration) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return session.BootTime() >= g.deadline-before
}

// errGuardGone: somebody has killed the guard. The kernel has killed the command
// with it.
var errGuardGone = errors.New("the process that guards the command was killed, and the command with it")

// endGroup kills what is left of the command's process group, for as long as
// that takes, within reason.
func endGroup(pid int) {
	if pid == 0 {
		return
	}
	for range 100 {
		if syscall.Kill(-pid, syscall.SIGKILL) != nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// guardProcess is the guard: its orders and reports have the two file descriptors
// behind the standard ones, which the command must not inherit.
func guardProcess() int {
	syscall.CloseOnExec(3)
	syscall.CloseOnExec(4)
	w := &warden{
		orders: make(chan order), exits: make(chan ended),
		reports: json.NewEncoder(os.NewFile(4, "reports")),
	}
	go w.read(os.NewFile(3, "orders"))
	return w.run()
}
