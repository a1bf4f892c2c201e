package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// progress says on one line how far a run is: rewritten every second on a
// terminal, else a line every half minute.
type progress struct {
	out      io.Writer
	terminal bool
	start    time.Time
	stop     chan struct{}
	once     sync.Once
	ended    sync.WaitGroup

	mu          sync.Mutex // guards what follows, and writing
	done, steps int
	what, more  string
	shown       bool // the line is on the terminal
}

// newProgress is for a run of so many steps.
func newProgress(out *os.File, steps int) *progress {
	info, err := out.Stat()
	p := &progress{out: out, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0, start: time.Now(), stop: make(chan struct{}), steps: steps}
	every := 30 * time.Second
	if p.terminal {
		every = time.Second
	}
	p.ended.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.show()
			case <-p.stop:
				return
			}
		}
	})
	return p
}

// begin says what is being done; note how far it is.
func (p *progress) begin(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.what, p.more = what, ""
}

func (p *progress) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.more = ": " + fmt.Sprintf(format, args...)
}

// end has a step done, and leaves a line.
func (p *progress) end(line string) {
	p.mu.Lock()
	p.done++
	p.mu.Unlock()
	p.line(line)
}

// line leaves a line.
func (p *progress) line(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	fmt.Fprintln(p.out, line)
}

// clear takes the line away. mu is held.
func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.out, "\r\x1b[K")
		p.shown = false
	}
}

// show writes the line: what is left is reckoned from what is done.
func (p *progress) show() {
	p.mu.Lock()
	defer p.mu.Unlock()
	took := time.Since(p.start)
	line := fmt.Sprintf("... %v, %d of %d, %s%s", took.Round(time.Second), p.done, p.steps, p.what, p.more)
	if p.done > 0 {
		left := took / time.Duration(p.done) * time.Duration(p.steps-p.done)
		line += fmt.Sprintf("; about %v left", left.Round(time.Second))
	}
	p.clear()
	if p.terminal {
		fmt.Fprint(p.out, line)
		p.shown = true
		return
	}
	fmt.Fprintln(p.out, line)
}

func (p *progress) close() {
	p.once.Do(func() { close(p.stop) })
	p.ended.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}
