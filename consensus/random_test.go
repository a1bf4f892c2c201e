package consensus

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var (
	seedFlag   = flag.Uint64("consensus.seed", 0, "seed of TestRandomFaults; 0 takes a few")
	roundsFlag = flag.Int("consensus.rounds", 12, "rounds of faults of each seed")
)

// TestRandomFaults proposes and reads on all nodes while links fail, nodes
// crash and leadership moves. Then everything is healed: what was answered
// with a result is applied once, what was answered with a definite error is
// applied nowhere, what is unknown at most once, and all nodes agree. No read
// missed what was acknowledged before it.
func TestRandomFaults(t *testing.T) {
	seeds := []uint64{uint64(time.Now().UnixNano()), 2, 3}
	if *seedFlag != 0 {
		seeds = []uint64{*seedFlag}
	}
	for i, seed := range seeds {
		size := 3 + 2*(i%2)
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { (&chaos{t: t, seed: seed}).run(size) })
		})
	}
}

// chaos is one run of TestRandomFaults.
type chaos struct {
	t    *testing.T
	seed uint64
	rand *rand.Rand
	c    *cluster

	mu      sync.RWMutex // held for writing while nodes start and stop
	running map[uint64]*Node
	acked   atomic.Int64 // commands that are known to be applied
	stop    chan struct{}
	wg      sync.WaitGroup

	outcomes sync.Map // command: answer
	count    [3]atomic.Int64
}

func (x *chaos) run(size int) {
	x.rand = rand.New(rand.NewPCG(x.seed, 7))
	x.running, x.stop = map[uint64]*Node{}, make(chan struct{})
	x.c = newCluster(x.t, size, x.seed, func(cfg *Config) {
		cfg.CheckpointBytes = 30 * entryCost
		cfg.Limits = Limits{EntryBytes: 2 << 10, MessageBytes: 4 << 10, InflightMessages: 8, Pending: 300}
	})
	for _, id := range x.c.ids {
		x.running[id] = x.c.node(id)
	}
	for _, id := range x.c.ids {
		x.wg.Go(func() { x.propose(id) })
		x.wg.Go(func() { x.read(id) })
	}
	for range *roundsFlag {
		x.fault()
		x.pause(20, 250)
		if x.rand.IntN(3) == 0 {
			x.heal()
			x.pause(20, 100)
		}
	}
	x.heal()
	x.pause(100, 200)
	close(x.stop)
	x.wg.Wait()
	x.check()
}

// pause lets the nodes work for a random time: that is what the test is made
// of, nothing waits for it.
func (x *chaos) pause(from, to int64) {
	<-time.After(time.Duration(from+x.rand.Int64N(to-from)) * time.Millisecond)
}

func (x *chaos) node(id uint64) *Node {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.running[id]
}

// propose keeps some proposals of one node on the way.
func (x *chaos) propose(id uint64) {
	r := rand.New(rand.NewPCG(x.seed, 100+id))
	slots := make(chan struct{}, 40)
	for i := 0; ; i++ {
		select {
		case slots <- struct{}{}:
		case <-x.stop:
			for range cap(slots) {
				slots <- struct{}{}
			}
			return
		}
		cmd := fmt.Sprintf("%d-%d", id, i)
		n := x.node(id)
		if n == nil {
			i--
			<-slots
			<-time.After(time.Millisecond)
			continue
		}
		deadline := []time.Duration{30 * time.Millisecond, 300 * time.Millisecond, 3 * time.Second}[r.IntN(3)]
		n.Propose([]byte(cmd), time.Now().Add(deadline), func(result any, err error) {
			if err == nil {
				x.acked.Add(1)
			}
			if _, twice := x.outcomes.Swap(cmd, answer{result, err}); twice {
				x.t.Errorf("seed %d: %s was answered twice", x.seed, cmd)
			}
			<-slots
		})
		if i%8 == 0 {
			<-time.After(time.Millisecond)
		}
	}
}

// read checks that a node has, when a read is let go, all that was
// acknowledged before the read began.
func (x *chaos) read(id uint64) {
	done := make(chan error, 1)
	for {
		select {
		case <-x.stop:
			return
		case <-time.After(time.Millisecond):
		}
		n := x.node(id)
		if n == nil {
			continue
		}
		before, applied := x.acked.Load(), 0
		deadline := time.Now().Add(time.Second)
		n.ReadIndex(deadline, func(err error) {
			applied = x.c.hosts[id].machine.size()
			done <- err
		})
		err := <-done
		switch {
		case err == nil && int64(applied) < before:
			x.t.Errorf("seed %d: a read at node %d saw %d commands, %d were acknowledged before it", x.seed, id, applied, before)
		case err == nil:
			x.count[0].Add(1)
		case errors.Is(err, ErrDeadline) && time.Since(deadline) > 2*time.Second:
			x.t.Errorf("seed %d: a read at node %d ended %v after its deadline", x.seed, id, time.Since(deadline))
		case !errors.Is(err, ErrDeadline) && !errors.Is(err, ErrStopped):
			x.t.Errorf("seed %d: read: %v", x.seed, err)
		}
	}
}

// fault does one harm, or takes them all away.
func (x *chaos) fault() {
	ids := x.c.ids
	pick := func() uint64 { return ids[x.rand.IntN(len(ids))] }
	a, b := pick(), pick()
	switch x.rand.IntN(10) {
	case 0:
		x.c.net.isolate(a, ids)
	case 1:
		x.c.net.each(func(from, to uint64, l *link) { l.cut = l.cut || from == a })
	case 2:
		x.c.net.each(func(_, _ uint64, l *link) { l.drop, l.dup = 0.2, 0.2 })
	case 3:
		x.c.net.each(func(from, to uint64, l *link) {
			if from == a || to == a {
				l.delay = 30 * time.Millisecond
			}
		})
	case 4, 5:
		if a != b {
			x.c.net.disconnect(a, b)
			x.c.net.connect(a, b)
		}
	case 6:
		x.c.net.each(func(_, _ uint64, l *link) { l.dropForward = 0.3 })
	case 7:
		x.restart(a)
	case 8:
		for _, n := range x.running {
			n.event(func(k *core, _ time.Time) { k.transfer() })
		}
	case 9:
		x.heal()
	}
}

// restart crashes a node and starts it again, sometimes much later.
func (x *chaos) restart(id uint64) {
	x.mu.Lock()
	delete(x.running, id)
	x.mu.Unlock()
	x.c.stop(id)
	if x.rand.IntN(2) == 0 {
		x.pause(50, 400)
	}
	n := x.c.start(id)
	x.mu.Lock()
	x.running[id] = n
	x.mu.Unlock()
}

func (x *chaos) heal() { x.c.net.heal() }

func (x *chaos) check() {
	t := x.t
	for _, id := range x.c.ids {
		x.c.mustAgain(id, fmt.Sprintf("seed %d, last write", x.seed))
	}
	list := x.c.converge()
	times := map[string]int{}
	for _, cmd := range list {
		times[cmd]++
	}
	place := map[string]int{}
	for i, cmd := range list {
		place[cmd] = i
	}
	ok, definites, unknown := 0, 0, 0
	x.outcomes.Range(func(k, v any) bool {
		cmd, a := k.(string), v.(answer)
		switch {
		case a.err == nil:
			ok++
			if times[cmd] != 1 || place[cmd] != a.result {
				t.Errorf("seed %d: %s was answered with place %v; it is applied %d times, at %d", x.seed, cmd, a.result, times[cmd], place[cmd])
			}
		case definite(a.err):
			definites++
			if times[cmd] != 0 {
				t.Errorf("seed %d: %s was answered %q but is applied %d times", x.seed, cmd, a.err, times[cmd])
			}
		case errors.Is(a.err, ErrUnknown):
			unknown++
			if times[cmd] > 1 {
				t.Errorf("seed %d: %s is unknown and applied %d times", x.seed, cmd, times[cmd])
			}
		default:
			t.Errorf("seed %d: %s: %v", x.seed, cmd, a.err)
		}
		return true
	})
	installs := 0
	for _, h := range x.c.hosts {
		h.machine.with(func() {
			installs += h.machine.installs
			if h.machine.staged != 0 {
				t.Errorf("seed %d: %d snapshots of node %d were neither installed nor discarded", x.seed, h.machine.staged, h.id)
			}
		})
	}
	t.Logf("%d done, %d definitely not, %d unknown; %d reads; %d snapshots; term %d", ok, definites, unknown, x.count[0].Load(), installs, x.c.node(1).Term())
	if ok < 50 {
		t.Errorf("seed %d: only %d commands were done: the test tests nothing", x.seed, ok)
	}
}
