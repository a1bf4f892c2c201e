package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	doozerpb "github.com/doozer-store/doozer/proto"
)

// TestCutAfterApply increments a counter by compare-and-set while every few
// writes the stream is cut after the write was applied, or before: in the end
// the counter has exactly the number of increments that were reported done.
func TestCutAfterApply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		cl := c.open(t)
		var cuts, n atomic.Int64
		for _, node := range c.nodes {
			node.setHook(func(r *doozerpb.Request) fate {
				if r.GetSet() == nil || n.Add(1)%3 != 0 {
					return fate{}
				}
				i := cuts.Add(1)
				return fate{cutAfter: i%2 == 0, cutBefore: i%2 == 1}
			})
		}
		mustSet(t, cl, "/n", "")
		var done atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for cuts.Load() < 400 {
					f, err := cl.Get(t.Context(), "/n")
					if err != nil {
						t.Error(err)
						return
					}
					_, err = cl.Set(t.Context(), "/n", append(f.Value, 'x'), IfRev(f.Rev))
					switch {
					case err == nil:
						done.Add(1)
					case !errors.Is(err, ErrRevMismatch):
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		f, err := cl.Get(t.Context(), "/n")
		if err != nil || int64(len(f.Value)) != done.Load() {
			t.Errorf("the counter is %d, %d increments were reported (%v)", len(f.Value), done.Load(), err)
		}
		for key, n := range c.applied {
			if n != 1 {
				t.Errorf("write %v was applied %d times", key, n)
			}
		}
	})
}

func TestSilentNodeIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		cl := c.open(t)
		eventually(t, "at the leader", func() bool { s, err := cl.Self(t.Context()); return err == nil && s.Node == 1 })
		mustSet(t, cl, "/x", "1")
		c.nodes[0].lis.freeze()
		c.set(func() { c.leader = 2 })
		start := time.Now()
		rev := mustSet(t, cl, "/x", "2")
		d := time.Since(start)
		t.Logf("left after %v", d)
		if d > 1200*time.Millisecond {
			t.Errorf("a silent node was left after %v", d)
		}
		start = time.Now()
		if f, err := cl.Get(t.Context(), "/x"); err != nil || f.Rev != rev {
			t.Errorf("get = %+v, %v", f, err)
		}
		if d := time.Since(start); d > 500*time.Millisecond {
			t.Errorf("the next call took %v", d)
		}
	})
}

// TestSlowAnswersAreNotSilence: a node that answers the probe is kept, however
// long the answer of a call takes.
func TestSlowAnswersAreNotSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		cl := c.open(t)
		c.nodes[0].setHook(func(r *doozerpb.Request) fate { return fate{drop: r.GetGet() != nil} })
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		_, err := cl.Get(ctx, "/x")
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "has not answered") {
			t.Errorf("get = %v", err)
		}
		if n := c.nodes[0].dos.Load(); n != 1 {
			t.Errorf("%d streams: the node was left", n)
		}
	})
}

func TestKilledLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		cl := c.open(t)
		eventually(t, "at the leader, with a warm follower or not", func() bool {
			s, err := cl.Self(t.Context())
			return err == nil && s.Node == 1
		})
		mustSet(t, cl, "/x", "1")
		start := time.Now()
		c.nodes[0].kill()
		c.set(func() { c.leader = 2 })
		mustSet(t, cl, "/x", "2")
		d := time.Since(start)
		t.Logf("%v without a write", d)
		if d > 500*time.Millisecond {
			t.Errorf("%v without a write", d)
		}
	})
}

// TestElection: while there is no leader all nodes refuse; calls are repeated
// and get through soon after there is one.
func TestElection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		cl := c.open(t)
		mustSet(t, cl, "/x", "1")
		var refusals atomic.Int64
		none := make(chan struct{})
		c.set(func() { c.leader = 0 })
		for _, n := range c.nodes {
			n.setHook(func(r *doozerpb.Request) fate {
				select {
				case <-none:
					return fate{}
				default:
				}
				if r.GetSet() == nil {
					return fate{}
				}
				if refusals.Add(1) == 5 {
					c.set(func() { c.leader = 3 })
					close(none)
				}
				return fate{refuse: refusal(doozerpb.Code_NO_QUORUM, "no leader")}
			})
		}
		mustSet(t, cl, "/x", "2")
		if n := refusals.Load(); n != 5 {
			t.Errorf("%d refusals", n)
		}
	})
}

// TestLeavesALeaderlessNode: a node cut off from the majority refuses, others
// know a leader.
func TestLeavesALeaderlessNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		cl := openTarget(t, c.target(0))
		eventually(t, "the members are known", func() bool { return len(cl.router.nodes.targets()) == 3 })
		c.nodes[0].setHook(func(r *doozerpb.Request) fate {
			if r.GetSet() != nil {
				return fate{refuse: refusal(doozerpb.Code_NO_QUORUM, "no leader")}
			}
			return fate{}
		})
		c.set(func() { c.leader = 2 })
		start := time.Now()
		mustSet(t, cl, "/x", "1")
		if d := time.Since(start); d > time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

// TestDeposedLeader: a leader that has lost its majority, and does not know
// that another was elected, keeps writes waiting, but answers the probe. The
// writes are sent again to the other one.
func TestDeposedLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		cl := c.open(t)
		eventually(t, "at the leader", func() bool { s, err := cl.Self(t.Context()); return err == nil && s.Node == 1 })
		mustSet(t, cl, "/x", "1")
		c.nodes[0].leader.Store(1)
		c.nodes[0].age.Store(1500)
		c.nodes[0].setHook(func(r *doozerpb.Request) fate { return fate{drop: r.GetSet() != nil} })
		c.set(func() { c.leader = 2 })
		start := time.Now()
		mustSet(t, cl, "/x", "2")
		if d := time.Since(start); d > 1500*time.Millisecond {
			t.Errorf("it took %v", d)
		}
	})
}

// TestDisagreeingNodes: nodes that each take the other for the leader get the
// calls done, and do not have the client run to and fro.
func TestDisagreeingNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c.nodes[0].leader.Store(2)
		c.nodes[1].leader.Store(1)
		cl := c.open(t)
		eventually(t, "the members are known", func() bool { return cl.router.nodes.byID(1) != nil && cl.router.nodes.byID(2) != nil })
		mustSet(t, cl, "/x", "1")
		time.Sleep(10 * time.Second) // the bubble's time
		mustSet(t, cl, "/x", "2")
		if n := c.nodes[0].dos.Load() + c.nodes[1].dos.Load(); n > 30 {
			t.Errorf("%d streams in ten seconds", n)
		}
	})
}

// TestRoundsPause: while no node answers, they are tried again at a bounded
// rate, however many calls wait.
func TestRoundsPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int64
		refuse := func(ctx context.Context, addr string) (net.Conn, error) {
			dials.Add(1)
			return network.Dial(ctx, addr)
		}
		cl := openTarget(t, network.Free(), WithoutWait(), WithDialOptions(grpc.WithContextDialer(refuse)))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if _, err := cl.Get(ctx, "/x"); !errors.Is(err, ErrUnreachable) {
					t.Errorf("get = %v", err)
				}
			})
		}
		wg.Wait()
		if n := dials.Load(); n < 10 || n > 40 {
			t.Errorf("%d rounds in ten seconds", n)
		}
	})
}

// timeUp is a context whose time is over when the test says so.
type timeUp struct {
	context.Context
	once sync.Once
	done chan struct{}
}

func (c *timeUp) expire() { c.once.Do(func() { close(c.done) }) }

func (c *timeUp) Done() <-chan struct{} { return c.done }

func (c *timeUp) Err() error {
	select {
	case <-c.done:
		return context.DeadlineExceeded
	default:
		return c.Context.Err()
	}
}

// TestDeadlines: what a write's error is when its time is over.
func TestDeadlines(t *testing.T) {
	for _, test := range []struct {
		name    string
		fate    fate
		unknown bool
		is      error
		text    string
	}{
		{"never answered", fate{drop: true}, true, context.DeadlineExceeded, "outcome unknown"},
		{"no majority", fate{refuse: refusal(doozerpb.Code_NO_QUORUM, "no leader")}, false, ErrNoQuorum,
			") last heard from a leader 5.2s ago"},
		{"stopping", fate{refuse: refusal(doozerpb.Code_STOPPING, "bye")}, false, ErrStopping, "set /x: node is stopping: bye"},
		{"overloaded", fate{refuse: refusal(doozerpb.Code_OVERLOADED, "full")}, false, ErrOverloaded, "set /x: overloaded: full"},
		{"unknown", fate{refuse: refusal(doozerpb.Code_UNKNOWN_OUTCOME, "?")}, true, context.DeadlineExceeded, "outcome unknown"},
		{"deadline", fate{refuse: refusal(doozerpb.Code_DEADLINE, "busy")}, false, context.DeadlineExceeded, "the node gave up in time: busy"},
		{"quarantined", fate{refuse: refusal(doozerpb.Code_QUARANTINED, "/a differs")}, false, ErrQuarantined, "/a differs"},
		{"cut", fate{cutAfter: true}, true, context.DeadlineExceeded, "outcome unknown"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 1)
				c.set(func() { c.age = 5200 })
				cl := c.open(t)
				mustSet(t, cl, "/y", "")
				// Time is over when it matters: with a request at the node, or in
				// the pause after its answer.
				ctx := &timeUp{Context: t.Context(), done: make(chan struct{})}
				cl.backoff = func(int) time.Duration {
					ctx.expire()
					return backoff(1)
				}
				c.nodes[0].setHook(func(r *doozerpb.Request) fate {
					if r.GetSet() == nil {
						return fate{}
					}
					if test.fate.drop {
						ctx.expire()
					}
					if test.fate.cutAfter {
						// The write is applied, and its id forgotten: no retry
						// can tell.
						c.set(func() { clear(c.known) })
					}
					return test.fate
				})
				_, err := cl.Set(ctx, "/x", nil)
				if errors.Is(err, ErrUnknownOutcome) != test.unknown || !strings.Contains(err.Error(), test.text) {
					t.Errorf("error %v", err)
				}
				if !test.fate.cutAfter && !errors.Is(err, test.is) {
					t.Errorf("%v is not %v", err, test.is)
				}
			})
		})
	}
}

// TestUnknownRegistration: a write that was never sent has no unknown outcome,
// whatever became of the id that it wanted.
func TestUnknownRegistration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		c.set(func() { c.age = 5200 })
		cl := c.open(t)
		c.nodes[0].setHook(func(r *doozerpb.Request) fate {
			if r.GetRegister() != nil {
				return fate{refuse: refusal(doozerpb.Code_UNKNOWN_OUTCOME, "?")}
			}
			return fate{}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err := cl.Set(ctx, "/x", nil)
		if !isAll(err, ErrNoQuorum, context.DeadlineExceeded) || errors.Is(err, ErrUnknownOutcome) {
			t.Errorf("set = %v", err)
		}
	})
}

func TestCanceledWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		cl := c.open(t)
		mustSet(t, cl, "/x", "")
		ctx, cancel := context.WithCancel(t.Context())
		c.nodes[0].setHook(func(r *doozerpb.Request) fate {
			if r.GetSet() != nil {
				cancel()
				return fate{drop: true}
			}
			return fate{}
		})
		_, err := cl.Set(ctx, "/x", nil)
		if !isAll(err, ErrUnknownOutcome, context.Canceled) {
			t.Errorf("set = %v", err)
		}
		if _, err := cl.Set(ctx, "/x", nil); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnknownOutcome) {
			t.Errorf("a write that was never sent: %v", err)
		}
	})
}

func TestDefaultTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		cl := c.open(t, WithTimeout(100*time.Millisecond))
		var told atomic.Uint32
		c.nodes[0].setHook(func(r *doozerpb.Request) fate {
			if r.GetGet() == nil {
				return fate{}
			}
			told.Store(r.GetTimeoutMs())
			return fate{drop: true}
		})
		_, err := cl.Get(context.Background(), "/x")
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("get = %v", err)
		}
		if ms := told.Load(); ms < 50 || ms > 90 {
			t.Errorf("the node was told %d ms", ms)
		}
	})
}

func TestExpiredClientID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		cl := c.open(t)
		mustSet(t, cl, "/x", "1")
		c.set(func() { clear(c.known) })
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() { mustSet(t, cl, fmt.Sprintf("/x%d", i), "2") })
		}
		wg.Wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.clients != 2 {
			t.Errorf("%d client ids were registered", c.clients)
		}
	})
}

func TestUnknownOutcomeIsResolved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		cl := c.open(t)
		mustSet(t, cl, "/x", "1")
		var first atomic.Bool
		for _, n := range c.nodes {
			n.setHook(func(r *doozerpb.Request) fate {
				if r.GetSet() == nil || first.Swap(true) {
					return fate{}
				}
				c.set(func() { c.apply(n, r) }) // done, but the node cannot tell
				return fate{refuse: refusal(doozerpb.Code_UNKNOWN_OUTCOME, "leader lost")}
			})
		}
		rev := mustSet(t, cl, "/x", "2")
		if f, err := cl.Get(t.Context(), "/x"); err != nil || f.Rev != rev {
			t.Errorf("get = %+v, %v; want rev %d", f, err, rev)
		}
	})
}

// TestManyCallers: more calls than may be in flight, with values that fill
// batches, all answered, each with its own answer.
func TestManyCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		cl := c.open(t, WithTimeout(time.Minute))
		big := make([]byte, 100<<10)
		for i := range 10 {
			c.write(&doozerpb.Op{Path: fmt.Sprintf("/k/%d", i), Value: []byte(fmt.Sprint(i))})
		}
		var wg sync.WaitGroup
		for i := range maxCalls + 500 {
			wg.Go(func() {
				if i%50 == 0 {
					mustSet(t, cl, "/big", string(big))
				}
				f, err := cl.Get(context.Background(), fmt.Sprintf("/k/%d", i%10))
				if err != nil || string(f.Value) != fmt.Sprint(i%10) {
					t.Errorf("get = %+v, %v", f, err)
				}
			})
		}
		wg.Wait()
	})
}

func TestWatchdog(t *testing.T) {
	t0 := time.Unix(100, 0)
	at := func(ms int) time.Time { return t0.Add(time.Duration(ms) * time.Millisecond) }
	var w watchdog
	for _, step := range []struct {
		now, heard, busySince int
		busy                  bool
		want                  watchVerdict
	}{
		{now: 0, want: watchFine},
		{now: 50, busySince: 0, busy: true, want: watchFine},
		{now: 100, busy: true, want: watchFine},
		{now: 900, busy: true, want: watchFine}, // the process was held up
		{now: 950, busy: true, want: watchFine},
		{now: 1100, busy: true, want: watchFine},
		{now: 1300, busy: true, want: watchProbe},
		{now: 1400, busy: true, want: watchFine},
		{now: 1450, heard: 1440, busy: true, want: watchFine}, // it answered
		{now: 1600, heard: 1440, busy: true, want: watchFine},
		{now: 1750, heard: 1440, busy: true, want: watchFine},
		{now: 1850, heard: 1440, busy: true, want: watchProbe},
		{now: 2000, heard: 1440, busy: true, want: watchFine},
		{now: 2200, heard: 1440, busy: true, want: watchFine},
		{now: 2250, heard: 1440, busy: true, want: watchLeave},
	} {
		if got := w.look(at(step.now), step.busy, at(step.heard), at(step.busySince)); got != step.want {
			t.Errorf("at %d ms: %d, want %d", step.now, got, step.want)
		}
	}
}
