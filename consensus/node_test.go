package consensus

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/raft/v3/raftpb"
)

func TestOneNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, 1, nil)
		var want []string
		for life := range 3 {
			for i := range 50 {
				cmd := fmt.Sprintf("life %d command %d", life, i)
				a := get(t, cmd, c.propose(1, cmd, patience))
				if a.err != nil || a.result != len(want) {
					t.Fatalf("%s: %v %v, want place %d", cmd, a.result, a.err, len(want))
				}
				want = append(want, cmd)
			}
			if err := get(t, "read", c.read(1, patience)); err != nil {
				t.Fatal(err)
			}
			c.stop(1)
			c.start(1)
			// The first read of the new life must wait for all of the old one:
			// the commit index on disk is older.
			if err := get(t, "read after the start", c.read(1, patience)); err != nil {
				t.Fatal(err)
			}
			if got := c.hosts[1].machine.list(); !slices.Equal(got, want) {
				t.Fatalf("life %d: a read saw %d commands, want %d", life, len(got), len(want))
			}
		}
	})
}

// TestReadOfOneNodeWaits: raft confirms a read of a single voter at once, with
// the commit index that was on disk. Until the node has committed an entry of
// its new term that may be less than what it acknowledged.
func TestReadOfOneNodeWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, 1, nil)
		c.must(1, "x")
		c.stop(1)
		if s := c.hosts[1].log.state(); s.hs.GetCommit() >= s.last() {
			t.Fatalf("commit index %d of %d: the test tests nothing", s.hs.GetCommit(), s.last())
		}
		gate := make(chan struct{})
		free := sync.OnceFunc(func() { close(gate) })
		defer free()
		c.hosts[1].log.setHook(func(entries []*raftpb.Entry) error {
			if len(entries) > 0 {
				<-gate
			}
			return nil
		})
		c.start(1)
		if err := get(t, "read", c.read(1, 50*time.Millisecond)); err != ErrDeadline {
			t.Errorf("before the first commit: %v", err)
		}
		free()
		if err := get(t, "read", c.read(1, patience)); err != nil || c.hosts[1].machine.size() != 1 {
			t.Errorf("after it: %v, %d commands", err, c.hosts[1].machine.size())
		}
	})
}

func TestProposalsFromEverywhere(t *testing.T) {
	for _, size := range []int{3, 5} {
		t.Run(fmt.Sprint(size, " nodes"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, size, 1, nil)
				c.leader()
				answers := map[string]<-chan answer{}
				at := map[string]uint64{}
				for i := range 200 {
					for _, id := range c.ids {
						cmd := fmt.Sprintf("%d of node %d", i, id)
						answers[cmd], at[cmd] = c.propose(id, cmd, patience), id
					}
				}
				place := map[string]int{}
				for cmd, ch := range answers {
					a := get(t, cmd, ch)
					if a.err != nil {
						t.Fatalf("%s: %v", cmd, a.err)
					}
					place[cmd] = a.result.(int)
					if got := c.hosts[at[cmd]].machine.list(); got[place[cmd]] != cmd {
						t.Fatalf("%s was answered with place %d of another, or too early", cmd, place[cmd])
					}
				}
				list := c.converge()
				if len(list) != len(answers) {
					t.Fatalf("%d commands are applied, %d were proposed", len(list), len(answers))
				}
				for i, cmd := range list {
					if place[cmd] != i {
						t.Fatalf("%s is at %d, its answer was %d", cmd, i, place[cmd])
					}
				}
			})
		})
	}
}

func TestRestartOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, nil)
		for i := range 20 {
			c.must(uint64(i%3+1), fmt.Sprint(i))
		}
		want := c.converge()
		for _, id := range c.ids {
			c.stop(id)
		}
		for _, id := range c.ids {
			c.start(id)
		}
		c.leader()
		if err := get(t, "read", c.read(2, patience)); err != nil {
			t.Fatal(err)
		}
		if got := c.hosts[2].machine.list(); !slices.Equal(got, want) {
			t.Fatalf("%d commands after the restart, want %d", len(got), len(want))
		}
		c.must(3, "more")
		c.converge("more")
	})
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := prepareCluster(t, 3, 1, func(cfg *Config) {
			cfg.Limits = Limits{Pending: 4, PendingBytes: 100, CommandBytes: 60}
		})
		c.start(1) // alone: nothing is answered
		for i, tc := range []struct {
			size int
			want error
		}{{61, ErrTooLarge}, {60, nil}, {50, ErrOverloaded}, {40, nil}, {1, ErrOverloaded}, {0, nil}, {0, nil}, {0, ErrOverloaded}, {0, ErrOverloaded}} {
			ch := c.propose(1, string(make([]byte, tc.size)), patience)
			select {
			case a := <-ch:
				if a.err != tc.want {
					t.Fatalf("%d: %d bytes: %v, want %v", i, tc.size, a.err, tc.want)
				}
			default:
				if tc.want != nil {
					t.Fatalf("%d: %d bytes wait, want %v", i, tc.size, tc.want)
				}
			}
		}
		// Refusals take nothing from what is allowed.
		if n, b := c.node(1).waiting.Load(), c.node(1).waitingBytes.Load(); n != 4 || b != 100 {
			t.Fatalf("%d proposals of %d bytes wait, want 4 of 100", n, b)
		}
		var reads []<-chan error
		for range 4 {
			reads = append(reads, c.read(1, patience))
		}
		if err := get(t, "read", c.read(1, patience)); err != ErrOverloaded {
			t.Fatalf("fifth read: %v", err)
		}
		c.start(2)
		for _, ch := range reads {
			if err := get(t, "read", ch); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "room again", func() bool { return c.node(1).waiting.Load() == 0 && c.node(1).waitingBytes.Load() == 0 })
		c.must(1, "after")
	})
}

// TestLargeAndMany: commands over an entry's size go alone, the others share
// entries, and a leader's own are not starved by what is forwarded.
func TestLargeAndMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, func(cfg *Config) {
			cfg.Limits = Limits{EntryBytes: 1 << 10, MessageBytes: 2 << 10, UncommittedBytes: 8 << 10, InflightMessages: 4, InflightBytes: 4 << 10, ApplyBytes: 4 << 10}
		})
		c.leader()
		pad := string(make([]byte, 300))
		answers := map[string]<-chan answer{}
		for i := range 100 {
			for _, id := range c.ids {
				cmd := fmt.Sprint(id, " ", i, pad)
				if i%10 == 0 {
					cmd += string(make([]byte, 5000))
				}
				answers[cmd] = c.propose(id, cmd, patience)
			}
		}
		for cmd, ch := range answers {
			if a := get(t, cmd[:5], ch); a.err != nil {
				t.Fatalf("%s: %v", cmd[:5], a.err)
			}
		}
		if list := c.converge(); len(list) != len(answers) {
			t.Fatalf("%d applied, want %d", len(list), len(answers))
		}
	})
}

func TestStopAnswersAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, nil)
		l := c.leader()
		var handed, reads []<-chan answer
		follower := c.followers()[0]
		c.net.isolate(follower, c.ids)
		for i := range 10 {
			handed = append(handed, c.propose(follower, fmt.Sprint("handed ", i), patience))
			ch := make(chan answer, 1)
			c.node(follower).ReadIndex(time.Now().Add(patience), func(err error) { ch <- answer{nil, err} })
			reads = append(reads, ch)
		}
		eventually(t, "handed over", func() bool {
			p := c.node(follower).pending
			p.mu.Lock()
			defer p.mu.Unlock()
			return len(p.byID) == 10
		})
		n := c.node(follower)
		c.stop(follower)
		for i := range handed {
			if a := get(t, "handed", handed[i]); a.err != ErrUnknown {
				t.Errorf("handed over: %v", a.err)
			}
			if a := get(t, "read", reads[i]); a.err != ErrStopped {
				t.Errorf("read: %v", a.err)
			}
		}
		if a := get(t, "late", propose(t, n, "late", patience)); a.err != ErrStopped {
			t.Errorf("after Stop: %v", a.err)
		}
		if err := n.Stop(); err != nil {
			t.Errorf("second Stop: %v", err)
		}
		// Those that no leader was given are definite.
		for _, id := range c.ids {
			if id != l {
				c.stop(id)
			}
		}
		eventually(t, "no leader", func() bool { return c.node(l).Leader() == 0 })
		never := c.propose(l, "never", patience)
		c.stop(l)
		if a := get(t, "never", never); a.err != ErrStopped {
			t.Errorf("never handed over: %v", a.err)
		}
	})
}

func TestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, nil)
		l := c.leader()
		c.must(l, "x")
		c.converge("x")
		eventually(t, "a leader's view of all logs", func() bool {
			s := c.node(l).Status()
			ok := s.Role == "leader" && s.Leader == l && s.Age == 0 && len(s.Members) == 3
			for _, m := range s.Members {
				ok = ok && m.Voter && m.Connected && m.Match == s.Last
			}
			return ok && s.Applied == s.Last && s.Commit == s.Last
		})
		f := c.followers()[0]
		if s := c.node(f).Status(); s.Role != "follower" || s.Leader != l || s.Age > time.Second {
			t.Errorf("follower: %+v", s)
		}
	})
}

// TestConfirmedWhileStopping: the loop has an answer to a read when the
// reader's queue is closed already.
func TestConfirmedWhileStopping(t *testing.T) {
	w := newWriter(t, &memLog{})
	n := w.n
	n.core = newHandCore(t).c
	n.reads.init()
	n.reads.close()
	n.writes.init()
	n.state.Store(&leadership{})
	var got error
	n.core.out.reads = []confirmedReads{{1, []*read{{done: func(err error) { got = err }}}}}
	n.act()
	if got != ErrStopped {
		t.Errorf("the read was answered %v", got)
	}
}
