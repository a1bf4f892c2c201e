package failover

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// simSeeds is how many seeds each case runs; DOOZER_FAILOVER_SEEDS says another
// number.
func simSeeds(t *testing.T) uint64 {
	if text := os.Getenv("DOOZER_FAILOVER_SEEDS"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return 100
}

// Groups under all kinds of faults: at no time two agents keep gates open, what a
// master began with is never lost, nor what was confirmed in sync mode; and when
// the faults end, the group comes to a master that takes writes, and to replicas
// of it.
func TestSimulation(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		nodes    int
		change   func(*Conf)
		lossless bool
		restarts bool
		copies   int
	}{
		{name: "async", nodes: 3},
		{name: "copies", nodes: 3, copies: 50},
		{name: "sync 1", nodes: 3, change: func(c *Conf) { c.Sync = 1 }},
		{name: "sync 1, restarts", nodes: 3, change: func(c *Conf) { c.Sync = 1 }, restarts: true},
		{name: "copies, restarts", nodes: 3, restarts: true, copies: 80},
		{name: "sync 2", nodes: 3, change: func(c *Conf) { c.Sync = 2 }},
		{name: "five, sync 2", nodes: 5, change: func(c *Conf) { c.Sync = 2 }},
		{name: "two", nodes: 2},
		{name: "strict", nodes: 3, change: func(c *Conf) { c.Strict = true }},
		{name: "switches", nodes: 3, lossless: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			seeds := simSeeds(t)
			if c.copies > 0 {
				seeds *= 4 // that such a one is the best of those there are is rare
			}
			for seed := range seeds {
				conf := DefaultConf()
				if c.change != nil {
					c.change(&conf)
				}
				w := newWorld(seed, c.nodes, conf)
				w.lossless, w.restarts, w.copies = c.lossless, c.restarts, c.copies
				w.run(1000)
				if w.fail == "" {
					w.heal()
				}
				if w.fail != "" {
					tail := w.trace[max(0, len(w.trace)-60):]
					t.Fatalf("seed %d: %s\n%s", seed, w.fail, strings.Join(tail, "\n"))
				}
			}
		})
	}
}

// run lets steps and faults happen at random.
func (w *world) run(steps int) {
	for _, a := range w.agents {
		a.up = true
	}
	for range steps {
		if w.restarts {
			w.anyRestart()
		} else {
			w.any()
		}
		if w.fail != "" {
			return
		}
	}
}

// any is one random thing that happens.
func (w *world) any() {
	a := w.agents[w.rng.IntN(len(w.agents))]
	switch n := w.rng.IntN(100); {
	case n < 55:
		w.step(a)
	case n < 70:
		w.replicate(a.redis)
	case n < 82:
		w.client()
	case n < 90:
		w.tick(1 + w.rng.IntN(50))
	case n < 92:
		w.command()
	case w.lossless:
		w.step(a)
	case n < 93 && w.chance(20):
		w.acceptLoss()
	case n < 93:
		w.tick(w.rng.IntN(3000))
	case n < 95:
		w.expire()
	case n < 96 && a.redis.up:
		w.kill(a.redis)
	case n < 97:
		if !a.redis.up {
			w.boot(a.redis)
		} else {
			a.redis.hung = !a.redis.hung
		}
	case n < 98:
		if a.up {
			a.paused = !a.paused
		}
	case n < 99 && a.up:
		w.stop(a)
	default:
		if !a.up {
			a.up, a.started, a.session = true, false, ""
		}
	}
}

// anyRestart is one random thing in a group that writes much, and whose servers fail
// together: what one has confirmed can then be gone, although it is there again.
func (w *world) anyRestart() {
	a := w.agents[w.rng.IntN(len(w.agents))]
	switch n := w.rng.IntN(200); {
	case n < 100:
		w.step(a)
	case n < 110:
		w.replicate(a.redis)
	case n < 180:
		w.client()
	case n < 195:
		w.tick(1 + w.rng.IntN(50))
	case n < 197:
		w.expire()
	case n < 198:
		w.acceptLoss()
	default:
		but := w.redis[w.rng.IntN(len(w.redis))]
		for _, r := range w.redis {
			if r != but {
				w.restart(r)
			}
		}
	}
}

// restart ends a process and, mostly at once, starts it again.
func (w *world) restart(r *simRedis) {
	if r.up {
		w.kill(r)
	}
	if w.chance(80) {
		w.boot(r)
	}
}

// expire ends sessions that may be ended: a challenger has waited longer than
// their owner may rely on them.
func (w *world) expire() {
	for id, s := range w.sessions {
		if s.alive && w.now > s.deadline {
			s.alive = false
			w.say("session %s ends", id)
			w.rev++
			w.snapshot()
		}
	}
}

// command is an operator's wish.
func (w *world) command() {
	v := w.latest()
	if v.Cmd != nil || v.Epoch == 0 {
		return
	}
	cmd := Cmd{Verb: VerbSwitch, ID: "x", Epoch: v.Epoch}
	if w.chance(50) {
		cmd.To = w.agents[w.rng.IntN(len(w.agents))].name
	}
	w.put(cmd)
}

func (w *world) put(cmd Cmd) {
	w.write(nil, func(set func(string, []byte), _ func(string)) { set(Paths("g").Cmd(), cmd.Encode()) })
}

// heal ends all faults and lets everything happen in turn: the group has to come
// to rest with a master.
func (w *world) heal() {
	w.say("healed")
	for range 60 {
		for range 20 {
			for _, a := range w.agents {
				if !a.redis.up {
					w.boot(a.redis)
				}
				a.redis.hung, a.paused = false, false
				if !a.up {
					a.up, a.started, a.session = true, false, ""
				}
				w.look(a)
				w.catch(a)
				w.step(a)
				w.replicate(a.redis)
			}
			w.tick(50)
			w.expire()
			if w.fail != "" {
				return
			}
		}
		if w.atRest() {
			return
		}
		w.acceptLoss()
	}
	v := w.latest()
	w.fail = "it does not come to rest: " + string(v.Register.State) + " " + v.Register.Node
	for _, a := range w.agents {
		act := Decide(w.situation(a))
		w.say("%s: %s %s; %+v", a.name, act.Kind, act.Why, a.own)
	}
	w.say("bids %+v, command %+v, register %+v", v.Bids, v.Cmd, v.Register)
}

// acceptLoss is an operator who ends an election that can't end by itself.
func (w *world) acceptLoss() {
	v := w.latest()
	if v.Register.State != Electing || v.Cmd != nil && v.Cmd.Epoch == v.Epoch {
		return
	}
	if c := Elect(&v, 1<<40, 1<<40); c.Winner == nil {
		w.say("the operator accepts a loss: %s", c.Why)
		w.put(Cmd{Verb: VerbPromote, AcceptLoss: true, Epoch: v.Epoch})
	}
}

func (w *world) atRest() bool {
	v := w.latest()
	if v.Register.State != Running {
		return false
	}
	for _, a := range w.agents {
		r := a.redis
		if a.name == v.Register.Node {
			if !w.takes(a) {
				return false
			}
		} else if r.master || !r.linked || r.source != v.Register.Addr {
			return false
		}
	}
	return true
}
