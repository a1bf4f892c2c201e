package consensus

import (
	"errors"
	"slices"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// loop owns core. It takes all that has come, lets core decide once, and hands
// the work on; it never waits for disk or network.
func (n *Node) loop() {
	n.begin()
	next := n.core.nextWake()
	alarm := n.cfg.Alarm
	defer alarm.Close()
	alarm.Set(next.Sub(n.now()))
	for {
		fired := false
		select {
		case <-n.inbox.done:
			return
		case <-n.inbox.signal:
		case <-alarm.Ring():
			fired = true
		}
		n.turn()
		if at := n.core.nextWake(); fired || !at.Equal(next) {
			next = at
			alarm.Set(next.Sub(n.now()))
		}
	}
}

// turn tells core what has come, and then what time it is: see core.wake.
func (n *Node) turn() {
	now := n.now()
	n.tell(now, n.inbox.take())
	n.core.wake(now)
	n.publishProgress()
	if n.cfg.Yield != nil && n.core.mayGather() {
		n.core.gathering = true
		n.act()
		n.gather(now)
		n.core.gathering = false
	}
	n.act()
}

// An entry is not made before gatherTries times in a row nothing has come while
// the loop yielded, or gatherFor has passed.
const (
	gatherTries = 10
	gatherFor   = 2 * time.Millisecond
)

// gather takes what comes while the loop lets others run: clients, followers and
// the goroutines between them are about to add to the next entry, and wait for a
// processor. Larger entries cost less a write. Where processors are idle, it
// yields to nobody, which takes some microseconds.
func (n *Node) gather(now time.Time) {
	end := now.Add(gatherFor)
	for tries := 0; tries < gatherTries && now.Before(end) && n.core.mayGather(); tries++ {
		had := n.core.waiting()
		n.cfg.Yield()
		now = n.now()
		n.tell(now, n.inbox.take())
		if n.core.waiting() > had {
			tries = -1
		}
	}
}

// begin does what there is to do before anything is heard.
func (n *Node) begin() {
	// A node that votes alone has nobody to wait for.
	if v := n.storage.voters(); len(v) == 1 && v[n.cfg.ID] {
		_ = n.core.raw.Campaign()
	}
	n.act()
}

// tell gives core a batch. What the own disk and state machine report comes
// first: it makes room for the rest.
func (n *Node) tell(now time.Time, b batch) {
	for _, responses := range b.stored {
		n.core.stored(now, responses)
	}
	for _, a := range b.applied {
		if a.skipped != 0 {
			n.core.skipped(now, a.skipped)
			continue
		}
		n.core.applied(now, a.responses, a.index, a.term)
	}
	for _, r := range b.messages {
		if r.group != nil {
			n.core.forwarded(now, r.from, r.term, r.group)
		} else {
			n.core.receive(now, r.from, r.msgs)
		}
	}
	for _, f := range b.events {
		f(n.core, now)
	}
	n.core.propose(now, b.proposals)
	n.core.reads.add(b.reads)
}

// act does what core asks for.
func (n *Node) act() {
	out := n.core.advance()
	if len(out.send) > 0 {
		n.cfg.Transport.Send(out.send)
	}
	if out.accepted {
		n.staged.accept()
	}
	n.writes.put(out.append...)
	for _, m := range out.apply {
		n.applys.put(applyJob{message: m})
	}
	if !n.reads.put(out.reads...) {
		for _, b := range out.reads {
			for _, r := range b.reads {
				n.answerRead(r, ErrStopped)
			}
		}
	}
	if out.discard {
		n.staged.drop()
	}
	for _, e := range out.expired {
		if e.proposal != nil {
			n.answer(e.proposal, nil, e.err)
		} else {
			n.answerRead(e.read, e.err)
		}
	}
	if out.changed {
		n.publish()
	}
}

// publish makes core's view of leadership readable by all.
func (n *Node) publish() {
	c := n.core
	old := n.state.Swap(&leadership{term: c.term, leader: c.leader, role: c.role})
	if old.leader == c.leader && old.term == c.term {
		return
	}
	if c.leader != raft.None && old.leader != c.leader {
		n.cfg.Logger.Info("leader", "node", c.leader, "term", c.term)
	}
	if n.cfg.Hooks.Leader != nil {
		n.cfg.Hooks.Leader(c.leader, c.term)
	}
}

// reader lets confirmed reads go when this node has applied their index, or
// ends them at their deadline: the entries up to there may never come.
func (n *Node) reader() {
	r := reader{n: n}
	var expire <-chan time.Time // set while something waits
	for {
		select {
		case <-n.reads.done:
			n.readsLeft = r.held
			return
		case <-n.reads.signal:
			r.take()
		case <-n.appliedIndex.signal:
		case now := <-expire:
			expire = nil
			r.expire(now)
		}
		r.answer()
		if len(r.held) > 0 && expire == nil {
			expire = time.After(n.cfg.Tick)
		}
	}
}

// reader is the state of the reader goroutine: what waits for its index.
type reader struct {
	n           *Node
	held, fresh []confirmedReads
}

// take adds what core has confirmed.
func (r *reader) take() {
	r.fresh = r.n.reads.take(r.fresh)
	r.held = append(r.held, r.fresh...)
}

// answer ends the reads whose index is applied.
func (r *reader) answer() {
	applied := r.n.appliedIndex.get()
	r.held = slices.DeleteFunc(r.held, func(b confirmedReads) bool {
		if b.index > applied {
			return len(b.reads) == 0
		}
		for _, one := range b.reads {
			r.n.answerRead(one, nil)
		}
		return true
	})
}

// expire ends those past their deadline.
func (r *reader) expire(now time.Time) {
	for i := range r.held {
		r.held[i].reads = slices.DeleteFunc(r.held[i].reads, func(one *read) bool {
			if one.deadline.After(now) {
				return false
			}
			r.n.answerRead(one, ErrDeadline)
			return true
		})
	}
}

// applyJob is work for the applier: committed entries, or (install set) a
// snapshot to put in the state's place. discard is for an install that is not
// called.
type applyJob struct {
	message *raftpb.Message
	install func() error
	discard func()
	meta    Meta
	done    chan error
}

// applier owns StateMachine.Apply.
func (n *Node) applier() {
	a := newApplier(n)
	var jobs []applyJob
	for {
		var ok bool
		if jobs, ok = n.applys.wait(jobs); !ok {
			return
		}
		for i, j := range jobs {
			if !a.step(j) {
				discardInstalls(jobs[i+1:])
				return
			}
		}
	}
}

// discardInstalls drops the snapshots of jobs that will not be done.
func discardInstalls(jobs []applyJob) {
	for _, j := range jobs {
		if j.install != nil {
			j.discard()
		}
	}
}

// applier is the state of the applier goroutine.
type applier struct {
	n       *Node
	reader  entryReader
	applied uint64
	term    uint64

	commands [][]byte
	results  []any
	waiters  []*proposal
}

func newApplier(n *Node) applier {
	return applier{n: n, applied: n.cfg.State.Index, term: n.cfg.State.Term}
}

// step does one job; false when the node ends.
func (a *applier) step(j applyJob) bool {
	err := a.do(j)
	if err != nil && !errors.Is(err, ErrStopped) {
		a.n.fail(err)
	}
	return err == nil
}

func (a *applier) do(j applyJob) error {
	if j.install != nil {
		err := j.install()
		if err == nil {
			a.applied, a.term = j.meta.Index, j.meta.Term
			a.n.storage.setConfState(j.meta.ConfState)
			a.n.storage.checkpointed(j.meta)
			a.n.checkpoints.reset(j.meta.Index)
			a.n.appliedIndex.set(a.applied)
			a.n.inbox.put(func(b *batch) {
				b.applied = append(b.applied, appliedReport{skipped: j.meta.Term})
			})
		}
		j.done <- err
		return err
	}
	begin := time.Now()
	entries := j.message.GetEntries()
	for _, e := range entries {
		if err := a.entry(e); err != nil {
			return err
		}
	}
	if f := a.n.cfg.Hooks.Apply; f != nil {
		f(time.Since(begin), len(entries))
	}
	a.n.appliedIndex.set(a.applied)
	a.n.inbox.put(func(b *batch) {
		b.applied = append(b.applied, appliedReport{responses: j.message.GetResponses(), index: a.applied, term: a.term})
	})
	a.n.checkpoints.consider(Meta{Index: a.applied, Term: a.term})
	return nil
}

// entry applies one entry and answers those who wait for its commands.
func (a *applier) entry(e *raftpb.Entry) error {
	if e.GetIndex() != a.applied+1 {
		panic("consensus: applying entry " + fmtUint(e.GetIndex()) + " after " + fmtUint(a.applied))
	}
	var err error
	switch {
	case e.GetType() != raftpb.EntryNormal:
		err = a.confChange(e)
	case len(e.GetData()) > 0:
		a.normal(e)
	}
	if err != nil {
		return err
	}
	a.applied, a.term = e.GetIndex(), e.GetTerm()
	a.n.checkpoints.count(len(e.GetData()))
	return nil
}

func (a *applier) normal(e *raftpb.Entry) {
	now, groups, err := a.reader.decode(e.GetData())
	if err != nil {
		// The same on every node: the entry changes nothing.
		a.n.cfg.Logger.Error("entry skipped", "index", e.GetIndex(), "err", err)
		return
	}
	a.commands = a.commands[:0]
	for _, g := range groups {
		a.commands = append(a.commands, g.commands...)
	}
	if cap(a.results) < len(a.commands) {
		a.results = make([]any, len(a.commands)+len(a.commands)/2)
	}
	results := a.results[:len(a.commands)]
	clear(results)
	a.n.cfg.Machine.Apply(e.GetIndex(), now, a.commands, results)
	for _, g := range groups {
		if g.origin == a.n.cfg.ID && g.nonce == a.n.cfg.Nonce {
			a.waiters = a.n.pending.take(g.ids, a.waiters[:0])
			for i, p := range a.waiters {
				if p != nil {
					a.n.answer(p, results[i], nil)
				}
			}
			clear(a.waiters)
		}
		results = results[len(g.ids):]
	}
}

// confChange lets raft apply a change of members, which only the loop may ask
// of it.
func (a *applier) confChange(e *raftpb.Entry) error {
	cc, err := decodeConfChange(e)
	if err != nil {
		return err
	}
	done := make(chan struct{})
	if !a.n.event(func(c *core, _ time.Time) { c.applyConfChange(cc); close(done) }) {
		return ErrStopped
	}
	if a.n.hand != nil {
		a.n.hand.Loop()
	}
	select {
	case <-done:
		return nil
	case <-a.n.stopping:
		return ErrStopped
	case <-a.n.failed:
		return ErrStopped
	}
}
