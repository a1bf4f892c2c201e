package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/doozer-store/doozer/drill/cluster"
	"github.com/doozer-store/doozer/test/failover/rig"
)

// job is one trial that a group is to do.
type job struct {
	c   rig.Case
	n   int // not used before in this group
	out chan rig.Outcome
}

// seat is one group and the goroutine that it belongs to, which does trials until close
// or until one comes to no end. One goroutine uses it.
type seat struct {
	kind  string // of the group
	todo  chan job
	n     int
	ended chan struct{}
	err   error // set before ended is closed
}

var errEnded = errors.New("the group has ended")

// sit starts a group for cases like c, with its data and logs below dir.
func sit(dir, system string, c rig.Case) *seat {
	s := &seat{kind: c.Needs(), todo: make(chan job), ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		s.err = cluster.RunSolo(system, dir, nil, func(t cluster.TB) {
			g := start(t, system, c)
			for j := range s.todo {
				out := rig.Run(g, j.c, j.n)
				if t.Failed() {
					return
				}
				j.out <- out
			}
		})
		if s.err == nil {
			s.err = errEnded
			if os.Getenv("DOOZER_TEST_KEEP") == "" {
				os.RemoveAll(dir)
			}
		}
	}()
	return s
}

// do does one trial. An error says why it came to no end; then the group has none
// either.
func (s *seat) do(c rig.Case) (rig.Outcome, error) {
	j := job{c: c, n: s.n, out: make(chan rig.Outcome, 1)}
	s.n++
	select {
	case s.todo <- j:
	case <-s.ended:
		return rig.Outcome{}, s.err
	}
	select {
	case out := <-j.out:
		return out, nil
	case <-s.ended:
		return rig.Outcome{}, s.err
	}
}

// close ends the group.
func (s *seat) close() {
	close(s.todo)
	<-s.ended
}

// start starts a group.
func start(t cluster.TB, system string, c rig.Case) *rig.Group {
	p, err := cluster.NewPorts()
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(p.Close)
	n := rig.NewNet(p)
	t.Cleanup(n.Close)
	switch system {
	case "doozer", "doozer=redisdial":
		return rig.StartDoozer(t, n, c, system != "doozer")
	}
	down, err := downAfter(system)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return rig.StartSentinel(t, n, down)
}

// downAfter is a Sentinel's down-after.
func downAfter(system string) (time.Duration, error) {
	down, ok := strings.CutPrefix(system, "sentinel=")
	if !ok {
		return 0, fmt.Errorf("no system %q", system)
	}
	return time.ParseDuration(down)
}

// bench is the seats of one of the rigs that work side by side, one for each system.
type bench struct {
	dir    string // of their logs
	seats  map[string]*seat
	groups int // so far
}

// try does one trial.
func (b *bench) try(system string, c rig.Case) rig.Outcome {
	s := b.seats[system]
	if s != nil && s.kind != c.Needs() && strings.HasPrefix(system, "doozer") {
		s.close()
		s = nil
	}
	if s == nil {
		b.groups++
		s = sit(filepath.Join(b.dir, fmt.Sprintf("%s-%d", system, b.groups)), system, c)
		b.seats[system] = s
	}
	out, err := s.do(c)
	if err != nil {
		delete(b.seats, system)
		out = rig.Outcome{Case: c.Name, Problem: err.Error()}
	}
	out.System = system
	return out
}

func (b *bench) close() {
	for _, s := range b.seats {
		s.close()
	}
}
