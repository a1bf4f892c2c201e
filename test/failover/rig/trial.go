package rig

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/doozer-store/doozer/client/failover"
	"github.com/doozer-store/doozer/drill/cluster"
)

// Case is one kind of harm.
type Case struct {
	Name string
	What string // in a table's words
	// Doozer: it is a harm of doozer's alone.
	Doozer bool
	// Wait: clients ask WAIT for that many replicas.
	Wait int
	// MayStay: the master may stay. Else another host's Redis takes over.
	MayStay bool
	// Nobody: no server takes writes until the harm's end.
	Nobody bool
	// Conf changes doozer's settings of the group.
	Conf func(*failover.Conf)
	// Die: the agent that writes the register in this state dies of it, once the
	// trial has armed it.
	Die failover.State
	// Before is done before clients begin; Harm begins the harm, and Heal ends it.
	Before, Harm, Heal func(*Trial)
	// Alone: the system itself has to bring the old master back in order. Else, under
	// Sentinel, the trial does, because Sentinel takes 10 s and more.
	Alone bool
}

// Needs names the kind of group that the case needs: one group does all cases of a kind.
func (c Case) Needs() string {
	switch {
	case c.Die != "":
		return "mortal agents"
	case c.Conf != nil:
		return "sync"
	}
	return "plain"
}

// Trial is one harm to a group under load, and what became of it.
type Trial struct {
	*Group
	Case   Case
	Old    *Host // the master of the beginning
	Others []*Host
	Out    Outcome

	key     string
	journal *Journal
	accept  *Acceptance
	pace    *pace
	slow    time.Time // from when on the pace is slow
	// oldProcess is the process of the old master's Redis.
	oldProcess int
}

// Outcome is what one trial showed. Durations are in milliseconds, -1 where there was
// nothing to measure.
type Outcome struct {
	System string `json:"system"`
	Case   string `json:"case"`
	// From and To are the masters before and after.
	From string `json:"from"`
	To   string `json:"to"`
	// FirstWriteMs: from the harm to the first write that another server took.
	FirstWriteMs float64 `json:"first_write_ms"`
	// NoWriteMs: the longest time from the harm on in which no server took a write.
	NoWriteMs float64 `json:"no_write_ms"`
	// ClientMs: the same as the client that follows the master saw it.
	ClientMs float64 `json:"client_ms"`
	// TwoMs is how long two servers took writes.
	TwoMs float64 `json:"two_masters_ms"`
	// OldMs: from the harm to the last write that the old master took.
	OldMs float64 `json:"old_master_ms"`
	// Acked and Lost are writes of the client that follows; the Stuck ones are of the
	// client that keeps to the old master. Confirmed ones were seen by WAIT.
	Acked         int `json:"acked"`
	Lost          int `json:"lost"`
	StuckAcked    int `json:"stuck_acked"`
	StuckLost     int `json:"stuck_lost"`
	Confirmed     int `json:"confirmed"`
	ConfirmedLost int `json:"confirmed_lost"`
	// Failovers is how many doozer has on record for the trial: more than one, and an
	// agent has been thought dead besides.
	Failovers int `json:"failovers,omitempty"`
	// FullSyncs is how many whole copies were sent.
	FullSyncs int64 `json:"full_syncs"`
	// LostFile tells how what was saved compares with what was lost.
	LostFile string `json:"lost_file,omitempty"`
	// Problem is why the trial came to no end.
	Problem string `json:"problem,omitempty"`
	// TookMs is the time from the first write to a group that is whole.
	TookMs float64 `json:"took_ms"`
	// Tilted: a Sentinel missed two seconds before the outcome, on a busy machine, and
	// did nothing for 30 s after.
	Tilted bool `json:"tilted,omitempty"`
}

// enough writes come before the harm, and some after it.
const (
	enough = 50
	some   = 20
)

// pace is how often a trial's clients and probes ask. It is safe for concurrent use.
type pace struct{ slow atomic.Bool }

const (
	// writeEvery and retryEvery are a client's pause after a write that was
	// acknowledged and after one that was not.
	writeEvery = 2 * time.Millisecond
	retryEvery = 5 * time.Millisecond
	probeEvery = 3 * time.Millisecond
	// slowEvery is any pause once the harm has led to what it leads to: bringing back
	// an old master takes Sentinel a while, in which other trials want the processors.
	slowEvery = 20 * time.Millisecond
)

// wait waits for d, or slowEvery.
func (p *pace) wait(ctx context.Context, d time.Duration) {
	if p.slow.Load() {
		d = slowEvery
	}
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// outcomeLimit is how long a failover may take before the trial gives up.
const outcomeLimit = 90 * time.Second

// Run does one trial of a case to a group that is whole, and leaves it whole.
func Run(g *Group, c Case, n int) Outcome {
	g.t.Helper()
	t := &Trial{Group: g, Case: c, key: fmt.Sprintf("log:%s:%d", c.Name, n), journal: &Journal{}, accept: &Acceptance{}, pace: &pace{}}
	t.Old = g.Host(g.Master())
	t.oldProcess = t.Old.Redis.pid()
	for _, h := range g.Hosts {
		if h != t.Old {
			t.Others = append(t.Others, h)
		}
	}
	t.Out = Outcome{System: g.Name(), Case: c.Name, From: t.Old.Name, FirstWriteMs: -1}
	if c.Before != nil {
		c.Before(t)
	}
	began := time.Now()
	syncs, tilts, failovers := g.fullSyncs(), g.tilts(), g.failovers()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, h := range g.Hosts {
		running.Go(func() { t.accept.Probe(ctx, h.Redis, t.pace) })
	}
	w := &writers{t: g.t, group: g, key: t.key, wait: c.Wait, journal: t.journal, pace: t.pace}
	running.Go(func() { w.run(ctx, t.Old) })
	stop := func() { cancel(); running.Wait() }
	defer stop()
	cluster.Eventually(g.t, outcomeLimit, "there are writes", func() (bool, string) {
		n := t.journal.Acked(time.Time{})
		return n >= enough, fmt.Sprint(n)
	})

	harmed := time.Now()
	c.Harm(t)
	t.await(harmed)
	t.Out.Tilted = g.tilts() > tilts // later ones, of a Sentinel that was stopped, do not matter
	t.slow = time.Now()
	t.pace.slow.Store(true)
	if c.Heal != nil {
		c.Heal(t)
	}
	t.repair()
	g.Settle()
	t.awaitWrites(time.Now(), some)
	stop()
	g.Settle()
	if s, ok := g.System.(*sentinels); ok {
		s.hurry(false)
	}
	for run, n := range g.fullSyncs() {
		t.Out.FullSyncs += n - syncs[run]
	}
	t.judge(harmed)
	t.Out.TookMs = ms(time.Since(began))
	t.Out.Failovers = g.failovers() - failovers
	return t.Out
}

// await waits for what the case is to lead to.
func (t *Trial) await(harmed time.Time) {
	switch {
	case t.Case.Nobody:
		t.awaitSilence()
	case t.Case.MayStay:
		cluster.Eventually(t.t, outcomeLimit, "a server takes writes", func() (bool, string) {
			server, _ := t.accept.first(harmed, t.Old.Name)
			n := t.journal.Acked(harmed)
			return server != "" || n >= enough, fmt.Sprint(n)
		})
		t.awaitWrites(time.Now(), enough)
	default:
		cluster.Eventually(t.t, outcomeLimit, "another server takes writes", func() (bool, string) {
			server, _ := t.accept.first(harmed, t.Old.Name)
			return server != "", server
		})
		t.awaitWrites(time.Now(), enough)
	}
}

// awaitSilence waits until no server has taken a write for a while.
func (t *Trial) awaitSilence() {
	cluster.Eventually(t.t, outcomeLimit, "no server takes writes", func() (bool, string) {
		_, last := t.accept.last("")
		return time.Since(last) > time.Second, fmt.Sprint(time.Since(last))
	})
}

// awaitWrites waits until the client that follows has written so often again.
func (t *Trial) awaitWrites(since time.Time, often int) {
	cluster.Eventually(t.t, outcomeLimit, "the client writes again", func() (bool, string) {
		n := t.journal.Acked(since)
		return n >= often, fmt.Sprint(n, " writes; ", t.journal.LastError())
	})
}

// repair starts what does not run, and where the case allows it tells a Redis that
// thinks it is the master to follow, as Sentinel would later.
func (t *Trial) repair() {
	helped := !t.Case.Alone && t.Store == nil
	if helped {
		t.System.(*sentinels).hurry(true)
		cluster.Eventually(t.t, settleLimit, "all know the new master", func() (bool, string) {
			m := t.Master()
			return m != "" && m != t.Old.Name, m
		})
	}
	for _, h := range t.Hosts {
		t.StartRedis(h)
		t.StartGuard(h)
	}
	if !helped {
		return
	}
	cluster.Eventually(t.t, settleLimit, "there is one master", func() (bool, string) {
		m := t.Host(t.Master())
		if m == nil {
			return false, "nobody"
		}
		if s, err := m.Redis.Try("INFO", "replication"); err != nil || Fields(s)["role"] != "master" {
			return false, m.Name + " is not yet a master"
		}
		host, port, _ := strings.Cut(m.Front, ":")
		for _, h := range t.Hosts {
			if h == m {
				continue
			}
			if _, err := h.Redis.Try("REPLICAOF", host, port); err != nil {
				return false, err.Error()
			}
		}
		return true, ""
	})
}

// judge compares what clients were told with what the group has in the end.
func (t *Trial) judge(harmed time.Time) {
	o := &t.Out
	final := t.Host(t.Master())
	o.To = final.Name
	have := map[int64]bool{}
	for id := range strings.SplitSeq(final.Redis.Do("SMEMBERS", t.key), "\n") {
		if n, err := strconv.ParseInt(id, 10, 64); err == nil {
			have[n] = true
		}
	}
	writes := t.journal.Writes()
	t.accept.take(writes)
	var lost []Write
	var followed []time.Time
	for _, w := range writes {
		if w.Server == "" {
			continue
		}
		gone := !have[w.ID]
		if gone {
			lost = append(lost, w)
		}
		switch {
		case w.Stuck:
			o.StuckAcked += one(true)
			o.StuckLost += one(gone)
			continue
		case t.Case.Wait > 0 && w.Waited >= t.Case.Wait:
			o.Confirmed++
			o.ConfirmedLost += one(gone)
		}
		o.Acked++
		o.Lost += one(gone)
		if w.Done.After(harmed) {
			followed = append(followed, w.Done)
		}
	}
	if server, first := t.accept.first(harmed, t.Old.Name); server != "" {
		o.FirstWriteMs = ms(first.Sub(harmed))
	}
	o.NoWriteMs, o.ClientMs = ms(t.accept.Gap(harmed, t.slow)), ms(longest(harmed, t.slow, followed))
	o.TwoMs = ms(t.accept.Two(harmed))
	if o.From != o.To {
		_, last := t.accept.last(t.Old.Name)
		o.OldMs = ms(max(0, last.Sub(harmed)))
	}
	if f, ok := t.System.(interface{ compareLost(*Trial, []Write) string }); ok {
		o.LostFile = f.compareLost(t, lost)
	}
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
